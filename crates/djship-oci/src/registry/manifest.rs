//! What registries send about an image: an index of manifests, or a manifest, in OCI's spelling or Docker's.

use crate::config::Platform;
use crate::wire::{self, Descriptor, Index, Manifest, WirePlatform};

/// Docker's index of manifests.
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's manifest.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's image config.
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Everything that can be read, for the header `Accept`.
pub(super) fn accepted() -> String {
    [wire::INDEX, wire::MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST].join(", ")
}

/// A document.
#[derive(Debug)]
pub(super) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// A document that cannot be used.
#[derive(Debug)]
pub(super) enum DocumentFault {
    Json(serde_json::Error),
    /// Two readers could understand it in two ways.
    Ambiguous,
    /// The schema that Docker gave up, or something else.
    Kind(String),
}

/// As much as tells what a document is.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<serde_json::Value>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

/// Reads a document. What it is, is told by what is in it: a header is not covered by the digest.
pub(super) fn read(bytes: &[u8]) -> Result<Document, DocumentFault> {
    let shape: Shape = serde_json::from_slice(bytes).map_err(DocumentFault::Json)?;
    let kind = shape.media_type.unwrap_or_default();
    let is_manifest = shape.layers.is_some() || shape.config.is_some();
    if shape.manifests.is_some() && is_manifest {
        return Err(DocumentFault::Ambiguous);
    }
    let known: &[&str] =
        if is_manifest { &[wire::MANIFEST, DOCKER_MANIFEST] } else { &[wire::INDEX, DOCKER_INDEX] };
    let is_version_2 = shape.schema_version.as_ref().and_then(serde_json::Value::as_u64) == Some(2);
    if !is_version_2 || !(kind.is_empty() || known.contains(&kind.as_str())) {
        return Err(DocumentFault::Kind(if kind.is_empty() { "schema version 1".to_owned() } else { kind }));
    }
    if is_manifest {
        serde_json::from_slice(bytes).map(Document::Manifest).map_err(DocumentFault::Json)
    } else {
        serde_json::from_slice(bytes).map(Document::Index).map_err(DocumentFault::Json)
    }
}

/// Whether a blob is an image's config, and not a chart's or a signature's.
pub(super) fn is_config(media_type: &str) -> bool {
    [wire::CONFIG, DOCKER_CONFIG].contains(&media_type)
}

/// The manifest for `wanted`.
pub(super) fn choose<'index>(index: &'index Index, wanted: &Platform) -> Option<&'index Descriptor> {
    let mut best: Option<(u8, &Descriptor)> = None;
    for line in &index.manifests {
        let Some(platform) = &line.platform else { continue };
        let rank = rank(platform, wanted);
        if rank > 0 && best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, line));
        }
    }
    best.map(|(_, line)| line)
}

/// How well a platform fits; 0 is not at all.
fn rank(platform: &WirePlatform, wanted: &Platform) -> u8 {
    if platform.os != wanted.os || platform.architecture != wanted.architecture {
        return 0;
    }
    // 64-bit ARM has one kind, which most leave out.
    let kind = |variant: &Option<String>| match variant.as_deref() {
        Some("v8") if wanted.architecture == "arm64" => None,
        other => other.map(str::to_owned),
    };
    let (offered, asked) = (kind(&platform.variant), kind(&wanted.variant));
    match (offered, asked) {
        (offered, asked) if offered == asked => 3,
        (None, Some(_)) => 2,
        (Some(_), None) => 1,
        _ => 0,
    }
}

/// `linux/arm/v7`.
pub(super) fn in_words(os: &str, architecture: &str, variant: Option<&str>) -> String {
    let variant = variant.map_or_else(String::new, |variant| format!("/{variant}"));
    super::answer::shorten(&format!("{os}/{architecture}{variant}"))
}

#[cfg(test)]
mod tests {
    use djship_store::Digest;

    use super::*;

    #[test]
    fn what_it_is_stands_in_it() {
        let read = |text: &str| super::read(text.as_bytes());
        assert!(matches!(read(r#"{"schemaVersion":2,"manifests":[]}"#), Ok(Document::Index(_))));
        let config = format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, Digest::of(b""));
        let manifest =
            format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{config},"layers":[]}}"#);
        assert!(matches!(read(&manifest), Ok(Document::Manifest(_))));
        assert!(matches!(
            read(r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#),
            Err(DocumentFault::Ambiguous)
        ));
        assert!(matches!(read(r#"{"schemaVersion":1,"fsLayers":[]}"#), Err(DocumentFault::Kind(_))));
        let chart = r#"{"schemaVersion":2,"mediaType":"chart","manifests":[]}"#;
        assert!(matches!(read(chart), Err(DocumentFault::Kind(kind)) if kind == "chart"));
        assert!(matches!(read("{}"), Err(DocumentFault::Kind(_))));
        assert!(matches!(read("[]"), Err(DocumentFault::Json(_))));
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let line = |name: &str, architecture: &str, variant: Option<&str>| {
            let mut line = Descriptor::new(wire::MANIFEST, Digest::of(name.as_bytes()), 1);
            let (architecture, os) = (architecture.to_owned(), "linux".to_owned());
            line.platform = Some(WirePlatform { architecture, os, variant: variant.map(str::to_owned) });
            line
        };
        let manifests = vec![
            line("unknown", "unknown", None),
            line("amd64-v3", "amd64", Some("v3")),
            line("amd64", "amd64", None),
            line("arm64", "arm64", Some("v8")),
            line("armv6", "arm", Some("v6")),
            line("armv7", "arm", Some("v7")),
        ];
        let index = Index { schema_version: 2, media_type: String::new(), manifests, annotations: [].into() };
        let chosen = |architecture: &str, variant: Option<&str>| {
            let variant = variant.map(str::to_owned);
            choose(&index, &Platform { variant, ..Platform::linux(architecture) }).map(|line| line.digest)
        };
        let named = |name: &str| Some(Digest::of(name.as_bytes()));
        assert_eq!(chosen("amd64", None), named("amd64"));
        assert_eq!(chosen("amd64", Some("v2")), named("amd64"));
        assert_eq!(chosen("amd64", Some("v3")), named("amd64-v3"));
        assert_eq!(chosen("arm64", None), named("arm64"));
        assert_eq!(chosen("arm", Some("v7")), named("armv7"));
        assert_eq!(chosen("arm", Some("v5")), None);
        assert_eq!(chosen("s390x", None), None);
    }
}
