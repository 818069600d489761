//! Trees laid out in the store: a folder `fs/` that containers mount, beside its `tree.json`.

use std::path::{Path, PathBuf};

use djship_store::lay_out::LayOutError;
use djship_store::saved::{BYTES, LoadError, SaveError};
use djship_store::scan::ScanError;
use djship_store::{Bucket, Digest, FileTree, How, Store, StoreError};

/// A tree in the store.
#[derive(Debug, Clone)]
pub struct Laid {
    /// The tree; its bytes lie in [`Laid::fs`].
    pub tree: FileTree,
    /// The folder of the entry.
    pub folder: PathBuf,
}

/// A tree that cannot be kept or read again.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Laying out failed.
    #[error(transparent)]
    LayOut(#[from] LayOutError),
    /// Saving failed.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// Loading failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Reading a folder failed.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Another file operation failed.
    #[error("cannot prepare a tree")]
    Io(#[from] std::io::Error),
}

impl Laid {
    /// Where the files are on this machine.
    pub fn fs(&self) -> PathBuf {
        self.folder.join(BYTES)
    }

    /// The tree kept under `key`, if it is there.
    pub fn find(store: &Store, bucket: Bucket, key: &Digest) -> Result<Option<Self>, KeepError> {
        store.find(bucket, key).map(|folder| Self::load(&folder)).transpose()
    }

    /// The tree in `folder`.
    pub fn load(folder: &Path) -> Result<Self, KeepError> {
        Ok(Self { tree: FileTree::load(folder)?, folder: folder.to_owned() })
    }

    /// Keeps `tree` under `key`; `also` may write further files beside it.
    pub fn keep(
        store: &Store,
        bucket: Bucket,
        key: &Digest,
        tree: &FileTree,
        also: impl FnOnce(&Path) -> Result<(), KeepError>,
    ) -> Result<Self, KeepError> {
        let folder = store.insert_dir(bucket, key, |work| {
            let fs = work.join(BYTES);
            tree.lay_out(&fs, How::Link)?;
            tree.clone().laid_out_in(&fs).save(work)?;
            also(work)
        })?;
        Ok(Self { tree: tree.clone().laid_out_in(&folder.join(BYTES)), folder })
    }
}

/// A key made of named parts: each part with its length, so that no two lists of parts meet.
#[derive(Debug)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of one kind; the kind carries a version that changes when what is made does.
    pub fn new(kind: &str) -> Self {
        Self(Vec::new()).part(kind)
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// The digest of all parts.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Key::new("k").part("ab").part("c").digest(), Key::new("k").part("a").part("bc").digest());
        assert_ne!(Key::new("k").part("").digest(), Key::new("k").digest());
    }
}
