//! Which file names the dependencies that production needs.

use pep440_rs::Version;

use crate::project::requirements::{Requirement, Requirements, RequirementsError};
use crate::project::{Project, ProjectError};

use super::locks::uv::Apart;
use super::locks::{self, List, Lock, LockError, Scope, Tool};
use super::precedence;
use super::setuptools;
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
        /// What of it has no hashes.
        apart: Apart,
    },
    /// Another tool's lock, translated.
    Lock(Box<Locked>),
    /// `[project.dependencies]` of a `pyproject.toml`, without a lock.
    PyProject {
        /// The file, relative to the project.
        file: String,
        /// The requirements that it lists.
        all: Requirements,
    },
}

/// A translated lock with what is installed of it.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The lock.
    pub lock: Lock,
    /// What is installed; empty until Python is known.
    pub list: List,
}

/// What a lock installs; Django is part of it.
pub(super) fn list(lock: &Lock, python: &Version, scope: Scope) -> Result<List, DependenciesError> {
    let list = lock.list(python.clone(), scope)?;
    if list.names.iter().any(|name| name == "django") {
        Ok(list)
    } else {
        Err(DependenciesError::NoDjango { file: lock.file.clone() })
    }
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
    /// A tool's file without the lock that belongs to it.
    #[error("cannot install from `{file}`: there is no `{lock}` beside it", lock = tool.lock())]
    NoLock {
        /// The file that was found.
        file: String,
        /// Whose it is.
        tool: Tool,
    },
    /// Locks of several tools, and nothing says which one counts.
    #[error("cannot choose between the locks {}", quoted(files))]
    SeveralLocks {
        /// The locks.
        files: Vec<String>,
    },
    /// A lock cannot be installed from.
    #[error(transparent)]
    Lock(#[from] LockError),
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

    /// The requirements files that the configuration names, or else what is found.
    pub(super) fn find_or(
        project: &Project,
        named: Option<&Sourced<Vec<String>>>,
    ) -> Result<Sourced<Self>, DependenciesError> {
        named.map_or_else(|| Self::find(project), |named| Self::named(project, named))
    }

    fn named(project: &Project, named: &Sourced<Vec<String>>) -> Result<Sourced<Self>, DependenciesError> {
        let by = match &named.origin {
            Origin::File(file, line) => Some((file.as_str(), line.unwrap_or(0))),
            _ => None,
        };
        let mut all = Requirements::default();
        for file in &named.value {
            all.extend(Requirements::read_named(project, file, by)?);
        }
        all.also = named.value.iter().skip(1).cloned().collect();
        let file = named.value.first().cloned().unwrap_or_default();
        Ok(Sourced { value: Self::Requirements { file, all }, origin: named.origin.clone() })
    }

    fn in_folder(project: &Project, folder: &str) -> Result<Option<Sourced<Self>>, DependenciesError> {
        let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let from = |file: String, value| Sourced { value, origin: Origin::File(file, None) };
        let shared = project.read(&at(SHARED))?;
        match precedence::lock(project, folder, shared.as_deref())? {
            Some(Tool::Uv) => {
                return uv_lock(project, folder, shared.as_deref())
                    .map(|value| value.map(|value| from(at("uv.lock"), value)));
            }
            Some(tool) => {
                if let Some(lock) = Lock::read(project, folder, tool)? {
                    let file = lock.file.clone();
                    let locked = Locked { lock, list: List::default() };
                    return Ok(Some(from(file, Self::Lock(Box::new(locked)))));
                }
            }
            None => {}
        }
        // A file that names production wins over one for all.
        for name in PRODUCTION.iter().chain(FOR_ALL).chain(PARTS) {
            let file = at(name);
            if project.has(&file)? {
                let all = Requirements::read(project, &file)?;
                return Ok(Some(from(file.clone(), Self::Requirements { file, all })));
            }
        }
        // What pip-tools compiles, where it was not compiled.
        for name in PRODUCTION.iter().chain(FOR_ALL).chain(PARTS) {
            let file = at(&name.replace(".txt", ".in"));
            if project.has(&file)? {
                let all = Requirements::read(project, &file)?;
                return Ok(Some(from(file.clone(), Self::Requirements { file, all })));
            }
        }
        if let Some(text) = &shared {
            let file = at(SHARED);
            let listed = parse::<PyProject>(&file, text)?.project.and_then(|project| project.dependencies);
            if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
                let all = Requirements::of_lines(&file, &listed);
                return Ok(Some(from(file.clone(), Self::PyProject { file, all })));
            }
        }
        precedence::needs_lock(project, folder, shared.as_deref())?;
        let setup = setuptools::find(project, folder)?;
        Ok(setup
            .map(|setup| from(setup.file.clone(), Self::Requirements { file: setup.file, all: setup.all })))
    }

    /// Every file that decides what is installed, relative to the project.
    pub fn files(&self) -> Vec<String> {
        match self {
            Self::Requirements { all, .. } => all.files.clone(),
            Self::PyProject { file, .. } => vec![file.clone()],
            Self::Lock(locked) => locked.lock.files(),
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
            Self::UvLock { .. } | Self::Lock(_) => None,
        }
    }

    /// The normalised names of what is asked for directly, where they are known without installing.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Requirements { all, .. } | Self::PyProject { all, .. } => {
                all.requirements.iter().map(|requirement| requirement.name.clone()).collect()
            }
            Self::UvLock { names, .. } => names.clone(),
            Self::Lock(locked) => locked.list.names.clone(),
        }
    }

    /// Whether something is installed from the project's own folder.
    pub fn local(&self) -> bool {
        match self {
            Self::Requirements { all, .. } => all.local,
            Self::Lock(locked) => locked.list.local,
            Self::UvLock { apart, .. } => apart.local,
            Self::PyProject { .. } => false,
        }
    }

    /// Decides what is installed, now that Python is known.
    pub(super) fn settle(&mut self, python: &Version) -> Result<(), DependenciesError> {
        match self {
            Self::Lock(locked) => {
                locked.list = list(&locked.lock, python, Scope::Production)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn uv_lock(
    project: &Project,
    folder: &str,
    shared: Option<&str>,
) -> Result<Option<Dependencies>, DependenciesError> {
    let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let Some(text) = project.read(&at("uv.lock"))? else { return Ok(None) };
    let table: toml::Table = parse(&at("uv.lock"), &text)?;
    let manifest: toml::Table = parse(&at(SHARED), shared.unwrap_or_default())?;
    if !locks::uv::is_fresh(&table, &manifest) {
        return Err(LockError::Stale { file: at("uv.lock"), manifest: at(SHARED), tool: Tool::Uv }.into());
    }
    let lock: UvLock = parse(&at("uv.lock"), &text)?;
    let django = lock.package.iter().find(|package| package.name == "django");
    Ok(Some(Dependencies::UvLock {
        folder: folder.to_owned(),
        requires_python: lock.requires_python,
        django: django.and_then(|package| package.version.clone()),
        names: lock.package.into_iter().map(|package| package.name).collect(),
        apart: locks::uv::apart(&at("uv.lock"), folder, &table)?,
    }))
}

/// Names as a sentence has them.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
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
    fn what_pip_tools_and_setuptools_have() {
        assert_eq!(origin(find(&[("requirements.in", "Django")], "manage.py")), "requirements.in");
        let both = [("requirements.in", "Django"), ("requirements.txt", "Django==5.2")];
        assert_eq!(origin(find(&both, "manage.py")), "requirements.txt");
        let setup =
            [("setup.py", "setup(install_requires=['Django'])"), ("pyproject.toml", "[tool.black]\n")];
        let found = find(&setup, "manage.py").unwrap();
        assert!(found.value.local() && found.value.requirement("django").is_some());
    }

    #[test]
    fn what_cannot_be_installed_is_named() {
        let error = find(&[("Pipfile", "[packages]\ndjango = \"*\"\n")], "manage.py").unwrap_err();
        assert!(matches!(error, DependenciesError::NoLock { tool: Tool::Pipenv, .. }));
        assert_eq!(error.to_string(), "cannot install from `Pipfile`: there is no `Pipfile.lock` beside it");
        let table = "[tool.poetry]\nname = \"x\"\n[tool.poetry.dependencies]\ndjango = \"*\"\n";
        let error = find(&[("pyproject.toml", table)], "manage.py").unwrap_err();
        assert!(matches!(error, DependenciesError::NoLock { tool: Tool::Poetry, .. }));
        assert!(matches!(find(&[], "manage.py"), Err(DependenciesError::None { .. })));
        let error = find(&[("pyproject.toml", "[project\n")], "manage.py").unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
