//! The JSON of image configs, manifests and indexes, as the OCI image specification 1.1 and Docker have it. Fields in
//! a fixed order, maps sorted, no spaces: equal values have equal bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use djship_store::Digest;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{Healthcheck, ImageConfig, Platform};

/// An index of manifests.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer, plain.
pub const LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer, gzip.
pub const LAYER_TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A pointer to a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on; only in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<WirePlatform>,
}

impl Descriptor {
    /// A pointer without annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, annotations: BTreeMap::new(), platform: None }
    }

    /// A pointer to `bytes`.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}

/// A platform as an index has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePlatform {
    /// Processor.
    pub architecture: String,
    /// System.
    pub os: String,
    /// Kind of processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl From<&Platform> for WirePlatform {
    fn from(platform: &Platform) -> Self {
        let Platform { os, architecture, variant } = platform.clone();
        Self { architecture, os, variant }
    }
}

/// An index of manifests, the entry of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`INDEX`].
    #[serde(default)]
    pub media_type: String,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Free text by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest: the config and the layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`MANIFEST`].
    #[serde(default)]
    pub media_type: String,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// The whole image config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// When the image was made, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Processor.
    pub architecture: String,
    /// Kind of processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// System.
    pub os: String,
    /// How to run it.
    #[serde(default)]
    pub config: RunConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// How the layers were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub history: Vec<History>,
}

/// The layers by diff id, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tar streams.
    pub diff_ids: Vec<Digest>,
}

/// How one layer was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether there is no layer for this line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// A set, spelled as an object of empty objects.
type Set = BTreeMap<String, BTreeMap<String, String>>;

/// The `config` of an image config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_empty")]
    user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    exposed_ports: Set,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<WireHealthcheck>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    volumes: Set,
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null_is_empty")]
    working_dir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
}

/// Times in nanoseconds, 0 meaning the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct WireHealthcheck {
    #[serde(deserialize_with = "null_is_empty")]
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    start_period: u64,
    retries: u32,
}

/// Docker writes `null` for what is empty.
fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl From<&ImageConfig> for RunConfig {
    fn from(config: &ImageConfig) -> Self {
        let set = |names: &std::collections::BTreeSet<String>| {
            names.iter().map(|name| (name.clone(), BTreeMap::new())).collect()
        };
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            user: config.user.clone(),
            exposed_ports: set(&config.exposed_ports),
            env: config.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: config.entrypoint.clone(),
            cmd: config.command.clone(),
            healthcheck: config.healthcheck.as_ref().map(|check| WireHealthcheck {
                test: check.test.clone(),
                interval: nanoseconds(check.interval),
                timeout: nanoseconds(check.timeout),
                start_period: nanoseconds(check.start_period),
                retries: check.retries,
            }),
            volumes: set(&config.volumes),
            working_dir: config.working_dir.clone(),
            labels: config.labels.clone(),
            stop_signal: config.stop_signal.clone(),
        }
    }
}

impl From<RunConfig> for ImageConfig {
    fn from(wire: RunConfig) -> Self {
        let variable = |text: String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text, String::new()),
        };
        Self {
            user: wire.user,
            env: wire.env.into_iter().map(variable).collect(),
            entrypoint: wire.entrypoint,
            command: wire.cmd,
            working_dir: wire.working_dir,
            volumes: wire.volumes.into_keys().collect(),
            exposed_ports: wire.exposed_ports.into_keys().collect(),
            stop_signal: wire.stop_signal,
            labels: wire.labels,
            healthcheck: wire.healthcheck.map(|check| Healthcheck {
                test: check.test,
                interval: Duration::from_nanos(check.interval),
                timeout: Duration::from_nanos(check.timeout),
                start_period: Duration::from_nanos(check.start_period),
                retries: check.retries,
            }),
        }
    }
}
