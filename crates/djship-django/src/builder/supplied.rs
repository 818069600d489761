//! What djship supplies when the project brings no server: pinned wheels in `/opt/djship/lib`, never in `/venv`.

use djship_store::tree::EPOCH;
use djship_store::{Bucket, Entry, FileTree, Node, StoreError, TreePath};

use super::index_settings::IndexSettings;
use super::network::online;
use super::{BuilderError, make_owned, uv};
use crate::base::Roots;
use crate::child;
use crate::laid::{KeepError, Key, Laid};
use crate::python;
use crate::tools::Tools;

/// Installs a pinned requirements file of ours: `/opt/djship/lib`.
pub fn fetch(tools: &Tools<'_>, roots: &Roots<'_>, requirements: &str) -> Result<FileTree, BuilderError> {
    let key = Key::new("supplied, form 1").part(requirements).part(roots.key().as_bytes()).digest();
    if let Some(laid) = Laid::find(tools.store, Bucket::Outputs, &key)? {
        return Ok(laid.tree);
    }
    let settings = IndexSettings::of(tools.host);
    let root = roots.installer()?.fs();
    let work = tools.store.temp_dir("supplied")?;
    let out = work.path().join("out");
    make_owned(&out, tools)?;
    let python = roots.interpreter().program;
    let arguments = [
        "/opt/uv/bin/uv",
        "pip",
        "install",
        "--python",
        &python,
        "--target",
        "/out",
        "--no-deps",
        "--require-hashes",
        "--no-build",
        "-r",
        "/supplied.txt",
    ];
    let mut container = child::step([root.clone()], arguments);
    container.bind_read_only(uv::fetch(tools, roots, &settings)?, "/opt/uv");
    container.bind(&out, "/out").file("/supplied.txt", requirements);
    // A few wheels, once.
    container.tmpfs("/cache", 0o1777, None);
    online(&mut container, tools, &settings);
    for (name, value) in uv::ENVIRONMENT {
        container.env(*name, *value);
    }
    let finished = child::run(tools, &container)?;
    if !finished.success() {
        let reason = uv::failure(&finished.lines);
        let file = "what djship supplies".to_owned();
        return Err(BuilderError::Install { file, reason, output: finished.tail(30).to_vec() });
    }
    let scanned = FileTree::scan_where(&out, |path, _| {
        // Programs have the installer's interpreter in their first line; ours are started as modules.
        path.as_str() != "bin" && !path.as_str().starts_with('.') && !is_varying(path.file_name())
    });
    let mut tree = FileTree::new();
    for (path, mut entry) in scanned.map_err(KeepError::from)? {
        entry.mode = if matches!(entry.node, Node::File { .. }) { 0o644 } else { 0o755 };
        entry.mtime = EPOCH;
        if let Ok(path) = TreePath::parse(&format!("opt/djship/lib/{}", path.as_str())) {
            tree.insert(path, entry);
        }
    }
    tree.fill_parents();
    Ok(Laid::keep(tools.store, Bucket::Outputs, &key, &tree, |_| Ok(()))?.tree)
}

fn is_varying(name: &str) -> bool {
    matches!(
        name,
        "RECORD" | "INSTALLER" | "REQUESTED" | "direct_url.json" | "uv_cache.json" | "CACHEDIR.TAG"
    )
}

/// The files of ours that every image has in `/opt/djship`.
pub fn runtime(tools: &Tools<'_>) -> Result<FileTree, StoreError> {
    let mut tree = FileTree::new();
    for (name, text) in python::RUNTIME {
        let (digest, at) = tools.store.put_blob(text.as_bytes())?;
        let place =
            if name.contains('/') { format!("opt/djship/lib/{name}") } else { format!("opt/djship/{name}") };
        let mode = if *name == "start" { 0o755 } else { 0o644 };
        if let Ok(path) = TreePath::parse(&place) {
            tree.insert(path, Entry::file(digest, text.len() as u64, at).with_mode(mode));
        }
    }
    tree.fill_parents();
    Ok(tree)
}
