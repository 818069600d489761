//! The volumes of all projects.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::volume::{VolumeError, VolumeRecord};
use super::{volume_lock, volumes};
use crate::supervisor::{Environments, Presence};

/// A volume of some project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVolume {
    /// `ID/SERVICE-MAJOR`, as it lies below the folder of all volumes.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub record: VolumeRecord,
    /// The project's folder, where that is known.
    pub project: Option<PathBuf>,
    /// Whether that is there.
    pub presence: Presence,
    /// When a server was started on it last.
    pub last_use: Option<SystemTime>,
    /// A server runs on it.
    pub in_use: bool,
}

/// All volumes in a DJSHIP_HOME, by name.
pub fn all(home: &Path) -> Result<Vec<KeptVolume>, VolumeError> {
    let environments = Environments::at(home);
    let mut found = Vec::new();
    for folder in volumes::folders(&home.join("volumes"))? {
        let Some(id) = folder.file_name().and_then(|name| name.to_str()) else { continue };
        let known = environments.known_as(id);
        for (path, record) in volumes::list(&folder)? {
            let lock = fs_err::metadata(path.join(volume_lock::FILE));
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            found.push(KeptVolume {
                name: format!("{id}/{name}"),
                record,
                project: known.project.clone(),
                presence: known.presence,
                last_use: lock.and_then(|metadata| metadata.modified()).ok(),
                in_use: volume_lock::is_held(&path)?,
                path,
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

impl KeptVolume {
    /// Removes it with its data, unless a server runs on it.
    pub fn remove(&self, home: &Path) -> Result<(), VolumeError> {
        volumes::remove_one(&self.path)?;
        let Some(folder) = self.path.parent() else { return Ok(()) };
        // Unless there are others, or somebody has begun anew.
        let _ = fs_err::remove_dir(folder);
        if let Some(id) = folder.file_name().and_then(|name| name.to_str()) {
            // What was migrated is gone.
            let _ = fs_err::remove_file(Environments::at(home).known_as(id).folder.join("migrated"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::volume::Volume;

    #[test]
    fn volumes_of_all_projects_are_listed_and_removed_one_by_one() {
        let home = tempfile::tempdir().unwrap();
        assert!(all(home.path()).unwrap().is_empty());
        let project = home.path().join("shop");
        fs_err::create_dir(&project).unwrap();
        let environment = Environments::at(home.path()).open(&project).unwrap();
        drop(environment.claim().unwrap());
        let own = home.path().join("volumes").join(environment.id());
        let volume = Volume::open(&own, "postgres", "17", None).unwrap();
        volume.fill(|_| Ok::<_, VolumeError>(())).unwrap();
        fs_err::create_dir_all(home.path().join("volumes/other-01234567/redis-8/data")).unwrap();
        // Data of a production container.
        fs_err::create_dir_all(home.path().join("volumes/polls/app%media")).unwrap();

        let found = all(home.path()).unwrap();
        let names: Vec<_> = found.iter().map(|volume| volume.name.clone()).collect();
        assert_eq!(names, ["other-01234567/redis-8".to_owned(), format!("{}/postgres-17", environment.id())]);
        assert_eq!((found[0].presence, found[0].in_use), (Presence::Unknown, false));
        assert_eq!((found[1].presence, found[1].in_use), (Presence::There, true));
        assert_eq!(found[1].project.as_deref(), Some(environment.project()));
        assert!(found[1].last_use.is_some());
        assert!(matches!(found[1].remove(home.path()), Err(VolumeError::InUse { .. })));
        assert!(volume.data().exists());
        drop(volume);
        fs_err::write(environment.folder().join("migrated"), "").unwrap();
        found[1].remove(home.path()).unwrap();
        assert!(!own.exists() && !environment.folder().join("migrated").exists());
        assert_eq!(all(home.path()).unwrap().len(), 1);
    }
}
