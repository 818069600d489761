//! An image from a registry: manifest, config and layers, each checked against its digest while it comes. What the store has
//! under its digest is not asked for.

use std::io::Read as _;
use std::path::PathBuf;

use djship_store::fetch::{FetchError, Method, Progress};
use djship_store::{Bucket, Digest, Store, StoreError};

use super::error::RegistryError;
use super::flatten::{FlattenError, flatten};
use super::manifest::{Document, DocumentFault, accepted, choose, in_words, is_config, read};
use super::push::DIGEST;
use super::reference::Reference;
use super::session::{Call, Session};
use super::unpack::{LayerTree, Packing, unpack};
use super::{Client, answer, at_a_time, memory};
use crate::config::Platform;
use crate::image::{ImageError, read_config};
use crate::wire::{ConfigFile, Descriptor, Manifest};

/// The largest manifest or index, in bytes.
const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;
/// The largest image config, in bytes.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;

/// A pulled image.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What was asked for.
    pub name: Reference,
    /// The digest of the manifest for the platform.
    pub digest: Digest,
    /// The image config as it is hashed.
    pub config_bytes: Vec<u8>,
    /// The image config.
    pub config: ConfigFile,
    /// The layers, lowest first.
    pub layers: Vec<PulledLayer>,
    /// Whether the registry could not be asked what the tag means, and the last answer was taken.
    pub from_memory: bool,
}

/// A layer of a pulled image.
#[derive(Debug, Clone)]
pub struct PulledLayer {
    /// Media type, digest and size of the blob.
    pub descriptor: Descriptor,
    /// The blob as it came, byte for byte.
    pub blob: PathBuf,
    /// The layer unpacked.
    pub content: LayerTree,
}

impl Pulled {
    /// The layers as one tree.
    pub fn flatten(&self) -> Result<djship_store::FileTree, FlattenError> {
        flatten(self.layers.iter().map(|layer| &layer.content))
    }
}

/// Pulls the image `name` for `platform` into the store. With everything there, a name with a digest asks nothing of the
/// network, and a tag one short question. `progress` hears of the bytes that come.
pub fn pull(
    client: &Client<'_>,
    name: &Reference,
    platform: &Platform,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Pulled, RegistryError> {
    let session = Session::new(client, name, &());
    let pull = Pull { client, session, name, store, progress };
    let (digest, from_memory) = match name.digest() {
        Some(digest) => (*digest, false),
        None => pull.meaning()?,
    };
    let (digest, manifest) = pull.manifest(digest, platform)?;
    if !is_config(&manifest.config.media_type) {
        return Err(pull.unsupported("a config", &manifest.config.media_type));
    }
    let config_path = pull.blob(&manifest.config, "the image config", CONFIG_LIMIT)?;
    let config_bytes = fs_err::read(config_path)
        .map_err(|source| RegistryError::Blob { digest: manifest.config.digest, source })?;
    let config = read_config(&config_bytes)?;
    let found = in_words(&config.os, &config.architecture, config.variant.as_deref());
    if config.os != platform.os || config.architecture != platform.architecture {
        return Err(pull.no_platform(platform, vec![found]));
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(ImageError::OtherLayers { id: manifest.config.digest }.into());
    }
    let layers = at_a_time(client.options.parallel, manifest.layers.len(), |index| {
        pull.layer(&manifest.layers[index], config.rootfs.diff_ids[index])
    })?;
    for layer in &layers {
        // Where a later push finds them.
        let key = memory::home_of(name.registry(), &layer.descriptor.digest);
        memory::remember(store, &key, name.repository());
    }
    Ok(Pulled { name: name.clone(), digest, config_bytes, config, layers, from_memory })
}

struct Pull<'a> {
    client: &'a Client<'a>,
    session: Session<'a>,
    name: &'a Reference,
    store: &'a Store,
    progress: &'a dyn Progress,
}

impl Pull<'_> {
    /// The digest that the tag has, and whether that is only what it was the last time.
    fn meaning(&self) -> Result<(Digest, bool), RegistryError> {
        let key = memory::meaning_of(&self.name.to_string());
        let digest = match self.ask_meaning() {
            Ok(digest) => digest,
            Err(error) => {
                let known = memory::recall(self.store, &key).and_then(|text| text.parse::<Digest>().ok());
                let known = known.filter(|digest| self.store.find(Bucket::Blobs, digest).is_some());
                return match (&error, known) {
                    (RegistryError::Unreachable { .. } | RegistryError::RateLimited { .. }, Some(digest)) => {
                        Ok((digest, true))
                    }
                    _ => Err(error),
                };
            }
        };
        memory::remember(self.store, &key, &digest.to_string());
        Ok((digest, false))
    }

    fn ask_meaning(&self) -> Result<Digest, RegistryError> {
        let answer = self.request(Method::Head, &self.name.wanted())?;
        let named = answer.header(DIGEST).and_then(|text| text.trim().parse::<Digest>().ok());
        match (answer.status(), named) {
            (200, Some(digest)) => return Ok(digest),
            (429, _) => return Err(self.refused(answer)),
            _ => {}
        }
        // Answers to HEAD say nothing about why, and some registries do not name digests.
        let answer = self.request(Method::Get, &self.name.wanted())?;
        if answer.status() != 200 {
            return Err(self.refused(answer));
        }
        let bytes = answer.bytes(DOCUMENT_LIMIT).map_err(|source| self.session.unreachable(source))?;
        Ok(self.store.put_blob(&bytes)?.0)
    }

    fn request(&self, method: Method, wanted: &str) -> Result<djship_store::fetch::Answer, RegistryError> {
        let to = format!("/v2/{}/manifests/{wanted}", self.name.repository());
        let headers = [("Accept", accepted())];
        let scopes = [self.session.scope("pull")];
        self.session.send(&Call {
            method,
            to: &to,
            headers: &headers,
            content: None,
            scopes: &scopes,
            again: true,
        })
    }

    fn refused(&self, answer: djship_store::fetch::Answer) -> RegistryError {
        let is_absent = answer.status() == 404;
        match self.session.refused(answer, "the manifest") {
            RegistryError::Rejected { message, .. } | RegistryError::NoRepository { message, .. }
                if is_absent =>
            {
                RegistryError::ManifestUnknown { image: self.name.to_string(), message }
            }
            error => error,
        }
    }

    /// The manifest for the platform, through an index if there is one.
    fn manifest(&self, digest: Digest, platform: &Platform) -> Result<(Digest, Manifest), RegistryError> {
        let index = match self.document(digest)? {
            Document::Manifest(manifest) => return Ok((digest, manifest)),
            Document::Index(index) => index,
        };
        let Some(line) = choose(&index, platform) else {
            let found = index.manifests.iter().filter_map(|line| line.platform.as_ref());
            let found = found.filter(|platform| platform.os != "unknown").take(20);
            let found = found.map(|found| in_words(&found.os, &found.architecture, found.variant.as_deref()));
            return Err(self.no_platform(platform, found.collect()));
        };
        match self.document(line.digest)? {
            Document::Manifest(manifest) => Ok((line.digest, manifest)),
            Document::Index(_) => Err(self.unsupported("an index within an index", &line.media_type)),
        }
    }

    fn document(&self, digest: Digest) -> Result<Document, RegistryError> {
        let registry = || self.name.registry().to_owned();
        let what = || format!("the manifest {digest}");
        let bytes = match self.store.find(Bucket::Blobs, &digest) {
            Some(path) => {
                let mut bytes = Vec::new();
                let file = fs_err::File::open(path);
                file.and_then(|file| file.take(DOCUMENT_LIMIT).read_to_end(&mut bytes))
                    .map_err(|source| RegistryError::Blob { digest, source })?;
                bytes
            }
            None => self.fetch_document(digest)?,
        };
        read(&bytes).map_err(|fault| match fault {
            DocumentFault::Json(source) => {
                RegistryError::Malformed { registry: registry(), what: what(), source }
            }
            DocumentFault::Ambiguous => {
                let reason = "it is an index and a manifest at the same time";
                RegistryError::Protocol { registry: registry(), what: what(), reason }
            }
            DocumentFault::Kind(kind) => self.unsupported("a manifest", &kind),
        })
    }

    fn fetch_document(&self, digest: Digest) -> Result<Vec<u8>, RegistryError> {
        let answer = self.request(Method::Get, &digest.to_string())?;
        if answer.status() != 200 {
            return Err(self.refused(answer));
        }
        let bytes = answer.bytes(DOCUMENT_LIMIT).map_err(|source| self.session.unreachable(source))?;
        let found = Digest::of(&bytes);
        if found != digest {
            let (registry, what) = (self.name.registry().to_owned(), format!("the manifest {digest}"));
            return Err(RegistryError::WrongDigest { registry, what, expected: digest, found });
        }
        self.store.put_blob(&bytes)?;
        Ok(bytes)
    }

    fn layer(&self, descriptor: &Descriptor, diff_id: Digest) -> Result<PulledLayer, RegistryError> {
        let packing = Packing::of(&descriptor.media_type);
        let packing = packing.ok_or_else(|| self.unsupported("a layer", &descriptor.media_type))?;
        let what = format!("the layer {}", descriptor.digest);
        let blob = self.blob(descriptor, &what, self.client.options.blob_limit)?;
        let limits = self.client.options.limits;
        let content = unpack(self.store, &blob, descriptor.digest, packing, diff_id, limits)?;
        Ok(PulledLayer { descriptor: descriptor.clone(), blob, content })
    }

    /// Where the blob is in the store.
    fn blob(&self, blob: &Descriptor, what: &str, limit: u64) -> Result<PathBuf, RegistryError> {
        if blob.size > limit {
            let (image, what) = (self.name.to_string(), what.to_owned());
            return Err(RegistryError::TooLarge { image, what, size: blob.size, limit });
        }
        let options = self.client.fetcher.options();
        let (mut left, mut pause) = (options.retries, options.pause);
        loop {
            let result =
                self.store.insert_blob(&blob.digest, blob.size, |writer| self.download(blob, what, writer));
            match result {
                Err(RegistryError::Unreachable { source, .. }) if left > 0 && source.is_passing() => {
                    std::thread::sleep(pause);
                    pause *= 2;
                    left -= 1;
                }
                Err(RegistryError::Store(StoreError::WrongDigest { expected, found })) => {
                    let (registry, what) = (self.name.registry().to_owned(), what.to_owned());
                    return Err(RegistryError::WrongDigest { registry, what, expected, found });
                }
                result => return result,
            }
        }
    }

    fn download(
        &self,
        blob: &Descriptor,
        what: &str,
        writer: &mut dyn std::io::Write,
    ) -> Result<(), RegistryError> {
        let to = format!("/v2/{}/blobs/{}", self.name.repository(), blob.digest);
        let scopes = [self.session.scope("pull")];
        let call =
            Call { method: Method::Get, to: &to, headers: &[], content: None, scopes: &scopes, again: true };
        let answer = self.session.send(&call)?;
        if answer.status() != 200 {
            return Err(self.session.refused(answer, what));
        }
        let found = answer
            .copy_to(writer, blob.size, self.progress)
            .map_err(|source| self.session.unreachable(source))?;
        if found == blob.size {
            return Ok(());
        }
        self.progress.take_back(found);
        let url = format!("{}{to}", self.session.known_base());
        Err(self.session.unreachable(FetchError::WrongSize { url, expected: blob.size, found }))
    }

    fn unsupported(&self, what: &'static str, media_type: &str) -> RegistryError {
        let (image, media_type) = (self.name.to_string(), answer::shorten(media_type));
        RegistryError::Unsupported { image, what, media_type }
    }

    fn no_platform(&self, wanted: &Platform, found: Vec<String>) -> RegistryError {
        let wanted = in_words(&wanted.os, &wanted.architecture, wanted.variant.as_deref());
        RegistryError::NoPlatform { image: self.name.to_string(), wanted, found }
    }
}
