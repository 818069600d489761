//! All decisions before all work.
//!
//! [`Plan::for_project`] reads files and nothing else: no network, no process, no write.

pub mod dependencies;
pub mod development;
pub mod locks;
mod precedence;
pub mod python;
mod setuptools;

use crate::project::{Project, ProjectError};
use dependencies::{Dependencies, DependenciesError};
use python::{PythonError, Release};

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
    /// The Debian release, and with it Python.
    pub release: Sourced<Release>,
    /// A wish for another Python that cannot be met.
    pub unmet_wish: Option<Sourced<String>>,
    /// What is installed.
    pub dependencies: Sourced<Dependencies>,
    /// Files of other dependency managers beside it, relative to the project: what is in them does not count.
    pub passed_over: Vec<String>,
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
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

impl Plan {
    /// Decides everything that the files of the project decide.
    pub fn for_project(project: &Project) -> Result<Self, PlanError> {
        let mut dependencies = Dependencies::find(project)?;
        let (release, unmet_wish) = python::choose(project, &dependencies.value)?;
        dependencies.value.settle(release.value)?;
        let passed_over = precedence::passed_over(project, &dependencies.value);
        Ok(Self {
            name: name(project),
            release,
            unmet_wish,
            dependencies,
            passed_over,
            project: project.clone(),
        })
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
