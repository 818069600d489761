//! Volumes: where a container's data is on the host.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use djship_engine::{Container, Upper};

use super::{RunError, RunOptions, Runnable};
use crate::application::layer::OPEN_FOLDERS;
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
        if options.read_only {
            container.bind_read_only(&place, target);
        } else {
            container.bind(&place, target);
        }
    }
    let is_open = image.config.labels.get(OPEN_FOLDERS).is_some_and(|folders| !folders.is_empty());
    if is_open && !options.read_only {
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
    Ok(Upper { upper, work, volatile: false })
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
    for layer in image.lowers.iter().rev() {
        copy_into(tools, &layer.join(target.trim_start_matches('/')), &fresh)?;
    }
    if let Some(parent) = place.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::rename(&fresh, place)
}

fn copy_into(tools: &Tools<'_>, from: &Path, to: &Path) -> io::Result<()> {
    let Ok(entries) = fs_err::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs_err::create_dir_all(&target)?;
            own(tools, &target)?;
            copy_into(tools, &source, &target)?;
        } else if kind.is_file() {
            fs_err::copy(&source, &target)?;
            fs_err::set_permissions(&target, std::fs::Permissions::from_mode(0o664))?;
            own(tools, &target)?;
        }
    }
    Ok(())
}

fn own(tools: &Tools<'_>, path: &Path) -> io::Result<()> {
    match tools.host.owner {
        Some(owner) => fs_err::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}
