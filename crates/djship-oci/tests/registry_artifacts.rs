//! Artifacts in a registry, behaving or not.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod support;

use djship_oci::registry::{Artifacts, Reference, RegistryError};
use djship_store::{Digest, Entry, FileTree, Store, TreePath};
use djship_testkit::registry::{Access, Behaviour, Registry};
use serde_json::{Value, json};
use support::{archive, client, fetcher, noise, reference, store};

fn repository(registry: &Registry) -> Reference {
    reference(&format!("{}/team/cache", registry.host()))
}

/// Everything that a tree can hold.
fn tree(store: &Store) -> FileTree {
    let path = |text: &str| TreePath::parse(text).unwrap();
    let file = |content: &[u8]| {
        let (digest, at) = store.put_blob(content).unwrap();
        Entry::file(digest, content.len() as u64, at)
    };
    let long = format!("venv/{}/ünï.py", "long/".repeat(60));
    let mut tree: FileTree = [
        (path("venv/bin/run"), file(b"#!/bin/sh\n").with_mode(0o755)),
        (path("venv/big"), file(&noise(1, 300_000))),
        (path(&long), file(b"")),
        (path("venv/python"), Entry::symlink("/usr/bin/python3")),
        (path("data"), Entry::dir().with_mode(0o2775).owned_by(1000, 0)),
        (path("data/private"), Entry { mtime: 1, ..file(b"x").with_mode(0o600).owned_by(1000, 7) }),
    ]
    .into_iter()
    .collect();
    tree.fill_parents();
    tree
}

#[test]
fn what_is_put_comes_back_with_owners_modes_and_times() {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let ((_one, here), (_two, there)) = (store(), store());
    let fetcher = fetcher();
    let client = client(&fetcher, &());
    let (key, tree) = (Digest::of(b"key"), tree(&here));
    let artifacts = Artifacts::new(&client, &repository(&registry), &here, &());
    assert_eq!(artifacts.find("environment", &key).unwrap(), None);
    artifacts.check_writable().unwrap();
    registry.asked();
    let sent = artifacts.put("environment", &key, json!({"a": [1]}), Some(&tree)).unwrap();
    let asked = registry.asked();
    let last = asked.last().unwrap();
    let tag = format!("environment-v1-{}", key.hex());
    assert_eq!((last.method.as_str(), &last.path), ("PUT", &format!("/v2/team/cache/manifests/{tag}")));
    assert!(sent > 300_000, "{sent}");

    let artifacts = Artifacts::new(&client, &repository(&registry), &there, &());
    let found = artifacts.find("environment", &key).unwrap().unwrap();
    assert_eq!((&found.facts, found.tree), (&json!({"a": [1]}), Some(tree.digest())));
    // A connection that breaks is no reason to make everything anew.
    registry.behave(Behaviour { cuts: 1, ..Behaviour::default() });
    let folder = there.temp_dir("test").unwrap();
    let unpacked = artifacts.unpack(&found, folder.path()).unwrap();
    assert_eq!(unpacked.digest(), tree.digest());
    let loaded = FileTree::load(folder.path()).unwrap();
    assert_eq!(loaded, unpacked);
    assert_eq!(loaded.get("data/private").unwrap().uid, 1000);
    let at = |name: &str| fs_err::read(folder.path().join("fs").join(name)).unwrap();
    assert_eq!((at("venv/big"), at("venv/bin/run")), (noise(1, 300_000), b"#!/bin/sh\n".to_vec()));

    // The same again costs nothing, and what is no tree is an answer.
    assert_eq!(artifacts.put("environment", &key, json!({"a": [1]}), Some(&loaded)).unwrap(), 0);
    assert_eq!(artifacts.find("base", &key).unwrap(), None);
    artifacts.put("names", &key, json!(["libpq5"]), None).unwrap();
    let answer = artifacts.find("names", &key).unwrap().unwrap();
    assert_eq!((answer.facts.clone(), answer.tree, answer.size), (json!(["libpq5"]), None, 0));
    assert!(artifacts.unpack(&answer, folder.path()).is_err());
}

/// Manifest of an artifact as JSON, and its tag.
fn manifest(registry: &Registry, kind: &str, key: &Digest) -> (String, Value) {
    let tag = format!("{kind}-v1-{}", key.hex());
    let bytes = registry.manifest("team/cache", &tag).unwrap();
    (tag, serde_json::from_slice(&bytes).unwrap())
}

fn replace(registry: &Registry, tag: &str, manifest: &Value) {
    let media_type = manifest["mediaType"].as_str().unwrap();
    registry.put_manifest("team/cache", tag, media_type, manifest.to_string().as_bytes());
}

fn descriptor(registry: &Registry, like: &Value, content: &[u8]) -> Value {
    let digest = registry.put_blob("team/cache", content);
    json!({"mediaType": like["mediaType"], "digest": digest, "size": content.len()})
}

#[test]
fn nothing_else_is_taken_for_what_was_put() {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let (_dir, store) = store();
    let fetcher = fetcher();
    let client = client(&fetcher, &());
    let artifacts = Artifacts::new(&client, &repository(&registry), &store, &());
    let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
    let mut small = FileTree::new();
    small.insert(TreePath::parse("venv").unwrap(), Entry::dir());
    artifacts.put("environment", &key, json!(null), Some(&tree(&store))).unwrap();
    artifacts.put("environment", &other, json!(null), Some(&small)).unwrap();
    let (tag, good) = manifest(&registry, "environment", &key);
    let (_, others) = manifest(&registry, "environment", &other);
    let outcome = |manifest: &Value| -> Result<(), RegistryError> {
        replace(&registry, &tag, manifest);
        let found = artifacts.find("environment", &key)?.unwrap();
        let folder = store.temp_dir("test").unwrap();
        artifacts.unpack(&found, folder.path()).map(drop)
    };
    outcome(&good).unwrap();

    // Somebody else's entry under this tag.
    let error = outcome(&others).unwrap_err();
    assert!(matches!(&error, RegistryError::Protocol { what, .. } if what.contains(&tag)), "{error}");
    assert!(!error.is_lasting());
    // Somebody else's tree with this record.
    let mut mixed = good.clone();
    mixed["layers"][1] = others["layers"][1].clone();
    let error = outcome(&mixed).unwrap_err();
    assert!(matches!(&error, RegistryError::WrongDigest { what, .. } if what.contains(&tag)), "{error}");
    // The same files with another owner.
    let zstd = |tar: &[u8]| zstd::stream::encode_all(tar, 1).unwrap();
    let mut packed = good.clone();
    packed["layers"][1] = descriptor(&registry, &good["layers"][1], &zstd(&archive(&[("venv", 'd', "")])));
    assert!(matches!(outcome(&packed), Err(RegistryError::WrongDigest { .. })));
    // A link that leads out, and a file through it; a whiteout; no archive at all.
    let swap = archive(&[("venv/x", 'l', "/tmp"), ("venv/x/evil", 'f', "x")]);
    for content in [zstd(&swap), zstd(&archive(&[("venv/.wh.x", 'f', "")])), zstd(b"x"), b"no zstd".to_vec()]
    {
        packed["layers"][1] = descriptor(&registry, &good["layers"][1], &content);
        let error = outcome(&packed).unwrap_err();
        assert!(matches!(error, RegistryError::Unpack(_) | RegistryError::WrongDigest { .. }), "{error}");
        assert!(!error.is_lasting());
    }
    assert!(!std::path::Path::new("/tmp/evil").exists());
    // An image, a record that is none, and a size that lies.
    let mut image = good.clone();
    image["artifactType"] = json!("application/vnd.other");
    assert!(matches!(outcome(&image), Err(RegistryError::Unsupported { .. })));
    let mut odd = good.clone();
    odd["layers"][0] = descriptor(&registry, &good["layers"][0], b"{}");
    assert!(matches!(outcome(&odd), Err(RegistryError::Malformed { .. })));
    let mut large = good.clone();
    large["layers"][1]["size"] = json!(5_u64 << 30);
    assert!(matches!(outcome(&large), Err(RegistryError::TooLarge { .. })));
    replace(&registry, &tag, &good);
    registry.behave(Behaviour { lies: true, ..Behaviour::default() });
    let error = outcome(&good).unwrap_err();
    assert!(matches!(&error, RegistryError::WrongDigest { what, .. } if what.contains(&tag)), "{error}");
}

#[test]
fn who_may_not_write_is_told_so_before_anything_is_packed() {
    let (_dir, store) = store();
    let fetcher = fetcher();
    let client = client(&fetcher, &());
    let access = Access::Token("me".to_owned(), "s3cret".to_owned());
    let registry = Registry::start(Behaviour { access, ..Behaviour::default() }).unwrap();
    let artifacts = Artifacts::new(&client, &repository(&registry), &store, &());
    assert_eq!(artifacts.find("base", &Digest::of(b"key")).unwrap(), None);
    let error = artifacts.check_writable().unwrap_err();
    assert!(error.is_refusal() && error.is_lasting(), "{error}");
    for status in [403, 405] {
        let refuses = Some((status, String::new()));
        let registry = Registry::start(Behaviour { refuses, ..Behaviour::default() }).unwrap();
        let artifacts = Artifacts::new(&client, &repository(&registry), &store, &());
        assert!(artifacts.check_writable().unwrap_err().is_refusal());
    }
    let nobody = reference("127.0.0.1:1/team/cache");
    let artifacts = Artifacts::new(&client, &nobody, &store, &());
    let error = artifacts.find("base", &Digest::of(b"key")).unwrap_err();
    assert!(!error.is_refusal() && error.is_lasting(), "{error}");
}
