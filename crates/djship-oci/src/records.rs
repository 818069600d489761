//! The images that the store knows by name.
//!
//! ```text
//! images-v1/<hex of the image id>/config.json    the image config as it is hashed
//! images-v1/<hex of the image id>/image.json     the folders of its layers, relative to the store
//! images-v1/names/<hex>.json                     one name and the image that it means, by the digest of the name
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use djship_store::saved::LoadError;
use djship_store::{Bucket, Digest, FileTree, Store, StoreError, atomic};

use crate::config::{ImageConfig, Platform};
use crate::image::{Image, ImageError, read_config, to_json};
use crate::layer::Layer;
use crate::name::ImageName;

/// The shortest prefix of an id that stands for an image.
const SHORTEST_PREFIX: usize = 4;
const CONFIG: &str = "config.json";
const RECORD: &str = "image.json";

/// Image records that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Nothing has this name or id.
    #[error("cannot find the image `{wanted}`: no image has this name or id")]
    Unknown {
        /// What was asked for.
        wanted: String,
    },
    /// Several ids begin like that.
    #[error("cannot find the image `{wanted}`: {count} ids begin with it")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many.
        count: usize,
    },
    /// A layer was removed from the store.
    #[error("cannot use the image {id}: its layer {diff_id} is no longer in the store")]
    LayerGone {
        /// The image.
        id: Digest,
        /// The layer.
        diff_id: Digest,
    },
    /// A layer is not in this store.
    #[error("cannot record the image {id}: the layer in `{}` is not in the store", folder.display())]
    LayerElsewhere {
        /// The image.
        id: Digest,
        /// Where the layer is.
        folder: PathBuf,
    },
    /// A record is not what it should be.
    #[error("cannot read the image record `{}`: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        source: serde_json::Error,
    },
    /// A record cannot be written or read.
    #[error("cannot {verb} the image record `{}`: {source}", path.display())]
    Io {
        /// What was attempted.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The config does not fit.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer's tree cannot be read.
    #[error(transparent)]
    Tree(#[from] LoadError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RecordError {
    fn io(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { verb, path: path.to_owned(), source }
    }
}

/// Image records in a store.
#[derive(Debug)]
pub struct ImageStore<'store> {
    store: &'store Store,
}

/// An image as it is recorded: enough to run it.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// Digest of the config.
    pub id: Digest,
    /// The config as it is hashed.
    pub config_bytes: Vec<u8>,
    /// How to run it.
    pub config: ImageConfig,
    /// What it runs on.
    pub platform: Platform,
    /// The layers, lowest first.
    pub layers: Vec<StoredLayer>,
}

/// A layer as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// Digest of the uncompressed tar stream.
    pub diff_id: Digest,
    /// Its length in bytes.
    pub tar_size: u64,
    /// The laid-out tree on this machine.
    pub folder: PathBuf,
}

/// A name and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The name.
    pub name: ImageName,
    /// The image that it means.
    pub id: Digest,
    /// When it was given.
    pub named: SystemTime,
    /// Bytes of all layers as tar.
    pub tar_size: u64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    layers: Vec<RecordedLayer>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct RecordedLayer {
    diff_id: Digest,
    tar_size: u64,
    /// Relative to the store's root, which may move.
    folder: String,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct NameRecord {
    name: String,
    id: Digest,
}

impl<'store> ImageStore<'store> {
    /// The records in `store`.
    pub fn new(store: &'store Store) -> Self {
        Self { store }
    }

    pub(crate) fn store(&self) -> &'store Store {
        self.store
    }

    /// Records `image`, and lets `names` mean it from now on. Its layers must be in the same store.
    pub fn save(&self, image: &Image, names: &[ImageName]) -> Result<(), RecordError> {
        let record = self.record_of(image)?;
        let _lock = self.lock_names()?;
        // A record whose layers were pruned is made again.
        if self.store.find(Bucket::Images, &image.id).is_some() && self.load(&image.id).is_err() {
            self.store.remove(Bucket::Images, &image.id)?;
        }
        self.store.insert_dir(Bucket::Images, &image.id, |work| {
            let write = |name: &str, bytes: &[u8]| {
                let path = work.join(name);
                fs_err::write(&path, bytes).map_err(RecordError::io("write", &path))
            };
            write(CONFIG, &image.config_bytes)?;
            write(RECORD, &to_json(&record))
        })?;
        for name in names {
            let path = self.name_path(name)?;
            let text = to_json(&NameRecord { name: name.to_string(), id: image.id });
            atomic::write(&path, &text).map_err(RecordError::io("write", &path))?;
        }
        Ok(())
    }

    /// The image that `wanted` means: a name, with or without a tag, or the first digits of an id.
    pub fn find(&self, wanted: &str) -> Result<StoredImage, RecordError> {
        self.load(&self.resolve(wanted)?.0)
    }

    /// The id that `wanted` means, and the name if it is one.
    pub(crate) fn resolve(&self, wanted: &str) -> Result<(Digest, Option<ImageName>), RecordError> {
        if let Ok(name) = wanted.parse::<ImageName>()
            && let Some(record) = read_name(&self.name_path(&name)?)?
        {
            return Ok((record.id, Some(name)));
        }
        let unknown = || RecordError::Unknown { wanted: wanted.to_owned() };
        let prefix = wanted.strip_prefix("sha256:").unwrap_or(wanted).to_ascii_lowercase();
        if prefix.len() < SHORTEST_PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let ids = self.ids()?;
        let mut matching = ids.iter().filter(|id| id.hex().starts_with(&prefix));
        let id = matching.next().ok_or_else(unknown)?;
        match matching.count() {
            0 => Ok((*id, None)),
            more => Err(RecordError::Ambiguous { wanted: wanted.to_owned(), count: more + 1 }),
        }
    }

    /// The image with this id.
    pub fn load(&self, id: &Digest) -> Result<StoredImage, RecordError> {
        let folder = self
            .store
            .find(Bucket::Images, id)
            .ok_or_else(|| RecordError::Unknown { wanted: id.to_string() })?;
        let path = folder.join(CONFIG);
        let config_bytes = fs_err::read(&path).map_err(RecordError::io("read", &path))?;
        let file = read_config(&config_bytes)?;
        let layers = read_record(&folder)?.layers.into_iter().map(|layer| {
            // Found as an entry, so that nobody sweeps it while this image is used.
            let entry = Store::parse_entry_name(&layer.folder);
            let folder = entry.and_then(|(bucket, key)| self.store.find(bucket, &key));
            let gone = || RecordError::LayerGone { id: *id, diff_id: layer.diff_id };
            let folder = folder.ok_or_else(gone)?;
            Ok::<_, RecordError>(StoredLayer { diff_id: layer.diff_id, tar_size: layer.tar_size, folder })
        });
        Ok(StoredImage {
            id: *id,
            layers: layers.collect::<Result<_, _>>()?,
            config_bytes,
            config: file.config.into(),
            platform: Platform { os: file.os, architecture: file.architecture, variant: file.variant },
        })
    }

    /// Every name, sorted.
    pub fn list(&self) -> Result<Vec<NamedImage>, RecordError> {
        let mut images = Vec::new();
        for (path, record) in self.names()? {
            // A name may have outlived its image in a crash.
            let Some(folder) = self.store.find(Bucket::Images, &record.id) else { continue };
            let Ok(name) = record.name.parse() else { continue };
            let named = fs_err::metadata(&path).and_then(|metadata| metadata.modified());
            images.push(NamedImage {
                name,
                id: record.id,
                named: named.map_err(RecordError::io("read", &path))?,
                tar_size: read_record(&folder)?.layers.iter().map(|layer| layer.tar_size).sum(),
            });
        }
        images.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(images)
    }

    /// Takes `name` away, and the image's record with its last name; returns whether there was such a name. Layers stay
    /// until the store is pruned.
    pub fn remove(&self, name: &ImageName) -> Result<bool, RecordError> {
        let _lock = self.lock_names()?;
        let path = self.name_path(name)?;
        let Some(NameRecord { id, .. }) = read_name(&path)? else { return Ok(false) };
        fs_err::remove_file(&path).map_err(RecordError::io("remove", &path))?;
        if !self.names()?.iter().any(|(_, record)| record.id == id) {
            self.store.remove(Bucket::Images, &id)?;
        }
        Ok(true)
    }

    /// The images that a name means.
    pub(crate) fn named_ids(&self) -> Result<Vec<Digest>, RecordError> {
        Ok(self.names()?.into_iter().map(|(_, record)| record.id).collect())
    }

    /// The folders of an image's layers, relative to the store.
    pub(crate) fn layer_folders(&self, id: &Digest) -> Result<Vec<String>, RecordError> {
        let folder = self.store.root().join(Store::entry_name(Bucket::Images, id));
        Ok(read_record(&folder)?.layers.into_iter().map(|layer| layer.folder).collect())
    }

    /// Held while names are given or taken: an image must not lose its last one while it gets another.
    fn lock_names(&self) -> Result<djship_store::Lock, RecordError> {
        Ok(self.store.lock("image-names")?)
    }

    fn record_of(&self, image: &Image) -> Result<Record, RecordError> {
        let layers = image.layers.iter().map(|layer| {
            let elsewhere = || RecordError::LayerElsewhere { id: image.id, folder: layer.folder.clone() };
            let folder = layer.folder.strip_prefix(self.store.root()).ok().and_then(Path::to_str);
            let folder = folder.ok_or_else(elsewhere)?.to_owned();
            Ok(RecordedLayer { diff_id: layer.diff_id, tar_size: layer.tar_size, folder })
        });
        Ok(Record { layers: layers.collect::<Result<_, RecordError>>()? })
    }

    fn ids(&self) -> Result<Vec<Digest>, RecordError> {
        let folder = self.store.bucket_dir(Bucket::Images)?;
        let entries = list_folder(&folder)?;
        Ok(entries.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect())
    }

    fn names(&self) -> Result<Vec<(PathBuf, NameRecord)>, RecordError> {
        let mut names = Vec::new();
        for path in list_folder(&self.names_dir()?)? {
            // Temporary files of a name that is being given begin with a dot.
            let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !is_hidden && let Some(record) = read_name(&path)? {
                names.push((path, record));
            }
        }
        Ok(names)
    }

    fn names_dir(&self) -> Result<PathBuf, RecordError> {
        let path = self.store.bucket_dir(Bucket::Images)?.join("names");
        fs_err::create_dir_all(&path).map_err(RecordError::io("make", &path))?;
        Ok(path)
    }

    fn name_path(&self, name: &ImageName) -> Result<PathBuf, RecordError> {
        let file = format!("{}.json", Digest::of(name.canonical().as_bytes()).hex());
        Ok(self.names_dir()?.join(file))
    }
}

impl StoredImage {
    /// The image with the trees of its layers, to be written somewhere.
    pub fn open(self) -> Result<Image, RecordError> {
        let layers = self.layers.into_iter().map(|layer| {
            let StoredLayer { diff_id, tar_size, folder } = layer;
            Ok(Layer { diff_id, tar_size, tree: FileTree::load(&folder)?, folder })
        });
        let layers = layers.collect::<Result<_, RecordError>>()?;
        Ok(Image::from_config_bytes(self.config_bytes, layers)?)
    }
}

fn read_record(folder: &Path) -> Result<Record, RecordError> {
    let path = folder.join(RECORD);
    let text = fs_err::read(&path).map_err(RecordError::io("read", &path))?;
    serde_json::from_slice(&text).map_err(|source| RecordError::Malformed { path, source })
}

fn list_folder(folder: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let entries = fs_err::read_dir(folder).map_err(RecordError::io("read", folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(RecordError::io("read", folder))
}

fn read_name(path: &Path) -> Result<Option<NameRecord>, RecordError> {
    match fs_err::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RecordError::io("read", path)(source)),
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| RecordError::Malformed { path: path.to_owned(), source }),
    }
}
