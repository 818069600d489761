//! A freshly installed environment made independent of when and where it was installed.
//!
//! Strangers' code wrote the folder, so nothing is done to it in place: it is scanned, which follows no link, and what ships
//! is decided on the tree.

use std::collections::BTreeSet;

use djship_store::tree::EPOCH;
use djship_store::{Entry, FileTree, Node, Store, TreePath};

use super::BuilderError;

/// What installing leaves and running does not need, relative to the environment.
const LEFTOVERS: &[&str] = &[".lock", ".gitignore", "CACHEDIR.TAG", "bin/deactivate.bat", "bin/pydoc.bat"];

/// Metadata that differs between machines or installs and that nothing reads at run time.
const VARYING_METADATA: &[&str] =
    &["uv_cache.json", "uv_build.json", "direct_url.json", "INSTALLER", "REQUESTED"];

/// Metadata files larger than this are left as they are.
const LARGEST_METADATA: u64 = 64 << 20;

/// An installed distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Distribution {
    /// Its name as it writes it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Built from source here: its wheel has a tag that no index accepts.
    pub compiled: bool,
}

/// Takes out of a scanned environment what varies, puts it below `venv`, and lists what is installed, sorted by name.
pub(super) fn normalise(
    scanned: FileTree,
    store: &Store,
) -> Result<(FileTree, Vec<Distribution>), BuilderError> {
    let mut tree = FileTree::new();
    let compiled = compiled_messages(&scanned);
    for (path, mut entry) in scanned {
        if is_left_out(&path) || compiled.contains(path.as_str()) {
            continue;
        }
        let executable = entry.mode & 0o111 != 0;
        entry.mode = match entry.node {
            Node::Symlink { .. } => 0o777,
            Node::File { .. } if !executable => 0o644,
            _ => 0o755,
        };
        entry.mtime = EPOCH;
        if is_metadata(&path)
            && path.file_name() == "RECORD"
            && let Some(text) = text(&entry)?
        {
            let site_packages = path.parent().and_then(|info| info.parent());
            let is_gone = |line: &str| {
                site_packages
                    .as_ref()
                    .is_some_and(|folder| compiled.contains(&format!("{}/{line}", folder.as_str())))
            };
            let text = record(&text, is_gone);
            let (digest, at) = store.put_blob(text.as_bytes())?;
            entry = Entry::file(digest, text.len() as u64, at);
        }
        if let Ok(path) = TreePath::parse(&format!("venv/{}", path.as_str())) {
            tree.insert(path, entry);
        }
    }
    tree.fill_parents();
    let mut distributions = Vec::new();
    for (path, entry) in tree.iter() {
        if is_installed(path)
            && path.file_name() == "METADATA"
            && let Some(metadata) = text(entry)?
        {
            let wheel = path.parent().and_then(|folder| tree.get(&format!("{}/WHEEL", folder.as_str())));
            let wheel = wheel.map_or(Ok(None), text)?.unwrap_or_default();
            distributions.extend(distribution(&metadata, &wheel));
        }
    }
    distributions.sort();
    Ok((tree, distributions))
}

/// Sources of messages that lie beside what was compiled of them: 10 MB in Django alone, and only translators read them.
fn compiled_messages(tree: &FileTree) -> BTreeSet<String> {
    let sources = tree.iter().filter_map(|(path, _)| path.as_str().strip_suffix(".po"));
    let compiled = sources.filter(|stem| tree.get(&format!("{stem}.mo")).is_some());
    compiled.map(|stem| format!("{stem}.po")).collect()
}

fn is_left_out(path: &TreePath) -> bool {
    let name = path.file_name();
    LEFTOVERS.contains(&path.as_str())
        || path.as_str().strip_prefix("bin/").is_some_and(|program| program.starts_with("activate"))
        || name == "_virtualenv.py"
        || name == "_virtualenv.pth"
        || is_metadata(path) && VARYING_METADATA.contains(&name)
}

/// Whether a path is a file of `NAME.dist-info`.
fn is_metadata(path: &TreePath) -> bool {
    path.parent().is_some_and(|folder| folder.file_name().ends_with(".dist-info"))
}

/// Whether it is a distribution's own: others carry copies of distributions in folders of theirs.
fn is_installed(path: &TreePath) -> bool {
    let folder = path.parent().filter(|_| is_metadata(path)).and_then(|info| info.parent());
    folder.is_some_and(|folder| folder.file_name() == "site-packages")
}

fn text(entry: &Entry) -> Result<Option<String>, std::io::Error> {
    match &entry.node {
        Node::File { at, size, .. } if *size <= LARGEST_METADATA => {
            Ok(Some(String::from_utf8_lossy(&fs_err::read(at)?).into_owned()))
        }
        _ => Ok(None),
    }
}

/// `RECORD` without what is left out, sorted.
fn record(text: &str, is_gone: impl Fn(&str) -> bool) -> String {
    let stays = |line: &&str| {
        let path = line.split(',').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let varies = path.contains(".dist-info/") && VARYING_METADATA.contains(&name);
        !line.is_empty() && !varies && !path.contains("__pycache__/") && !is_gone(path)
    };
    let mut lines: Vec<&str> = text.lines().filter(stays).collect();
    lines.sort_unstable();
    lines.dedup();
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

fn distribution(metadata: &str, wheel: &str) -> Option<Distribution> {
    let field = |name: &str| {
        let header = metadata.lines().take_while(|line| !line.is_empty());
        let mut fields = header.filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
    };
    // PEP 600: an index takes `manylinux` and `musllinux`; plain `linux` comes from a build on this machine.
    let compiled = wheel.lines().any(|line| line.starts_with("Tag: ") && line.contains("-linux_"));
    Some(Distribution { name: field("Name")?, version: field("Version")?, compiled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_installs_of_the_same_are_the_same_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let venv = folder.path().join("venv");
        let info = venv.join("lib/python3.13/site-packages/psycopg2-2.9.11.dist-info");
        let evil = venv.join("lib/python3.13/site-packages/evil.dist-info");
        for folder in [&info, &evil, &venv.join("bin")] {
            fs_err::create_dir_all(folder).unwrap();
        }
        for (name, text) in [
            ("METADATA", "Metadata-Version: 2.1\nName: psycopg2\nVersion: 2.9.11\n\nName: other\n"),
            ("WHEEL", "Wheel-Version: 1.0\nTag: cp313-cp313-linux_x86_64\n"),
            (
                "RECORD",
                "psycopg2/b.py,sha256=x,1\npsycopg2/a.py,sha256=x,1\npsycopg2-2.9.11.dist-info/INSTALLER,,\n",
            ),
            ("INSTALLER", "uv"),
            ("direct_url.json", "{\"url\": \"file:///somewhere\"}"),
        ] {
            fs_err::write(info.join(name), text).unwrap();
        }
        let vendored = venv.join("lib/python3.13/site-packages/setuptools/_vendor/wheel-1.0.dist-info");
        fs_err::create_dir_all(&vendored).unwrap();
        fs_err::write(vendored.join("METADATA"), "Name: wheel\nVersion: 1.0\n").unwrap();
        fs_err::write(venv.join("bin/activate.fish"), "").unwrap();
        let outside = folder.path().join("profile");
        fs_err::write(&outside, "z\na\n").unwrap();
        fs_err::os::unix::fs::symlink(&outside, evil.join("RECORD")).unwrap();

        let store = Store::open(&folder.path().join("store")).unwrap();
        let (tree, found) = normalise(FileTree::scan(&venv).unwrap(), &store).unwrap();
        let expected = Distribution { name: "psycopg2".into(), version: "2.9.11".into(), compiled: true };
        assert_eq!(found, [expected]);
        let inside =
            |name: &str| format!("venv/lib/python3.13/site-packages/psycopg2-2.9.11.dist-info/{name}");
        let record = text(tree.get(&inside("RECORD")).unwrap()).unwrap().unwrap();
        assert_eq!(record, "psycopg2/a.py,sha256=x,1\npsycopg2/b.py,sha256=x,1\n");
        assert!(tree.get(&inside("direct_url.json")).is_none() && tree.get(&inside("INSTALLER")).is_none());
        assert!(tree.get("venv/bin/activate.fish").is_none());
        assert_eq!(fs_err::read_to_string(outside).unwrap(), "z\na\n");
    }
}
