//! Volumes: where a container's data is on the host.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use djship_engine::{Container, Upper};
use djship_store::{Beneath, FileTree, Node};

use super::{RunError, RunOptions, Runnable};
use crate::tools::Tools;

/// Adds the image's volumes and the mounts that were asked for. A volume of the image begins with what the image has there.
pub(super) fn mount(
    tools: &Tools<'_>,
    image: &Runnable,
    options: &RunOptions,
    container: &mut Container,
) -> Result<(), RunError> {
    let all = options.volumes.clone().unwrap_or_else(|| folder(tools, &options.name));
    for target in &image.config.volumes {
        if options.mounts.iter().any(|mount| mount.target == Path::new(target)) {
            continue;
        }
        let place = all.join(target.trim_start_matches('/').replace('/', "%"));
        let failed = |source| RunError::Volume { path: place.clone(), source };
        if !place.exists() {
            fill(tools, image, target, &place).map_err(failed)?;
        }
        hand_over(tools, &place).map_err(failed)?;
        if options.read_only {
            container.bind_read_only(&place, target);
        } else {
            container.bind(&place, target);
        }
    }
    if image.has_open_folders() && !options.read_only {
        container.upper =
            Some(changes(tools, &all).map_err(|source| RunError::Volume { path: all.clone(), source })?);
    }
    for mount in &options.mounts {
        let failed = |source| RunError::Volume { path: mount.source.clone(), source };
        if !mount.source.exists() {
            fs_err::create_dir_all(&mount.source).and_then(|()| own(tools, &mount.source)).map_err(failed)?;
        }
        if mount.read_only {
            container.bind_read_only(&mount.source, &mount.target);
        } else {
            container.bind(&mount.source, &mount.target);
        }
    }
    Ok(())
}

/// The folder of a container's volumes.
pub(super) fn folder(tools: &Tools<'_>, name: &str) -> PathBuf {
    tools.store.root().join("volumes").join(name.replace('/', "%"))
}

/// Where changes beside the code go: a layer of the container's own over the image, kept like its volumes.
fn changes(tools: &Tools<'_>, all: &Path) -> io::Result<Upper> {
    let folder = all.join("changes");
    let (upper, work) = (folder.join("upper"), folder.join("work"));
    for folder in [&upper, &work] {
        fs_err::create_dir_all(folder)?;
        own(tools, folder)?;
    }
    hand_over(tools, &upper)?;
    Ok(Upper { upper, work, volatile: false })
}

/// Whether a container of that name has data.
pub fn exist(tools: &Tools<'_>, name: &str) -> bool {
    folder(tools, name).exists()
}

/// Removes a container's volumes.
pub fn remove(tools: &Tools<'_>, name: &str) -> Result<(), RunError> {
    let path = folder(tools, name);
    match djship_store::temp::remove_tree(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RunError::Volume { path, source }),
        _ => Ok(()),
    }
}

/// Makes a volume: in a temporary place first, so that half a volume never has the name.
fn fill(tools: &Tools<'_>, image: &Runnable, target: &str, place: &Path) -> io::Result<()> {
    let work = tools.store.temp_dir("volume").map_err(io::Error::other)?;
    let fresh = work.path().join("volume");
    fs_err::create_dir_all(&fresh)?;
    own(tools, &fresh)?;
    // From what the layers hold, as data: on the disk a link in a layer would lead out of it.
    let mut tree = FileTree::new();
    for folder in image.lowers.iter().rev().filter_map(|lower| lower.parent()) {
        tree.overlay(
            FileTree::load(folder).map_err(io::Error::other)?.subtree(target.trim_start_matches('/')),
        );
    }
    for (path, entry) in tree.iter() {
        let to = path.below(&fresh);
        match &entry.node {
            Node::Dir => fs_err::create_dir_all(&to)?,
            Node::Symlink { target } => fs_err::os::unix::fs::symlink(target, &to)?,
            Node::File { at, .. } => {
                fs_err::copy(at, &to)?;
                fs_err::set_permissions(&to, std::fs::Permissions::from_mode(0o664))?;
            }
        }
        own(tools, &to)?;
    }
    if let Some(parent) = place.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::rename(&fresh, place)
}

/// Started by root, the same volume may have belonged to somebody else before: the project's owner, or nobody.
fn hand_over(tools: &Tools<'_>, place: &Path) -> io::Result<()> {
    let Some(owner) = tools.host.owner else { return Ok(()) };
    let data = Beneath::open(place)?;
    let uid = data.stat()?.st_uid;
    if uid != owner.uid {
        // The old owner may still have a hand in it.
        data.give(uid, (owner.uid, owner.gid))?;
    }
    Ok(())
}

fn own(tools: &Tools<'_>, path: &Path) -> io::Result<()> {
    match tools.host.owner {
        Some(owner) => fs_err::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}
