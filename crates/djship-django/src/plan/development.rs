//! What development installs: more than production, by the conventions that the project follows.

mod tables;

use tables::Tables;

use pep440_rs::Version;

use super::dependencies::{self, Dependencies, DependenciesError, FOR_ALL, PARTS, PRODUCTION, SHARED};
use super::foundation::Foundation;
use super::locks::uv::Apart;
use super::locks::{List, Lock, Scope};
use super::precedence;
use super::setuptools;
use super::{Origin, PlanError, Sourced};
use crate::project::config::Config;
use crate::project::requirements::Requirements;
use crate::project::{Project, ProjectError};

/// Where development's requirements stand, best first.
const DEVELOPMENT: &[&str] = &[
    "requirements/development.txt",
    "requirements/dev.txt",
    "requirements/local.txt",
    "requirements-dev.txt",
    "requirements-development.txt",
    "requirements-local.txt",
    "requirements_dev.txt",
    "requirements_development.txt",
    "requirements_local.txt",
    "dev-requirements.txt",
    "dev_requirements.txt",
    "requirements.dev.txt",
];

/// Every decision that development takes from the files alone.
#[derive(Debug, Clone)]
pub struct DevelopmentPlan {
    /// The project that the plan is for.
    pub project: Project,
    /// The system and Python. They are production's: what production installs decides them, and version ranges
    /// that only development's requirements have are left to the installer.
    pub foundation: Foundation,
    /// What is installed.
    pub dependencies: Sourced<DevelopmentDependencies>,
    /// Files of other dependency managers beside it, relative to the project: what is in them does not count.
    pub passed_over: Vec<String>,
}

impl DevelopmentPlan {
    /// Decides everything that the files of the project decide.
    pub fn for_project(project: &Project, config: &Config) -> Result<Self, PlanError> {
        let mut dependencies = DevelopmentDependencies::find(project, config)?;
        let named = config.ship.requirements.as_ref();
        let production = match Dependencies::find_or(project, named) {
            Ok(found) => found.value,
            // There is nothing to share a release with.
            Err(
                DependenciesError::None { .. }
                | DependenciesError::NoLock { .. }
                | DependenciesError::SeveralLocks { .. }
                | DependenciesError::Lock(_),
            ) => {
                let DevelopmentDependencies { files, all, .. } = &dependencies.value;
                Dependencies::Requirements {
                    file: files.first().cloned().unwrap_or_default(),
                    all: all.clone(),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let foundation = Foundation::choose(project, config, &production)?;
        if let Some(release) = foundation.release() {
            dependencies.value.settle(&release.version())?;
        }
        let passed_over = precedence::passed_over(project, &production);
        let used = dependencies.value.files();
        let passed_over = passed_over.into_iter().filter(|file| !used.contains(file)).collect();
        Ok(Self { project: project.clone(), foundation, dependencies, passed_over })
    }

    /// Decides what a lock installs for the Python of a base image, which the files do not tell.
    pub(crate) fn settle(&mut self, python: &Version) -> Result<(), PlanError> {
        if self.foundation.image().is_some() {
            self.dependencies.value.settle(python)?;
        }
        Ok(())
    }
}

/// What is installed for development.
#[derive(Debug, Clone)]
pub struct DevelopmentDependencies {
    /// How the installer is told.
    pub install: Install,
    /// Every file that decides what is installed.
    files: Vec<String>,
    /// What the files ask for; empty with a lock.
    all: Requirements,
    /// The normalised names of what a lock holds; empty without.
    locked: Vec<String>,
    /// The lock that is translated.
    lock: Option<Lock>,
}

/// How the installer is told what to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Install {
    /// From files that list requirements (`uv pip install -r FILE -r FILE ...`).
    Files {
        /// Requirements files, or a `pyproject.toml`; relative to the project, at least one.
        files: Vec<String>,
        /// Dependency groups of the `pyproject.toml` (`--group FILE:NAME`), which is then the only file.
        groups: Vec<String>,
        /// Extras of the `pyproject.toml` (`--extra NAME`), which is then the only file.
        extras: Vec<String>,
    },
    /// From another tool's lock, translated.
    List(Box<List>),
    /// From `uv.lock` (`uv export --frozen --project FOLDER`), with the groups that uv takes by default, `dev` among them.
    Lock {
        /// The folder of `uv.lock` and `pyproject.toml`, relative to the project.
        folder: String,
        /// Extras of the project that are for development (`--extra NAME`).
        extras: Vec<String>,
        /// What of it has no hashes.
        apart: Apart,
    },
}

impl DevelopmentDependencies {
    /// Finds the files: what the configuration names, a lock, development's requirements files, production's.
    ///
    /// Development's requirements files that neither name Django nor include a file of production's hold tools only, so
    /// production's are installed as well.
    pub fn find(project: &Project, config: &Config) -> Result<Sourced<Self>, DependenciesError> {
        if let Some(configured) = &config.develop.requirements {
            let value = Self::configured(project, configured)?;
            return Ok(Sourced { value, origin: configured.origin.clone() });
        }
        let production = match Dependencies::find_or(project, config.ship.requirements.as_ref()) {
            Ok(found) => Some(found),
            Err(DependenciesError::None { .. }) => None,
            Err(error) => return Err(error),
        };
        if let Some(Sourced { value: Dependencies::UvLock { folder, names, apart, .. }, origin }) = production
        {
            return Ok(Sourced { value: Self::locked(project, folder, names, apart)?, origin });
        }
        if let Some(Sourced { value: Dependencies::Lock(locked), origin }) = production {
            let files = locked.lock.files();
            let install = Install::List(Box::default());
            let value = Self {
                install,
                files,
                all: Requirements::default(),
                locked: Vec::new(),
                lock: Some(locked.lock),
            };
            return Ok(Sourced { value, origin });
        }
        let production = production.map(|found| found.value);
        if let Some(file) = first_of(project, &[DEVELOPMENT])? {
            let value = Self::beside_production(project, &file, production)?;
            return Ok(Sourced { value, origin: Origin::File(file, None) });
        }
        if let Some(named) = &config.ship.requirements {
            return Ok(Sourced { value: Self::configured(project, named)?, origin: named.origin.clone() });
        }
        let (file, value) = match production {
            Some(Dependencies::Requirements { file, .. }) if is_setup(&file) => {
                let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
                let setup = setuptools::find(project, folder)?;
                let setup = setup.ok_or_else(|| DependenciesError::None { folders: project.folders() })?;
                let value = Self::of_files([(setup.file.clone(), setup.all)]);
                let install =
                    Install::Files { files: vec![setup.file], groups: Vec::new(), extras: setup.extras };
                (file, Self { install, ..value })
            }
            Some(Dependencies::Requirements { file, .. }) => {
                // One for all before those that name production.
                let file = first_of(project, &[FOR_ALL, PRODUCTION, PARTS])?.unwrap_or(file);
                (file.clone(), Self::of_files([(file.clone(), Requirements::read(project, &file)?)]))
            }
            Some(Dependencies::PyProject { file, all }) => {
                (file.clone(), Self::of_pyproject(project, file, all)?)
            }
            Some(Dependencies::UvLock { .. } | Dependencies::Lock(_)) | None => {
                return Err(DependenciesError::None { folders: project.folders() });
            }
        };
        Ok(Sourced { value, origin: Origin::File(file, None) })
    }

    /// Every file that decides what is installed, relative to the project.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The normalised names of what is asked for, or of everything that is locked.
    pub fn names(&self) -> Vec<String> {
        let asked = self.all.requirements.iter().map(|requirement| requirement.name.clone());
        asked.chain(self.locked.iter().cloned()).collect()
    }

    /// Whether something is installed from the project's own folder.
    pub fn local(&self) -> bool {
        let locked = match &self.install {
            Install::List(list) => list.local,
            Install::Lock { apart, .. } => apart.local,
            Install::Files { .. } => false,
        };
        self.all.local || locked
    }

    /// What is installed of a translated lock.
    pub fn list(&self) -> Option<&List> {
        match &self.install {
            Install::List(list) => Some(list),
            _ => None,
        }
    }

    /// The translated lock.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    /// Decides what is installed, now that Python is known.
    fn settle(&mut self, python: &Version) -> Result<(), DependenciesError> {
        if let Some(lock) = &self.lock {
            let list = dependencies::list(lock, python, Scope::Development)?;
            self.locked.clone_from(&list.names);
            self.install = Install::List(Box::new(list));
        }
        Ok(())
    }

    fn configured(project: &Project, configured: &Sourced<Vec<String>>) -> Result<Self, DependenciesError> {
        let named = match &configured.origin {
            Origin::File(file, line) => Some((file.as_str(), line.unwrap_or(0))),
            _ => None,
        };
        let mut read = Vec::new();
        for file in &configured.value {
            read.push((file.clone(), Requirements::read_named(project, file, named)?));
        }
        Ok(Self::of_files(read))
    }

    fn locked(
        project: &Project,
        folder: String,
        names: Vec<String>,
        apart: Apart,
    ) -> Result<Self, DependenciesError> {
        let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let files = vec![at("uv.lock"), at(SHARED)];
        let extras = Tables::read(project, &at(SHARED))?.extras();
        let install =
            Install::Lock { folder, extras: extras.into_iter().map(|(name, _)| name).collect(), apart };
        Ok(Self { install, files, all: Requirements::default(), locked: names, lock: None })
    }

    fn beside_production(
        project: &Project,
        file: &str,
        production: Option<Dependencies>,
    ) -> Result<Self, DependenciesError> {
        let own = Requirements::read(project, file)?;
        let includes = |found: &str| own.requirements.iter().any(|requirement| requirement.file == found);
        let whole = own.find("django").is_some()
            || places(project, &[FOR_ALL, PARTS, PRODUCTION]).iter().any(|found| includes(found));
        let mut read = Vec::new();
        match production {
            Some(Dependencies::Requirements { file, .. }) if !whole => {
                // Development is an addition to the common part.
                let base = first_of(project, &[FOR_ALL, PARTS, PRODUCTION])?.unwrap_or(file);
                read.push((base.clone(), Requirements::read(project, &base)?));
            }
            Some(Dependencies::PyProject { file, all }) if !whole => read.push((file, all)),
            _ => {}
        }
        read.push((file.to_owned(), own));
        Ok(Self::of_files(read))
    }

    fn of_files(read: impl IntoIterator<Item = (String, Requirements)>) -> Self {
        let (mut files, mut all) = (Vec::new(), Requirements::default());
        for (file, requirements) in read {
            files.push(file);
            all.extend(requirements);
        }
        let install = Install::Files { files, groups: Vec::new(), extras: Vec::new() };
        Self { install, files: all.files.clone(), all, locked: Vec::new(), lock: None }
    }

    fn of_pyproject(
        project: &Project,
        file: String,
        mut all: Requirements,
    ) -> Result<Self, DependenciesError> {
        let tables = Tables::read(project, &file)?;
        let (groups, extras) = (tables.groups(), tables.extras());
        for (_, lines) in groups.iter().chain(&extras) {
            all.extend(Requirements::of_lines(&file, lines));
        }
        let names = |list: Vec<(String, Vec<String>)>| list.into_iter().map(|(name, _)| name).collect();
        let install = Install::Files { files: vec![file], groups: names(groups), extras: names(extras) };
        Ok(Self { install, files: all.files.clone(), all, locked: Vec::new(), lock: None })
    }
}

fn is_setup(file: &str) -> bool {
    matches!(file.rsplit('/').next(), Some("setup.py" | "setup.cfg"))
}

/// The places of files with these names, nearest to `manage.py` first.
fn places(project: &Project, names: &[&[&str]]) -> Vec<String> {
    let mut places = Vec::new();
    for folder in project.folders() {
        for name in names.iter().copied().flatten() {
            places.push(if folder.is_empty() { (*name).to_owned() } else { format!("{folder}/{name}") });
        }
    }
    places
}

/// The first of these names that is there.
fn first_of(project: &Project, names: &[&[&str]]) -> Result<Option<String>, ProjectError> {
    for file in places(project, names) {
        if project.has(&file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
