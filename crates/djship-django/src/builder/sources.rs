//! What the installer sees of the project.

use std::path::Path;

use super::BuilderError;
use crate::application::Snapshot;
use crate::laid::Key;
use crate::plan::Plan;
use crate::tools::Tools;

/// What the installer sees of the project: the files that name the dependencies as they were read for the key, or, when
/// something is installed from the project itself, all that ships. No other file of the project, because packages' own
/// programs run beside it and have the network.
pub(super) enum Sources<'a> {
    Files(Vec<(String, String)>),
    Project(&'a Snapshot),
}

impl<'a> Sources<'a> {
    pub(super) fn of(plan: &Plan, snapshot: &'a Snapshot) -> Result<Self, BuilderError> {
        if plan.dependencies.value.local() {
            return Ok(Self::Project(snapshot));
        }
        let mut files = Vec::new();
        for file in plan.dependencies.value.files() {
            // As UTF-8, whatever the file's own encoding is.
            let text = plan.project.read(&file)?.unwrap_or_default();
            files.push((file, text));
        }
        Ok(Self::Files(files))
    }

    pub(super) fn add_to(&self, key: Key) -> Key {
        match self {
            Self::Files(files) => files.iter().fold(key, |key, (file, text)| key.part(file).part(text)),
            Self::Project(snapshot) => key.part(snapshot.tree.digest().as_bytes()),
        }
    }

    pub(super) fn write(&self, folder: &Path, tools: &Tools<'_>) -> Result<(), BuilderError> {
        match self {
            Self::Files(files) => {
                fs_err::create_dir_all(folder)?;
                for (file, text) in files {
                    let path = folder.join(file);
                    if let Some(parent) = path.parent() {
                        fs_err::create_dir_all(parent)?;
                    }
                    fs_err::write(path, text)?;
                }
                Ok(())
            }
            Self::Project(snapshot) => {
                let owner = tools.host.owner.map(|owner| (owner.uid, owner.gid));
                snapshot.copy_to(folder, owner).map_err(|error| std::io::Error::other(error).into())
            }
        }
    }
}
