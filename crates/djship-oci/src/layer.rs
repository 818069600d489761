//! A layer: a tree whose bytes lie in a folder, and the digest of its tar stream.
//!
//! Layers are kept as folders and not as archives: containers mount the folder, and an archive is only written when an
//! image leaves the machine. The diff id is therefore computed once and kept under the digest of the tree.

use std::io;
use std::path::{Path, PathBuf};

use djship_store::lay_out::{How, LayOutError};
use djship_store::saved::{BYTES, LoadError, SaveError};
use djship_store::{Bucket, Digest, DigestWriter, FileTree, Store, StoreError};

use crate::tar::{self, TarError};

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed tar stream: the layer's identity in an image config.
    pub diff_id: Digest,
    /// Length of the uncompressed tar stream in bytes.
    pub tar_size: u64,
    /// The entries, with their bytes in `folder/fs`.
    pub tree: FileTree,
    /// The laid-out tree: `fs/` to be mounted, and `tree.json`.
    pub folder: PathBuf,
}

/// A layer that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree cannot be laid out.
    #[error(transparent)]
    LayOut(#[from] LayOutError),
    /// The laid-out tree cannot be saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A kept tree cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The tar stream cannot be made.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// What is known about a layer cannot be read.
    #[error("cannot read the layer facts in `{}`: {source}", path.display())]
    Facts {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Bytes in the store are not what they were.
    #[error("cannot use the layer in `{}`: its content changed (diff id {found}, it was {expected})", folder.display())]
    Changed {
        /// The laid-out tree.
        folder: PathBuf,
        /// The diff id as it was.
        expected: Digest,
        /// The diff id as it is now.
        found: Digest,
    },
}

/// What is kept about a tree's tar stream.
#[derive(serde::Serialize, serde::Deserialize)]
struct Facts {
    diff_id: Digest,
    tar_size: u64,
}

impl Layer {
    /// Lays `tree` out in the store (once per content) and computes its diff id (once per content).
    pub fn keep(store: &Store, tree: &FileTree) -> Result<Self, LayerError> {
        let key = tree.digest();
        let folder = store.insert_dir(Bucket::Layers, &key, |work| {
            let bytes = work.join(BYTES);
            tree.lay_out(&bytes, How::Link)?;
            tree.clone().laid_out_in(&bytes).save(work)?;
            Ok::<_, LayerError>(())
        })?;
        let tree = tree.clone().laid_out_in(&folder.join(BYTES));
        Self::describe(store, &key, tree, folder)
    }

    /// A layer of a tree that is laid out already, in `folder/fs`, and saved beside it.
    pub fn in_folder(store: &Store, folder: &Path) -> Result<Self, LayerError> {
        let tree = FileTree::load(folder)?;
        Self::describe(store, &tree.digest(), tree, folder.to_owned())
    }

    /// The layer that [`Layer::keep`] made of a tree with the digest `key`, if it is there.
    pub fn find(store: &Store, key: &Digest) -> Result<Option<Self>, LayerError> {
        let Some(folder) = store.find(Bucket::Layers, key) else { return Ok(None) };
        let tree = FileTree::load(&folder)?;
        Self::describe(store, key, tree, folder).map(Some)
    }

    /// The folder that containers mount.
    pub fn bytes_dir(&self) -> PathBuf {
        self.folder.join(BYTES)
    }

    /// Writes the uncompressed tar stream, and checks that it still is what the diff id says.
    pub fn write_tar(&self, to: &mut dyn io::Write) -> Result<(), LayerError> {
        let mut to = DigestWriter::new(to);
        tar::write_tree(&self.tree, &mut to)?;
        let (found, _, _) = to.finish();
        if found == self.diff_id {
            return Ok(());
        }
        Err(LayerError::Changed { folder: self.folder.clone(), expected: self.diff_id, found })
    }

    fn describe(store: &Store, key: &Digest, tree: FileTree, folder: PathBuf) -> Result<Self, LayerError> {
        let facts_key = Digest::of(format!("layer tar, form 1, of tree {key}").as_bytes());
        let path = store.insert_file(Bucket::Facts, &facts_key, |writer| {
            let mut sink = DigestWriter::new(io::sink());
            tar::write_tree(&tree, &mut sink)?;
            let (diff_id, tar_size, _) = sink.finish();
            let facts = Facts { diff_id, tar_size };
            serde_json::to_writer(writer, &facts)
                .map_err(|error| LayerError::Facts { path: folder.clone(), source: error.into() })
        })?;
        let failed = |source| LayerError::Facts { path: path.clone(), source };
        let text = fs_err::read(&path).map_err(failed)?;
        let Facts { diff_id, tar_size } =
            serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        Ok(Self { diff_id, tar_size, tree, folder })
    }
}
