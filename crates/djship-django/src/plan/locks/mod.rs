//! Lock files that the installer does not read by itself, translated to lists with hashes.
//!
//! One module per format, each a function of texts. A lock is read once, and compared with the file that it was made from as its
//! own tool does it; then [`Lock::list`] says what one Python installs.

mod entries;
mod indexes;
mod markers;
mod pdm;
mod pipenv;
pub(super) mod poetry;
mod pylock;
mod python_json;
pub mod uv;

pub use entries::List;
pub use indexes::{Credentials, Index};

use pep440_rs::Version;

use entries::{Entry, Hash, Name, Source};
use markers::Environment;

use super::python::{Release, Syntax};
use crate::project::requirements::normalise;
use crate::project::{Project, ProjectError};

/// Groups and extras that production installs besides what is always installed.
const PRODUCTION: &[&str] = &["prod", "production", "deploy", "deployment"];
/// Groups and extras that development installs even where they are optional, and production never.
pub(super) const DEVELOPMENT: &[&str] = &["dev", "develop", "development", "local"];

/// Whose lock it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `uv.lock`, which the installer reads by itself.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `pdm.lock`.
    Pdm,
    /// `Pipfile.lock`.
    Pipenv,
    /// `pylock.toml` (<https://packaging.python.org/en/latest/specifications/pylock-toml/>), written by several tools.
    Pylock,
}

impl Tool {
    /// All, in the order in which their locks are looked for.
    pub const ALL: [Self; 5] = [Self::Uv, Self::Poetry, Self::Pdm, Self::Pipenv, Self::Pylock];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Poetry => "Poetry",
            Self::Pdm => "PDM",
            Self::Pipenv => "Pipenv",
            Self::Pylock => "pylock",
        }
    }

    /// Its lock.
    pub fn lock(self) -> &'static str {
        match self {
            Self::Uv => "uv.lock",
            Self::Poetry => "poetry.lock",
            Self::Pdm => "pdm.lock",
            Self::Pipenv => "Pipfile.lock",
            Self::Pylock => "pylock.toml",
        }
    }

    /// The file that the lock is made from.
    pub fn manifest(self) -> &'static str {
        if self == Self::Pipenv { "Pipfile" } else { super::dependencies::SHARED }
    }

    /// The command that makes the lock new without changing more than it must.
    pub fn refresh(self) -> &'static str {
        match self {
            Self::Uv => "uv lock",
            Self::Poetry => "poetry lock",
            Self::Pdm => "pdm lock --update-reuse",
            Self::Pipenv => "pipenv lock",
            Self::Pylock => "pip lock -r requirements.txt",
        }
    }
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What ships.
    Production,
    /// What a developer works with: groups for development as well.
    Development,
}

impl Scope {
    /// Whether a group or extra that is not installed by itself is wanted.
    fn wants_optional(self, name: &str) -> bool {
        let names = if self == Self::Production { PRODUCTION } else { DEVELOPMENT };
        names.contains(&normalise(name).as_str())
    }

    /// Whether a group that the tool installs by default is wanted.
    fn wants_group(self, name: &str) -> bool {
        self == Self::Development || self.wants_optional(name)
    }
}

/// What is wrong with something in a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// No distribution is called so.
    #[error("its name is not one that a distribution can have")]
    Name,
    /// Not a version.
    #[error("its version is not one that a distribution can have")]
    Version,
    /// Not a hash.
    #[error("a hash of it is not one")]
    Hash,
    /// A hash that proves nothing.
    #[error("its hashes are neither sha256, sha384 nor sha512")]
    Algorithm,
    /// Not a URL that can be installed from.
    #[error("its URL is not one of http or https without variables")]
    Url,
    /// A repository that is reached with a key.
    #[error("it comes over ssh, and there is no key in the builder")]
    Ssh,
    /// Not pinned.
    #[error("it is not pinned to a commit of git")]
    Commit,
    /// Not a path.
    #[error("its path is not one")]
    Path,
    /// A path out of the project.
    #[error("its path leads out of the project")]
    Outside,
    /// A condition that cannot be read.
    #[error("its environment marker cannot be read")]
    Marker,
    /// No file of it is known.
    #[error("the lock does not say where it comes from")]
    NoSource,
    /// It is not for this Python.
    #[error("no version of it in the lock is for this Python")]
    Python,
}

impl From<markers::MarkerError> for Wrong {
    fn from(_: markers::MarkerError) -> Self {
        Self::Marker
    }
}

/// Why a lock cannot be installed from.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file that it was made from has changed since.
    #[error("cannot install from `{file}`: `{manifest}` has changed since it was made")]
    Stale {
        /// The lock.
        file: String,
        /// What it was made from.
        manifest: String,
        /// Whose it is.
        tool: Tool,
    },
    /// It cannot be read.
    #[error("cannot read `{file}`: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// The parser's words.
        reason: String,
    },
    /// Something in it cannot be installed.
    #[error("cannot install `{name}` from `{file}`: {wrong}")]
    Entry {
        /// The lock.
        file: String,
        /// The package as the lock names it, shortened.
        name: String,
        /// What is wrong.
        wrong: Wrong,
    },
    /// Two versions of one package for the same Python.
    #[error("cannot install `{name}` from `{file}`: it gives two versions of it for the same Python")]
    Ambiguous {
        /// The lock.
        file: String,
        /// The package.
        name: String,
    },
    /// A package of an index without a hash.
    #[error("cannot install `{name}` {version} from `{file}`: it has no hash")]
    NoHash {
        /// The lock.
        file: String,
        /// The package.
        name: String,
        /// Its version.
        version: String,
    },
    /// Something that is needed is not in it.
    #[error("cannot install from `{file}`: it does not have `{name}`, which `{by}` needs")]
    Missing {
        /// The lock.
        file: String,
        /// What is missing.
        name: String,
        /// Who needs it.
        by: String,
    },
    /// A format that is not known.
    #[error("cannot read `{file}`: its format is version {version}")]
    Format {
        /// The lock.
        file: String,
        /// The version of the format.
        version: String,
        /// Whose it is.
        tool: Tool,
    },
    /// It was made for other systems only.
    #[error("cannot install from `{file}`: it is for another kind of system or another Python")]
    Environment {
        /// The lock.
        file: String,
    },
    /// An index that cannot be asked.
    #[error("cannot use the package index `{url}` of `{file}`: it is not a URL of http or https")]
    Index {
        /// The file that names it.
        file: String,
        /// Its URL without user name and password.
        url: String,
    },
    /// What the lock was made from is not there, and it alone says what is asked for.
    #[error("cannot install from `{file}`: there is no `{manifest}` beside it")]
    NoManifest {
        /// The lock.
        file: String,
        /// What it was made from.
        manifest: String,
    },
    /// It is far larger than any real one.
    #[error("cannot install from `{file}`: it has more than {limit} packages")]
    TooMany {
        /// The lock.
        file: String,
        /// The limit.
        limit: usize,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

/// A range of Pythons that a lock or its manifest gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonRange {
    /// As it is written.
    pub range: String,
    /// How it is written.
    pub syntax: Syntax,
    /// The file that says so.
    pub file: String,
}

/// A lock, read and found to be current.
#[derive(Debug, Clone)]
pub struct Lock {
    /// Whose it is.
    pub tool: Tool,
    /// The file, relative to the project.
    pub file: String,
    /// The Pythons that it is for.
    pub python: Vec<PythonRange>,
    /// The file that it was made from, if it is there.
    manifest: Option<String>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Poetry(poetry::PoetryLock),
    Pdm(pdm::PdmLock),
    Pipenv(pipenv::PipenvLock),
    Pylock(pylock::Pylock),
}

/// The texts that a lock is read from, with their paths relative to the project.
struct Texts<'a> {
    /// The folder of both, relative to the project, `""` for the project itself.
    folder: &'a str,
    file: &'a str,
    lock: &'a str,
    manifest_file: &'a str,
    manifest: Option<&'a str>,
    tool: Tool,
}

impl Texts<'_> {
    fn stale(&self) -> LockError {
        LockError::Stale {
            file: self.file.to_owned(),
            manifest: self.manifest_file.to_owned(),
            tool: self.tool,
        }
    }

    fn toml<T: serde::de::DeserializeOwned>(&self) -> Result<T, LockError> {
        parse_toml(self.file, self.lock)
    }

    /// The manifest, an empty table when there is none.
    fn manifest(&self) -> Result<toml::Table, LockError> {
        self.manifest.map_or_else(|| Ok(toml::Table::new()), |text| parse_toml(self.manifest_file, text))
    }

    fn format(&self, version: &str) -> LockError {
        LockError::Format { file: self.file.to_owned(), version: shortened(version), tool: self.tool }
    }
}

fn parse_toml<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, LockError> {
    toml::from_str(text)
        .map_err(|error| LockError::Syntax { file: file.to_owned(), reason: error.to_string() })
}

/// Text of a lock, as it can be shown.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// An error about a package.
fn wrong(file: &str, name: &str, wrong: Wrong) -> LockError {
    LockError::Entry { file: file.to_owned(), name: shortened(name), wrong }
}

impl Lock {
    /// Reads the lock of `tool` in a folder, relative to the project; `None` when there is none.
    pub(super) fn read(project: &Project, folder: &str, tool: Tool) -> Result<Option<Self>, LockError> {
        let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let (file, manifest_file) = (at(tool.lock()), at(tool.manifest()));
        let Some(lock) = project.read(&file)? else { return Ok(None) };
        let manifest = project.read(&manifest_file)?;
        let texts = Texts {
            folder,
            file: &file,
            lock: &lock,
            manifest_file: &manifest_file,
            manifest: manifest.as_deref(),
            tool,
        };
        let (content, python) = match tool {
            Tool::Poetry => poetry::read(&texts).map(|(lock, python)| (Content::Poetry(lock), python))?,
            Tool::Pdm => pdm::read(&texts).map(|(lock, python)| (Content::Pdm(lock), python))?,
            Tool::Pipenv => (Content::Pipenv(pipenv::read(&texts)?), Vec::new()),
            Tool::Pylock => pylock::read(&texts).map(|(lock, python)| (Content::Pylock(lock), python))?,
            Tool::Uv => return Ok(None),
        };
        let manifest = manifest.map(|_| manifest_file.clone());
        Ok(Some(Self { tool, file, python, manifest, content }))
    }

    /// Every file that decides, relative to the project.
    pub fn files(&self) -> Vec<String> {
        [&self.file].into_iter().chain(&self.manifest).cloned().collect()
    }

    /// What is installed for a Python.
    pub fn list(&self, python: impl Into<Version>, scope: Scope) -> Result<List, LockError> {
        let environment = Environment::new(python, scope);
        let (entries, indexes) = match &self.content {
            Content::Poetry(lock) => lock.entries(environment),
            Content::Pdm(lock) => lock.entries(environment),
            Content::Pipenv(lock) => lock.entries(&environment),
            Content::Pylock(lock) => lock.entries(environment),
        }?;
        let indexes = indexes::used(indexes, &entries);
        let mut list = List::of(&self.file, entries, scope == Scope::Development)?;
        list.indexes = indexes;
        Ok(list)
    }

    /// The version of Django where it is the same for every Python.
    pub fn django(&self, scope: Scope) -> Option<Version> {
        let mut found = Release::ALL.iter().filter_map(|release| self.list(*release, scope).ok()?.django);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }
}
