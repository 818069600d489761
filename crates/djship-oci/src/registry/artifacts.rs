//! Artifacts: trees that one build made and another takes, in a repository, each under the digest of what it was made from.
//!
//! An artifact is a manifest with a tag `KIND-v1-KEY` and one or two blobs: a record in JSON, and the tree as a tar stream
//! packed with zstd. <https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage>
//!
//! A tag says which artifact is meant, and whoever may write the repository gives the tags. From there on every byte is
//! checked: blobs by the manifest, the tree's owners, modes, times, links and contents by the one digest in the record.

use std::io::{self, Write};
use std::path::Path;

use djship_store::fetch::{FetchError, Method, Progress};
use djship_store::saved::BYTES;
use djship_store::{Digest, DigestWriter, FileTree, Store, StoreError};

use super::error::{LayerArchiveError, RegistryError};
use super::push::{DIGEST, put_manifest};
use super::reference::Reference;
use super::session::{Call, Session};
use super::unpack::{Marks, place_all};
use super::upload::{Blob, Source, Way};
use super::{Client, answer, at_a_time};
use crate::layer::LayerError;
use crate::tar;
use crate::wire::{self, Descriptor};

/// What our artifacts are.
const ARTIFACT: &str = "application/vnd.djship.cached.v1";
/// The config of artifacts that need none: `{}`.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The record.
const RECORD: &str = "application/vnd.djship.cached.record.v1+json";
/// The tree.
const TREE: &str = "application/vnd.djship.cached.tree.v1.tar+zstd";

/// The largest manifest, in bytes: it names two blobs.
const MANIFEST_LIMIT: u64 = 64 * 1024;
/// The largest record, in bytes.
const RECORD_LIMIT: u64 = 4 * 1024 * 1024;
/// How hard trees are packed: a little better than gzip, at several times its speed.
const LEVEL: i32 = 7;

/// A repository of artifacts. Serves any number of threads.
pub struct Artifacts<'a> {
    client: &'a Client<'a>,
    session: Session<'a>,
    repository: Reference,
    store: &'a Store,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for Artifacts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifacts").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// An artifact that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What its maker says about it.
    pub facts: serde_json::Value,
    /// The digest that its tree has, if it has one.
    pub tree: Option<Digest>,
    /// The bytes that its tree takes on the way; 0 without one.
    pub size: u64,
    tag: String,
    blob: Option<Descriptor>,
}

/// The record of an artifact.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    kind: String,
    key: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tree: Option<Digest>,
    facts: serde_json::Value,
}

/// The manifest of an artifact.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl<'a> Artifacts<'a> {
    /// The artifacts in `repository`; its tag does not count. Nothing is asked yet. `progress` hears of the bytes of trees,
    /// in either direction; `store` lends room for them on their way.
    pub fn new(
        client: &'a Client<'a>,
        repository: &Reference,
        store: &'a Store,
        progress: &'a dyn Progress,
    ) -> Self {
        let session = Session::new(client, repository, progress);
        Self { client, session, repository: repository.clone(), store, progress }
    }

    /// The artifact of this kind (letters, digits and dashes) and key, if it is there.
    pub fn find(&self, kind: &str, key: &Digest) -> Result<Option<Artifact>, RegistryError> {
        let tag = tag(kind, key);
        let Some(manifest) = self.manifest(&tag)? else { return Ok(None) };
        let (Some(record), None) = (manifest.layers.first(), manifest.layers.get(2)) else {
            return Err(self.wrong(&tag, "it has another number of blobs than artifacts of ours"));
        };
        if manifest.artifact_type != ARTIFACT || record.media_type != RECORD {
            return Err(self.unsupported(&tag, "an artifact", &manifest.artifact_type));
        }
        let text = self.blob(record, &tag, RECORD_LIMIT, &(), || Ok(Vec::new()))?;
        let record: Record = serde_json::from_slice(&text).map_err(|source| RegistryError::Malformed {
            registry: self.session.registry().to_owned(),
            what: format!("the record of `{tag}`"),
            source,
        })?;
        if record.kind != kind || record.key != *key {
            return Err(self.wrong(&tag, "its record is that of another artifact"));
        }
        let blob = manifest.layers.get(1).cloned();
        if blob.as_ref().is_some_and(|blob| blob.media_type != TREE)
            || blob.is_some() != record.tree.is_some()
        {
            return Err(self.wrong(&tag, "its record and its manifest disagree"));
        }
        let size = blob.as_ref().map_or(0, |blob| blob.size);
        Ok(Some(Artifact { facts: record.facts, tree: record.tree, size, tag, blob }))
    }

    /// Downloads the artifact's tree and lays it out in `folder`, as `fs/` and `tree.json`. When it is not to the byte what
    /// the record says, that is the error, and what lies in `folder` is not to be used.
    pub fn unpack(&self, artifact: &Artifact, folder: &Path) -> Result<FileTree, RegistryError> {
        let (Some(blob), Some(expected)) = (&artifact.blob, artifact.tree) else {
            return Err(self.wrong(&artifact.tag, "it has no tree"));
        };
        let work = self.store.temp_dir("artifact")?;
        let packed = work.path().join("tree.tar.zst");
        let failed = |source| RegistryError::Blob { digest: blob.digest, source };
        let limit = self.client.options.blob_limit;
        let create = || fs_err::File::create(&packed).map(io::BufWriter::new).map_err(failed);
        let mut file = self.blob(blob, &artifact.tag, limit, self.progress, create)?;
        file.flush().map_err(failed)?;
        let file = fs_err::File::open(&packed).map_err(failed)?;
        let archive = |source| LayerArchiveError::Archive { digest: blob.digest, source };
        let reader = zstd::stream::read::Decoder::new(file).map_err(archive)?;
        let limits = self.client.options.limits;
        let (tree, marks, _) = place_all(&folder.join(BYTES), reader, blob.digest, limits)?;
        let found = tree.digest();
        if found != expected || marks != (Marks { implied: marks.implied.clone(), ..Marks::default() }) {
            let (registry, what) =
                (self.session.registry().to_owned(), format!("the tree of `{}`", artifact.tag));
            return Err(RegistryError::WrongDigest { registry, what, expected, found });
        }
        tree.save(folder).map_err(LayerError::from)?;
        Ok(tree)
    }

    /// Whether the repository takes something. The refusals that mean "not from you" are errors of their own kinds; see
    /// [`RegistryError::is_refusal`].
    pub fn check_writable(&self) -> Result<(), RegistryError> {
        self.session.may_upload()
    }

    /// Puts an artifact there, in place of one of the same kind and key; returns the bytes that were sent. Blobs go first, so
    /// that nobody finds half of it.
    pub fn put(
        &self,
        kind: &str,
        key: &Digest,
        facts: serde_json::Value,
        tree: Option<&FileTree>,
    ) -> Result<u64, RegistryError> {
        let tag = tag(kind, key);
        let work = self.store.temp_dir("artifact")?;
        let packed = work.path().join("tree.tar.zst");
        let mut blobs = Vec::new();
        let bytes = |what: &str, bytes: Vec<u8>| Blob {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            source: Source::Bytes(bytes),
            what: format!("the {what} of `{tag}`"),
        };
        let config = bytes("config", b"{}".to_vec());
        let record = Record { kind: kind.to_owned(), key: *key, tree: tree.map(FileTree::digest), facts };
        let record = bytes("record", json(&record)?);
        let mut layers = vec![Descriptor::new(RECORD, record.digest, record.size)];
        let config_line = Descriptor::new(EMPTY, config.digest, config.size);
        blobs.extend([config, record]);
        if let Some(tree) = tree {
            let (digest, size) = pack(tree, &packed)?;
            layers.push(Descriptor::new(TREE, digest, size));
            let (source, what) = (Source::File(packed.clone()), format!("the tree of `{tag}`"));
            blobs.push(Blob { digest, size, source, what });
        }
        let sent = at_a_time(self.client.options.parallel, blobs.len(), |index| {
            let way = self.session.put_blob(&blobs[index], None)?;
            Ok::<_, RegistryError>(if way == Way::Sent { blobs[index].size } else { 0 })
        })?;
        let manifest = json(&Manifest {
            schema_version: 2,
            media_type: wire::MANIFEST.to_owned(),
            artifact_type: ARTIFACT.to_owned(),
            config: config_line,
            layers,
        })?;
        put_manifest(&self.session, &manifest, &Digest::of(&manifest), &tag)?;
        Ok(sent.into_iter().sum())
    }

    /// That what the maker of an artifact says about it cannot be read.
    pub fn malformed(&self, artifact: &Artifact, source: serde_json::Error) -> RegistryError {
        let what = format!("the record of `{}`", artifact.tag);
        RegistryError::Malformed { registry: self.session.registry().to_owned(), what, source }
    }

    fn manifest(&self, tag: &str) -> Result<Option<Manifest>, RegistryError> {
        let to = format!("/v2/{}/manifests/{tag}", self.session.repository());
        let headers = [("Accept", wire::MANIFEST.to_owned())];
        let answer = self.get(&to, &headers)?;
        match answer.status() {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.session.refused(answer, &format!("the manifest of `{tag}`"))),
        }
        let named = answer.header(DIGEST).and_then(|text| text.trim().parse::<Digest>().ok());
        let bytes = answer.bytes(MANIFEST_LIMIT).map_err(|source| self.session.unreachable(source))?;
        let (registry, what) = (self.session.registry().to_owned(), format!("the manifest of `{tag}`"));
        let found = Digest::of(&bytes);
        if let Some(expected) = named.filter(|named| *named != found) {
            return Err(RegistryError::WrongDigest { registry, what, expected, found });
        }
        let manifest = serde_json::from_slice(&bytes);
        manifest.map(Some).map_err(|source| RegistryError::Malformed { registry, what, source })
    }

    /// Downloads a blob into what `open` gives, once more from the beginning when the connection breaks.
    fn blob<W: Write>(
        &self,
        blob: &Descriptor,
        tag: &str,
        limit: u64,
        progress: &dyn Progress,
        open: impl Fn() -> Result<W, RegistryError>,
    ) -> Result<W, RegistryError> {
        let what = format!("the blob {} of `{tag}`", blob.digest);
        if blob.size > limit {
            let image = self.named(tag);
            return Err(RegistryError::TooLarge { image, what, size: blob.size, limit });
        }
        let options = self.client.fetcher.options();
        let (mut left, mut pause) = (options.retries, options.pause);
        loop {
            let mut writer = DigestWriter::new(open()?);
            match self.download(blob, &what, progress, &mut writer) {
                Ok(()) => {
                    let (found, _, inner) = writer.finish();
                    if found == blob.digest {
                        return Ok(inner);
                    }
                    let (registry, expected) = (self.session.registry().to_owned(), blob.digest);
                    return Err(RegistryError::WrongDigest { registry, what, expected, found });
                }
                Err(RegistryError::Unreachable { source, .. }) if left > 0 && source.is_passing() => {
                    std::thread::sleep(pause);
                    pause *= 2;
                    left -= 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn download(
        &self,
        blob: &Descriptor,
        what: &str,
        progress: &dyn Progress,
        writer: &mut dyn Write,
    ) -> Result<(), RegistryError> {
        let to = format!("/v2/{}/blobs/{}", self.session.repository(), blob.digest);
        let answer = self.get(&to, &[])?;
        if answer.status() != 200 {
            return Err(self.session.refused(answer, what));
        }
        let found =
            answer.copy_to(writer, blob.size, progress).map_err(|source| self.session.unreachable(source))?;
        if found == blob.size {
            return Ok(());
        }
        progress.take_back(found);
        let url = format!("{}{to}", self.session.known_base());
        Err(self.session.unreachable(FetchError::WrongSize { url, expected: blob.size, found }))
    }

    fn get(
        &self,
        to: &str,
        headers: &[(&str, String)],
    ) -> Result<djship_store::fetch::Answer, RegistryError> {
        let scopes = [self.session.scope("pull")];
        let call = Call { method: Method::Get, to, headers, content: None, scopes: &scopes, again: true };
        self.session.send(&call)
    }

    fn named(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.repository.registry(), self.repository.repository())
    }

    fn wrong(&self, tag: &str, reason: &'static str) -> RegistryError {
        let (registry, what) = (self.session.registry().to_owned(), format!("`{tag}`"));
        RegistryError::Protocol { registry, what, reason }
    }

    fn unsupported(&self, tag: &str, what: &'static str, media_type: &str) -> RegistryError {
        RegistryError::Unsupported { image: self.named(tag), what, media_type: answer::shorten(media_type) }
    }
}

/// The tag of an artifact: at most 128 characters, as registries allow.
fn tag(kind: &str, key: &Digest) -> String {
    format!("{kind}-v1-{}", key.hex())
}

/// Writes the tree's archive to `path`; returns its digest and size.
fn pack(tree: &FileTree, path: &Path) -> Result<(Digest, u64), RegistryError> {
    let failed = |source| StoreError::Io { verb: "write", path: path.to_owned(), source };
    let file = io::BufWriter::new(fs_err::File::create(path).map_err(failed)?);
    let packer = zstd::stream::write::Encoder::new(DigestWriter::new(file), LEVEL);
    let mut packer = packer.map_err(failed)?;
    tar::write_tree(tree, &mut packer).map_err(LayerError::from)?;
    let (digest, size, mut file) = packer.finish().map_err(failed)?.finish();
    file.flush().map_err(failed)?;
    Ok((digest, size))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, RegistryError> {
    // What is written has no keys that are not text; a failure would be one of memory.
    serde_json::to_vec(value)
        .map_err(|error| StoreError::Io { verb: "write", path: "record".into(), source: error.into() }.into())
}
