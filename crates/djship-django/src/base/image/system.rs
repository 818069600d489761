//! What kind of system an image is, read from its files.

use djship_deb::Installed;
use djship_deb::root::resolve;
use djship_store::{FileTree, Node};

use super::BaseImageError;
use crate::plan::python::Release;

/// The largest file that is read, in bytes: dpkg's list of a large system has a few megabytes.
const LIMIT: u64 = 32 << 20;
/// Where Python is looked for.
const PYTHONS: [&str; 2] = ["/usr/local/bin/python3", "/usr/bin/python3"];

/// The release of the Debian that an image is.
pub(super) fn release(image: &str, tree: &FileTree) -> Result<Release, BaseImageError> {
    let text = text(tree, "etc/os-release").or_else(|| text(tree, "usr/lib/os-release"));
    let text = text.unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let words = line?.trim().trim_matches(['"', '\'']).chars();
        Some(words.filter(|c| !c.is_control()).take(100).collect::<String>())
    };
    let system = || value("PRETTY_NAME").or_else(|| value("NAME")).or_else(|| value("ID"));
    let image = || image.to_owned();
    if value("ID").as_deref() != Some("debian") {
        let system = system().unwrap_or_else(|| "no system that says its name".to_owned());
        return Err(BaseImageError::NotDebian { image: image(), system });
    }
    let codename = value("VERSION_CODENAME").unwrap_or_default();
    let release = Release::ALL.into_iter().find(|release| release.codename() == codename);
    let Some(release) = release else {
        let system = system().unwrap_or_else(|| "some Debian".to_owned());
        return Err(BaseImageError::Release { image: image(), system });
    };
    for (path, missing) in
        [("lib64/ld-linux-x86-64.so.2", "C library of Debian's (glibc)"), ("bin/sh", "shell (/bin/sh)")]
    {
        if resolve(tree, path).is_none() {
            return Err(BaseImageError::Incomplete { image: image(), missing });
        }
    }
    let is_merged = ["bin", "lib"]
        .iter()
        .all(|name| matches!(tree.get(name).map(|entry| &entry.node), Some(Node::Symlink { .. })));
    if !is_merged {
        return Err(BaseImageError::Incomplete { image: image(), missing: "merged /usr (/bin is no link)" });
    }
    if installed(tree).is_empty() {
        let missing = "record of what is installed (/var/lib/dpkg/status)";
        return Err(BaseImageError::Incomplete { image: image(), missing });
    }
    Ok(release)
}

/// The Python of an image.
pub(super) fn python(tree: &FileTree) -> Option<&'static str> {
    PYTHONS.into_iter().find(|program| resolve(tree, program).is_some())
}

/// What dpkg's records say.
pub(crate) fn installed(tree: &FileTree) -> Installed {
    let mut installed = Installed::read(&text(tree, "var/lib/dpkg/status").unwrap_or_default());
    let is_record = |path: &str| {
        path.strip_prefix("var/lib/dpkg/status.d/").is_some_and(|name| !name.ends_with(".md5sums"))
    };
    for (path, _) in tree.iter().filter(|(path, _)| is_record(path.as_str())) {
        installed.add(&text(tree, path.as_str()).unwrap_or_default());
    }
    installed
}

fn text(tree: &FileTree, path: &str) -> Option<String> {
    let real = resolve(tree, path)?;
    match &tree.get(real.as_str())?.node {
        Node::File { at, size, .. } if *size <= LIMIT => {
            Some(String::from_utf8_lossy(&fs_err::read(at).ok()?).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::{Digest, Entry, TreePath};

    /// A tree of files with these texts; `->` begins the target of a link.
    fn tree(folder: &std::path::Path, files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        for (path, text) in files {
            let entry = if let Some(target) = text.strip_prefix("->") {
                Entry::symlink(target)
            } else {
                let at = folder.join(path.replace('/', "-"));
                fs_err::write(&at, text).unwrap();
                Entry::file(Digest::of(text.as_bytes()), text.len() as u64, at)
            };
            tree.insert(TreePath::parse(path).unwrap(), entry);
        }
        tree.fill_parents();
        tree
    }

    const DEBIAN: [(&str, &str); 9] = [
        ("etc/os-release", "->../usr/lib/os-release"),
        (
            "usr/lib/os-release",
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
        ),
        ("bin", "->usr/bin"),
        ("lib", "->usr/lib"),
        ("lib64", "->usr/lib64"),
        ("usr/lib64/ld-linux-x86-64.so.2", ""),
        ("usr/bin/sh", ""),
        ("usr/local/bin/python3", "->python3.12"),
        ("var/lib/dpkg/status", "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n"),
    ];

    #[test]
    fn a_debian_is_recognised_and_its_first_python_counts() {
        let dir = tempfile::tempdir().unwrap();
        let found = tree(dir.path(), &DEBIAN);
        assert_eq!(release("x", &found).unwrap(), Release::Bookworm);
        assert_eq!(installed(&found).version("libc6"), Some("2.36-9"));
        // A link to nothing is no Python.
        assert_eq!(python(&found), None);
        let system = tree(dir.path(), &[&DEBIAN[..], &[("usr/bin/python3", "")]].concat());
        assert_eq!(python(&system), Some("/usr/bin/python3"));
        let own = tree(
            dir.path(),
            &[&DEBIAN[..], &[("usr/bin/python3", ""), ("usr/local/bin/python3.12", "")]].concat(),
        );
        assert_eq!(python(&own), Some("/usr/local/bin/python3"));
    }

    #[test]
    fn what_is_no_such_debian_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let with = |path: &str, text: &str| {
            let changed = DEBIAN.map(|(known, before)| (known, if known == path { text } else { before }));
            release("some/image:1", &tree(dir.path(), &changed)).unwrap_err().to_string()
        };
        for (path, text, expected) in [
            (
                "usr/lib/os-release",
                "NAME=\"Alpine Linux\"\nID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"",
                "it is Alpine Linux v3.20",
            ),
            ("usr/lib/os-release", "ID=ubuntu\nVERSION_CODENAME=noble\nNAME=Ubuntu", "it is Ubuntu"),
            ("usr/lib/os-release", "", "it is no system that says its name"),
            (
                "usr/lib/os-release",
                "ID=debian\nVERSION_CODENAME=buster\nPRETTY_NAME='Debian 10'",
                "it is Debian 10, a release",
            ),
            ("usr/bin/sh", "->gone", "no shell"),
            ("usr/lib64/ld-linux-x86-64.so.2", "->gone", "glibc"),
            ("bin", "", "no "),
            ("var/lib/dpkg/status", "", "/var/lib/dpkg/status"),
        ] {
            let error = with(path, text);
            assert!(error.contains(expected) && error.contains("`some/image:1`"), "{error}");
        }
    }
}
