//! Which files of the project ship.
//!
//! `.dockerignore` decides by Docker's rule; without one, git's ignore files decide. After either, what must never
//! ship is removed: version control, `.env` files, private keys, virtual environments, caches.

mod docker_ignore;
mod git_ignore;
mod include;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use djship_store::{TreePath, tree::TreePathError};

use super::{Folder, ProjectError};
use docker_ignore::DockerIgnore;
pub(crate) use git_ignore::GitIgnore;
pub use include::Include;

/// djship's own configuration.
const OWN: &str = "djship.toml";

/// The longest file that is searched for a private key, in bytes: keys are small.
const MAX_KEY_FILE: u64 = 64 << 10;

/// What a project ships.
#[derive(Debug, Default)]
pub struct Selection {
    /// Files and links in order of their path. Folders are not listed.
    pub files: Vec<Selected>,
    /// What stays behind, topmost folders only, in order.
    pub left_out: Vec<(TreePath, LeftOut)>,
    /// Every folder that was looked into, absolute.
    pub folders: Vec<PathBuf>,
}

/// One file or link that ships.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Relative to the project.
    pub path: TreePath,
    /// On this machine.
    pub source: PathBuf,
}

/// Why something stays behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// `.dockerignore` names it.
    DockerIgnore,
    /// A git ignore file names it.
    GitIgnore,
    /// Version control.
    VersionControl,
    /// A file of environment values.
    Environment,
    /// It holds a private key.
    PrivateKey,
    /// A virtual environment.
    VirtualEnvironment,
    /// A cache that a tool makes anew.
    Cache,
    /// A developer's database.
    Database,
    /// djship's own configuration: it may hold values for builds alone.
    Configuration,
    /// A socket, pipe or device.
    Special,
}

/// A file that cannot be selected.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// Reading failed.
    #[error("cannot read the project's files")]
    Read(#[from] std::io::Error),
    /// A file that decides cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Walking the folder failed.
    #[error("cannot read the project's files")]
    Walk(#[from] ignore::Error),
    /// A name that is not UTF-8.
    #[error("cannot ship `{}`: its name is not UTF-8", path.display())]
    Name {
        /// The path, lossily printable.
        path: PathBuf,
    },
    /// A path that a tree cannot hold.
    #[error(transparent)]
    Path(#[from] TreePathError),
    /// A pattern that Docker would refuse as well.
    #[error("cannot read `.dockerignore`, line {line}: `{pattern}` is no pattern: {reason}")]
    Pattern {
        /// Line, from 1.
        line: usize,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A folder that cannot be looked into, and is not left out.
    #[error("cannot read the folder `{}`: it belongs to user {owner} and is closed to others", path.as_str())]
    Closed {
        /// The path in the project.
        path: TreePath,
        /// The user id of its owner.
        owner: u32,
    },
}

impl Selection {
    /// Selects the files of the project in `folder`; `include` wins over every rule but the one for djship's configuration.
    pub fn of(folder: &Path, include: &Include) -> Result<Self, SelectionError> {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let files = Arc::new(Folder::open(folder)?.ok_or_else(gone)?);
        let docker = DockerIgnore::load(&files)?;
        let git = docker.is_none().then(|| Arc::new(GitIgnore::new(Arc::clone(&files))));
        let mut selection = Self::default();
        let mut walk = Walk { folder, include, docker: docker.as_ref(), selection: &mut selection };
        let kept = walk.run(git.as_ref())?;
        for Selected { path, source } in kept {
            if path.as_str() == OWN {
                selection.left_out.push((path, LeftOut::Configuration));
            } else if include.has(path.as_str()) {
                selection.files.push(Selected { path, source });
            } else if docker.as_ref().is_some_and(|docker| docker.excludes(&path)) {
                selection.left_out.push((path, LeftOut::DockerIgnore));
            } else if holds_private_key(&files, &path, &source)? {
                selection.left_out.push((path, LeftOut::PrivateKey));
            } else {
                selection.files.push(Selected { path, source });
            }
        }
        selection.gather();
        Ok(selection)
    }

    /// Names a folder in place of all that is in it, where git ignores all that is in it.
    fn gather(&mut self) {
        let Self { files, left_out, .. } = self;
        let holds_kept = |above: &str| files.iter().any(|other| other.path.is_within(above));
        for (path, why) in left_out.iter_mut().filter(|(_, why)| *why == LeftOut::GitIgnore) {
            while let Some(parent) = path.parent()
                && !parent.as_str().is_empty()
                && !holds_kept(parent.as_str())
            {
                *path = parent;
            }
            *why = LeftOut::GitIgnore;
        }
        left_out.sort();
        left_out.dedup();
    }
}

/// A walk over a project.
struct Walk<'a> {
    folder: &'a Path,
    include: &'a Include,
    docker: Option<&'a DockerIgnore>,
    selection: &'a mut Selection,
}

impl Walk<'_> {
    /// All files and links that the always-rules and git's ignore files leave; the folders and what stays behind are noted.
    fn run(&mut self, git: Option<&Arc<GitIgnore>>) -> Result<Vec<Selected>, SelectionError> {
        let mut files = Vec::new();
        let mut builder = ignore::WalkBuilder::new(self.folder);
        builder.standard_filters(false).follow_links(false).sort_by_file_name(Ord::cmp);
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let (include, top) = (self.include.clone(), self.folder.to_owned());
        let rules = Rules { git: git.cloned(), include, top, dropped: Arc::clone(&dropped) };
        builder.filter_entry(move |entry| entry.depth() == 0 || rules.keep(entry));
        let mut closed = Vec::new();
        for entry in builder.build() {
            let entry = match entry {
                Ok(entry) => entry,
                // Said already.
                Err(ignore::Error::WithPath { path, .. }) if closed.contains(&path) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(kind) = entry.file_type() else { continue };
            let path = relative(self.folder, entry.path())?;
            if kind.is_dir() {
                if !self.is_open(entry.path(), path.as_ref())? {
                    closed.push(entry.path().to_owned());
                    continue;
                }
                self.selection.folders.push(entry.path().to_owned());
                continue;
            }
            let Some(path) = path else { continue };
            if kind.is_file() || kind.is_symlink() {
                files.push(Selected { path, source: entry.into_path() });
            } else {
                self.selection.left_out.push((path, LeftOut::Special));
            }
        }
        git.map_or(Ok(()), |git| git.finish())?;
        let dropped = std::mem::take(&mut *dropped.lock().unwrap_or_else(PoisonError::into_inner));
        for (path, why) in dropped {
            let path = relative(self.folder, &path)?.ok_or(SelectionError::Name { path })?;
            self.selection.left_out.push((path, why));
        }
        Ok(files)
    }

    /// Whether a folder can be looked into; one that cannot is an error unless it stays behind.
    fn is_open(&mut self, folder: &Path, path: Option<&TreePath>) -> Result<bool, SelectionError> {
        match fs_err::read_dir(folder) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let Some(path) = path else { return Err(error.into()) };
                if self.docker.is_some_and(|docker| docker.excludes(path)) {
                    self.selection.left_out.push((path.clone(), LeftOut::DockerIgnore));
                    return Ok(false);
                }
                let owner = fs_err::symlink_metadata(folder)?.uid();
                Err(SelectionError::Closed { path: path.clone(), owner })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What decides whether something is looked at. The walk wants it to be its own, and hands it from thread to thread.
struct Rules {
    git: Option<Arc<GitIgnore>>,
    include: Include,
    top: PathBuf,
    dropped: Arc<Mutex<Vec<(PathBuf, LeftOut)>>>,
}

impl Rules {
    fn keep(&self, entry: &ignore::DirEntry) -> bool {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let path = entry.path();
        let relative = path.strip_prefix(&self.top).ok().and_then(Path::to_str).unwrap_or_default();
        if self.include.has(relative) || is_folder && self.include.may_hold(relative) {
            return true;
        }
        let mut why = self.leaves_out(path, is_folder);
        if why.is_none() && !self.include.is_empty() {
            // It may lie in a folder that was entered for something else in it.
            let mut above = path.ancestors().skip(1).take_while(|above| *above != self.top);
            why = above.find_map(|above| self.leaves_out(above, true));
        }
        if let Some(why) = why {
            self.dropped.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), why));
        }
        why.is_none()
    }

    fn leaves_out(&self, path: &Path, is_folder: bool) -> Option<LeftOut> {
        let git = || self.git.as_ref().is_some_and(|git| git.ignores(path, is_folder));
        never_ships(path).or_else(|| git().then_some(LeftOut::GitIgnore))
    }
}

fn relative(folder: &Path, path: &Path) -> Result<Option<TreePath>, SelectionError> {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    if relative.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = relative.to_str().ok_or_else(|| SelectionError::Name { path: path.to_owned() })?;
    Ok(Some(TreePath::parse(text)?))
}

/// Whether a path may never ship, whatever the ignore files say.
fn never_ships(path: &Path) -> Option<LeftOut> {
    let name = path.file_name()?.to_str()?;
    let example = ["example", "sample", "template", "dist"].iter().any(|end| name.ends_with(end));
    match name {
        ".git" | ".hg" | ".svn" => Some(LeftOut::VersionControl),
        ".env" | ".envrc" | ".envs" => Some(LeftOut::Environment),
        "__pycache__" | ".cache" | ".pytest_cache" | ".mypy_cache" | ".ruff_cache" | ".tox" | ".nox"
        | ".coverage" | ".ipynb_checkpoints" | ".DS_Store" | "Thumbs.db"
        // What `djship context` wrote the last time.
        | "docker-build-context.tar.gz" => Some(LeftOut::Cache),
        name if name.starts_with(".env.") && !example && path.is_file() => Some(LeftOut::Environment),
        name if path.extension().is_some_and(|end| end == "pyc") && !name.starts_with('.') => {
            Some(LeftOut::Cache)
        }
        // The name that Django's own template gives to a developer's database.
        "db.sqlite3" | "db.sqlite3-journal" | "db.sqlite3-wal" | "db.sqlite3-shm" => Some(LeftOut::Database),
        "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519" => Some(LeftOut::PrivateKey),
        ".venv" if path.is_dir() => Some(LeftOut::VirtualEnvironment),
        "venv" | "env" | "virtualenv" if is_environment(path) => Some(LeftOut::VirtualEnvironment),
        _ if path.join("pyvenv.cfg").is_file() => Some(LeftOut::VirtualEnvironment),
        _ => None,
    }
}

/// Whether a folder that is called like a virtual environment looks like one: `pyvenv.cfg` may be gone from a broken one.
fn is_environment(folder: &Path) -> bool {
    ["bin/python", "Scripts/python.exe"].iter().any(|program| folder.join(program).symlink_metadata().is_ok())
}

/// Whether a file begins like a private key (RFC 7468 and OpenSSH's form).
fn holds_private_key(files: &Folder, path: &TreePath, file: &Path) -> Result<bool, SelectionError> {
    let metadata = fs_err::symlink_metadata(file)?;
    let could = |end: &std::ffi::OsStr| {
        ["pem", "key", "p8", "ppk"].iter().any(|known| end.eq_ignore_ascii_case(known))
    };
    let named = file.extension().is_some_and(could)
        || file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("id_"));
    if !metadata.is_file() || !named || metadata.len() > MAX_KEY_FILE {
        return Ok(false);
    }
    let bytes = match files.read(path.as_str(), MAX_KEY_FILE) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error @ ProjectError::Read(_)) => return Err(error.into()),
        // It is not what it was a moment ago; who copies it will say so.
        Err(_) => return Ok(false),
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().any(|line| {
        line.starts_with("-----BEGIN ") && line.contains("PRIVATE KEY")
            || line.starts_with("PuTTY-User-Key-File")
    }))
}

#[cfg(test)]
mod tests;
