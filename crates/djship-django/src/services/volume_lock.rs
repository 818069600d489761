//! The lock of a volume: `flock` on a file that names its holder. Every process of the server holds the same open file, so the
//! lock is free only when all of them are gone, however they went.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::volume::VolumeError;

/// The file in the volume.
pub(super) const FILE: &str = "lock";
/// How long the processes of a holder who was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest description of a holder that is read, in bytes.
const LARGEST: u64 = 4096;

/// A lock that is held.
#[derive(Debug)]
pub(super) struct VolumeLock(std::fs::File);

impl AsFd for VolumeLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Who holds a lock: a process, and when it started, because numbers are used again.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Holder {
    process: u32,
    /// In ticks since the boot.
    started: u64,
    /// When it took the lock, in seconds since 1970.
    since: u64,
}

impl Holder {
    fn this_process() -> Self {
        let process = std::process::id();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { process, started: started(process).unwrap_or_default(), since }
    }

    fn is_alive(&self) -> bool {
        started(self.process) == Some(self.started)
    }
}

/// Takes the lock of the volume at `path`, which is made if it is not there. Waits only for what is ending anyway.
pub(super) fn take(path: &Path) -> Result<VolumeLock, VolumeError> {
    let failed = VolumeError::io(path);
    let deadline = Instant::now() + PATIENCE;
    loop {
        fs_err::create_dir_all(path).map_err(&failed)?;
        let mut file = match open(&path.join(FILE)) {
            // Removed at this moment.
            Err(Errno::NOENT) => continue,
            opened => opened.map_err(|errno| failed(errno.into()))?,
        };
        if try_lock(&file).map_err(&failed)? {
            if names_same_file(&path.join(FILE), &file).map_err(&failed)? {
                write_holder(&path.join(FILE)).map_err(&failed)?;
                return Ok(VolumeLock(file));
            }
            continue;
        }
        let holder = read_holder(&mut file);
        // Of somebody who took it a moment ago the name is not there yet; it is found the next time.
        let lives = holder.as_ref().is_some_and(Holder::is_alive);
        if lives || Instant::now() > deadline {
            return Err(VolumeError::InUse {
                path: path.to_owned(),
                process: holder.map(|holder| holder.process),
            });
        }
        // Nothing tells when a lock becomes free that others may take as well.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether somebody holds the lock of the volume at `path`. Changes nothing there.
pub(super) fn is_held(path: &Path) -> Result<bool, VolumeError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let failed = |errno: Errno| VolumeError::io(path)(errno.into());
    let file = match rustix::fs::open(path.join(FILE), flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        file => file.map_err(failed)?,
    };
    // Shared, so that those who look do not see each other.
    match rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(failed(errno)),
    }
}

/// Opens the file. For writing, too: over NFS nothing else can be locked.
fn open(path: &Path) -> Result<std::fs::File, Errno> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map(Into::into)
}

fn try_lock(file: &std::fs::File) -> io::Result<bool> {
    let lock = || rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
    match rustix::io::retry_on_intr(lock) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether `path` still names the open file: the volume may have been removed meanwhile.
fn names_same_file(path: &Path, file: &std::fs::File) -> io::Result<bool> {
    let open = rustix::fs::fstat(file)?;
    match rustix::fs::lstat(path) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Names this process in the file, whose lock it has.
fn write_holder(path: &Path) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Holder::this_process())?;
    line.push(b'\n');
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = std::fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    file.write_all(&line)
}

fn read_holder(file: &mut std::fs::File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// When a live process started, in ticks since the boot: field 22 of its `stat`. Field 2, in brackets, may hold anything.
fn started(process: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres-17");
        let lock = take(&path).unwrap();
        let Err(VolumeError::InUse { process, .. }) = take(&path) else { panic!() };
        assert_eq!(process, Some(std::process::id()));
        drop(lock);
        take(&path).unwrap();
    }

    #[test]
    fn what_a_dead_holder_left_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres-17");
        let lock = take(&path).unwrap();
        // As if this process had been killed, and something that it started still had the file open.
        fs_err::write(path.join(FILE), br#"{"process": 1, "started": 18446744073709551615, "since": 0}"#)
            .unwrap();
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || take(&path).map(drop)
        });
        drop(lock);
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_removed_volume_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("redis-8");
        let lock = take(&path).unwrap();
        fs_err::remove_dir_all(&path).unwrap();
        // The old lock is on a file that no path names.
        let other = take(&path).unwrap();
        drop((lock, other));
        assert!(path.join(FILE).exists());
    }
}
