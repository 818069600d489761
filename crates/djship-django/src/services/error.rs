//! Why a service does not run.

use std::net::SocketAddr;
use std::path::PathBuf;

use djship_engine::{RecordError, StartError, WaitError};

use super::volume::VolumeError;
use crate::base::BaseError;
use crate::child::ChildError;
use crate::running::Holder;

/// Why a service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its root cannot be made.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// Its volume cannot be used.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A container did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A container could not be waited for.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// A container cannot be entered.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Somebody listens where it should.
    #[error("cannot start {service} on {address}: the port is in use{}", holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default())]
    PortInUse {
        /// The service.
        service: String,
        /// The address.
        address: SocketAddr,
        /// Who, where that can be seen.
        holder: Option<Holder>,
    },
    /// The settings look for it on a port that is for root alone.
    #[error(
        "cannot start {service} on {address}: ports below {first} are privileged, and djship runs nothing as root"
    )]
    Privileged {
        /// The service.
        service: String,
        /// The address.
        address: SocketAddr,
        /// The first port that everybody may use.
        first: u16,
    },
    /// The kernel refuses the address.
    #[error("cannot start {service} on {address}: {source}")]
    Address {
        /// The service.
        service: String,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody wants it any more.
    #[error("interrupted")]
    GivenUp,
    /// Its data folder cannot be made.
    #[error("cannot make a data folder for {service}")]
    Init {
        /// The service.
        service: String,
        /// The last lines of what makes it.
        output: Vec<String>,
    },
    /// The disk is full.
    #[error("cannot make a data folder for {service}: no space is left for `{}`", path.display())]
    NoSpace {
        /// The service.
        service: String,
        /// The volume.
        path: PathBuf,
    },
    /// An account or a database cannot be made.
    #[error("cannot prepare {service} for `{user}`")]
    Account {
        /// The service.
        service: String,
        /// The account.
        user: String,
        /// What the server says.
        output: Vec<String>,
    },
    /// A name or password that the service cannot have.
    #[error("cannot prepare {service}: its {what} holds a character that it cannot have")]
    Unspeakable {
        /// The service.
        service: String,
        /// What it is, such as `user` or `password`.
        what: &'static str,
    },
    /// The package that should be there is not among those of the root.
    #[error("cannot start {service}: its root holds no package `{package}`")]
    Package {
        /// The service.
        service: String,
        /// The package.
        package: String,
    },
}

impl From<ChildError> for ServiceError {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Start(error) => Self::Start(error),
            ChildError::Wait(error) => Self::Wait(error),
            ChildError::GivenUp => Self::GivenUp,
        }
    }
}

/// What programs print when the disk is full: `strerror(ENOSPC)`.
const FULL: &str = "No space left on device";

impl ServiceError {
    /// What makes a data folder in `path` failed, and these were its last lines.
    pub(super) fn init(service: &str, path: PathBuf, output: &[String]) -> Self {
        let service = service.to_owned();
        if output.iter().any(|line| line.contains(FULL)) {
            return Self::NoSpace { service, path };
        }
        Self::Init { service, output: output.to_vec() }
    }

    /// Tells a full disk from other troubles with a volume.
    pub(super) fn volume(service: &str, error: VolumeError) -> Self {
        match error {
            VolumeError::Io { path, source }
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
                ) =>
            {
                Self::NoSpace { service: service.to_owned(), path }
            }
            error => Self::Volume(error),
        }
    }
}
