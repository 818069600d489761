//! Project folders from literals.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::user::User;

/// A folder of files, removed on drop. Other users may read it.
#[derive(Debug)]
pub struct TempProject {
    folder: TempDir,
}

impl TempProject {
    /// An empty folder.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("djship-project-").tempdir()?;
        fs_err::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder })
    }

    /// A folder with these files: `TempProject::of(&[("manage.py", "...")])`.
    pub fn of(files: &[(&str, &str)]) -> Result<Self> {
        files.iter().try_fold(Self::new()?, |project, (path, text)| project.with(path, text))
    }

    /// A copy of a folder, modes and links included.
    pub fn copy_of(folder: impl AsRef<Path>) -> Result<Self> {
        let project = Self::new()?;
        copy_all(folder.as_ref(), project.path())?;
        Ok(project)
    }

    /// With one more file; its folders are made.
    pub fn with(self, path: &str, text: &str) -> Result<Self> {
        self.write(path, text)?;
        Ok(self)
    }

    /// With a file that may be executed.
    pub fn with_program(self, path: &str, text: &str) -> Result<Self> {
        let file = self.write(path, text)?;
        fs_err::set_permissions(file, std::fs::Permissions::from_mode(0o755))?;
        Ok(self)
    }

    /// With a symbolic link.
    pub fn with_link(self, path: &str, target: &str) -> Result<Self> {
        let link = self.at(path);
        fs_err::create_dir_all(link.parent().context("a link lies in a folder")?)?;
        fs_err::os::unix::fs::symlink(target, link)?;
        Ok(self)
    }

    /// Owned by this user.
    pub fn owned_by(self, user: &User) -> Result<Self> {
        user.own(self.path())?;
        Ok(self)
    }

    /// Writes a file, new or again, and returns where it is.
    pub fn write(&self, path: &str, text: &str) -> Result<PathBuf> {
        let file = self.at(path);
        fs_err::create_dir_all(file.parent().context("a file lies in a folder")?)?;
        fs_err::write(&file, text)?;
        Ok(file)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path below the folder.
    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs_err::create_dir(&target)?;
            copy_all(&source, &target)?;
        } else if kind.is_symlink() {
            fs_err::os::unix::fs::symlink(fs_err::read_link(&source)?, &target)?;
        } else {
            fs_err::copy(&source, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_links_and_programs_are_made_and_copied() {
        let project = TempProject::of(&[("manage.py", "x"), ("site/settings.py", "DEBUG = True")])
            .and_then(|project| project.with_program("bin/start", "#!/bin/sh"))
            .and_then(|project| project.with_link("current", "site"))
            .unwrap();
        let copy = TempProject::copy_of(project.path()).unwrap();
        assert_eq!(fs_err::read_to_string(copy.at("current/settings.py")).unwrap(), "DEBUG = True");
        assert!(fs_err::symlink_metadata(copy.at("current")).unwrap().is_symlink());
        let mode = fs_err::metadata(copy.at("bin/start")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
    }
}
