//! What earlier pushes and pulls found out, kept in the store: where in a registry a blob is, and what a tag meant. It only
//! saves requests: when it is wrong, the registry is right.

use djship_store::{Bucket, Digest, Store};

/// Longest text that is read back, in bytes.
const LONGEST: u64 = 4096;

/// What `key` meant the last time.
pub(super) fn recall(store: &Store, key: &str) -> Option<String> {
    use std::io::Read as _;
    let path = store.find(Bucket::Facts, &address(key))?;
    let mut text = String::new();
    fs_err::File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Keeps what `key` means. A store that is full or read-only forgets, and nothing is wrong with that.
pub(super) fn remember(store: &Store, key: &str, value: &str) {
    if recall(store, key).as_deref() == Some(value) {
        return;
    }
    let address = address(key);
    let _ = store.remove(Bucket::Facts, &address);
    let _ = store.insert_file(Bucket::Facts, &address, |writer| {
        let put = writer.write_all(value.as_bytes());
        put.map_err(|source| djship_store::StoreError::Io { verb: "write", path: "a note".into(), source })
    });
}

/// The key of the repository in `registry` that has the blob `digest`.
pub(super) fn home_of(registry: &str, digest: &Digest) -> String {
    format!("repository in {registry} with the blob {digest}")
}

/// The key of the digest that the name `reference` had.
pub(super) fn meaning_of(reference: &str) -> String {
    format!("manifest of {reference}")
}

fn address(key: &str) -> Digest {
    Digest::of(format!("registry, form 1, {key}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_meaning_counts() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let key = home_of("reg.test", &Digest::of(b"x"));
        assert_eq!(recall(&store, &key), None);
        for value in ["shop", "blog", "blog"] {
            remember(&store, &key, value);
            assert_eq!(recall(&store, &key).as_deref(), Some(value));
        }
    }
}
