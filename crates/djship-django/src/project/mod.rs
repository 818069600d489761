//! The user's folder, read only: where `manage.py` is, and the few files that a plan needs.

pub mod command;
pub mod config;
mod find;
mod folder;
pub mod requirements;
pub mod selection;

use std::path::{Path, PathBuf};

use djship_store::TreePath;

pub(crate) use folder::Folder;
pub(crate) use selection::GitIgnore;

/// Files that are read for a plan are at most this long.
const MAX_PLAN_FILE: u64 = 4 << 20;

/// A Django project on disk.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder that was named, absolute and without links. It becomes `/app`.
    pub folder: PathBuf,
    /// Where `manage.py` is, relative to the folder.
    pub manage_py: TreePath,
}

/// What keeps a folder from being a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no such folder.
    #[error("cannot open the project `{}`: no such folder", path.display())]
    NoFolder {
        /// As it was named.
        path: PathBuf,
    },
    /// No `manage.py` at most three folders down.
    #[error("cannot find `manage.py` in `{}`", folder.display())]
    NoManagePy {
        /// The folder that was searched.
        folder: PathBuf,
        /// A file that suggests that another folder was meant.
        near: Option<PathBuf>,
    },
    /// There is a `manage.py`, and it has nothing to do with Django.
    #[error("cannot use `{}`: it does not start Django", file.display())]
    NotDjango {
        /// The file.
        file: PathBuf,
    },
    /// Several `manage.py` at the same depth.
    #[error("cannot choose between {} files named `manage.py` in `{}`", files.len(), folder.display())]
    SeveralManagePy {
        /// The folder that was searched.
        folder: PathBuf,
        /// The files, relative to it.
        files: Vec<TreePath>,
    },
    /// A file cannot be read.
    #[error("cannot read the project")]
    Read(#[from] std::io::Error),
    /// A file is far larger than what it is for.
    #[error("cannot read `{}`: it has {size} bytes, more than {limit}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// How long it may be.
        limit: u64,
    },
    /// It is a pipe, socket or device, which could be waited for without end.
    #[error("cannot read `{}`: it is a {kind}", file.display())]
    Special {
        /// The file.
        file: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// A link leads out of a project that is not the reader's own.
    #[error("cannot read `{}`: it leads out of the project", file.display())]
    LeadsOut {
        /// The file.
        file: PathBuf,
    },
    /// A text file is in no encoding that Python tools read.
    #[error("cannot read `{}`: it is neither UTF-8 nor marked as UTF-16", file.display())]
    Encoding {
        /// The file.
        file: PathBuf,
    },
}

impl Project {
    /// Finds the project in `folder`.
    pub fn open(folder: &Path) -> Result<Self, ProjectError> {
        let no_folder = || ProjectError::NoFolder { path: folder.to_owned() };
        let folder = fs_err::canonicalize(folder).map_err(|_| no_folder())?;
        if !folder.is_dir() {
            return Err(no_folder());
        }
        let manage_py = find::manage_py(&folder)?;
        Ok(Self { folder, manage_py })
    }

    /// The folder of `manage.py` relative to the project, `""` for the project itself.
    pub fn django_folder(&self) -> String {
        self.manage_py.parent().map_or_else(String::new, |parent| parent.as_str().to_owned())
    }

    /// The folders in which a project's own files are looked for, nearest to `manage.py` first, relative.
    pub fn folders(&self) -> Vec<String> {
        let mut folders = Vec::new();
        let mut next = self.manage_py.parent();
        while let Some(folder) = next {
            next = folder.parent();
            folders.push(folder.as_str().to_owned());
        }
        folders.push(String::new());
        folders
    }

    /// The text of a file; `None` when there is none. `relative` uses `/`.
    pub fn read(&self, relative: &str) -> Result<Option<String>, ProjectError> {
        match Folder::open(&self.folder)? {
            Some(folder) => read_text(&folder, relative),
            None => Ok(None),
        }
    }

    /// Whether there is a file of that name. One that cannot be read as a file is an error and not absent: it would be passed over.
    pub fn has(&self, relative: &str) -> Result<bool, ProjectError> {
        match Folder::open(&self.folder)? {
            Some(folder) => Ok(folder.file(relative)?.is_some()),
            None => Ok(false),
        }
    }
}

/// Reads a text file of a project as Python's tools do: UTF-8 with or without a byte order mark, or UTF-16 with one.
pub(crate) fn read_text(folder: &Folder, relative: &str) -> Result<Option<String>, ProjectError> {
    let encoding = || ProjectError::Encoding { file: folder.path().join(relative) };
    let bytes = folder.read(relative, MAX_PLAN_FILE)?;
    bytes.map(|bytes| decode(&bytes).ok_or_else(encoding)).transpose()
}

/// The same for a file of the user's own, outside of any project.
pub(crate) fn read_own_text(file: &Path) -> Result<Option<String>, ProjectError> {
    let encoding = || ProjectError::Encoding { file: file.to_owned() };
    let bytes = folder::read_own(file, MAX_PLAN_FILE)?;
    bytes.map(|bytes| decode(&bytes).ok_or_else(encoding)).transpose()
}

fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).collect::<Result<String, _>>().ok()
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_files_in_every_encoding_that_pip_reads() {
        assert_eq!(decode(b"Django").as_deref(), Some("Django"));
        assert_eq!(decode(b"\xef\xbb\xbfDjango").as_deref(), Some("Django"));
        assert_eq!(decode(b"\xff\xfeD\0j\0").as_deref(), Some("Dj"));
        assert_eq!(decode(b"\xfe\xff\0D\0j").as_deref(), Some("Dj"));
        assert_eq!(decode(b"\xff\xff"), None);
    }

    #[test]
    fn folders_from_manage_py_outwards() {
        let project =
            Project { folder: "/x".into(), manage_py: TreePath::parse("apps/api/manage.py").unwrap() };
        assert_eq!(project.folders(), ["apps/api", "apps", ""]);
        assert_eq!(project.django_folder(), "apps/api");
    }
}
