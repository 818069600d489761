//! Images that go.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use djship_oci::records::RecordError;
use djship_oci::removal::{RemovalError, Removed};
use djship_oci::{Image, ImageConfig, ImageName, ImageStore, Layer, LayerEntry, Platform};
use djship_store::sweep::Rule;
use djship_store::{Bucket, Entry, FileTree, Store, Swept, TreePath};

fn image(store: &Store, content: &str) -> Image {
    let (digest, at) = store.put_blob(content.as_bytes()).unwrap();
    let file = (TreePath::parse("app/manage.py").unwrap(), Entry::file(digest, content.len() as u64, at));
    let mut tree: FileTree = [file].into_iter().collect();
    tree.fill_parents();
    let layer = LayerEntry { layer: Layer::keep(store, &tree).unwrap(), made_by: "test".to_owned() };
    Image::from_layers(vec![layer], ImageConfig::default(), Platform::linux("amd64"))
}

fn names(texts: &[&str]) -> Vec<ImageName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn names_go_one_by_one_and_the_record_with_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let images = ImageStore::new(&store);
    let image = image(&store, "one");
    images.save(&image, &names(&["shop:1", "shop:2", "shop:3"])).unwrap();
    let removed = images.remove_image("shop:1", false).unwrap();
    assert_eq!(removed, Removed::Untagged { name: names(&["shop:1"]).remove(0), id: image.id });
    let unknown = images.remove_image("shop:1", false);
    assert!(matches!(unknown, Err(RemovalError::Record(RecordError::Unknown { .. }))));
    let id: String = image.id.hex().chars().take(12).collect();
    let Err(RemovalError::SeveralNames { names: left, .. }) = images.remove_image(&id, false) else {
        panic!()
    };
    assert_eq!(left, names(&["shop:2", "shop:3"]));
    let removed = images.remove_image(&id, true).unwrap();
    assert_eq!(removed, Removed::Whole { names: left, id: image.id });
    assert!(store.find(Bucket::Images, &image.id).is_none() && images.list().unwrap().is_empty());
    // One whose name another image got.
    images.save(&image, &names(&["shop:4"])).unwrap();
    images.save(&self::image(&store, "two"), &names(&["shop:4"])).unwrap();
    assert_eq!(images.remove_image(&id, false).unwrap(), Removed::Whole { names: vec![], id: image.id });
    assert_eq!(images.list().unwrap().len(), 1);
}

#[test]
fn an_image_stays_while_a_container_runs_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let images = ImageStore::new(&store);
    let image = image(&store, "one");
    images.save(&image, &names(&["shop:1", "shop:2"])).unwrap();
    let runner = Store::open(dir.path()).unwrap();
    ImageStore::new(&runner).note_running(&image.id, "shop").unwrap();
    images.remove_image("shop:1", false).unwrap();
    for wanted in ["shop:2", &image.id.hex()] {
        let Err(RemovalError::InUse { by, .. }) = images.remove_image(wanted, true) else { panic!() };
        assert_eq!((by.len(), by[0].container.as_str()), (1, "shop"));
        assert_eq!(by[0].process, std::process::id());
    }
    drop(runner);
    images.remove_image("shop:2", false).unwrap();
}

#[test]
fn layers_stay_as_long_as_an_image_with_a_name_needs_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let images = ImageStore::new(&store);
    let (kept, gone) = (image(&store, "kept"), image(&store, "gone"));
    images.save(&kept, &names(&["shop:1"])).unwrap();
    images.save(&gone, &names(&["shop:2"])).unwrap();
    images.remove_image("shop:2", false).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let images = ImageStore::new(&store);
    let mut swept = Swept::default();
    let sweep = store.begin_sweep(false).unwrap();
    let needed: HashSet<_> = images.needed().unwrap().into_iter().collect();
    assert_eq!(needed.len(), 2);
    let rule = Rule { unused_since: SystemTime::now() + Duration::from_mins(1), needed: &needed };
    sweep.entries(&rule, &mut swept).unwrap();
    assert_eq!(swept.entries["layers-v1"], 1);
    assert!(kept.layers[0].folder.is_dir() && !gone.layers[0].folder.exists());
    images.find("shop:1").unwrap();
}
