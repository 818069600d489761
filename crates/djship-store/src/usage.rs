//! How much room folders take on the disk, with content that has several names counted once.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes as the file system gives them out, of everything that was looked at.
#[derive(Debug, Default)]
pub struct Usage {
    alone: u64,
    /// Files with several names: how many there are, how many were seen, and the bytes.
    shared: HashMap<(u64, u64), (u64, u64, u64)>,
    unreadable: usize,
}

impl Usage {
    /// Looks at `path` and everything below it. Links are not followed; what is gone meanwhile, or belongs to somebody who
    /// lets nobody look, is left out.
    pub fn add(&mut self, path: &Path) {
        let Ok(metadata) = path.symlink_metadata() else { return };
        self.see(&metadata);
        if !metadata.is_dir() {
            return;
        }
        let mut folders = vec![path.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs_err::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.unreadable += usize::from(error.kind() != io::ErrorKind::NotFound);
                    continue;
                }
            };
            for entry in entries.flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                self.see(&metadata);
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }

    /// Adds what another one looked at elsewhere.
    pub fn absorb(&mut self, other: &Self) {
        self.alone += other.alone;
        self.unreadable += other.unreadable;
        for (file, (names, seen, bytes)) in &other.shared {
            self.shared.entry(*file).or_insert((*names, 0, *bytes)).1 += seen;
        }
    }

    fn see(&mut self, metadata: &Metadata) {
        // stat(2) counts in 512 bytes, whatever the file system does.
        let bytes = metadata.blocks() * 512;
        if metadata.is_dir() || metadata.nlink() < 2 {
            self.alone += bytes;
            return;
        }
        let first = (metadata.nlink(), 0, bytes);
        self.shared.entry((metadata.dev(), metadata.ino())).or_insert(first).1 += 1;
    }

    /// What all of it takes.
    pub fn bytes(&self) -> u64 {
        self.alone + self.shared.values().map(|(_, _, bytes)| bytes).sum::<u64>()
    }

    /// What would be free if all of it went: content that has further names elsewhere stays.
    pub fn bytes_alone(&self) -> u64 {
        let whole = self.shared.values().filter(|(names, seen, _)| seen >= names);
        self.alone + whole.map(|(_, _, bytes)| bytes).sum::<u64>()
    }

    /// How many folders nobody but their owner may look into.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_once_however_many_names_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let block = vec![1; 1 << 20];
        for name in ["one", "two"] {
            fs_err::create_dir(at(name)).unwrap();
        }
        fs_err::write(at("one/file"), &block).unwrap();
        let mut before = Usage::default();
        before.add(dir.path());
        fs_err::hard_link(at("one/file"), at("one/again")).unwrap();
        fs_err::hard_link(at("one/file"), at("two/file")).unwrap();
        // Large, and not to be followed.
        fs_err::os::unix::fs::symlink("/usr", at("two/link")).unwrap();
        let (mut all, mut one) = (Usage::default(), Usage::default());
        all.add(dir.path());
        one.add(&at("one"));
        assert_eq!(all.bytes(), before.bytes());
        assert_eq!(all.bytes_alone(), all.bytes());
        assert!(one.bytes() > 1 << 20 && one.bytes_alone() < 1 << 20, "{one:?}");
        let mut both = Usage::default();
        both.add(&at("one"));
        both.add(&at("two"));
        assert!(both.bytes_alone() > 1 << 20);
        let mut two = Usage::default();
        two.add(&at("two"));
        one.absorb(&two);
        assert_eq!((one.bytes(), one.bytes_alone()), (both.bytes(), both.bytes_alone()));
        both.add(&at("missing"));
        assert_eq!(both.unreadable(), 0);
    }
}
