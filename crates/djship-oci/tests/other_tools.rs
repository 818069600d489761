//! Layouts and archives as other programs see them. Run with `--run-ignored all` where the programs are installed.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::path::Path;
use std::process::Command;

use djship_oci::{
    Compression, Image, ImageConfig, ImageName, Layer, LayerEntry, Platform, write_archive, write_layout,
};
use djship_store::{Digest, Entry, FileTree, Store, TreePath};

fn image(store: &Store) -> Image {
    let (digest, at) = store.put_blob(b"print()\n").unwrap();
    let long = format!("app/{}/n\u{e9}.py", "long".repeat(40));
    let mut tree: FileTree = [
        (TreePath::parse("app/manage.py").unwrap(), Entry::file(digest, 8, &at).with_mode(0o755)),
        (TreePath::parse(&long).unwrap(), Entry::file(digest, 8, &at).owned_by(1000, 0)),
        (TreePath::parse("bin").unwrap(), Entry::symlink("usr/bin")),
    ]
    .into_iter()
    .collect();
    tree.fill_parents();
    let layer = LayerEntry { layer: Layer::keep(store, &tree).unwrap(), made_by: "test".to_owned() };
    let config = ImageConfig { command: vec!["/app/manage.py".to_owned()], ..ImageConfig::default() };
    Image::from_layers(vec![layer], config, Platform::linux("amd64"))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[ignore = "needs skopeo"]
fn skopeo_reads_layouts_and_archives() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let image = image(&store);
    let name: ImageName = "shop:1".parse().unwrap();
    for compression in [Compression::None, Compression::Gzip] {
        let layout = dir.path().join("layout");
        let manifest =
            write_layout(&image, &layout, std::slice::from_ref(&name), compression, &store).unwrap();
        let shown = run("skopeo", &["inspect", &format!("oci:{}:1", text(&layout))]);
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Digest"], manifest.to_string());
        assert_eq!(shown["Architecture"], "amd64");
        let archive = dir.path().join("shop.tar");
        write_archive(&image, &archive, std::slice::from_ref(&name), compression, &store).unwrap();
        for source in ["docker-archive:", "oci-archive:"] {
            let config =
                run("skopeo", &["inspect", "--config", "--raw", &format!("{source}{}", text(&archive))]);
            assert_eq!(Digest::of(config.as_bytes()), image.id, "{source}");
            // Copying reads and checks every layer.
            let copy = dir.path().join("copy");
            run("skopeo", &["copy", &format!("{source}{}", text(&archive)), &format!("dir:{}", text(&copy))]);
        }
    }
}

#[test]
#[ignore = "needs umoci"]
fn umoci_unpacks_layouts() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let image = image(&store);
    for compression in [Compression::None, Compression::Gzip] {
        let layout = dir.path().join("layout");
        let bundle = dir.path().join(format!("{compression:?}"));
        write_layout(&image, &layout, &["shop:1".parse().unwrap()], compression, &store).unwrap();
        run("umoci", &["unpack", "--rootless", "--image", &format!("{}:1", text(&layout)), text(&bundle)]);
        let found = FileTree::scan(&bundle.join("rootfs")).unwrap();
        let nodes = |tree: &FileTree| {
            let nodes = tree.iter().map(|(path, entry)| {
                let content = match &entry.node {
                    djship_store::Node::Dir => "folder".to_owned(),
                    djship_store::Node::File { digest, .. } => digest.to_string(),
                    djship_store::Node::Symlink { target } => target.clone(),
                };
                (path.to_string(), entry.mode, content)
            });
            nodes.collect::<Vec<_>>()
        };
        assert_eq!(nodes(&found), nodes(&image.layers[0].tree));
    }
}
