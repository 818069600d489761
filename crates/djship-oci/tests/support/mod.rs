//! What the tests of registries share.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::io::Write as _;
use std::time::Duration;

use djship_oci::registry::{Client, Credentials, CredentialsError, Login, Options, Reference, Secret};
use djship_oci::{Image, ImageConfig, Layer, LayerEntry, Platform};
use djship_store::fetch::{FetchOptions, Fetcher};
use djship_store::{Entry, FileTree, Store, TreePath};

/// A store, and the folder that it is in.
pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

/// Downloads without pauses between tries.
pub(crate) fn fetcher() -> Fetcher {
    fetcher_with(FetchOptions::default())
}

pub(crate) fn fetcher_with(options: FetchOptions) -> Fetcher {
    Fetcher::new(FetchOptions { pause: Duration::ZERO, ..options }).unwrap()
}

/// A client of `fetcher`'s.
pub(crate) fn client<'a>(fetcher: &'a Fetcher, credentials: &'a dyn Credentials) -> Client<'a> {
    Client { fetcher, credentials, options: Options::default() }
}

/// One login for every registry.
pub(crate) struct Is(pub(crate) Login);

impl Credentials for Is {
    fn find(&self, _: &str, _: &str) -> Result<Option<Login>, CredentialsError> {
        Ok(Some(self.0.clone()))
    }
}

pub(crate) fn password(user: &str, password: &str) -> Is {
    let (user, secret) = (user.to_owned(), Secret::Password(password.to_owned()));
    Is(Login { user, secret, from: "/home/me/config.json".to_owned() })
}

pub(crate) fn reference(text: &str) -> Reference {
    Reference::parse(text, None).unwrap()
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        // The generator of Numerical Recipes; the low bits are poor.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

/// An image with one layer for each content.
pub(crate) fn image(store: &Store, contents: &[&[u8]]) -> Image {
    let layers = contents.iter().enumerate().map(|(index, content)| {
        let (digest, at) = store.put_blob(content).unwrap();
        let path = TreePath::parse(&format!("app/{index}.bin")).unwrap();
        let mut tree = FileTree::new();
        tree.insert(path, Entry::file(digest, content.len() as u64, at).owned_by(1000, 0));
        tree.fill_parents();
        LayerEntry { layer: Layer::keep(store, &tree).unwrap(), made_by: format!("layer {index}") }
    });
    let config = ImageConfig { command: vec!["/app/run".to_owned()], ..ImageConfig::default() };
    Image::from_layers(layers.collect(), config, Platform::linux("amd64"))
}

/// An archive of entries: name, kind (`d`, `f`, `l` symbolic, `h` hard), and content or target.
pub(crate) fn archive(entries: &[(&str, char, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(1);
        let (kind, mode) = match kind {
            'd' => (tar::EntryType::Directory, 0o755),
            'l' => (tar::EntryType::Symlink, 0o777),
            'h' => (tar::EntryType::Link, 0o644),
            _ => (tar::EntryType::Regular, 0o644),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        if kind == tar::EntryType::Regular {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        } else {
            header.set_size(0);
            if kind == tar::EntryType::Directory {
                builder.append_data(&mut header, name, std::io::empty()).unwrap();
            } else {
                builder.append_link(&mut header, name, content).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
