//! What is known of a project's files from the last build: their digests, as long as the file system says that they
//! are the same files.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use djship_store::{Digest, Store, TreePath, atomic};

use crate::laid::Key;
use crate::stamp::{Stamp, now};

/// The digests of files by path.
pub(super) struct Known {
    file: PathBuf,
    before: HashMap<String, (Stamp, Digest)>,
    now: HashMap<String, (Stamp, Digest)>,
    time: i128,
    changed: bool,
}

impl Known {
    /// Reads what the last build remembered; nothing when it cannot be read.
    pub(super) fn load(project: &Path, store: &Store) -> Self {
        let key = Key::new("known files, form 1").part(project.as_os_str().as_encoded_bytes()).digest();
        let file = store.root().join("last").join(format!("files-{}.json", &key.hex()[..16]));
        let before =
            fs_err::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { file, before, now: HashMap::new(), time: now(), changed: false }
    }

    /// The digest of a file that is still the same.
    pub(super) fn digest(&mut self, path: &TreePath, stamp: &Stamp) -> Option<Digest> {
        let (known, digest) = self.before.get(path.as_str())?;
        if known != stamp {
            return None;
        }
        self.now.insert(path.as_str().to_owned(), (*known, *digest));
        Some(*digest)
    }

    /// Remembers a file that was read.
    pub(super) fn remember(&mut self, path: &TreePath, stamp: Stamp, digest: Digest) {
        if stamp.is_settled(self.time) {
            self.now.insert(path.as_str().to_owned(), (stamp, digest));
            self.changed = true;
        }
    }

    pub(super) fn save(self) -> io::Result<()> {
        if !self.changed && self.now.len() == self.before.len() {
            return Ok(());
        }
        if let Some(folder) = self.file.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let text = serde_json::to_vec(&self.now).map_err(io::Error::other)?;
        atomic::write_quickly(&self.file, &text)
    }
}
