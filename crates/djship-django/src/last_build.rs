//! What the last build of a project found out, for who asks without building.

use std::path::{Path, PathBuf};

use djship_store::{Digest, Store, StoreError, atomic};

use crate::application::commands::{Command, LeftOut};
use crate::application::layer::Serving;
use crate::build::Summary;
use crate::facts::Facts;
use crate::laid::Key;
use crate::stamp::now;
use crate::unchanged;

/// What a build found out.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct LastBuild {
    /// When it ended, in seconds since 1970.
    pub time: u64,
    /// The image in a few words.
    pub summary: Summary,
    /// What Django said, without the values that the user gave.
    pub facts: Facts,
    /// The commands of the image.
    pub commands: Vec<Command>,
    /// What is named somewhere and is no command.
    pub left_out: Vec<LeftOut>,
    /// Whether the files are as they were then; `None` when that cannot be told.
    #[serde(skip)]
    pub is_current: Option<bool>,
}

impl LastBuild {
    /// The last build of the project in `folder` (absolute, without links), by the store at `root`. Nothing is written, and no
    /// store is needed.
    pub fn find(root: &Path, folder: &Path) -> Option<Self> {
        let found: Self = serde_json::from_slice(&fs_err::read(file(root, folder)).ok()?).ok()?;
        Some(Self { is_current: unchanged::is_as_built(root, folder), ..found })
    }

    pub(crate) fn remember(
        store: &Store,
        folder: &Path,
        facts: &Facts,
        serving: &Serving,
        summary: &Summary,
    ) -> Result<(), StoreError> {
        let path = file(store.root(), folder);
        let failed = |source| StoreError::Io { verb: "remember", path: path.clone(), source };
        let build = Self {
            time: u64::try_from(now() / 1_000_000_000).unwrap_or_default(),
            summary: summary.clone(),
            facts: Facts { given: std::collections::BTreeMap::new(), ..facts.clone() },
            commands: serving.commands.clone(),
            left_out: serving.left_out.clone(),
            is_current: None,
        };
        let text = serde_json::to_vec(&build).map_err(std::io::Error::other).map_err(failed)?;
        atomic::write_quickly(&path, &text).map_err(failed)
    }

    /// The image's id.
    pub fn id(&self) -> &Digest {
        &self.summary.id
    }
}

fn file(root: &Path, folder: &Path) -> PathBuf {
    let key = Key::new("last build, form 1").part(folder.as_os_str().as_encoded_bytes()).digest();
    root.join("last").join(format!("said-{}.json", &key.hex()[..16]))
}
