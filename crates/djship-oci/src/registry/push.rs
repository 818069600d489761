//! An image to a registry: every blob that is not there yet, and then the manifest, so that nobody can pull half an image.

use std::collections::BTreeSet;

use djship_store::fetch::{Method, Progress};
use djship_store::{Digest, Store};

use super::error::RegistryError;
use super::memory;
use super::reference::Reference;
use super::session::{Call, Content, Session};
use super::upload::{Blob, Source};
use super::{Client, at_a_time};
use crate::compress::{Compression, LayerBlob};
use crate::image::Image;
use crate::wire;

pub use super::upload::Way;

/// A pushed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where it is now.
    pub name: Reference,
    /// The digest of its manifest, as the registry has it.
    pub digest: Digest,
    /// How each layer got there, lowest first.
    pub layers: Vec<PushedLayer>,
    /// Bytes of layers and config that were sent.
    pub sent: u64,
    /// Bytes that were in the repository.
    pub present: u64,
    /// Bytes that were elsewhere in the registry.
    pub mounted: u64,
}

/// A layer of a pushed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedLayer {
    /// Digest of the compressed blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How it got there.
    pub way: Way,
}

/// Pushes `image` to `name`. Layers are compressed once in their life. `progress` hears of the bytes that were sent.
pub fn push(
    client: &Client<'_>,
    image: &Image,
    name: &Reference,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let (Some(tag), None) = (name.tag(), name.digest()) else {
        return Err(RegistryError::PushToDigest { name: name.to_string() });
    };
    let session = Session::new(client, name, progress);
    // A layer that is in the image twice is one blob.
    let mut seen = BTreeSet::new();
    let distinct: Vec<_> = image.layers.iter().filter(|layer| seen.insert(layer.diff_id)).collect();
    // The config goes with the layers; it is the last number.
    let ways = at_a_time(client.options.parallel, distinct.len() + 1, |index| {
        let Some(layer) = distinct.get(index) else {
            let blob = Blob {
                digest: image.id,
                size: image.config_bytes.len() as u64,
                source: Source::Bytes(image.config_bytes.clone()),
                what: format!("the image config {}", image.id),
            };
            return Ok((image.id, blob.size, session.put_blob(&blob, None)?));
        };
        let compressed = LayerBlob::of(layer, Compression::Gzip, store)?;
        let (digest, size) = (compressed.descriptor.digest, compressed.descriptor.size);
        let Some(file) = compressed.file() else {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(RegistryError::Blob { digest, source });
        };
        let source = Source::File(file.to_owned());
        let blob = Blob { digest, size, source, what: format!("the layer {digest}") };
        let key = memory::home_of(name.registry(), &digest);
        let way = session.put_blob(&blob, memory::recall(store, &key).as_deref())?;
        memory::remember(store, &key, name.repository());
        Ok((digest, size, way))
    })?;
    let bundle = image.bundle(Compression::Gzip, store)?;
    let digest = bundle.manifest_digest();
    put_manifest(&session, &bundle.manifest_bytes, &digest, tag)?;
    let layers = bundle.layers.iter().map(|blob| {
        let (digest, size) = (blob.descriptor.digest, blob.descriptor.size);
        let way = ways.iter().find(|(known, ..)| *known == digest).map_or(Way::Present, |(_, _, way)| *way);
        PushedLayer { digest, size, way }
    });
    let bytes = |wanted: Way| ways.iter().filter(|(_, _, way)| *way == wanted).map(|(_, size, _)| size).sum();
    Ok(Pushed {
        name: name.clone(),
        digest,
        layers: layers.collect(),
        sent: bytes(Way::Sent),
        present: bytes(Way::Present),
        mounted: bytes(Way::Mounted),
    })
}

/// Puts the manifest under `tag`, and checks that the registry has it under the digest that we know.
pub(super) fn put_manifest(
    session: &Session<'_>,
    bytes: &[u8],
    digest: &Digest,
    tag: &str,
) -> Result<(), RegistryError> {
    let scopes = [session.scope("pull,push")];
    let to = format!("/v2/{}/manifests/{tag}", session.repository());
    let headers = [("Content-Type", wire::MANIFEST.to_owned())];
    let content = Some(Content::Bytes(bytes));
    let call =
        Call { method: Method::Put, to: &to, headers: &headers, content, scopes: &scopes, again: true };
    let mut answer = session.send(&call)?;
    if !(200..=202).contains(&answer.status()) {
        return Err(session.refused(answer, "the manifest"));
    }
    if answer.header(DIGEST).is_none() {
        let headers = [("Accept", wire::MANIFEST.to_owned())];
        let call = Call {
            method: Method::Head,
            to: &to,
            headers: &headers,
            content: None,
            scopes: &scopes,
            again: true,
        };
        answer = session.send(&call)?;
    }
    // A registry that never names digests was told one for every blob.
    let Some(found) = answer.header(DIGEST).and_then(|text| text.trim().parse::<Digest>().ok()) else {
        return Ok(());
    };
    if found == *digest {
        return Ok(());
    }
    let (registry, what) = (session.registry().to_owned(), "the manifest".to_owned());
    Err(RegistryError::WrongDigest { registry, what, expected: *digest, found })
}

/// The header in which registries say what a manifest's digest is.
pub(super) const DIGEST: &str = "Docker-Content-Digest";
