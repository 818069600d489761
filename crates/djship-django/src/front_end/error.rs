//! Why a front end is not built.

use crate::application::SnapshotError;
use crate::base::BaseError;
use crate::child::ChildError;
use crate::laid::KeepError;

/// Why a front end is not built.
#[derive(Debug, thiserror::Error)]
pub enum FrontEndError {
    /// More than one could be meant.
    #[error("cannot tell which front end to build: {} each have a `build` script", list(files))]
    Several {
        /// The `package.json` files.
        files: Vec<String>,
    },
    /// `package.json` is not JSON, or too large.
    #[error("cannot read `{file}`: {reason}")]
    Malformed {
        /// `package.json`.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A lock of a form that is not known.
    #[error("cannot install from `{file}`: {reason}")]
    Lock {
        /// The lock.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The configuration names what is not there.
    #[error(
        "cannot build the front end in `{folder}`, as configured: it has no package.json with the script `{script}`"
    )]
    Configured {
        /// The folder.
        folder: String,
        /// The script.
        script: String,
    },
    /// The installer failed.
    #[error("cannot install what `{file}` names")]
    Install {
        /// The lock, or `package.json`.
        file: String,
        /// The last lines that it printed.
        output: Vec<String>,
    },
    /// The script failed.
    #[error("cannot build the front end: the script `{script}` of `{file}` ended with {code}")]
    Script {
        /// `package.json`.
        file: String,
        /// The script.
        script: String,
        /// Its exit code.
        code: i32,
        /// The last lines that it printed.
        output: Vec<String>,
    },
    /// Where dependencies were installed, the project has a link or a file.
    #[error("cannot build the front end: a link or file of the project is in the way of `{path}`")]
    InTheWay {
        /// Where they are, relative to the project.
        path: String,
    },
    /// There is no root with Node.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The project cannot be copied.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The result cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A file operation failed.
    #[error("cannot prepare the front end")]
    Io(#[from] std::io::Error),
}

impl From<djship_store::StoreError> for FrontEndError {
    fn from(error: djship_store::StoreError) -> Self {
        Self::Keep(error.into())
    }
}

fn list(files: &[String]) -> String {
    files.iter().map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ")
}
