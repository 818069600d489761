//! What a power cut may have hurt.
//!
//! Flushing every unpacked file to the disk would cost more than unpacking. So an entry is first *noted* in `unsettled/`
//! (an empty file named after this boot of this machine), then renamed to its place, and [`Store::settle`] later flushes
//! the whole file system once and removes the notes. After a crash of the machine the notes of an earlier boot name
//! exactly the entries whose bytes may never have reached the disk; they are dropped when a store is opened, and made
//! again when they are wanted. The death of a process alone loses nothing: the kernel has the bytes.

use std::io;
use std::path::{Path, PathBuf};

use crate::bucket::Bucket;
use crate::digest::Digest;
use crate::store::{Store, StoreError};
use crate::temp::remove_tree;

/// This machine and this boot of it, as the first two parts of a note's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    machine: String,
    boot: String,
}

impl Boot {
    /// Reads the kernel's random boot number. Without one (a strange `/proc`) every process is a boot of its own, which
    /// only costs work.
    pub(crate) fn current() -> Self {
        let read = |path: &str| {
            let text = fs_err::read_to_string(path).unwrap_or_default();
            text.chars().filter(char::is_ascii_alphanumeric).take(32).collect::<String>()
        };
        // A home folder may be on the network: another machine's notes are that machine's business.
        let machine = read("/etc/machine-id");
        let boot = read("/proc/sys/kernel/random/boot_id");
        Self {
            machine: if machine.is_empty() { "unknown".to_owned() } else { machine },
            boot: if boot.is_empty() { format!("process{}", std::process::id()) } else { boot },
        }
    }

    #[cfg(test)]
    pub(crate) fn earlier(&self) -> Self {
        Self { boot: "earlier".to_owned(), ..self.clone() }
    }
}

/// One note: an entry that is not known to be on the disk.
#[derive(Debug)]
struct Note {
    boot: Boot,
    bucket: Bucket,
    key: Digest,
}

impl Note {
    fn file_name(&self) -> String {
        format!("{}.{}.{}.{}", self.boot.machine, self.boot.boot, self.bucket.dir_name(), self.key.hex())
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(4, '.');
        let boot = Boot { machine: parts.next()?.to_owned(), boot: parts.next()?.to_owned() };
        let dir_name = parts.next()?;
        let bucket = Bucket::named(dir_name)?;
        Some(Self { boot, bucket, key: parts.next()?.parse().ok()? })
    }
}

impl Store {
    /// Flushes everything that was put into the store so far, so that it outlasts a power cut. Costs as much as
    /// the disk has still to write; nothing else in the store waits for it.
    pub fn settle(&self) -> Result<(), StoreError> {
        let folder = self.unsettled_dir();
        let notes: Vec<PathBuf> = notes(&folder)
            .map_err(StoreError::io("list", &folder))?
            .into_iter()
            .filter(|(_, note)| note.boot == *self.boot())
            .map(|(path, _)| path)
            .collect();
        if notes.is_empty() {
            return Ok(());
        }
        let root = fs_err::File::open(self.root()).map_err(StoreError::io("flush", self.root()))?;
        rustix::fs::syncfs(&root).map_err(|errno| StoreError::io("flush", self.root())(errno.into()))?;
        for note in notes {
            // Another process that settled at the same time may have been first.
            let _ = fs_err::remove_file(note);
        }
        Ok(())
    }

    /// Notes that an entry is about to get its name.
    pub(crate) fn note_unsettled(&self, bucket: Bucket, key: &Digest) -> Result<(), StoreError> {
        let note = Note { boot: self.boot().clone(), bucket, key: *key };
        let path = self.unsettled_dir().join(note.file_name());
        fs_err::File::create(&path).map(drop).map_err(StoreError::io("write", &path))
    }

    /// Drops the entries that an earlier boot of this machine left unsettled.
    pub(crate) fn drop_damaged(&self) -> Result<(), StoreError> {
        let folder = self.unsettled_dir();
        for (path, note) in notes(&folder).map_err(StoreError::io("list", &folder))? {
            if note.boot == *self.boot() || note.boot.machine != self.boot().machine {
                continue;
            }
            let _lock = self.lock_key(note.bucket, &note.key)?;
            // Somebody else opened the store at the same time, and has dropped (and perhaps remade) the entry.
            if !path.exists() {
                continue;
            }
            let entry = self.entry_path(note.bucket, &note.key);
            let removed = if entry.is_dir() { remove_tree(&entry) } else { remove_file_if_there(&entry) };
            removed.map_err(StoreError::io("remove", &entry))?;
            fs_err::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }
}

fn notes(folder: &Path) -> io::Result<Vec<(PathBuf, Note)>> {
    let mut notes = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        if let Some(note) = entry.file_name().to_str().and_then(Note::parse) {
            notes.push((entry.path(), note));
        }
    }
    Ok(notes)
}

fn remove_file_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Readers;

    #[test]
    fn only_what_an_earlier_boot_left_unsettled_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let now = Boot::current();
        let open = |boot: &Boot| Store::open_in(dir.path(), Readers::Owner, boot.clone()).unwrap();
        let insert = |store: &Store, key: &[u8]| {
            store.insert_dir(Bucket::Packages, &Digest::of(key), |_| Ok::<_, StoreError>(())).unwrap()
        };
        let before = open(&now.earlier());
        let settled = insert(&before, b"settled");
        before.settle().unwrap();
        let unsettled = insert(&before, b"unsettled");
        let (_, blob) = before.put_blob(b"blob").unwrap();
        let elsewhere = open(&Boot { machine: "other".to_owned(), ..now.earlier() });
        let foreign = insert(&elsewhere, b"foreign");

        // The same boot drops nothing.
        open(&now.earlier());
        assert!(settled.is_dir() && unsettled.is_dir() && blob.is_file());
        // The next one drops what may be damaged.
        let after = open(&now);
        assert!(settled.is_dir() && foreign.is_dir());
        assert!(!unsettled.exists() && !blob.exists());
        let again = insert(&after, b"unsettled");
        open(&now);
        assert!(again.is_dir());
    }
}
