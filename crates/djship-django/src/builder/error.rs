//! Why dependencies cannot be installed.

use crate::bytecode::BytecodeError;
use crate::child::ChildError;
use crate::laid::KeepError;
use crate::project::ProjectError;

/// Why the dependencies cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum BuilderError {
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The result cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The project cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The compiler's root cannot be made.
    #[error(transparent)]
    Base(#[from] crate::base::BaseError),
    /// uv itself cannot be fetched.
    #[error("cannot fetch uv from the Python index")]
    NoInstaller {
        /// The last lines that pip printed.
        output: Vec<String>,
    },
    /// An index of the lock is asked with credentials from a variable that is not set.
    #[error("cannot ask the package index {host}: the variable {variable} is not set")]
    IndexVariable {
        /// The index.
        host: String,
        /// The variable that the lock's index has in its URL.
        variable: String,
    },
    /// The installer failed.
    #[error("cannot install the dependencies from `{file}`")]
    Install {
        /// The file that was installed from.
        file: String,
        /// The last lines that uv printed.
        output: Vec<String>,
        /// What could be read out of them.
        reason: Option<InstallFailure>,
    },
    /// Files cannot be compiled.
    #[error(transparent)]
    Bytecode(#[from] BytecodeError),
    /// The project's cache cannot be used.
    #[error("cannot use the project's cache")]
    Cache(#[from] djship_store::beneath::BeneathError),
    /// Another file operation failed.
    #[error("cannot prepare the builder")]
    Io(#[from] std::io::Error),
}

/// What kept a distribution from being installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallFailure {
    /// The index has no such distribution, or no such version.
    Unknown {
        /// The requirement as uv names it.
        requirement: String,
    },
    /// It did not compile.
    Compile {
        /// Its name.
        distribution: String,
        /// The first line in which the compiler says what is missing.
        missing: Option<String>,
    },
    /// The index cannot be reached.
    Network,
    /// The network may not be used, and something is not in the store.
    Offline,
    /// The disk is full.
    NoSpace,
}

impl From<super::index_settings::MissingVariable> for BuilderError {
    fn from(missing: super::index_settings::MissingVariable) -> Self {
        Self::IndexVariable { host: missing.host, variable: missing.variable }
    }
}

impl From<djship_store::StoreError> for BuilderError {
    fn from(error: djship_store::StoreError) -> Self {
        Self::Keep(error.into())
    }
}
