//! Why an image does not serve as a base.

use djship_oci::registry::flatten::FlattenError;
use djship_oci::registry::{ReferenceError, RegistryError};

use crate::child::ChildError;
use crate::laid::KeepError;
use crate::plan::python::PythonError;

/// Why an image does not serve as a base.
#[derive(Debug, thiserror::Error)]
pub enum BaseImageError {
    /// Its name does not say where it is, or is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// It cannot be pulled.
    #[error(transparent)]
    Registry(#[from] Box<RegistryError>),
    /// Its layers do not fit together.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
    /// It is another system.
    #[error("cannot build on `{image}`: it is {system}")]
    NotDebian {
        /// The image, as the project names it.
        image: String,
        /// What it says that it is.
        system: String,
    },
    /// It is a Debian of another release.
    #[error("cannot build on `{image}`: it is {system}, a release that djship has no packages for")]
    Release {
        /// The image, as the project names it.
        image: String,
        /// What it says that it is.
        system: String,
    },
    /// Something that every Debian has is not in it.
    #[error("cannot build on `{image}`: it has no {missing}")]
    Incomplete {
        /// The image, as the project names it.
        image: String,
        /// What is not there.
        missing: &'static str,
    },
    /// There is no Python where one is looked for.
    #[error("cannot build on `{image}`: it has no Python")]
    NoPython {
        /// The image, as the project names it.
        image: String,
    },
    /// Its Python does not run, or says nothing of use.
    #[error("cannot build on `{image}`: its {program} does not run")]
    Broken {
        /// The image, as the project names it.
        image: String,
        /// The program.
        program: &'static str,
        /// Its last lines.
        output: Vec<String>,
    },
    /// Another implementation.
    #[error("cannot build on `{image}`: its Python is {implementation}")]
    Implementation {
        /// The image, as the project names it.
        image: String,
        /// The implementation, such as `pypy`.
        implementation: String,
    },
    /// Something must be compiled, and Python's headers are not there.
    #[error("cannot compile on `{image}`: its Python has no headers in {folder}")]
    NoHeaders {
        /// The image, as the project names it.
        image: String,
        /// Where they are looked for.
        folder: String,
    },
    /// Its Python is excluded.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// It cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] djship_store::StoreError),
    /// A file operation failed.
    #[error("cannot prepare the base image")]
    Io(#[from] std::io::Error),
}

impl From<RegistryError> for BaseImageError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Box::new(error))
    }
}
