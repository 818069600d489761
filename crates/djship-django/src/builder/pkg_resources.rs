//! `pkg_resources`, for distributions that import it and do not say that they need it.
//!
//! It came with every virtual environment until Python 3.12, so many old distributions count on it. It is part of setuptools,
//! which is installed by pinned hash when something imports it and nothing brings it.

use djship_store::{Beneath, FileTree, Node};

use crate::python;

/// Where a container that installs sees the list.
pub(crate) const LIST: &str = "/pkg-resources.txt";
/// Longer files are no code that people wrote.
const LONGEST: u64 = 1 << 20;
/// Folders in folders that are looked into, and files that are read, where a stranger may have put any number.
const DEEPEST: usize = 40;
const MOST: usize = 200_000;
/// Folders of what is never imported when a site runs.
const NOT_RUN: &[&str] = &["test", "tests", "testing"];

/// The version of setuptools that is supplied.
pub(crate) fn version() -> String {
    python::pinned_version(python::PKG_RESOURCES, "setuptools").unwrap_or_default()
}

/// The arguments that install it.
pub(crate) fn arguments(python: &str) -> [String; 8] {
    ["pip", "install", "--python", python, "--no-deps", "--require-hashes", "-r", LIST].map(str::to_owned)
}

/// The package in an environment that imports it and would fail.
pub(crate) fn wanted_by(venv: &FileTree) -> Result<Option<String>, std::io::Error> {
    let mut search = Search::default();
    for (path, entry) in venv.iter() {
        let inside = path.as_str().split_once("/site-packages/");
        if let (Some((_, path)), Node::File { at, size, .. }) = (inside, &entry.node)
            && search.wants(path)
            && *size <= LONGEST
        {
            search.look(path, &fs_err::read(at)?);
        }
    }
    Ok(search.wanted_by())
}

/// The same for an environment that is in somebody else's hands. What cannot be read there imports nothing.
pub(crate) fn wanted_beneath(venv: &Beneath) -> Option<String> {
    let lib = venv.folder("lib").ok()?;
    let mut search = Search::default();
    for python in lib.entries().into_iter().flatten() {
        let site = python.name.to_str().and_then(|name| lib.folder(&format!("{name}/site-packages")).ok());
        if let Some(site) = site {
            search.enter(&site, "", 0);
        }
    }
    search.wanted_by()
}

/// Looks through the files of environments. Paths are relative to `site-packages`.
#[derive(Default)]
struct Search {
    /// Something brings it.
    is_there: bool,
    /// The first file, by its path, that imports it.
    importer: Option<String>,
    /// How many files were read.
    read: usize,
}

impl Search {
    /// Whether a file's code would say something new.
    fn wants(&mut self, path: &str) -> bool {
        self.is_there |= matches!(path, "pkg_resources/__init__.py" | "pkg_resources.py");
        let is_code =
            path.strip_suffix(".py").is_some() && !path.split('/').any(|part| NOT_RUN.contains(&part));
        is_code && !self.is_there && self.importer.as_deref().is_none_or(|first| path < first)
    }

    fn look(&mut self, path: &str, code: &[u8]) {
        if imports(code) {
            self.importer = Some(path.to_owned());
        }
    }

    fn enter(&mut self, folder: &Beneath, within: &str, depth: usize) {
        for entry in folder.entries().into_iter().flatten() {
            let Some(name) = entry.name.to_str() else { continue };
            let path = format!("{within}{name}");
            if entry.is_folder && depth < DEEPEST {
                if let Ok(folder) = folder.folder(name) {
                    self.enter(&folder, &format!("{path}/"), depth + 1);
                }
            } else if self.wants(&path) && self.read < MOST {
                self.read += 1;
                if let Ok(code) = folder.read(name, LONGEST) {
                    self.look(&path, &code);
                }
            }
        }
    }

    /// The name of the package.
    fn wanted_by(self) -> Option<String> {
        let path = self.importer.filter(|_| !self.is_there)?;
        Some(path.split('/').next().unwrap_or_default().trim_end_matches(".py").to_owned())
    }
}

/// Whether it is imported on the first level: what stands in `try` or in a function has another way.
fn imports(code: &[u8]) -> bool {
    let begins = |start: &[u8]| {
        code.starts_with(start) || memchr::memmem::find(code, &[b"\n", start].concat()).is_some()
    };
    [&b"import pkg_resources"[..], b"from pkg_resources import"].iter().any(|start| begins(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_fail_wants_it() {
        let wanted = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let file = folder.path().join("lib/python3.13/site-packages").join(path);
                fs_err::create_dir_all(file.parent().unwrap()).unwrap();
                fs_err::write(file, text).unwrap();
            }
            let wanted = wanted_by(&FileTree::scan(folder.path()).unwrap()).unwrap();
            assert_eq!(wanted_beneath(&Beneath::open(folder.path()).unwrap()), wanted);
            wanted
        };
        let old = ("drf_old/__init__.py", "import os\nfrom pkg_resources import get_distribution\n");
        assert_eq!(wanted(&[old]).as_deref(), Some("drf_old"));
        assert_eq!(wanted(&[("single.py", "import pkg_resources\n")]).as_deref(), Some("single"));
        assert_eq!(wanted(&[old, ("pkg_resources/__init__.py", "")]), None);
        let guarded = "try:\n    import pkg_resources\nexcept ImportError:\n    pass\n";
        assert_eq!(
            wanted(&[("new/__init__.py", guarded), ("new/tests/test_x.py", "import pkg_resources\n")]),
            None
        );
    }

    #[test]
    fn nothing_beside_the_environment_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("venv/lib/python3.13/site-packages");
        fs_err::create_dir_all(dir.path().join("outside")).unwrap();
        fs_err::create_dir_all(&site).unwrap();
        let importer = dir.path().join("outside/__init__.py");
        fs_err::write(&importer, "import pkg_resources\n").unwrap();
        fs_err::os::unix::fs::symlink(dir.path().join("outside"), site.join("folder")).unwrap();
        fs_err::os::unix::fs::symlink(&importer, site.join("linked.py")).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, site.join("pipe.py"), kind, mode, 0).unwrap();
        let wanted = || wanted_beneath(&Beneath::open(&dir.path().join("venv")).unwrap());
        assert_eq!(wanted(), None);
        fs_err::copy(&importer, site.join("own.py")).unwrap();
        assert_eq!(wanted().as_deref(), Some("own"));
    }

    #[test]
    fn what_is_supplied_has_a_version_and_a_hash() {
        assert!(version().starts_with("80.") && python::PKG_RESOURCES.contains("--hash=sha256:"));
    }
}
