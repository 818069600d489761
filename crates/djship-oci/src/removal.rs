//! Images that go, and what those that stay need.

use djship_store::{Bucket, Digest, Store};

use crate::name::ImageName;
use crate::records::{ImageStore, RecordError};

/// How a user of the store notes that it runs an image.
const RUNS: &str = "image";

/// What became of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It lost this name, and has others.
    Untagged {
        /// The name.
        name: ImageName,
        /// The image.
        id: Digest,
    },
    /// Its record is gone with all its names. Layers stay until the store is swept.
    Whole {
        /// The names.
        names: Vec<ImageName>,
        /// The image.
        id: Digest,
    },
}

/// Why an image stays.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// A container runs on it.
    #[error("cannot remove the image `{wanted}`: a container runs on it")]
    InUse {
        /// What was asked for.
        wanted: String,
        /// Who runs it.
        by: Vec<RunningOn>,
    },
    /// Several names mean it.
    #[error("cannot remove the image `{wanted}`: it has {} names", names.len())]
    SeveralNames {
        /// What was asked for.
        wanted: String,
        /// The names.
        names: Vec<ImageName>,
    },
    /// The records cannot be read or changed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A process that runs a container on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningOn {
    /// The process.
    pub process: u32,
    /// The container's name.
    pub container: String,
}

impl ImageStore<'_> {
    /// Lets others know that this process runs a container on an image, until it ends.
    pub fn note_running(&self, id: &Digest, container: &str) -> Result<(), RecordError> {
        Ok(self.store().note_use(&format!("{RUNS} {} {container}", id.hex()))?)
    }

    /// Who runs a container on an image.
    pub fn running_on(&self, id: &Digest) -> Result<Vec<RunningOn>, RecordError> {
        let users = self.store().users()?.into_iter();
        Ok(users
            .flat_map(|user| {
                let containers: Vec<_> =
                    user.notes.iter().filter_map(|note| container_of(note, id)).collect();
                containers.into_iter().map(move |container| RunningOn { process: user.process, container })
            })
            .collect())
    }

    /// Takes away the name `wanted`, and the image with its last one; or the image of the id `wanted`, which has only one
    /// name unless `all_names` go.
    pub fn remove_image(&self, wanted: &str, all_names: bool) -> Result<Removed, RemovalError> {
        let (id, name) = self.resolve(wanted)?;
        let mut names: Vec<_> =
            self.list()?.into_iter().filter(|named| named.id == id).map(|named| named.name).collect();
        if let Some(name) = name {
            if names.iter().any(|other| *other != name) {
                self.remove(&name)?;
                return Ok(Removed::Untagged { name, id });
            }
            names = vec![name];
        }
        if names.len() > 1 && !all_names {
            return Err(RemovalError::SeveralNames { wanted: wanted.to_owned(), names });
        }
        let by = self.running_on(&id)?;
        if !by.is_empty() {
            return Err(RemovalError::InUse { wanted: wanted.to_owned(), by });
        }
        for name in &names {
            self.remove(name)?;
        }
        if names.is_empty() {
            // One that a build of the same name has put in the shade.
            self.store().remove(Bucket::Images, &id).map_err(RecordError::from)?;
        }
        Ok(Removed::Whole { names, id })
    }

    /// The entries of the store that the images with names need.
    pub fn needed(&self) -> Result<Vec<(Bucket, Digest)>, RecordError> {
        let mut needed = Vec::new();
        for id in self.named_ids()? {
            needed.push((Bucket::Images, id));
            // One whose record cannot be read can be neither run nor mended.
            let layers = self.layer_folders(&id).unwrap_or_default();
            needed.extend(layers.iter().filter_map(|folder| Store::parse_entry_name(folder)));
        }
        Ok(needed)
    }
}

fn container_of(note: &str, id: &Digest) -> Option<String> {
    let mut words = note.splitn(3, ' ');
    let runs = words.next() == Some(RUNS) && words.next() == Some(id.hex().as_str());
    runs.then(|| words.next().unwrap_or_default().to_owned())
}
