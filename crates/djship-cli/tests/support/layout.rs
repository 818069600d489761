//! An OCI layout, read without any of djship's own code.
//!
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// No layer of a test is larger, unpacked.
const LARGEST_LAYER: u64 = 1 << 30;

/// The one image of a layout.
#[derive(Debug)]
pub(crate) struct Layout {
    folder: PathBuf,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// The digest of the configuration: the image's id.
    pub(crate) id: String,
}

/// A file of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) kind: tar::EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
    pub(crate) target: Option<String>,
    pub(crate) content: Vec<u8>,
}

impl Layout {
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let index: Value = serde_json::from_slice(&fs_err::read(folder.join("index.json"))?)?;
        let manifests = index["manifests"].as_array().context("the index has no manifests")?;
        ensure!(manifests.len() == 1, "the index has {} manifests", manifests.len());
        let manifest: Value = serde_json::from_slice(&blob(folder, &manifests[0]["digest"])?)?;
        let config: Value = serde_json::from_slice(&blob(folder, &manifest["config"]["digest"])?)?;
        let id = text(&manifest["config"]["digest"])?.to_owned();
        Ok(Self { folder: folder.to_owned(), manifest, config, id })
    }

    /// The digests of the layers, unpacked.
    pub(crate) fn diff_ids(&self) -> Result<Vec<String>> {
        let ids = self.config["rootfs"]["diff_ids"].as_array().context("the image has no layers")?;
        ids.iter().map(|id| Ok(text(id)?.to_owned())).collect()
    }

    /// Every layer as a tar stream, each checked against its two digests.
    pub(crate) fn layers(&self) -> Result<Vec<Vec<u8>>> {
        let layers = self.manifest["layers"].as_array().context("the manifest has no layers")?;
        let ids = self.diff_ids()?;
        ensure!(layers.len() == ids.len(), "{} layers have {} digests", layers.len(), ids.len());
        let mut streams = Vec::new();
        for (layer, id) in layers.iter().zip(&ids) {
            let packed = blob(&self.folder, &layer["digest"])?;
            ensure!(layer["size"] == packed.len(), "the size of {layer} is {}", packed.len());
            let mut stream = Vec::new();
            GzDecoder::new(packed.as_slice()).take(LARGEST_LAYER).read_to_end(&mut stream)?;
            ensure!(digest(&stream) == *id, "a layer's content has not the digest {id}");
            streams.push(stream);
        }
        Ok(streams)
    }

    /// The files of each layer.
    pub(crate) fn files(&self) -> Result<Vec<Vec<File>>> {
        self.layers()?.iter().map(|stream| files(stream)).collect()
    }

    /// Everything that is no layer: the manifest and the configuration as text.
    pub(crate) fn records(&self) -> String {
        format!("{}\n{}", self.manifest, self.config)
    }
}

/// The files in a tar stream, in order.
pub(crate) fn files(stream: &[u8]) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(stream).entries()? {
        let mut entry = entry?;
        let header = entry.header().clone();
        let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
        let path = entry.path()?.to_string_lossy().trim_end_matches('/').to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push(File {
            path,
            kind: header.entry_type(),
            mode: header.mode()?,
            owner: (header.uid()?, header.gid()?),
            mtime: header.mtime()?,
            target,
            content,
        });
    }
    Ok(files)
}

/// Where two images differ, for people; empty when they are the same.
pub(crate) fn difference(left: &Layout, right: &Layout) -> Result<String> {
    let mut lines = String::new();
    if left.config != right.config {
        writeln!(lines, "configuration:\n  {}\n  {}", left.config, right.config)?;
    }
    for (number, (left, right)) in left.files()?.iter().zip(right.files()?.iter()).enumerate() {
        let by_path = |files: &[File]| -> BTreeMap<String, String> {
            files.iter().map(|file| (file.path.clone(), describe(file))).collect()
        };
        let (left, right) = (by_path(left), by_path(right));
        for path in left.keys().chain(right.keys().filter(|path| !left.contains_key(*path))) {
            if left.get(path) != right.get(path) {
                writeln!(lines, "layer {number}: {path}: {:?} -> {:?}", left.get(path), right.get(path))?;
            }
        }
    }
    Ok(lines.lines().take(40).collect::<Vec<_>>().join("\n"))
}

fn describe(file: &File) -> String {
    let File { kind, mode, owner, mtime, target, content, .. } = file;
    format!("{kind:?} {mode:o} {owner:?} {mtime} {target:?} {} bytes {}", content.len(), digest(content))
}

fn blob(folder: &Path, name: &Value) -> Result<Vec<u8>> {
    let name = text(name)?;
    let hex = name.strip_prefix("sha256:").context("not a SHA-256 digest")?;
    let content = fs_err::read(folder.join("blobs/sha256").join(hex))?;
    ensure!(digest(&content) == name, "the blob {name} has another content");
    Ok(content)
}

fn digest(content: &[u8]) -> String {
    let hex = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256:{hex}")
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
