//! Images as build contexts, read with another library's reader.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::io::Read as _;

use djship_oci::context::{ContextError, stream_context};
use djship_oci::{Image, ImageConfig, Layer, LayerEntry, Platform, write_context};
use djship_store::{Digest, Entry, FileTree, Store, TreePath};
use flate2::read::GzDecoder;

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    fn file(&self, content: &str) -> Entry {
        let (digest, at) = self.store.put_blob(content.as_bytes()).unwrap();
        Entry::file(digest, content.len() as u64, at)
    }

    fn image(&self, layers: &[&[(&str, Entry)]]) -> Image {
        let layers = layers.iter().map(|entries| {
            let mut tree: FileTree =
                entries.iter().map(|(path, entry)| (TreePath::parse(path).unwrap(), entry.clone())).collect();
            tree.fill_parents();
            LayerEntry { layer: Layer::keep(&self.store, &tree).unwrap(), made_by: "test: x".to_owned() }
        });
        let config = ImageConfig { command: vec!["/bin/x".to_owned()], ..ImageConfig::default() };
        Image::from_layers(layers.collect(), config, Platform::linux("amd64"))
    }
}

fn written(image: &Image, store: &Store) -> Result<Vec<u8>, ContextError> {
    let mut bytes = Vec::new();
    stream_context(image, store, &mut bytes).map(|()| bytes)
}

/// Names and contents, in order.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(GzDecoder::new(bytes));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    });
    entries.collect()
}

#[test]
fn a_dockerfile_and_the_layers_and_nothing_else() {
    let place = Place::new();
    let image = place.image(&[&[("bin/x", place.file("one"))], &[], &[("app/y", place.file("two"))]]);
    let bytes = written(&image, &place.store).unwrap();
    let found = entries(&bytes);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    // `ADD` copies an archive without entries: a layer that holds nothing is left out.
    assert_eq!(names, ["Dockerfile", "layer-1.tar.gz", "layer-2.tar.gz"]);
    let dockerfile = String::from_utf8(found[0].1.clone()).unwrap();
    let lines: Vec<_> = dockerfile.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["FROM scratch", "ADD layer-1.tar.gz /", "ADD layer-2.tar.gz /", "CMD [\"/bin/x\"]"]);
    assert!(!dockerfile.contains("syntax="), "{dockerfile}");
    for ((_, content), layer) in found[1..].iter().zip([&image.layers[0], &image.layers[2]]) {
        let mut stream = Vec::new();
        GzDecoder::new(content.as_slice()).read_to_end(&mut stream).unwrap();
        assert_eq!(Digest::of(&stream), layer.diff_id);
    }
}

#[test]
fn the_same_image_gives_the_same_bytes_and_a_file_is_replaced_whole() {
    let (one, other) = (Place::new(), Place::new());
    let [first, second] = [&one, &other]
        .map(|place| written(&place.image(&[&[("bin/x", place.file("one"))]]), &place.store).unwrap());
    assert_eq!(first, second);
    let file = one.dir.path().join("context.tar.gz");
    fs_err::write(&file, "old").unwrap();
    let image = one.image(&[&[("bin/x", one.file("one"))]]);
    write_context(&image, &file, &one.store).unwrap();
    assert_eq!(fs_err::read(&file).unwrap(), first);
    let error = write_context(&image, one.dir.path(), &one.store).unwrap_err();
    assert!(matches!(error, ContextError::NotAFile { .. }));
}

#[test]
fn what_add_would_make_otherwise_is_refused() {
    let place = Place::new();
    let file = || place.file("x");
    let swapped: [&[&[(&str, Entry)]]; 3] = [
        &[&[("a/f", file())], &[("a", Entry::symlink("b"))]],
        &[&[("link", Entry::symlink("target")), ("target/keep", file())], &[("link/new", file())]],
        &[&[("a", file())], &[("a/b", file())]],
    ];
    for layers in swapped {
        let error = written(&place.image(layers), &place.store).unwrap_err();
        assert!(matches!(error, ContextError::Disagreement { .. }), "{error}");
    }
    let error = written(&place.image(&[&[("a/.wh.b", file())]]), &place.store).unwrap_err();
    assert!(matches!(error, ContextError::Whiteout { .. }), "{error}");
    // One file for another is what layers are for.
    written(&place.image(&[&[("a", file())], &[("a", Entry::symlink("b"))]]), &place.store).unwrap();
}
