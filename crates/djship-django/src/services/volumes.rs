//! All volumes of an environment.

use std::io;
use std::path::{Path, PathBuf};

use djship_store::temp;

use super::volume::{DATA, NEW, VolumeError, VolumeRecord, read_record};
use super::volume_lock;

/// All volumes below a folder, sorted by name.
pub fn list(volumes: &Path) -> Result<Vec<(PathBuf, VolumeRecord)>, VolumeError> {
    let mut found = Vec::new();
    for path in folders(volumes)? {
        if !path.join(DATA).is_dir() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The description is for people; the name is what counts.
        let Some((service, major)) = name.rsplit_once('-') else { continue };
        let (service, major) = (service.to_owned(), major.to_owned());
        let record = read_record(&path).filter(|record| record.service == service && record.major == major);
        let unknown = || VolumeRecord { service, major, package: String::new(), created: 0 };
        found.push((path.clone(), record.unwrap_or_else(unknown)));
    }
    Ok(found)
}

/// Removes all volumes below a folder, and the folder. None goes when one of them is in use.
pub fn remove_all(volumes: &Path) -> Result<(), VolumeError> {
    let paths = folders(volumes)?;
    let locks = paths.iter().map(|path| volume_lock::take(path)).collect::<Result<Vec<_>, _>>()?;
    for path in &paths {
        remove_locked(path)?;
    }
    drop(locks);
    match fs_err::remove_dir(volumes) {
        // Nothing was there, or somebody has begun anew.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(VolumeError::io(volumes)(error))
        }
        _ => Ok(()),
    }
}

/// Removes the volume at `path`, unless it is in use.
pub(super) fn remove_one(path: &Path) -> Result<(), VolumeError> {
    let _lock = volume_lock::take(path)?;
    remove_locked(path)
}

fn remove_locked(path: &Path) -> Result<(), VolumeError> {
    let removed = match fs_err::rename(path.join(DATA), path.join(NEW)) {
        // Half of it must never have the good name.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => temp::remove_tree(path),
    };
    removed.map_err(VolumeError::io(path))
}

pub(super) fn folders(volumes: &Path) -> Result<Vec<PathBuf>, VolumeError> {
    let entries = match fs_err::read_dir(volumes) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(VolumeError::io(volumes))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(VolumeError::io(volumes))?;
        if entry.file_type().map_err(VolumeError::io(volumes))?.is_dir() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The data of another version of the same server.
pub(super) fn other_major(volumes: &Path, service: &str, major: &str) -> Option<(String, PathBuf)> {
    folders(volumes).ok()?.into_iter().find_map(|path| {
        let name = path.file_name()?.to_str()?;
        let (found, version) = name.rsplit_once('-')?;
        (found == service && version != major && path.join(DATA).is_dir())
            .then(|| (version.to_owned(), path.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::volume::Volume;

    #[test]
    fn volumes_are_listed_and_removed_unless_one_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = dir.path().join("shop-01234567");
        assert!(list(&volumes).unwrap().is_empty());
        remove_all(&volumes).unwrap();
        fs_err::create_dir_all(volumes.join("rabbitmq-4.0/data")).unwrap();
        let volume = Volume::open(&volumes, "postgres", "17", None).unwrap();
        volume.fill(|_| Ok::<_, VolumeError>(())).unwrap();
        volume.record("postgres", "17", "postgresql-17 17.6-0+deb13u1").unwrap();
        let names: Vec<String> = list(&volumes)
            .unwrap()
            .into_iter()
            .map(|(_, record)| format!("{} {}", record.service, record.major))
            .collect();
        assert_eq!(names, ["postgres 17", "rabbitmq 4.0"]);
        assert!(matches!(remove_all(&volumes), Err(VolumeError::InUse { .. })));
        assert!(volume.data().exists() && volumes.join("rabbitmq-4.0/data").exists());
        drop(volume);
        remove_all(&volumes).unwrap();
        assert!(!volumes.exists());
    }
}
