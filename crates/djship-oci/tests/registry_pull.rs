//! Pulls from a registry that misbehaves.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod support;

use djship_oci::registry::{Options, Pulled, RegistryError, pull, push};
use djship_oci::{Platform, wire};
use djship_store::fetch::FetchOptions;
use djship_store::unpack::Limits;
use djship_store::{Digest, Node, Store};
use djship_testkit::registry::{Access, Behaviour, Registry};
use support::{client, fetcher, fetcher_with, image, noise, password, reference, store};

/// A registry with the image `shop:1` of two layers.
fn registry(behaviour: Behaviour) -> Registry {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let (_dir, store) = store();
    let image = image(&store, &[&noise(7, 200_000), b"code"]);
    let name = reference(&format!("{}/shop:1", registry.host()));
    push(&client(&fetcher(), &()), &image, &name, &store, &()).unwrap();
    registry.asked();
    registry.behave(behaviour);
    registry
}

fn pull_into(store: &Store, registry: &Registry, name: &str) -> Result<Pulled, RegistryError> {
    let name = reference(&format!("{}/{name}", registry.host()));
    pull(&client(&fetcher(), &()), &name, &Platform::linux("amd64"), store, &())
}

#[test]
fn what_was_pushed_comes_back_and_is_asked_for_once() {
    let registry = registry(Behaviour::default());
    let (_dir, store) = store();
    let pulled = pull_into(&store, &registry, "shop:1").unwrap();
    let manifest = registry.manifest("shop", "1").unwrap();
    assert_eq!(pulled.digest, Digest::of(&manifest));
    let tree = pulled.flatten().unwrap();
    let file = tree.get("app/1.bin").unwrap();
    let Node::File { digest, at, .. } = &file.node else { panic!("{file:?}") };
    assert_eq!(
        (*digest, fs_err::read(at).unwrap().as_slice(), file.uid),
        (Digest::of(b"code"), &b"code"[..], 1000)
    );
    for layer in &pulled.layers {
        let blob = registry.blob("shop", &layer.descriptor.digest).unwrap();
        assert_eq!(fs_err::read(&layer.blob).unwrap(), blob);
    }
    // The tag is asked for, with a question that counts as none.
    registry.asked();
    pull_into(&store, &registry, "shop:1").unwrap();
    let asked: Vec<_> =
        registry.asked().into_iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    assert_eq!(asked, ["GET /v2/", "HEAD /v2/shop/manifests/1"]);
    // A digest is not.
    pull_into(&store, &registry, &format!("shop@{}", pulled.digest)).unwrap();
    assert!(registry.asked().is_empty());
}

#[test]
fn without_a_network_what_is_there_is_enough() {
    let registry = registry(Behaviour::default());
    let (_dir, store) = store();
    assert!(!pull_into(&store, &registry, "shop:1").unwrap().from_memory);
    let offline = fetcher_with(FetchOptions { offline: true, ..FetchOptions::default() });
    let name = reference(&format!("{}/shop:1", registry.host()));
    let platform = Platform::linux("amd64");
    let pulled = pull(&client(&offline, &()), &name, &platform, &store, &()).unwrap();
    assert!(pulled.from_memory);
    let name = reference(&format!("{}/other:1", registry.host()));
    let error = pull(&client(&offline, &()), &name, &platform, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
}

#[test]
fn credentials_stay_with_the_registry() {
    let access = Access::Basic("me".to_owned(), "cret".to_owned());
    let registry = registry(Behaviour { access, redirects: true, ..Behaviour::default() });
    let (_dir, store) = store();
    let name = reference(&format!("{}/shop:1", registry.host()));
    let me = password("me", "cret");
    pull(&client(&fetcher(), &me), &name, &Platform::linux("amd64"), &store, &()).unwrap();
    let asked = registry.asked();
    let stored: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/store/")).collect();
    assert_eq!(stored.len(), 3, "{asked:?}");
    assert!(stored.iter().all(|asked| asked.authorization.is_none() && asked.status == 200), "{stored:?}");
}

#[test]
fn a_storage_that_asks_who_it_is_hears_nothing() {
    let access = Access::Token("me".to_owned(), "cret".to_owned());
    let registry =
        registry(Behaviour { access, redirects: true, storage_asks: true, ..Behaviour::default() });
    let (_dir, store) = store();
    let name = reference(&format!("{}/shop:1", registry.host()));
    let me = password("me", "cret");
    let error = pull(&client(&fetcher(), &me), &name, &Platform::linux("amd64"), &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::Rejected { status: 401, .. }), "{error:?}");
    let asked = registry.asked();
    let told: Vec<_> = asked.iter().filter(|asked| asked.authorization.is_some()).collect();
    let is_storage = |path: &str| path.starts_with("/store/") || path == "/token";
    assert!(told.iter().all(|asked| !is_storage(&asked.path)), "{told:?}");
}

#[test]
fn redirects_end() {
    let registry = registry(Behaviour { redirects_for_ever: true, ..Behaviour::default() });
    let (_dir, store) = store();
    let error = pull_into(&store, &registry, "shop:1").unwrap_err();
    assert!(error.to_string().contains("redirects too often"), "{error}");
    assert!(registry.asked().len() < 20);
}

#[test]
fn a_limited_registry_is_waited_for_but_not_for_ever() {
    let registry = registry(Behaviour { limited: 2, retry_after: Some(0), ..Behaviour::default() });
    let (_dir, store) = store();
    pull_into(&store, &registry, "shop:1").unwrap();

    let access = Access::Basic("me".to_owned(), "cret".to_owned());
    let limited = Behaviour { limited: 1000, access, ..Behaviour::default() };
    registry.behave(limited);
    let name = reference(&format!("{}/shop:2", registry.host()));
    let me = password("me", "cret");
    let platform = Platform::linux("amd64");
    let error = pull(&client(&fetcher(), &me), &name, &platform, &store, &()).unwrap_err();
    let RegistryError::RateLimited { user, repository, .. } = &error else { panic!("{error:?}") };
    assert_eq!((user.as_deref(), repository.as_str()), (Some("me"), "shop"));
    // What is here already is still good enough.
    registry.behave(Behaviour { limited: 1000, ..Behaviour::default() });
    assert!(pull_into(&store, &registry, "shop:1").unwrap().from_memory);
}

#[test]
fn broken_downloads_come_again_and_lies_do_not_count() {
    let broken = registry(Behaviour { cuts: 2, ..Behaviour::default() });
    let (_dir, store_of_broken) = store();
    pull_into(&store_of_broken, &broken, "shop:1").unwrap();

    let lying = registry(Behaviour { lies: true, ..Behaviour::default() });
    let (_dir, store) = store();
    let error = pull_into(&store, &lying, "shop:1").unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error:?}");
}

#[test]
fn a_digest_has_one_content() {
    let registry = registry(Behaviour::default());
    let wanted = Digest::of(b"another manifest");
    registry.put_manifest(
        "shop",
        &wanted.to_string(),
        wire::MANIFEST,
        &registry.manifest("shop", "1").unwrap(),
    );
    let (_dir, store) = store();
    let error = pull_into(&store, &registry, &format!("shop@{wanted}")).unwrap_err();
    let is_named = matches!(&error, RegistryError::WrongDigest { expected, .. } if *expected == wanted);
    assert!(is_named, "{error:?}");
}

#[test]
fn registries_that_name_no_digests_work() {
    let registry = registry(Behaviour { nameless: true, ..Behaviour::default() });
    let (_dir, store) = store();
    pull_into(&store, &registry, "shop:1").unwrap();
}

#[test]
fn what_is_not_there_is_said() {
    let registry = registry(Behaviour::default());
    let (_dir, store) = store();
    let error = pull_into(&store, &registry, "shop:2").unwrap_err();
    let RegistryError::ManifestUnknown { image, message } = &error else { panic!("{error:?}") };
    assert_eq!(
        (image.as_str(), message.as_str()),
        (format!("{}/shop:2", registry.host()).as_str(), "manifest unknown")
    );

    let name = reference(&format!("{}/shop:1", registry.host()));
    let error = pull(&client(&fetcher(), &()), &name, &Platform::linux("arm64"), &store, &()).unwrap_err();
    let RegistryError::NoPlatform { wanted, found, .. } = &error else { panic!("{error:?}") };
    assert_eq!((wanted.as_str(), found.as_slice()), ("linux/arm64", &["linux/amd64".to_owned()][..]));
}

#[test]
fn an_index_is_looked_through() {
    let registry = registry(Behaviour::default());
    let manifest = registry.manifest("shop", "1").unwrap();
    let line = |digest: Digest, architecture: &str| {
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            wire::MANIFEST,
            manifest.len()
        )
    };
    let index = |lines: &[String]| {
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, wire::INDEX, lines.join(","))
    };
    let digest = Digest::of(&manifest);
    let both = index(&[line(Digest::of(b"other"), "arm64"), line(digest, "amd64")]);
    registry.put_manifest("shop", "both", wire::INDEX, both.as_bytes());
    let (_dir, store) = store();
    assert_eq!(pull_into(&store, &registry, "shop:both").unwrap().digest, digest);

    let others = index(&[line(digest, "arm64"), line(digest, "s390x"), line(digest, "unknown")]);
    registry.put_manifest("shop", "others", wire::INDEX, others.as_bytes());
    let error = pull_into(&store, &registry, "shop:others").unwrap_err();
    let RegistryError::NoPlatform { found, .. } = &error else { panic!("{error:?}") };
    assert_eq!(found.join(" "), "linux/arm64 linux/s390x linux/unknown");

    let nested = index(&[line(Digest::of(both.as_bytes()), "amd64")]);
    registry.put_manifest("shop", "nested", wire::INDEX, nested.as_bytes());
    let error = pull_into(&store, &registry, "shop:nested").unwrap_err();
    assert!(matches!(error, RegistryError::Unsupported { .. }), "{error:?}");
    for (document, text) in [("text", "no json"), ("old", r#"{"schemaVersion":1,"fsLayers":[]}"#)] {
        registry.put_manifest("shop", document, wire::MANIFEST, text.as_bytes());
        let error = pull_into(&store, &registry, &format!("shop:{document}")).unwrap_err();
        let is_named = matches!(error, RegistryError::Malformed { .. } | RegistryError::Unsupported { .. });
        assert!(is_named, "{error:?}");
    }
}

#[test]
fn limits_hold() {
    let registry = registry(Behaviour::default());
    let name = reference(&format!("{}/shop:1", registry.host()));
    let (fetcher, platform) = (fetcher(), Platform::linux("amd64"));
    let pull_with = |options: Options| {
        let (_dir, store) = store();
        let client = djship_oci::registry::Client { options, ..client(&fetcher, &()) };
        pull(&client, &name, &platform, &store, &()).unwrap_err()
    };
    let error = pull_with(Options { blob_limit: 100_000, ..Options::default() });
    assert!(matches!(error, RegistryError::TooLarge { limit: 100_000, .. }), "{error:?}");
    let limits = Limits { total_size: 100_000, ..Limits::default() };
    let error = pull_with(Options { limits, ..Options::default() });
    assert!(matches!(error, RegistryError::Unpack(_)), "{error:?}");
}
