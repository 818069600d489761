//! Which files of the project ship.
//!
//! `.dockerignore` decides by Docker's rule; without one, git's ignore files decide. After either, what must never
//! ship is removed: version control, `.env` files, private keys, virtual environments, caches.

mod docker_ignore;
mod git_ignore;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use djship_store::{TreePath, tree::TreePathError};

use super::{Folder, ProjectError};
use docker_ignore::DockerIgnore;
pub(crate) use git_ignore::GitIgnore;

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
    /// A socket, pipe or device.
    #[error("cannot ship `{path}`: it is a socket, pipe or device")]
    Special {
        /// The path in the project.
        path: TreePath,
    },
}

impl Selection {
    /// Selects the files of the project in `folder`.
    pub fn of(folder: &Path) -> Result<Self, SelectionError> {
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let files = Arc::new(Folder::open(folder)?.ok_or_else(gone)?);
        let docker = DockerIgnore::load(&files)?;
        let mut selection = Self::default();
        let mut folders = Vec::new();
        let git = docker.is_none().then(|| Arc::clone(&files));
        let kept = walk(folder, git, &mut folders, &mut |path, why| {
            selection.left_out.push((path, why));
        })?;
        selection.folders = folders;
        for Selected { path, source } in kept {
            if docker.as_ref().is_some_and(|docker| docker.excludes(&path)) {
                selection.left_out.push((path, LeftOut::DockerIgnore));
            } else if holds_private_key(&files, &path, &source)? {
                selection.left_out.push((path, LeftOut::PrivateKey));
            } else {
                selection.files.push(Selected { path, source });
            }
        }
        if docker.is_none() {
            selection.left_out.extend(ignored_by_git(folder, &files, &selection.files)?);
        }
        selection.left_out.sort();
        Ok(selection)
    }
}

/// All files and links that the always-rules and, with `git`, the ignore files of that project leave.
fn walk(
    folder: &Path,
    git: Option<Arc<Folder>>,
    folders: &mut Vec<PathBuf>,
    left_out: &mut dyn FnMut(TreePath, LeftOut),
) -> Result<Vec<Selected>, SelectionError> {
    let mut files = Vec::new();
    // What the filter drops is noted by a second look at each folder: the filter must be `Send + 'static`.
    let mut builder = ignore::WalkBuilder::new(folder);
    builder.standard_filters(false).follow_links(false).sort_by_file_name(Ord::cmp);
    let git = git.map(|files| Arc::new(GitIgnore::new(files)));
    let rules = git.clone();
    builder.filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let ignored = || rules.as_ref().is_some_and(|rules| rules.ignores(entry.path(), is_folder));
        entry.depth() == 0 || never_ships(entry.path()).is_none() && !ignored()
    });
    for entry in builder.build() {
        let entry = entry?;
        let relative = relative(folder, entry.path())?;
        let Some(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            folders.push(entry.path().to_owned());
            for inner in fs_err::read_dir(entry.path())? {
                let inner = inner?.path();
                if let Some(why) = never_ships(&inner) {
                    left_out(
                        self::relative(folder, &inner)?.ok_or(SelectionError::Name { path: inner })?,
                        why,
                    );
                }
            }
            continue;
        }
        let Some(path) = relative else { continue };
        if !kind.is_file() && !kind.is_symlink() {
            return Err(SelectionError::Special { path });
        }
        files.push(Selected { path, source: entry.into_path() });
    }
    git.map_or(Ok(()), |git| git.finish())?;
    Ok(files)
}

/// What git's ignore files leave out, as the topmost paths.
fn ignored_by_git(
    folder: &Path,
    files: &Folder,
    kept: &[Selected],
) -> Result<Vec<(TreePath, LeftOut)>, SelectionError> {
    let all = walk(folder, None, &mut Vec::new(), &mut |_, _| {})?;
    let is_kept = |path: &TreePath| kept.binary_search_by(|other| order(&other.path, path)).is_ok();
    let holds_kept = |above: &str| kept.iter().any(|other| other.path.is_within(above));
    let mut ignored: Vec<(TreePath, LeftOut)> = Vec::new();
    for Selected { path, source } in all {
        if is_kept(&path)
            || ignored.last().is_some_and(|(top, _)| path.is_within(top.as_str()))
            || holds_private_key(files, &path, &source)?
        {
            continue;
        }
        let mut top = path;
        while let Some(parent) = top.parent()
            && !holds_kept(parent.as_str())
        {
            top = parent;
        }
        ignored.push((top, LeftOut::GitIgnore));
    }
    Ok(ignored)
}

/// The order of a walk that sorts by file name: component by component.
fn order(a: &TreePath, b: &TreePath) -> std::cmp::Ordering {
    a.as_str().split('/').cmp(b.as_str().split('/'))
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
        ".env" | ".envrc" => Some(LeftOut::Environment),
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
        _ if path.join("pyvenv.cfg").is_file() => Some(LeftOut::VirtualEnvironment),
        _ => None,
    }
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
mod tests {
    use super::*;

    fn select(files: &[(&str, &str)]) -> (Vec<String>, Vec<(String, LeftOut)>) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let selection = Selection::of(folder.path()).unwrap();
        let files = selection.files.iter().map(|file| file.path.as_str().to_owned()).collect();
        let left = selection.left_out.iter().map(|(path, why)| (path.as_str().to_owned(), *why)).collect();
        (files, left)
    }

    #[test]
    fn what_must_never_ship_stays_behind_whatever_the_ignore_file_says() {
        let (files, left) = select(&[
            (".dockerignore", "!.env\n"),
            (".env", "SECRET_KEY=x"),
            (".env.production", "SECRET_KEY=x"),
            (".env.example", "SECRET_KEY="),
            (".env.prod-sample", "SECRET_KEY="),
            ("manage.py", ""),
            ("certs/site.key", "-----BEGIN PRIVATE KEY-----\n"),
            ("certs/site.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("venv/pyvenv.cfg", ""),
            ("db.sqlite3", "SQLite format 3"),
            ("docker-build-context.tar.gz", ""),
            ("app/__pycache__/a.pyc", ""),
            (".git/config", ""),
        ]);
        assert_eq!(
            files,
            [".dockerignore", ".env.example", ".env.prod-sample", "certs/site.pem", "manage.py"]
        );
        let left: Vec<_> = left.iter().map(|(path, why)| (path.as_str(), *why)).collect();
        assert_eq!(
            left,
            [
                (".env", LeftOut::Environment),
                (".env.production", LeftOut::Environment),
                (".git", LeftOut::VersionControl),
                ("app/__pycache__", LeftOut::Cache),
                ("certs/site.key", LeftOut::PrivateKey),
                ("db.sqlite3", LeftOut::Database),
                ("docker-build-context.tar.gz", LeftOut::Cache),
                ("venv", LeftOut::VirtualEnvironment),
            ]
        );
    }

    #[test]
    fn git_ignore_files_decide_without_a_docker_ignore() {
        let (files, left) = select(&[
            (".gitignore", "*.log\n/media/\n"),
            ("a.log", ""),
            ("media/x/y.png", ""),
            ("media/z.png", ""),
            ("site/manage.py", ""),
            ("site/media/keep.png", ""),
        ]);
        assert_eq!(files, [".gitignore", "site/manage.py", "site/media/keep.png"]);
        let left: Vec<_> = left.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(left, ["a.log", "media"]);
    }

    #[test]
    fn the_nearest_ignore_file_decides() {
        let (files, _) = select(&[
            (".gitignore", "\u{feff}*.log\r\n/build/\nnotes\n[\n"),
            (".git/info/exclude", "own.txt\n!a.log\n"),
            ("a.log", ""),
            ("build/x", ""),
            ("own.txt", ""),
            ("site/.gitignore", "!keep.log\nlocal.py\n"),
            ("site/keep.log", ""),
            ("site/other.log", ""),
            ("site/local.py", ""),
            ("site/build/y", ""),
            ("site/notes/z", ""),
            ("local.py", ""),
        ]);
        assert_eq!(files, [".gitignore", "local.py", "site/.gitignore", "site/build/y", "site/keep.log"]);
    }

    #[test]
    fn a_worktree_excludes_what_its_repository_does() {
        let (files, _) = select(&[
            ("tree/.git", "gitdir: ../main/.git/worktrees/tree\n"),
            ("tree/own.txt", ""),
            ("tree/kept.txt", ""),
            ("main/.git/worktrees/tree/commondir", "../..\n"),
            ("main/.git/info/exclude", "own.txt\n"),
        ]);
        assert_eq!(files, ["tree/kept.txt"]);
    }

    #[test]
    fn an_ignore_file_that_is_none_is_an_error_and_nothing_that_is_waited_for() {
        for name in [".gitignore", "site/.gitignore", ".dockerignore"] {
            let folder = tempfile::tempdir().unwrap();
            fs_err::create_dir(folder.path().join("site")).unwrap();
            let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
            let file = folder.path().join(name);
            rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).unwrap();
            let error = Selection::of(folder.path()).unwrap_err();
            let words = if let SelectionError::Special { path } = &error {
                path.to_string()
            } else {
                error.to_string()
            };
            assert!(words.contains(name), "{error}");
        }
    }

    #[test]
    fn docker_ignore_replaces_git_ignore() {
        let (files, _) = select(&[
            (".gitignore", "static/\n"),
            (".dockerignore", "*.md\n!README.md\n"),
            ("static/a.css", ""),
            ("README.md", ""),
            ("docs/a.md", ""),
            ("NOTES.md", ""),
        ]);
        assert_eq!(files, [".dockerignore", ".gitignore", "README.md", "docs/a.md", "static/a.css"]);
    }
}
