//! What can go wrong between djship and a Docker daemon, as facts.

use std::{io, path::PathBuf};

use djship_store::unpack::UnpackError;
use thiserror::Error;

/// Why a Docker daemon does not do what it is asked for.
#[derive(Debug, Error)]
pub enum DockerError {
    /// An address that is none, or of a kind that is not known.
    #[error("cannot use `{address}` as the address of a Docker daemon")]
    Address {
        /// As it was given.
        address: String,
    },
    /// A context that is not there or cannot be read.
    #[error("cannot use the Docker context `{name}`: cannot read `{}`: {source}", path.display())]
    Context {
        /// Its name.
        name: String,
        /// The file that says what it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Certificates or a key that cannot be used.
    #[error("cannot use `{}` for a connection to a Docker daemon: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Nobody answers.
    #[error("cannot reach a Docker daemon at {address}: {source}")]
    NoDaemon {
        /// Its address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The socket is there, and this user may not use it.
    #[error("cannot use the Docker daemon at {address}: permission denied")]
    Denied {
        /// Its address.
        address: String,
    },
    /// The daemon and djship have no version of the API in common.
    #[error(
        "cannot use the Docker daemon at {address}: it speaks API {version}, and djship {lowest} to {highest}"
    )]
    Version {
        /// Its address.
        address: String,
        /// What it speaks.
        version: String,
        /// The oldest version that djship speaks.
        lowest: &'static str,
        /// The newest one.
        highest: &'static str,
    },
    /// The daemon runs programs of another kind of machine.
    #[error(
        "cannot use the Docker daemon at {address}: it runs {found} containers, and {wanted} ones are needed"
    )]
    Machine {
        /// Its address.
        address: String,
        /// System and processor.
        found: String,
        /// What is needed.
        wanted: String,
    },
    /// The connection broke.
    #[error("cannot {what} with Docker: {source}")]
    Connection {
        /// What was being done.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The daemon said no.
    #[error("cannot {what} with Docker: {message}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The status of its answer.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The daemon's answer makes no sense.
    #[error("cannot {what} with Docker: its answer is not what the API says")]
    Answer {
        /// What was asked.
        what: &'static str,
    },
    /// A file or folder of the host cannot be given to a container, or taken from it.
    #[error("cannot copy `{}` {direction} a container: {source}", path.display())]
    Copy {
        /// On the host.
        path: PathBuf,
        /// `into` or `out of`.
        direction: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What comes out of a container cannot be written.
    #[error("cannot copy `{}` out of a container: {source}", path.display())]
    Unpack {
        /// On the host.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// A tree that is part of a root cannot be read.
    #[error("cannot give `{}` to Docker: {reason}", path.display())]
    Root {
        /// The folder of the tree.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A folder of the host that the daemon does not see.
    #[error("cannot show `{}` to a container: the Docker daemon at {address} does not see it", path.display())]
    Unseen {
        /// The folder.
        path: PathBuf,
        /// The daemon's address.
        address: String,
    },
    /// Something that Docker's containers cannot have.
    #[error("cannot start container with Docker: {what} is not possible there")]
    Unsupported {
        /// What.
        what: &'static str,
    },
}

impl DockerError {
    pub(crate) fn connection(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Connection { what, source }
    }
}
