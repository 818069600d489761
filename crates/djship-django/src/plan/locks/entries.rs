//! What is installed of a lock, and the lists that the installer is given.
//!
//! A lock is a stranger's text. Everything that goes into a list is read into a type and written from it: a name or a version
//! cannot become an option, and a URL has nothing that ends a line, begins an option, or names a variable.

use std::collections::BTreeMap;

use djship_store::TreePath;
use pep440_rs::Version;

use super::{Index, LockError, Wrong};
use crate::project::requirements::normalise;

/// The most packages of a lock.
const MOST: usize = 10_000;
/// The longest URL or path, in bytes.
const LONGEST: usize = 2000;

/// A distribution's name, normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(String);

impl Name {
    /// <https://packaging.python.org/en/latest/specifications/name-normalization/#name-format>
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let outer = |c: char| c.is_ascii_alphanumeric();
        let is_name =
            text.starts_with(outer) && text.ends_with(outer) && text.chars().all(inner) && text.len() < 200;
        if is_name { Ok(Self(normalise(text))) } else { Err(Wrong::Name) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hash(String);

impl Hash {
    /// `ALGORITHM:HEX`; only algorithms that nobody finds a second file for.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let (algorithm, hex) = text.split_once(':').ok_or(Wrong::Hash)?;
        let length = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return Err(Wrong::Algorithm),
        };
        let is_hex = hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex { Ok(Self(format!("{algorithm}:{}", hex.to_ascii_lowercase()))) } else { Err(Wrong::Hash) }
    }

    /// All that are strong; an error when there are others only.
    pub(super) fn all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, Wrong> {
        let (mut hashes, mut weak) = (Vec::new(), false);
        for text in texts {
            match Self::parse(text) {
                Ok(hash) => hashes.push(hash),
                Err(Wrong::Algorithm) => weak = true,
                Err(wrong) => return Err(wrong),
            }
        }
        hashes.sort();
        hashes.dedup();
        if weak && hashes.is_empty() { Err(Wrong::Algorithm) } else { Ok(hashes) }
    }
}

/// A URL that can stand in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Url(String);

impl Url {
    /// Only `http` and `https`, without a fragment.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.split('#').next().unwrap_or_default();
        let scheme = text.starts_with("https://") || text.starts_with("http://");
        let plain = |c: char| c.is_ascii_graphic() && !"\"'\\<>^`{|}$,;".contains(c);
        if scheme && text.len() <= LONGEST && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Wrong::Url)
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// An index; the name or URL of it when the lock says which.
    Index { version: Version, index: Option<String> },
    /// A file that is fetched.
    Url(Url),
    /// A commit.
    Git { url: Url, commit: String, subdirectory: Option<String> },
    /// A file of the project, relative to it.
    File(String),
    /// A folder of the project, relative to it.
    Folder { path: String, editable: bool },
}

impl Source {
    pub(super) fn version(text: &str, index: Option<String>) -> Result<Self, Wrong> {
        // Pipenv writes the operator.
        let text = text.trim().trim_start_matches("==").trim();
        text.parse().map(|version| Self::Index { version, index }).map_err(|_| Wrong::Version)
    }

    /// A commit by its whole hash, in a repository that needs no key.
    pub(super) fn git(url: &str, commit: &str, subdirectory: Option<&str>) -> Result<Self, Wrong> {
        let url = url.strip_prefix("git+").unwrap_or(url);
        if url.starts_with("ssh://") || !url.contains("://") && url.contains('@') {
            return Err(Wrong::Ssh);
        }
        let is_commit =
            matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_commit {
            return Err(Wrong::Commit);
        }
        let subdirectory =
            subdirectory.map(|path| relative("", path)).transpose()?.filter(|path| !path.is_empty());
        if subdirectory
            .as_ref()
            .is_some_and(|path| !path.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)))
        {
            return Err(Wrong::Path);
        }
        Ok(Self::Git { url: Url::parse(url)?, commit: commit.to_ascii_lowercase(), subdirectory })
    }

    /// A path in the file of `folder`, which is relative to the project.
    pub(super) fn path(folder: &str, path: &str, is_folder: bool, editable: bool) -> Result<Self, Wrong> {
        let path = relative(folder, path)?;
        Ok(if is_folder { Self::Folder { path, editable } } else { Self::File(path) })
    }

    fn is_local(&self) -> bool {
        matches!(self, Self::File(_) | Self::Folder { .. })
    }
}

/// A path as the project sees it; a path out of it is an error.
fn relative(folder: &str, path: &str) -> Result<String, Wrong> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    if path.len() > LONGEST || path.chars().any(char::is_control) || path.contains('\\') {
        return Err(Wrong::Path);
    }
    if path.starts_with('/') {
        return Err(Wrong::Outside);
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Wrong::Outside)?;
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if joined.is_empty() {
        return Ok(joined);
    }
    TreePath::parse(&joined).map(|path| path.as_str().to_owned()).map_err(|_| Wrong::Path)
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) source: Source,
    pub(super) hashes: Vec<Hash>,
}

/// What the installer is given of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// A requirements file in which everything has hashes.
    pub hashed: String,
    /// A requirements file of what cannot have any: commits, folders, files without.
    pub unhashed: String,
    /// What is in the second one, with where it comes from.
    pub without_hashes: Vec<String>,
    /// Something comes from a repository.
    pub git: bool,
    /// Something comes from the project's own folder.
    pub local: bool,
    /// Normalised names of everything.
    pub names: Vec<String>,
    /// The version of Django.
    pub django: Option<Version>,
    /// Where packages come from, when the lock says so.
    pub indexes: Vec<Index>,
}

impl List {
    /// Writes the lists; `file` is the lock.
    pub(super) fn of(file: &str, entries: Vec<Entry>, development: bool) -> Result<Self, LockError> {
        let mut list = Self::default();
        if entries.len() > MOST {
            return Err(LockError::TooMany { file: file.to_owned(), limit: MOST });
        }
        let mut by_name: BTreeMap<Name, Entry> = BTreeMap::new();
        for entry in entries {
            match by_name.get(&entry.name) {
                Some(known) if known.source != entry.source => {
                    return Err(LockError::Ambiguous { file: file.to_owned(), name: entry.name.0 });
                }
                Some(_) => {}
                None => {
                    by_name.insert(entry.name.clone(), entry);
                }
            }
        }
        for (name, entry) in by_name {
            list.local |= entry.source.is_local();
            list.git |= matches!(entry.source, Source::Git { .. });
            if let (Source::Index { version, .. }, "django") = (&entry.source, name.as_str()) {
                list.django = Some(version.clone());
            }
            list.add(file, &entry, development)?;
            list.names.push(name.0);
        }
        Ok(list)
    }

    fn add(&mut self, file: &str, entry: &Entry, development: bool) -> Result<(), LockError> {
        let name = entry.name.as_str();
        let line = match &entry.source {
            Source::Index { version, .. } if entry.hashes.is_empty() => {
                return Err(LockError::NoHash {
                    file: file.to_owned(),
                    name: name.to_owned(),
                    version: version.to_string(),
                });
            }
            Source::Index { version, .. } => format!("{name}=={version}"),
            Source::Url(url) => format!("{name} @ {}", url.0),
            Source::Git { url, commit, subdirectory } => {
                let at =
                    subdirectory.as_ref().map_or_else(String::new, |path| format!("#subdirectory={path}"));
                format!("{name} @ git+{}@{commit}{at}", url.0)
            }
            // Files that a developer edits are used where they are; what ships is a copy.
            Source::Folder { path, editable: true } if development => format!("-e {}", in_project(path)),
            Source::File(path) | Source::Folder { path, .. } => format!("{name} @ {}", in_project(path)),
        };
        if entry.hashes.is_empty() || matches!(entry.source, Source::Git { .. } | Source::Folder { .. }) {
            self.unhashed.push_str(&format!("{line}\n"));
            let from = match &entry.source {
                Source::Git { url, .. } | Source::Url(url) => url.as_str(),
                Source::File(path) | Source::Folder { path, .. } => path,
                Source::Index { .. } => "",
            };
            self.without_hashes.push(format!("{name} ({from})"));
        } else {
            self.hashed.push_str(&line);
            for hash in &entry.hashes {
                self.hashed.push_str(&format!(" \\\n    --hash={}", hash.0));
            }
            self.hashed.push('\n');
        }
        Ok(())
    }
}

/// The URL of a file where the installer sees the project.
fn in_project(path: &str) -> String {
    let mut url = "file:///app/".to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => url.push(char::from(byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";

    fn entry(name: &str, source: Source, hashes: &[&str]) -> Entry {
        let hashes: Vec<String> = hashes.iter().map(|hex| format!("sha256:{hex}")).collect();
        Entry {
            name: Name::parse(name).unwrap(),
            source,
            hashes: Hash::all(hashes.iter().map(String::as_str)).unwrap(),
        }
    }

    #[test]
    fn two_lists_and_what_is_in_them() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let entries = vec![
            entry("Django", Source::version("==5.2.1", None).unwrap(), &[HEX]),
            entry("from_git", Source::git("https://example.org/x.git", commit, Some("lib")).unwrap(), &[]),
            entry("lib", Source::path("site", "../my lib", true, true).unwrap(), &[]),
            entry("wheel", Source::path("", "./wheels/a.whl", false, false).unwrap(), &[HEX]),
            entry("bare", Source::Url(Url::parse("https://example.org/bare.zip#egg=x").unwrap()), &[]),
        ];
        let list = List::of("poetry.lock", entries.clone(), false).unwrap();
        assert_eq!(
            list.hashed,
            format!(
                "django==5.2.1 \\\n    --hash=sha256:{HEX}\nwheel @ file:///app/wheels/a.whl \\\n    --hash=sha256:{HEX}\n"
            )
        );
        assert_eq!(
            list.unhashed,
            format!(
                "bare @ https://example.org/bare.zip\nfrom-git @ git+https://example.org/x.git@{commit}#subdirectory=lib\n\
                 lib @ file:///app/my%20lib\n"
            )
        );
        assert!(list.git && list.local);
        assert_eq!(list.django.as_ref().map(ToString::to_string).as_deref(), Some("5.2.1"));
        assert_eq!(list.without_hashes[2], "lib (my lib)");
        assert!(
            List::of("poetry.lock", entries, true).unwrap().unhashed.contains("-e file:///app/my%20lib\n")
        );
    }

    #[test]
    fn nothing_becomes_an_option() {
        for name in ["django\n--index-url", "--hash", "a b", "", "-e", "a==1", "x;y", "ü"] {
            assert_eq!(Name::parse(name), Err(Wrong::Name), "{name:?}");
        }
        for version in ["1.0\n--index-url=x", "1.0 --hash=sha256:00", "--no-deps", "", "*", "1.0;x"] {
            assert_eq!(Source::version(version, None), Err(Wrong::Version), "{version:?}");
        }
        for url in [
            "https://example.org/a --hash=x",
            "https://example.org/a\n-r b",
            "file:///etc/passwd",
            "https://example.org/${UV_INDEX_X_PASSWORD}",
            "--index-url",
            "ssh://x/y",
        ] {
            assert_eq!(Url::parse(url), Err(Wrong::Url), "{url:?}");
        }
        for (hash, wrong) in [
            ("md5:d41d8cd98f00b204e9800998ecf8427e", Wrong::Algorithm),
            ("sha256:00", Wrong::Hash),
            ("sha256", Wrong::Hash),
            ("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", Wrong::Algorithm),
        ] {
            assert_eq!(Hash::all([hash]), Err(wrong));
        }
        let hash = format!("sha256:{HEX}\n--x");
        assert_eq!(Hash::parse(&hash), Err(Wrong::Hash));
        let both = format!("sha256:{HEX}");
        assert_eq!(Hash::all(["md5:00", &both]).unwrap().len(), 1);
    }

    #[test]
    fn repositories_and_paths_have_limits() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (url, commit, wrong) in [
            ("git@example.org:x/y.git", commit, Wrong::Ssh),
            ("ssh://git@example.org/x.git", commit, Wrong::Ssh),
            ("https://example.org/x.git", "main", Wrong::Commit),
            ("https://example.org/x.git", "--upload-pack=x", Wrong::Commit),
            ("ext::sh -c x", commit, Wrong::Url),
        ] {
            assert_eq!(Source::git(url, commit, None), Err(wrong), "{url}");
        }
        assert_eq!(Source::path("", "../lib", true, false), Err(Wrong::Outside));
        assert_eq!(Source::path("site", "../../lib", true, false), Err(Wrong::Outside));
        assert_eq!(Source::path("", "/etc", true, false), Err(Wrong::Outside));
        assert_eq!(Source::path("", "a\nb", true, false), Err(Wrong::Path));
    }

    #[test]
    fn a_package_without_a_hash_and_one_with_two_versions_are_errors() {
        let bare = entry("django", Source::version("5.2", None).unwrap(), &[]);
        assert!(matches!(List::of("x", vec![bare], false), Err(LockError::NoHash { .. })));
        let two =
            ["5.1", "5.2"].map(|version| entry("django", Source::version(version, None).unwrap(), &[HEX]));
        assert!(matches!(List::of("x", two.to_vec(), false), Err(LockError::Ambiguous { .. })));
    }
}
