//! Which file names the dependencies that production needs.

use crate::project::requirements::{Requirement, Requirements, RequirementsError};
use crate::project::{Project, ProjectError};

use super::{Origin, Sourced};

/// Requirements files that name production.
pub(super) const PRODUCTION: &[&str] = &[
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements/deploy.txt",
    "requirements-production.txt",
    "requirements-prod.txt",
    "requirements.prod.txt",
];
/// Requirements files that are for everybody.
pub(super) const FOR_ALL: &[&str] = &["requirements.txt", "requirements/requirements.txt"];
/// Requirements files that others include.
pub(super) const PARTS: &[&str] =
    &["requirements/base.txt", "requirements/common.txt", "requirements/main.txt"];

/// The file that all Python tools share.
pub(super) const SHARED: &str = "pyproject.toml";

/// Locks that are not read yet.
const FOREIGN_LOCKS: &[(&str, &str)] =
    &[("poetry.lock", "Poetry"), ("Pipfile.lock", "Pipenv"), ("pdm.lock", "PDM"), ("Pipfile", "Pipenv")];

/// What is installed.
#[derive(Debug, Clone)]
pub enum Dependencies {
    /// Requirements files.
    Requirements {
        /// The file that uv is given, relative to the project.
        file: String,
        /// Everything that it includes.
        all: Requirements,
    },
    /// `uv.lock` with its `pyproject.toml`.
    UvLock {
        /// The folder of both, relative to the project.
        folder: String,
        /// `requires-python` of the lock.
        requires_python: Option<String>,
        /// The locked version of Django.
        django: Option<String>,
        /// The names of everything that is locked.
        names: Vec<String>,
    },
    /// `[project.dependencies]` of a `pyproject.toml`, without a lock.
    PyProject {
        /// The file, relative to the project.
        file: String,
        /// The requirements that it lists.
        all: Requirements,
    },
}

/// Why the dependencies cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DependenciesError {
    /// No file names any.
    #[error("cannot find what the project depends on: no requirements file, lock or `pyproject.toml`")]
    None {
        /// The folders that were searched, relative to the project.
        folders: Vec<String>,
    },
    /// A tool whose lock is not read yet.
    #[error("cannot install from `{file}`: {tool}'s files are not supported yet")]
    NotYet {
        /// The file that was found.
        file: String,
        /// Whose it is.
        tool: &'static str,
    },
    /// The dependencies do not name Django.
    #[error("cannot use `{file}`: Django is not among its dependencies")]
    NoDjango {
        /// The file.
        file: String,
    },
    /// A requirements file is wrong.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// A TOML file is wrong.
    #[error("cannot read `{file}`: {reason}")]
    Toml {
        /// The file.
        file: String,
        /// The parser's words, with the line.
        reason: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

impl Dependencies {
    /// Finds the file, nearest to `manage.py` first: a lock, then requirements files, then `pyproject.toml`.
    pub fn find(project: &Project) -> Result<Sourced<Self>, DependenciesError> {
        for folder in project.folders() {
            if let Some(found) = Self::in_folder(project, &folder)? {
                return Ok(found);
            }
        }
        Err(DependenciesError::None { folders: project.folders() })
    }

    fn in_folder(project: &Project, folder: &str) -> Result<Option<Sourced<Self>>, DependenciesError> {
        let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let from = |file: String, value| Sourced { value, origin: Origin::File(file, None) };
        if let Some(text) = project.read(&at("uv.lock"))? {
            let lock: UvLock = parse(&at("uv.lock"), &text)?;
            let django = lock.package.iter().find(|package| package.name == "django");
            let value = Self::UvLock {
                folder: folder.to_owned(),
                requires_python: lock.requires_python,
                django: django.and_then(|package| package.version.clone()),
                names: lock.package.into_iter().map(|package| package.name).collect(),
            };
            return Ok(Some(from(at("uv.lock"), value)));
        }
        // A file that names production wins over one for all.
        for name in PRODUCTION.iter().chain(FOR_ALL).chain(PARTS) {
            let file = at(name);
            if project.folder.join(&file).is_file() {
                let all = Requirements::read(project, &file)?;
                return Ok(Some(from(file.clone(), Self::Requirements { file, all })));
            }
        }
        for (name, tool) in FOREIGN_LOCKS {
            if project.folder.join(at(name)).is_file() {
                return Err(DependenciesError::NotYet { file: at(name), tool });
            }
        }
        let file = at(SHARED);
        if let Some(text) = project.read(&file)? {
            let listed = parse::<PyProject>(&file, &text)?.project.and_then(|project| project.dependencies);
            if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
                let all = Requirements::of_lines(&file, &listed);
                return Ok(Some(from(file.clone(), Self::PyProject { file, all })));
            }
        }
        Ok(None)
    }

    /// Every file that decides what is installed, relative to the project.
    pub fn files(&self) -> Vec<String> {
        match self {
            Self::Requirements { all, .. } => all.files.clone(),
            Self::PyProject { file, .. } => vec![file.clone()],
            Self::UvLock { folder, .. } => {
                let at =
                    |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                vec![at("uv.lock"), at(SHARED)]
            }
        }
    }

    /// The requirement of that (normalised) name, where the names are known without installing.
    pub fn requirement(&self, name: &str) -> Option<&Requirement> {
        match self {
            Self::Requirements { all, .. } | Self::PyProject { all, .. } => all.find(name),
            Self::UvLock { .. } => None,
        }
    }

    /// The normalised names of what is asked for directly, where they are known without installing.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Requirements { all, .. } | Self::PyProject { all, .. } => {
                all.requirements.iter().map(|requirement| requirement.name.clone()).collect()
            }
            Self::UvLock { names, .. } => names.clone(),
        }
    }

    /// Whether something is installed from the project's own folder.
    pub fn local(&self) -> bool {
        matches!(self, Self::Requirements { all, .. } if all.local)
    }
}

#[derive(serde::Deserialize)]
struct UvLock {
    #[serde(rename = "requires-python")]
    requires_python: Option<String>,
    #[serde(default)]
    package: Vec<LockedPackage>,
}

#[derive(serde::Deserialize)]
struct LockedPackage {
    name: String,
    version: Option<String>,
}

#[derive(serde::Deserialize)]
struct PyProject {
    project: Option<ProjectTable>,
}

#[derive(serde::Deserialize)]
pub(super) struct ProjectTable {
    dependencies: Option<Vec<String>>,
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, DependenciesError> {
    toml::from_str(text)
        .map_err(|error| DependenciesError::Toml { file: file.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(files: &[(&str, &str)], manage_py: &str) -> Result<Sourced<Dependencies>, DependenciesError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let manage_py = djship_store::TreePath::parse(manage_py).unwrap();
        Dependencies::find(&Project { folder: folder.path().to_owned(), manage_py })
    }

    fn origin(found: Result<Sourced<Dependencies>, DependenciesError>) -> String {
        match found.unwrap().origin {
            Origin::File(file, _) => file,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn production_wins_and_the_nearest_folder_wins() {
        let both = [("requirements.txt", "Django"), ("requirements/production.txt", "Django")];
        assert_eq!(origin(find(&both, "manage.py")), "requirements/production.txt");
        let nested = [("requirements.txt", "black"), ("app/requirements.txt", "Django")];
        assert_eq!(origin(find(&nested, "app/manage.py")), "app/requirements.txt");
        let above = [("requirements.txt", "Django")];
        assert_eq!(origin(find(&above, "src/manage.py")), "requirements.txt");
    }

    #[test]
    fn locks_and_project_tables() {
        let lock = "version = 1\nrequires-python = \">=3.12\"\n[[package]]\nname = \"django\"\nversion = \"5.2.1\"\n";
        let found = find(&[("uv.lock", lock), ("pyproject.toml", "")], "src/manage.py").unwrap();
        let Dependencies::UvLock { requires_python, django, .. } = found.value else { panic!() };
        assert_eq!((requires_python.as_deref(), django.as_deref()), (Some(">=3.12"), Some("5.2.1")));
        let table = "[project]\nname = \"x\"\ndependencies = [\"django>=5\"]\n";
        assert_eq!(origin(find(&[("pyproject.toml", table)], "manage.py")), "pyproject.toml");
    }

    #[test]
    fn what_cannot_be_installed_is_named() {
        let error = find(&[("poetry.lock", "")], "manage.py").unwrap_err();
        assert!(matches!(error, DependenciesError::NotYet { tool: "Poetry", .. }));
        assert!(matches!(find(&[], "manage.py"), Err(DependenciesError::None { .. })));
        let error = find(&[("pyproject.toml", "[project\n")], "manage.py").unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
