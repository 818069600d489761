//! Plans every mount of a container: where it goes, what it needs there, and in which order they are attached.
//!
//! What no layer has is made in a layer of our own that lies on top of the others, in the scratch folder, never in a
//! folder of the user.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    container::Container,
    error::StartError,
    lookup::{Found, Layers, LookupError},
    scratch::ScratchFolder,
};

/// One mount, ready to be attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// Where, absolute, without links.
    pub(crate) target: PathBuf,
    /// The mount point may be made there, because it lies in a file system that is the container's own.
    pub(crate) make: bool,
    /// What.
    pub(crate) what: What,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// The container's own processes.
    Proc,
    /// The host's `/sys`, read-only; left out where the host does not allow it.
    Sys,
    /// Devices and terminals.
    Devices,
    /// A file system in memory.
    Tmpfs { mode: u32, size: Option<u64> },
    /// A folder (or file) of the host.
    Bind { source: PathBuf, read_only: bool, folder: bool, stand_in: Option<PathBuf> },
    /// A folder of the host, as a copy that goes with the container.
    Copy { source: PathBuf, stand_in: Option<PathBuf> },
}

impl What {
    pub(crate) fn is_folder(&self) -> bool {
        !matches!(self, Self::Bind { folder: false, .. })
    }

    /// What of the host it shows, if it does: its path, and where root's own is laid as the owner's and opened instead.
    pub(crate) fn source(&self) -> Option<(&Path, Option<&Path>)> {
        match self {
            Self::Bind { source, stand_in, .. } | Self::Copy { source, stand_in } => {
                Some((source, stand_in.as_deref()))
            }
            _ => None,
        }
    }

    /// Whether programs inside write files of root's.
    pub(crate) fn writes_as_root(&self) -> bool {
        matches!(self, Self::Bind { read_only: false, stand_in: Some(_), .. })
    }
}

/// Plans all mounts, and makes missing mount points in the scratch folder's layer. `handed_over` says that root starts the
/// container and somebody else runs it.
pub(crate) fn plan(
    container: &Container,
    scratch: &ScratchFolder,
    handed_over: bool,
) -> Result<Vec<Mount>, StartError> {
    let upper = container.upper.iter().map(|upper| upper.upper.as_path());
    let layers = Layers::new(upper.chain(container.lowers.iter().map(PathBuf::as_path)));
    let mut mounts = Vec::new();
    for (target, what) in wanted(container, scratch, handed_over)? {
        let place = layers.find(&target)?;
        check_kind(&target, &place.path, place.found, &what)?;
        mounts.push((Mount { target: place.path, make: false, what }, place.found.is_some()));
    }
    // Stable: of two mounts on one target the later one ends up on top. A folder sorts before what is in it.
    mounts.sort_by(|(a, _), (b, _)| a.target.cmp(&b.target));
    for index in 0..mounts.len() {
        let enclosing = mounts[..index].iter().rev().map(|(mount, _)| mount).find(|outer| {
            outer.target != mounts[index].0.target && mounts[index].0.target.starts_with(&outer.target)
        });
        let make = match enclosing {
            None => {
                let (mount, exists) = &mounts[index];
                if !exists {
                    make_stub(&layers, &scratch.stubs(), &mount.target, mount.what.is_folder())?;
                }
                // With an upper the kernel may hide our layer there (opaque folders); it is the container's own, too.
                container.upper.is_some()
            }
            Some(outer) => make_inside(outer, &mounts[index].0)?,
        };
        mounts[index].0.make = make;
    }
    Ok(mounts.into_iter().map(|(mount, _)| mount).collect())
}

/// Every mount asked for, system ones first.
fn wanted(
    container: &Container,
    scratch: &ScratchFolder,
    handed_over: bool,
) -> Result<Vec<(PathBuf, What)>, StartError> {
    let mut wanted: Vec<(PathBuf, What)> =
        vec![("/proc".into(), What::Proc), ("/sys".into(), What::Sys), ("/dev".into(), What::Devices)];
    for tmpfs in &container.tmpfs {
        wanted.push((tmpfs.target.clone(), What::Tmpfs { mode: tmpfs.mode, size: tmpfs.size }));
    }
    // Only root's own needs a stand-in: everybody else's is as reachable as its modes say.
    let stand_in = |number, as_owner, metadata: &Metadata| {
        let needed = handed_over && as_owner && metadata.uid() == 0;
        needed.then(|| scratch.stand_in(number, metadata.is_dir())).transpose()
    };
    for bind in &container.binds {
        let metadata = look_at(&bind.source)?;
        let stand_in = stand_in(wanted.len(), bind.as_owner, &metadata)?;
        let (source, read_only, folder) = (bind.source.clone(), bind.read_only, metadata.is_dir());
        wanted.push((bind.target.clone(), What::Bind { source, read_only, folder, stand_in }));
    }
    for copy in &container.scratch_copies {
        let metadata = look_at(&copy.source)?;
        if !metadata.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            return Err(StartError::Source { path: copy.source.clone(), source });
        }
        let stand_in = stand_in(wanted.len(), copy.as_owner, &metadata)?;
        wanted.push((copy.target.clone(), What::Copy { source: copy.source.clone(), stand_in }));
    }
    for (number, file) in container.files.iter().enumerate() {
        let source = scratch.write_file(number, &file.content)?;
        let what = What::Bind { source, read_only: true, folder: false, stand_in: None };
        wanted.push((file.target.clone(), what));
    }
    for (target, _) in wanted.iter().skip(3) {
        let system = ["/", "/proc", "/sys", "/dev"].iter().any(|reserved| target == Path::new(reserved));
        let climbs = target.components().any(|component| component == Component::ParentDir);
        if system || climbs || !target.is_absolute() {
            return Err(StartError::BadTarget { target: target.clone() });
        }
    }
    Ok(wanted)
}

fn look_at(path: &Path) -> Result<Metadata, StartError> {
    path.metadata().map_err(|source| StartError::Source { path: path.to_owned(), source })
}

fn check_kind(target: &Path, at: &Path, found: Option<Found>, what: &What) -> Result<(), LookupError> {
    let (found, wanted) = match (found, what.is_folder()) {
        (Some(Found::File), true) => ("a file", "a folder"),
        (Some(Found::Folder(_)), false) => ("a folder", "a file"),
        _ => return Ok(()),
    };
    Err(LookupError::WrongKind { target: target.into(), at: at.into(), found, wanted })
}

/// Whether the mount point of `inner` may be made in `outer`; an error when it is missing and may not.
fn make_inside(outer: &Mount, inner: &Mount) -> Result<bool, StartError> {
    match &outer.what {
        // The container's own; what the source lacks is made in the copy.
        What::Tmpfs { .. } | What::Devices | What::Copy { .. } => Ok(true),
        What::Proc | What::Sys => Err(StartError::BadTarget { target: inner.target.clone() }),
        What::Bind { source, .. } => {
            let missing = source.join(inner.target.strip_prefix(&outer.target).unwrap_or(&inner.target));
            if missing.symlink_metadata().is_ok() {
                return Ok(false);
            }
            Err(LookupError::MissingInBind { target: inner.target.clone(), missing }.into())
        }
    }
}

/// Makes `target` in our own layer. Folders that the layers below have, too, keep their modes, as the topmost one counts.
fn make_stub(layers: &Layers<'_>, stubs: &Path, target: &Path, folder: bool) -> Result<(), StartError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Scratch { path, source }
    };
    let mut inside = PathBuf::from("/");
    let mut stub = stubs.to_owned();
    let mut names = target.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let Some(last) = names.next_back() else { return Ok(()) };
    for name in names {
        inside.push(name);
        stub.push(name);
        if !stub.is_dir() {
            let mode = match layers.find(&inside)?.found {
                Some(Found::Folder(mode)) => mode,
                _ => 0o755,
            };
            fs_err::create_dir(&stub).map_err(failed(&stub))?;
            fs_err::set_permissions(&stub, PermissionsExt::from_mode(mode)).map_err(failed(&stub))?;
        }
    }
    stub.push(last);
    if stub.symlink_metadata().is_ok() {
        return Ok(());
    }
    if folder { fs_err::create_dir(&stub) } else { fs_err::write(&stub, b"") }.map_err(failed(&stub))?;
    let mode = if folder { 0o755 } else { 0o644 };
    fs_err::set_permissions(&stub, PermissionsExt::from_mode(mode)).map_err(failed(&stub))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(dir: &Path) -> PathBuf {
        let root = dir.join("root");
        for folder in ["usr/bin", "run", "tmp", "app", "proc", "var"] {
            fs_err::create_dir_all(root.join(folder)).unwrap();
        }
        fs_err::set_permissions(root.join("app"), PermissionsExt::from_mode(0o2775)).unwrap();
        symlink("/run", root.join("var/run")).unwrap();
        root
    }

    #[test]
    fn missing_mount_points_are_made_in_our_layer_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let scratch = ScratchFolder::new(dir.path()).unwrap();
        let mut container = Container::new([&root], ["true"]);
        container.bind(dir.path(), "/app/data/files").file("/etc/hosts", "x").tmpfs(
            "/var/run/lock",
            0o755,
            None,
        );
        let mounts = plan(&container, &scratch, false).unwrap();
        let stubs = scratch.stubs();
        assert!(stubs.join("app/data/files").is_dir());
        assert!(stubs.join("etc/hosts").is_file());
        assert!(stubs.join("dev").is_dir());
        assert!(!stubs.join("proc").exists(), "the root has it");
        assert!(!root.join("etc").exists(), "the root is not touched");
        assert_eq!(stubs.join("app").metadata().unwrap().permissions().mode() & 0o7777, 0o2775);
        let lock = mounts.iter().find(|mount| mount.target == Path::new("/run/lock")).unwrap();
        assert!(lock.make, "it lies in a file system in memory");
        let order: Vec<_> = mounts.iter().map(|mount| mount.target.to_str().unwrap()).collect();
        let position = |target| order.iter().position(|other| *other == target).unwrap();
        assert!(position("/run") < position("/run/lock"));
        assert!(position("/dev") < position("/dev/shm"));
    }

    #[test]
    fn nothing_is_added_to_folders_of_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        let scratch = ScratchFolder::new(dir.path()).unwrap();
        let project = dir.path().join("project");
        fs_err::create_dir(&project).unwrap();
        let mut container = Container::new([&root], ["true"]);
        container.bind(&project, "/app").tmpfs("/app/.cache", 0o755, None);
        let refused = plan(&container, &scratch, false).unwrap_err();
        assert!(matches!(refused, StartError::Lookup(LookupError::MissingInBind { .. })), "{refused}");
        fs_err::create_dir(project.join(".cache")).unwrap();
        plan(&container, &scratch, false).unwrap();
    }

    #[test]
    fn odd_targets_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = root(dir.path());
        for target in ["/", "/proc", "relative", "/app/../etc", "/proc/self"] {
            let scratch = ScratchFolder::new(dir.path()).unwrap();
            let mut container = Container::new([&root], ["true"]);
            container.tmpfs(target, 0o755, None);
            assert!(
                matches!(plan(&container, &scratch, false), Err(StartError::BadTarget { .. })),
                "{target}"
            );
        }
    }
}
