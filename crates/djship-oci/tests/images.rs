//! Images from trees to layouts, archives and records.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use djship_oci::archive::ArchiveError;
use djship_oci::layer::LayerError;
use djship_oci::layout::LayoutError;
use djship_oci::records::RecordError;
use djship_oci::wire::{self, Index};
use djship_oci::{
    Compression, Healthcheck, Image, ImageConfig, ImageName, ImageStore, Layer, LayerEntry, Platform,
    read_layout, write_archive, write_layout,
};
use djship_store::{Bucket, Digest, Entry, FileTree, Store, TreePath};

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

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn tree(&self, files: &[(&str, &str)]) -> FileTree {
        let mut tree: FileTree = files
            .iter()
            .map(|(path, content)| {
                let (digest, at) = self.store.put_blob(content.as_bytes()).unwrap();
                (TreePath::parse(path).unwrap(), Entry::file(digest, content.len() as u64, at))
            })
            .collect();
        tree.fill_parents();
        tree
    }

    /// Two layers; `content` is in the upper one.
    fn image(&self, content: &str) -> Image {
        let base = self.tree(&[("etc/os-release", "ID=debian\n"), ("usr/bin/tool", "tool")]);
        let app = self.tree(&[("app/manage.py", content)]);
        let layers = [(base, "base"), (app, "application")].map(|(tree, made_by)| LayerEntry {
            layer: Layer::keep(&self.store, &tree).unwrap(),
            made_by: made_by.to_owned(),
        });
        Image::from_layers(layers.into(), config(), Platform::linux("amd64"))
    }
}

fn config() -> ImageConfig {
    ImageConfig {
        user: "1000:1000".to_owned(),
        env: [("PATH", "/venv/bin:/usr/bin"), ("LANG", "C.UTF-8")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        entrypoint: vec!["/opt/djship/start".to_owned()],
        command: vec!["web".to_owned()],
        working_dir: "/app".to_owned(),
        volumes: ["/app/media".to_owned()].into(),
        exposed_ports: ["8000/tcp".to_owned()].into(),
        stop_signal: Some("SIGTERM".to_owned()),
        labels: [("org.opencontainers.image.title".to_owned(), "shop".to_owned())].into(),
        healthcheck: Some(Healthcheck {
            test: vec!["CMD".to_owned(), "/opt/djship/health".to_owned()],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            start_period: Duration::from_secs(30),
            retries: 3,
        }),
    }
}

fn names(texts: &[&str]) -> Vec<ImageName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn snapshot(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let tree = FileTree::scan(dir).unwrap();
    let files = tree.iter().filter(|(_, entry)| !entry.is_dir());
    files.map(|(path, _)| (path.to_string(), fs_err::read(path.below(dir)).unwrap())).collect()
}

#[test]
fn the_config_has_the_words_that_engines_read() {
    let place = Place::new();
    let image = place.image("print()\n");
    assert_eq!(image.id, Digest::of(&image.config_bytes));
    let [base, app] = [0, 1].map(|index: usize| image.layers[index].diff_id);
    let expected = format!(
        concat!(
            r#"{{"created":"2000-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{{"User":"1000:1000","#,
            r#""ExposedPorts":{{"8000/tcp":{{}}}},"Env":["LANG=C.UTF-8","PATH=/venv/bin:/usr/bin"],"#,
            r#""Entrypoint":["/opt/djship/start"],"Cmd":["web"],"Healthcheck":{{"Test":["CMD","/opt/djship/health"],"#,
            r#""Interval":10000000000,"Timeout":3000000000,"StartPeriod":30000000000,"Retries":3}},"#,
            r#""Volumes":{{"/app/media":{{}}}},"WorkingDir":"/app","Labels":{{"org.opencontainers.image.title":"shop"}},"#,
            r#""StopSignal":"SIGTERM"}},"rootfs":{{"type":"layers","diff_ids":["{}","{}"]}},"#,
            r#""history":[{{"created":"2000-01-01T00:00:00Z","created_by":"base"}},"#,
            r#"{{"created":"2000-01-01T00:00:00Z","created_by":"application"}}]}}"#,
        ),
        base, app
    );
    assert_eq!(String::from_utf8(image.config_bytes.clone()).unwrap(), expected);
    let again = Image::from_config_bytes(image.config_bytes.clone(), image.layers.clone()).unwrap();
    assert_eq!(again, image);
    Image::from_config_bytes(image.config_bytes, Vec::new()).unwrap_err();
}

#[test]
fn configs_of_others_are_read_with_their_nulls() {
    let text = r#"{"architecture":"arm64","variant":"v8","os":"linux","docker_version":"x","config":{"Env":null,"Cmd":["sh"],
        "Entrypoint":null,"Volumes":null,"Labels":null,"User":"","WorkingDir":"","OnBuild":null,"StopSignal":null},
        "rootfs":{"type":"layers","diff_ids":[]},"history":null}"#;
    let image = Image::from_config_bytes(text.as_bytes().to_vec(), Vec::new()).unwrap();
    assert_eq!(image.config, ImageConfig { command: vec!["sh".to_owned()], ..ImageConfig::default() });
    assert_eq!(image.platform.variant.as_deref(), Some("v8"));
    Image::from_config_bytes(b"{}".to_vec(), Vec::new()).unwrap_err();
}

#[test]
fn equal_input_gives_equal_bytes_in_another_store() {
    let (one, other) = (Place::new(), Place::new());
    let (first, second) = (one.image("x"), other.image("x"));
    assert_eq!(first.id, second.id);
    assert_ne!(first.id, one.image("y").id);
    for compression in [Compression::None, Compression::Gzip] {
        let layouts = [(&one, &first), (&other, &second)].map(|(place, image)| {
            let out = place.path(&format!("{compression:?}"));
            write_layout(image, &out, &names(&["shop"]), compression, &place.store).unwrap();
            snapshot(&out)
        });
        assert_eq!(layouts[0], layouts[1]);
        let archives = [(&one, &first), (&other, &second)].map(|(place, image)| {
            let out = place.path(&format!("{compression:?}.tar"));
            write_archive(image, &out, &names(&["shop"]), compression, &place.store).unwrap();
            fs_err::read(out).unwrap()
        });
        assert!(archives[0] == archives[1], "archives differ");
    }
}

#[test]
fn a_layout_holds_what_its_index_says() {
    let place = Place::new();
    let image = place.image("x");
    for (compression, media_type) in
        [(Compression::None, wire::LAYER_TAR), (Compression::Gzip, wire::LAYER_TAR_GZIP)]
    {
        let out = place.path("layout");
        let digest =
            write_layout(&image, &out, &names(&["shop:1", "r.test/shop:2"]), compression, &place.store)
                .unwrap();
        let read = read_layout(&out).unwrap();
        assert_eq!(read.len(), 2);
        let tags = ["1", "2"];
        for (image_read, tag) in read.iter().zip(tags) {
            assert_eq!(image_read.descriptor.digest, digest);
            assert_eq!(image_read.descriptor.annotations["org.opencontainers.image.ref.name"], tag);
            assert_eq!(image_read.config_bytes, image.config_bytes);
            for ((blob, layer), path) in
                image_read.manifest.layers.iter().zip(&image.layers).zip(&image_read.layers)
            {
                assert_eq!(blob.media_type, media_type);
                let bytes = fs_err::read(path).unwrap();
                let tar = match compression {
                    Compression::None => bytes,
                    Compression::Gzip => {
                        assert_eq!(bytes[4..10], [0, 0, 0, 0, 0, 255], "no time, no system in the header");
                        let mut tar = Vec::new();
                        flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut tar).unwrap();
                        tar
                    }
                };
                assert_eq!(Digest::of(&tar), layer.diff_id);
                assert_eq!(tar.len() as u64, layer.tar_size);
            }
        }
        // Nothing else is there, and the second round replaced the first.
        assert_eq!(snapshot(&out).len(), 2 + 2 + image.layers.len());
        assert_eq!(fs_err::read_dir(place.dir.path()).unwrap().count(), 2);
    }
}

#[test]
fn a_folder_of_somebody_else_is_not_replaced() {
    let place = Place::new();
    let image = place.image("x");
    let out = place.path("out");
    let write = || write_layout(&image, &out, &[], Compression::None, &place.store);
    fs_err::create_dir(&out).unwrap();
    write().unwrap();
    write().unwrap();
    fs_err::write(out.join("notes.txt"), b"mine").unwrap();
    assert!(matches!(write(), Err(LayoutError::Foreign { .. })));
    fs_err::remove_file(out.join("notes.txt")).unwrap();
    // The layout of another tool has not our mark.
    let mut index: Index = serde_json::from_slice(&fs_err::read(out.join("index.json")).unwrap()).unwrap();
    index.annotations.clear();
    fs_err::write(out.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    assert!(matches!(write(), Err(LayoutError::Foreign { .. })));
    let file = place.path("file");
    fs_err::write(&file, b"mine").unwrap();
    let result = write_layout(&image, &file, &[], Compression::None, &place.store);
    assert!(matches!(result, Err(LayoutError::Foreign { .. })));
    let result = write_archive(&image, &out, &[], Compression::None, &place.store);
    assert!(matches!(result, Err(ArchiveError::NotAFile { .. })));
    assert_eq!(fs_err::read(&file).unwrap(), b"mine");
}

#[test]
fn a_damaged_layout_is_not_read() {
    let place = Place::new();
    let image = place.image("x");
    let out = place.path("out");
    write_layout(&image, &out, &[], Compression::None, &place.store).unwrap();
    let blob = out.join("blobs/sha256").join(image.layers[0].diff_id.hex());
    let mut bytes = fs_err::read(&blob).unwrap();
    bytes[600] ^= 1;
    fs_err::write(&blob, &bytes).unwrap();
    assert!(matches!(read_layout(&out), Err(LayoutError::WrongBlob { .. })));
    bytes.pop();
    fs_err::write(&blob, &bytes).unwrap();
    assert!(matches!(read_layout(&out), Err(LayoutError::WrongSize { .. })));
}

#[test]
fn an_archive_is_a_layout_with_dockers_manifest() {
    let place = Place::new();
    let image = place.image("x");
    let file = place.path("shop.tar");
    fs_err::write(&file, b"an older archive").unwrap();
    write_archive(&image, &file, &names(&["shop:1", "shop:2"]), Compression::Gzip, &place.store).unwrap();
    let unpacked = place.path("unpacked");
    tar::Archive::new(fs_err::File::open(&file).unwrap()).unpack(&unpacked).unwrap();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs_err::read(unpacked.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["shop:1", "shop:2"]));
    let config = unpacked.join(manifest[0]["Config"].as_str().unwrap());
    assert_eq!(fs_err::read(config).unwrap(), image.config_bytes);
    let layers: Vec<_> =
        manifest[0]["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(layers.len(), 2);
    let read = read_layout(&unpacked).unwrap();
    for (name, path) in layers.iter().zip(&read[0].layers) {
        assert_eq!(&unpacked.join(name), path);
    }
    assert_eq!(fs_err::read_dir(place.dir.path()).unwrap().count(), 3);
}

#[test]
fn a_layer_whose_bytes_changed_does_not_leave() {
    let place = Place::new();
    let image = place.image("x");
    let inside = image.layers[1].bytes_dir().join("app/manage.py");
    fs_err::write(inside, b"y").unwrap();
    for compression in [Compression::None, Compression::Gzip] {
        let out = place.path("out");
        let error = write_layout(&image, &out, &[], compression, &place.store).unwrap_err();
        let is_changed = matches!(error, LayoutError::Layer { source: LayerError::Changed { .. }, .. });
        assert!(is_changed, "{error}");
        assert!(!out.exists());
        write_archive(&image, &out, &[], compression, &place.store).unwrap_err();
        assert!(!out.exists());
    }
}

#[test]
fn a_layer_is_the_same_from_its_folder() {
    let place = Place::new();
    let layer = Layer::keep(&place.store, &place.tree(&[("a/b", "x")])).unwrap();
    assert_eq!(Layer::in_folder(&place.store, &layer.folder).unwrap(), layer);
    assert_eq!(place.store.find(Bucket::Layers, &layer.tree.digest()), Some(layer.folder));
}

#[test]
fn images_are_found_by_name_and_by_id() {
    let place = Place::new();
    let images = ImageStore::new(&place.store);
    let (one, two) = (place.image("one"), place.image("two"));
    images.save(&one, &names(&["shop", "shop:1"])).unwrap();
    assert_eq!(images.find("shop").unwrap().id, one.id);
    images.save(&two, &names(&["shop", "r.test:5000/shop:2"])).unwrap();
    for (wanted, id) in [
        ("shop", two.id),
        ("shop:latest", two.id),
        ("shop:1", one.id),
        ("r.test:5000/shop:2", two.id),
        (&one.id.to_string(), one.id),
        (&one.id.hex()[..12], one.id),
    ] {
        assert_eq!(images.find(wanted).unwrap().id, id, "{wanted}");
    }
    for wanted in ["shop:3", "other", "abc", "sha256:", "not/hex", &"0".repeat(64)] {
        assert!(matches!(images.find(wanted), Err(RecordError::Unknown { .. })), "{wanted}");
    }
    assert_eq!(images.find("shop:1").unwrap().open().unwrap(), one);
    let list = images.list().unwrap();
    let shown: Vec<_> = list.iter().map(|image| (image.name.to_string(), image.id)).collect();
    let expected = [("shop:1", one.id), ("shop:latest", two.id), ("r.test:5000/shop:2", two.id)];
    assert_eq!(shown, expected.map(|(name, id)| (name.to_owned(), id)));
    assert_eq!(list[0].tar_size, one.tar_size());

    let remove = |name: &str| images.remove(&name.parse().unwrap()).unwrap();
    assert!(remove("shop"));
    assert!(!remove("shop"));
    assert_eq!(images.load(&two.id).unwrap().id, two.id);
    assert!(remove("r.test:5000/shop:2"));
    assert!(matches!(images.load(&two.id), Err(RecordError::Unknown { .. })));
    assert_eq!(images.find("shop:1").unwrap().id, one.id);
}

#[test]
fn a_record_says_when_a_layer_is_gone_and_is_made_again() {
    let place = Place::new();
    let images = ImageStore::new(&place.store);
    let image = place.image("x");
    images.save(&image, &names(&["shop"])).unwrap();
    place.store.remove(Bucket::Layers, &image.layers[1].tree.digest()).unwrap();
    assert!(matches!(images.find("shop"), Err(RecordError::LayerGone { .. })));
    let again = place.image("x");
    images.save(&again, &names(&["shop"])).unwrap();
    assert_eq!(images.find("shop").unwrap().id, image.id);
    let mut elsewhere = again;
    elsewhere.layers[0].folder = place.path("elsewhere");
    assert!(matches!(images.save(&elsewhere, &[]), Err(RecordError::LayerElsewhere { .. })));
}

#[test]
fn a_store_may_move() {
    let place = Place::new();
    let image = place.image("x");
    ImageStore::new(&place.store).save(&image, &names(&["shop"])).unwrap();
    let moved = place.path("moved");
    fs_err::rename(place.store.root(), &moved).unwrap();
    let store = Store::open(&moved).unwrap();
    let image = ImageStore::new(&store).find("shop").unwrap().open().unwrap();
    write_layout(&image, &place.path("out"), &[], Compression::None, &store).unwrap();
}
