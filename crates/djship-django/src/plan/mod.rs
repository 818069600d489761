//! All decisions before all work.
//!
//! [`Plan::for_project`] reads files and nothing else: no network, no process, no write.

pub mod dependencies;
pub mod development;
pub mod explain;
pub mod foundation;
pub mod locks;
pub mod packages;
mod precedence;
pub mod python;
mod setuptools;

use djship_oci::registry::ReferenceError;
use djship_store::Digest;
use pep440_rs::Version;

use crate::application::commands::CommandsError;
use crate::laid::Key;
use crate::project::config::{Config, ConfigError};
use crate::project::{Project, ProjectError};
use dependencies::{Dependencies, DependenciesError};
use foundation::Foundation;
use packages::{Packages, PackagesError};
use python::PythonError;

/// Where a chosen value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of the project, relative to it, and the line where one can be named.
    File(String, Option<usize>),
    /// The project's folder name.
    FolderName,
    /// Nothing in the project says otherwise.
    Default,
    /// The command line.
    Option(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file, Some(line)) if *line > 0 => write!(f, "{file}, line {line}"),
            Self::File(file, _) => f.write_str(file),
            Self::FolderName => f.write_str("the folder's name"),
            Self::Default => f.write_str("djship's default"),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// A chosen value with where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// Every decision that can be taken from the files alone.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The project that the plan is for.
    pub project: Project,
    /// The image's name, without a tag.
    pub name: Sourced<String>,
    /// The system and Python.
    pub foundation: Foundation,
    /// What is installed.
    pub dependencies: Sourced<Dependencies>,
    /// Files of other dependency managers beside it, relative to the project: what is in them does not count.
    pub passed_over: Vec<String>,
    /// What the project says to djship.
    pub config: Config,
    /// Debian packages that the project asks for.
    pub packages: Packages,
}

/// Why no plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The dependencies cannot be told.
    #[error(transparent)]
    Dependencies(#[from] DependenciesError),
    /// No Python on offer fits.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The base image has no name that can be one.
    #[error("cannot use the base image: {source}")]
    Base {
        /// Where it is named.
        origin: Origin,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The Debian packages cannot be told.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// The commands cannot be told.
    #[error(transparent)]
    Commands(#[from] CommandsError),
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

impl Plan {
    /// Decides everything that the files of the project decide.
    pub fn for_project(project: &Project) -> Result<Self, PlanError> {
        Self::configured(project, Config::read(project)?)
    }

    /// The same with a configuration that was read before.
    pub fn configured(project: &Project, config: Config) -> Result<Self, PlanError> {
        let mut dependencies = Dependencies::find_or(project, config.ship.requirements.as_ref())?;
        let foundation = Foundation::choose(project, &config, &dependencies.value)?;
        if let Some(release) = foundation.release() {
            dependencies.value.settle(&release.version())?;
        }
        let passed_over = precedence::passed_over(project, &dependencies.value);
        let packages = Packages::find(project, &config)?;
        let (name, project) = (name(project), project.clone());
        Ok(Self { project, name, foundation, dependencies, passed_over, config, packages })
    }

    /// Decides what a lock installs for the Python of a base image, which the files do not tell.
    pub(crate) fn settle(&mut self, python: &Version) -> Result<(), PlanError> {
        if self.foundation.image().is_some() {
            self.dependencies.value.settle(python)?;
        }
        Ok(())
    }

    /// Stands for the layers below the application: the environment `installed`, and the packages that were asked for.
    pub fn layers(&self, installed: &Digest) -> Digest {
        let names = self.packages.run_names();
        if names.is_empty() {
            return *installed;
        }
        let key = Key::new("layers, form 1").part(installed.as_bytes());
        names.iter().fold(key, Key::part).digest()
    }
}

/// A name that every registry takes: lower case, digits, and single separators between them
/// (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>).
fn name(project: &Project) -> Sourced<String> {
    let folder = project.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut name = String::new();
    for c in folder.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() {
        Sourced { value: "app".to_owned(), origin: Origin::Default }
    } else {
        Sourced { value: name.to_owned(), origin: Origin::FolderName }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_registries_take() {
        let named = |folder: &str| {
            let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
            name(&Project { folder: folder.into(), manage_py }).value
        };
        assert_eq!(named("/x/My_Site (2)"), "my-site-2");
        assert_eq!(named("/x/été"), "t");
        assert_eq!(named("/"), "app");
    }
}
