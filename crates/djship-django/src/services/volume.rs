//! Where a server keeps its data: one folder per environment, server and version, for one server at a time.
//!
//! ```text
//! volumes/ID/postgres-17/data          what the server keeps
//!                       /data.new      the same while it is being made
//!                       /lock          locked while a server may run; names who holds it
//!                       /volume.json   what it is
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use djship_engine::HostOwner;
use djship_store::{Beneath, atomic, temp};

use super::volume_lock::{self, VolumeLock};
use super::volumes;

/// The data.
pub(super) const DATA: &str = "data";
/// The data while it is being made.
pub(super) const NEW: &str = "data.new";
/// What the volume is.
const RECORD: &str = "volume.json";
/// The largest description that is read, in bytes.
const LARGEST_RECORD: u64 = 64 << 10;

/// A locked volume.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
    lock: VolumeLock,
    owner: Option<HostOwner>,
}

/// What a volume is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VolumeRecord {
    /// The server's name, such as `postgres`.
    pub service: String,
    /// The version that the form of the data depends on, such as `17`.
    pub major: String,
    /// The Debian package that served it last, with its version.
    pub package: String,
    /// When it was made, in seconds since 1970.
    pub created: u64,
}

/// Why a volume cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Another version of the server made the data that is there.
    #[error("cannot use the data of {service} {found} with {service} {wanted}")]
    OtherMajor {
        /// The server.
        service: String,
        /// The version that made it.
        found: String,
        /// The version that would use it.
        wanted: String,
        /// The volume.
        path: PathBuf,
    },
    /// A server runs on it, or somebody removes it.
    #[error("cannot use the volume `{}`: it is in use{}", path.display(), process.map(|process| format!(" by process {process}")).unwrap_or_default())]
    InUse {
        /// The volume.
        path: PathBuf,
        /// The djship that holds it, as far as that can be seen.
        process: Option<u32>,
    },
    /// A file operation failed.
    #[error("cannot prepare the volume `{}`: {source}", path.display())]
    Io {
        /// The volume.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl VolumeError {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl Volume {
    /// Opens the volume of `service` at version `major` below `volumes` for the one server that may use it, making it if need be.
    /// `owner` is who containers run as when djship itself is root.
    pub(super) fn open(
        volumes: &Path,
        service: &str,
        major: &str,
        owner: Option<HostOwner>,
    ) -> Result<Self, VolumeError> {
        let path = volumes.join(format!("{service}-{major}"));
        if !path.join(DATA).exists()
            && let Some((found, path)) = volumes::other_major(volumes, service, major)
        {
            return Err(VolumeError::OtherMajor {
                service: service.to_owned(),
                found,
                wanted: major.to_owned(),
                path,
            });
        }
        let lock = volume_lock::take(&path)?;
        // Of somebody who was killed while making it.
        temp::remove_tree(&path.join(NEW)).map_err(VolumeError::io(&path))?;
        let volume = Self { path, lock, owner };
        if !volume.is_new() {
            hand_over(owner, &volume.data()).map_err(VolumeError::io(&volume.path))?;
        }
        Ok(volume)
    }

    /// The folder of the volume.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that the server keeps its data in.
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Whether there is no data yet.
    pub fn is_new(&self) -> bool {
        !self.data().exists()
    }

    /// The lock, for a server to hold as long as it runs.
    pub(super) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Has `make` fill an empty folder, which then becomes the data: all of it, or nothing.
    pub(super) fn fill<E: From<VolumeError>>(
        &self,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        let new = self.path.join(NEW);
        self.make_folder(&new).map_err(VolumeError::io(&self.path))?;
        make(&new)?;
        self.settle(&new).map_err(VolumeError::io(&self.path))?;
        Ok(())
    }

    /// Writes down what the volume is and which package serves it.
    pub(super) fn record(&self, service: &str, major: &str, package: &str) -> Result<(), VolumeError> {
        let before = read_record(&self.path);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let record = VolumeRecord {
            service: service.to_owned(),
            major: major.to_owned(),
            package: package.to_owned(),
            created: before.as_ref().map_or(now, |before| before.created),
        };
        if before.as_ref() == Some(&record) {
            return Ok(());
        }
        let text = serde_json::to_vec(&record).map_err(io::Error::from);
        text.and_then(|text| atomic::write(&self.path.join(RECORD), &text))
            .map_err(VolumeError::io(&self.path))
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        temp::remove_tree(folder)?;
        fs_err::create_dir(folder)?;
        fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        match self.owner {
            Some(owner) => fs_err::os::unix::fs::lchown(folder, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        }
    }

    /// Flushes the new data to the disk, then gives it its name.
    fn settle(&self, new: &Path) -> io::Result<()> {
        let folder = fs_err::File::open(new)?;
        // A thousand files: one call for the whole file system is faster than one for each.
        rustix::fs::syncfs(folder.file())?;
        fs_err::rename(new, self.data())?;
        atomic::sync_folder(&self.path)
    }
}

/// Makes everything in a folder the owner's; the folder itself last, so that what was interrupted is done again. Started by root,
/// the volume may have belonged to somebody else before: the project's owner, or nobody.
fn hand_over(owner: Option<HostOwner>, folder: &Path) -> io::Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    let data = Beneath::open(folder)?;
    let uid = data.stat()?.st_uid;
    if uid != owner.uid {
        // The old owner may still have a hand in it.
        data.give(uid, (owner.uid, owner.gid))?;
    }
    Ok(())
}

/// Stands for a file or folder: another text when it was removed and made again.
pub(crate) fn birth(path: &Path) -> String {
    fs_err::metadata(path).map_or_else(
        |_| "absent".to_owned(),
        // Numbers are given away again; not every file system knows when a file was made.
        |metadata| format!("{}:{} {:?}", metadata.dev(), metadata.ino(), metadata.created().ok()),
    )
}

pub(super) fn read_record(path: &Path) -> Option<VolumeRecord> {
    let file = path.join(RECORD);
    let metadata = fs_err::symlink_metadata(&file).ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST_RECORD {
        return None;
    }
    serde_json::from_slice(&fs_err::read(&file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(volumes: &Path, major: &str) -> Result<Volume, VolumeError> {
        Volume::open(volumes, "postgres", major, None)
    }

    #[test]
    fn data_is_there_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let volume = open(dir.path(), "17").unwrap();
        let failed = volume.fill(|folder| {
            fs_err::write(folder.join("half"), "").unwrap();
            Err(VolumeError::io(folder)(io::ErrorKind::StorageFull.into()))
        });
        assert!(failed.is_err() && volume.is_new() && volume.path().join(NEW).exists());
        drop(volume);
        let volume = open(dir.path(), "17").unwrap();
        assert!(!volume.path().join(NEW).exists());
        volume
            .fill(|folder| {
                assert_eq!(fs_err::read_dir(folder).unwrap().count(), 0);
                fs_err::write(folder.join("all"), "").map_err(VolumeError::io(folder))
            })
            .unwrap();
        assert!(!volume.is_new() && volume.data().join("all").exists());
    }

    #[test]
    fn what_is_made_anew_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("db.sqlite3");
        assert_eq!(birth(&file), "absent");
        fs_err::write(&file, "").unwrap();
        let first = birth(&file);
        fs_err::write(&file, "more").unwrap();
        assert_eq!(birth(&file), first);
        fs_err::rename(&file, dir.path().join("old.sqlite3")).unwrap();
        fs_err::write(&file, "").unwrap();
        assert_ne!(birth(&file), first);
    }

    #[test]
    fn the_data_of_another_version_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        // What was never finished is not in the way.
        fs_err::create_dir_all(dir.path().join("postgres-14/data.new")).unwrap();
        fs_err::create_dir_all(dir.path().join("postgres-5433-16/data")).unwrap();
        open(dir.path(), "17").unwrap();
        fs_err::create_dir_all(dir.path().join("postgres-16/data")).unwrap();
        let Err(VolumeError::OtherMajor { found, wanted, path, .. }) = open(dir.path(), "17") else {
            panic!()
        };
        assert_eq!((found.as_str(), wanted.as_str()), ("16", "17"));
        assert_eq!(path, dir.path().join("postgres-16"));
        // Both are there: somebody has moved over, and keeps the old one.
        fs_err::create_dir(dir.path().join("postgres-17/data")).unwrap();
        open(dir.path(), "17").unwrap();
    }
}
