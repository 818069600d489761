//! Which image a name meant, and when that was asked. A tag is asked about as seldom as Debian's indexes are.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use djship_oci::registry::Reference;
use djship_store::{Digest, Store, atomic};

use crate::base::FRESH;
use crate::laid::Key;

/// The last answer.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(super) struct Meaning {
    /// The manifest for the processor.
    pub(super) digest: Digest,
    /// When it was given, in seconds since 1970.
    asked: u64,
}

impl Meaning {
    pub(super) fn recall(store: &Store, name: &Reference) -> Option<Self> {
        serde_json::from_slice(&fs_err::read(file(store, name)).ok()?).ok()
    }

    /// Whether nobody has to be asked again.
    pub(super) fn is_fresh(&self) -> bool {
        // What is from the future was written by another clock.
        now().checked_sub(self.asked).is_some_and(|age| age < FRESH.as_secs())
    }

    pub(super) fn remember(store: &Store, name: &Reference, digest: Digest) -> Result<(), std::io::Error> {
        let text = serde_json::to_vec(&Self { digest, asked: now() }).map_err(std::io::Error::other)?;
        let path = file(store, name);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        atomic::write(&path, &text)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn file(store: &Store, name: &Reference) -> PathBuf {
    let key = Key::new("base image, form 1").part(name.to_string()).digest();
    store.root().join("last").join(format!("base-{}.json", &key.hex()[..16]))
}
