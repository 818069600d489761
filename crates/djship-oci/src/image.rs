//! An image: layers, and the config whose digest is the image's id.

use djship_store::tree::EPOCH;
use djship_store::{Digest, Store};

use crate::compress::{Compression, LayerBlob};
use crate::config::{ImageConfig, Platform};
use crate::layer::{Layer, LayerError};
use crate::name::ImageName;
use crate::time::rfc3339;
use crate::wire::{self, ConfigFile, Descriptor, History, Index, Manifest, RootFs, WirePlatform};

/// A layer with what the history says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// The layer.
    pub layer: Layer,
    /// What made it, in words that hold nothing of the machine and no secret.
    pub made_by: String,
}

/// A complete image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of the config.
    pub id: Digest,
    /// The config as it is hashed.
    pub config_bytes: Vec<u8>,
    /// How to run it.
    pub config: ImageConfig,
    /// What it runs on.
    pub platform: Platform,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// Config bytes that do not fit an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not an image config.
    #[error("cannot read the image config {id}: {source}")]
    Malformed {
        /// The digest of the bytes.
        id: Digest,
        /// What is wrong where.
        source: serde_json::Error,
    },
    /// The config names other layers.
    #[error("cannot read the image config {id}: it names other layers than those that are here")]
    OtherLayers {
        /// The digest of the bytes.
        id: Digest,
    },
}

impl Image {
    /// An image of these layers, lowest first. The time of making is the tree's usual one: an image is not younger
    /// because it was built later.
    pub fn from_layers(layers: Vec<LayerEntry>, config: ImageConfig, platform: Platform) -> Self {
        let created = rfc3339(EPOCH);
        let history = layers.iter().map(|entry| History {
            created: Some(created.clone()),
            created_by: Some(entry.made_by.clone()),
            comment: None,
            empty_layer: false,
        });
        let file = ConfigFile {
            created: Some(created.clone()),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            config: (&config).into(),
            history: history.collect(),
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: layers.iter().map(|entry| entry.layer.diff_id).collect(),
            },
        };
        let config_bytes = to_json(&file);
        let layers = layers.into_iter().map(|entry| entry.layer).collect();
        Self { id: Digest::of(&config_bytes), config_bytes, config, platform, layers }
    }

    /// An image from a config as it was written, by djship or by somebody else, and its layers, lowest first.
    pub fn from_config_bytes(config_bytes: Vec<u8>, layers: Vec<Layer>) -> Result<Self, ImageError> {
        let file = read_config(&config_bytes)?;
        let id = Digest::of(&config_bytes);
        if !file.rootfs.diff_ids.iter().eq(layers.iter().map(|layer| &layer.diff_id)) {
            return Err(ImageError::OtherLayers { id });
        }
        let platform = Platform { os: file.os, architecture: file.architecture, variant: file.variant };
        Ok(Self { id, config_bytes, config: file.config.into(), platform, layers })
    }

    /// Bytes of all layers as tar.
    pub fn tar_size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.tar_size).sum()
    }

    /// The blobs and documents that represent this image outside the store.
    pub fn bundle(&self, compression: Compression, store: &Store) -> Result<Bundle<'_>, LayerError> {
        let layers = self.layers.iter().map(|layer| LayerBlob::of(layer, compression, store));
        let layers: Vec<_> = layers.collect::<Result<_, _>>()?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: wire::MANIFEST.to_owned(),
            config: Descriptor::of(wire::CONFIG, &self.config_bytes),
            layers: layers.iter().map(|blob| blob.descriptor.clone()).collect(),
        };
        Ok(Bundle { image: self, manifest_bytes: to_json(&manifest), manifest, layers })
    }
}

/// An image on its way out: what a layout, an archive and a registry hold.
#[derive(Debug)]
pub struct Bundle<'image> {
    /// The image.
    pub image: &'image Image,
    /// The manifest.
    pub manifest: Manifest,
    /// The manifest as it is hashed.
    pub manifest_bytes: Vec<u8>,
    /// The layers' blobs, lowest first.
    pub layers: Vec<LayerBlob<'image>>,
}

impl Bundle<'_> {
    /// The digest that a registry knows the image by.
    pub fn manifest_digest(&self) -> Digest {
        Digest::of(&self.manifest_bytes)
    }

    /// `index.json` of a layout that holds this image under `names`.
    pub fn index_bytes(&self, names: &[ImageName]) -> Vec<u8> {
        let mut plain = Descriptor::of(wire::MANIFEST, &self.manifest_bytes);
        plain.platform = Some(WirePlatform::from(&self.image.platform));
        let mut manifests: Vec<_> = names
            .iter()
            .map(|name| {
                let mut line = plain.clone();
                line.annotations.insert(REF_NAME.to_owned(), name.tag().to_owned());
                line.annotations.insert(CONTAINERD_NAME.to_owned(), name.canonical());
                line
            })
            .collect();
        if manifests.is_empty() {
            manifests.push(plain);
        }
        to_json(&Index {
            schema_version: 2,
            media_type: wire::INDEX.to_owned(),
            manifests,
            annotations: [(WRITER.to_owned(), "djship".to_owned())].into(),
        })
    }
}

/// The tag of an image in a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, where containerd and Docker's containerd store look for it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Marks a layout as ours, so that it may be replaced.
pub(crate) const WRITER: &str = "djship.layout.writer";

/// The parsed image config.
pub fn read_config(bytes: &[u8]) -> Result<ConfigFile, ImageError> {
    serde_json::from_slice(bytes).map_err(|source| ImageError::Malformed { id: Digest::of(bytes), source })
}

/// Compact JSON of values that cannot fail to be JSON: strings, numbers, and maps with string keys.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
