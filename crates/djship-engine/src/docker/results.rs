//! What programs changed in folders that come back: taken out through the guarded door, and put into place at once.

use std::{
    collections::BTreeSet,
    io::{self, Read},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use djship_store::{
    FileTree, Node, TreePath,
    unpack::{Attributes, Door, EntryKind, UnpackError},
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tar::EntryType;

use super::{client::Client, client::escaped, contents::Given, error::DockerError, http::Body};

const WHAT: &str = "take files out of a container";

/// Where results go, and who they belong to on the host.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) given: Vec<Given>,
    /// Places of their own inside those.
    pub(crate) targets: BTreeSet<PathBuf>,
    /// Set when djship is root.
    pub(crate) owner: Option<(u32, u32)>,
}

impl Results {
    /// Whether anything comes back.
    pub(crate) fn are_wanted(&self) -> bool {
        self.given.iter().any(|given| given.comes_back)
    }

    /// Takes everything out that comes back.
    pub(crate) fn take(&self, client: &Client, id: &str) -> Result<(), DockerError> {
        for given in self.given.iter().filter(|given| given.comes_back) {
            let target = given.target.to_string_lossy();
            let path = format!("/containers/{id}/archive?path={}", escaped(&target));
            let answer = client.ask(WHAT, "GET", &path, Body::None)?;
            self.replace(given, answer)?;
        }
        Ok(())
    }

    fn replace(&self, given: &Given, archive: impl Read) -> Result<(), DockerError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let source = &given.source;
        let failed = |error| DockerError::Copy { path: source.clone(), direction: "out of", source: error };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let fresh = source.with_file_name(format!(".{name}.djship-{}-{number}", std::process::id()));
        let made = self.unpack(given, archive, &fresh).and_then(|()| {
            let is_folder = fs_err::symlink_metadata(source).map_err(failed)?.is_dir();
            let new = if is_folder { fresh.clone() } else { fresh.join(&*name) };
            renameat_with(CWD, &new, CWD, source, RenameFlags::EXCHANGE).map_err(|errno| failed(errno.into()))
        });
        // What was there before, or what is left of an attempt.
        let removed = fs_err::remove_dir_all(&fresh);
        made?;
        removed.map_err(failed)
    }

    fn unpack(&self, given: &Given, archive: impl Read, fresh: &Path) -> Result<(), DockerError> {
        let failed =
            |error| DockerError::Copy { path: given.source.clone(), direction: "out of", source: error };
        let unpacked = |source| DockerError::Unpack { path: given.source.clone(), source };
        let before = fs_err::symlink_metadata(&given.source).map_err(failed)?;
        let mut door = Door::new(fresh).map_err(unpacked)?;
        let mut archive = tar::Archive::new(archive);
        let mut entries = archive.entries().map_err(failed)?;
        while let Some(entry) = entries.next().transpose().map_err(failed)? {
            self.place(given, before.is_dir(), entry, &mut door)?;
        }
        let tree = door.finish();
        let own = |path: &Path| match self.owner {
            Some((user, group)) => fs_err::os::unix::fs::lchown(path, Some(user), Some(group)),
            None => Ok(()),
        };
        finish(&tree, fresh, &own).map_err(failed)?;
        // The folder itself is as it was.
        if self.owner.is_some() {
            fs_err::os::unix::fs::lchown(fresh, Some(before.uid()), Some(before.gid())).map_err(failed)?;
        }
        let mode =
            std::fs::Permissions::from_mode(if before.is_dir() { before.mode() & 0o7777 } else { 0o700 });
        fs_err::set_permissions(fresh, mode).map_err(failed)
    }

    fn place(
        &self,
        given: &Given,
        is_folder: bool,
        mut entry: tar::Entry<'_, impl Read>,
        door: &mut Door,
    ) -> Result<(), DockerError> {
        let failed =
            |error| DockerError::Copy { path: given.source.clone(), direction: "out of", source: error };
        let unpacked = |source| DockerError::Unpack { path: given.source.clone(), source };
        let name = text(&entry.path_bytes()).map_err(failed)?;
        let Some(path) = place_of(&name, is_folder).map_err(failed)? else { return Ok(()) };
        if is_folder && self.is_elsewhere(&given.target, &path) {
            return Ok(());
        }
        let header = entry.header();
        let attributes = Attributes {
            mode: header.mode().map_err(failed)?,
            uid: 0,
            gid: 0,
            mtime: header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or_default(),
        };
        let link = match entry.link_name_bytes() {
            Some(link) => text(&link).map_err(failed)?,
            None => String::new(),
        };
        let kind = match header.entry_type() {
            EntryType::Directory => EntryKind::Dir,
            EntryType::Symlink => EntryKind::Symlink { target: link },
            EntryType::Regular | EntryType::Continuous => EntryKind::File { size: entry.size() },
            EntryType::Link => match place_of(&link, is_folder).map_err(failed)? {
                Some(target) => EntryKind::HardLink { target },
                None => return Err(failed(io::Error::other("a hard link to nothing"))),
            },
            // Sockets and pipes of programs that have ended.
            _ => return Ok(()),
        };
        match door.place(&path, kind, attributes, &mut entry) {
            // Its other name lies in a place that is not this one's.
            Err(UnpackError::HardLink { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(unpacked(error)),
        }
    }

    /// Whether a path below a target belongs to something else that lies in it.
    fn is_elsewhere(&self, target: &Path, path: &TreePath) -> bool {
        let whole = target.join(path.as_str());
        self.targets
            .iter()
            .any(|other| other != target && other.starts_with(target) && whole.starts_with(other))
    }
}

/// The path below a folder that the archive is of, whose own name comes first; `None` is the folder itself.
fn place_of(name: &str, is_folder: bool) -> io::Result<Option<TreePath>> {
    let name = name.trim_start_matches("./");
    let below = match (is_folder, name.split_once('/')) {
        (true, Some((_, below))) => below,
        (true, None) => "",
        (false, _) => name,
    };
    if below.is_empty() {
        return Ok(None);
    }
    TreePath::parse(below).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Gives everything its owner, mode and time. Nothing else writes there, and no link is followed.
fn finish(tree: &FileTree, folder: &Path, own: &impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    for (path, entry) in tree.iter() {
        let at = path.below(folder);
        own(&at)?;
        if !matches!(entry.node, Node::Symlink { .. }) {
            // We have to read it, whatever its owner inside could; and no program becomes somebody else on the host.
            let mode = if entry.is_dir() { entry.mode & 0o3777 | 0o700 } else { entry.mode & 0o777 | 0o600 };
            fs_err::set_permissions(&at, std::fs::Permissions::from_mode(mode))?;
        }
        let time = rustix::fs::Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, &at, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
