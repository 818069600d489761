//! Where packages come from: mirrors, as given, as the host's own apt uses them, or the built-in ones.

mod apt;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::release::{Codename, Suite};

/// The base of an archive: the URL in front of `dists/` and `pool/`. Credentials in it are never shown.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MirrorUrl(String);

/// A text that is not the base of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot use `{text}` as a Debian mirror: expected a URL that begins with http:// or https://, without `?` and `#`"
)]
pub struct ParseMirrorError {
    /// The text, without credentials.
    pub text: String,
}

impl MirrorUrl {
    /// Reads a URL; slashes at its end are dropped.
    pub fn parse(text: &str) -> Result<Self, ParseMirrorError> {
        let text = text.trim().trim_end_matches('/');
        let host = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(""));
        let is_http = text.starts_with("http://") || text.starts_with("https://");
        let plain =
            text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\' | b'"'));
        match host {
            Some(host) if is_http && plain && !host.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(ParseMirrorError { text: without_credentials(text) }),
        }
    }

    /// The URL of a file below the base. Holds the credentials, if there are any.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

impl fmt::Display for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

impl fmt::Debug for MirrorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for MirrorUrl {
    type Error = ParseMirrorError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MirrorUrl> for String {
    fn from(url: MirrorUrl) -> Self {
        url.0
    }
}

fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{}", &rest[host_end..]),
        None => url.to_owned(),
    }
}

/// The mirrors to try, best first, for the two archives. Which one is used is decided by what they serve: only an archive
/// with the right, properly signed InRelease counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirrors {
    /// For the release itself and its updates.
    pub main: Vec<MirrorUrl>,
    /// For security updates.
    pub security: Vec<MirrorUrl>,
}

impl Mirrors {
    /// What is used when nothing else is known.
    pub fn built_in() -> Self {
        let known = |path: &str| vec![MirrorUrl(format!("http://ftp.debian.org/{path}"))];
        Self { main: known("debian"), security: known("debian-security") }
    }

    /// Puts together what is known about mirrors: what was `given` (from configuration or the environment) is used alone;
    /// otherwise the host's, and after them the built-in ones.
    pub fn choose(main: Option<MirrorUrl>, security: Option<MirrorUrl>, host: Mirrors) -> Self {
        let or_known = |given: Option<MirrorUrl>, host: Vec<MirrorUrl>, built_in: Vec<MirrorUrl>| {
            let known = || without_repeats(host.into_iter().chain(built_in).collect());
            given.map_or_else(known, |given| vec![given])
        };
        let built_in = Self::built_in();
        Self {
            main: or_known(main, host.main, built_in.main),
            security: or_known(security, host.security, built_in.security),
        }
    }

    /// The mirrors that serve a suite.
    pub fn of(&self, suite: Suite) -> &[MirrorUrl] {
        match suite {
            Suite::Main | Suite::Updates => &self.main,
            Suite::Security => &self.security,
        }
    }
}

/// The host's apt configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the apt sources in `{}`: {source}", path.display())]
pub struct ReadSourcesError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The Debian mirrors that the host's own apt uses: `apt_dir` is `/etc/apt`. Entries of the wanted release come first, those
/// of other Debian releases after them, because a mirror carries them all. What is no Debian archive by its suite, its component
/// or its key is left out; the final word has the signature of what is fetched. A missing folder means no mirrors.
pub fn host_mirrors(apt_dir: &Path, codename: Codename) -> Result<Mirrors, ReadSourcesError> {
    let mut entries = Vec::new();
    let one_line = apt_dir.join("sources.list");
    if one_line.is_file() {
        entries.extend(apt::parse_one_line(&read(&one_line)?));
    }
    let folder = apt_dir.join("sources.list.d");
    let failed = |source| ReadSourcesError { path: folder.clone(), source };
    if folder.is_dir() {
        let listing =
            fs_err::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
        let mut files: Vec<PathBuf> = listing.into_iter().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => entries.extend(apt::parse_one_line(&read(&file)?)),
                Some("sources") => entries.extend(apt::parse_paragraphs(&read(&file)?)),
                _ => {}
            }
        }
    }
    Ok(apt::debian_mirrors(&entries, codename))
}

fn read(path: &Path) -> Result<String, ReadSourcesError> {
    let bytes = fs_err::read(path).map_err(|source| ReadSourcesError { path: path.to_owned(), source })?;
    // Somebody's comment in another encoding is no reason to stop.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same without what was there before.
fn without_repeats(urls: Vec<MirrorUrl>) -> Vec<MirrorUrl> {
    let mut kept: Vec<MirrorUrl> = Vec::with_capacity(urls.len());
    for url in urls {
        if !kept.contains(&url) {
            kept.push(url);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        let url = MirrorUrl::parse("https://me:secret@mirror.example/debian/").unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"));
        assert_eq!(url.to_string(), "https://***@mirror.example/debian");
        assert_eq!(url.join("pool/x.deb"), "https://me:secret@mirror.example/debian/pool/x.deb");
        let error = MirrorUrl::parse("ftp://me:secret@mirror.example/").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn given_mirrors_stand_alone() {
        let given = MirrorUrl::parse("http://one.example/debian").unwrap();
        let host =
            Mirrors { main: vec![MirrorUrl::parse("http://two.example").unwrap()], security: Vec::new() };
        let mirrors = Mirrors::choose(Some(given.clone()), None, host.clone());
        assert_eq!(mirrors.main, [given]);
        assert_eq!(mirrors.security, Mirrors::built_in().security);
        assert_eq!(Mirrors::choose(None, None, host).main.len(), 2);
    }

    #[test]
    fn refuses_what_is_no_base() {
        for text in
            ["", "debian", "file:///srv", "http://", "http:///debian", "http://a/b?c", "cdrom:[Debian]/"]
        {
            assert!(MirrorUrl::parse(text).is_err(), "{text}");
        }
    }
}
