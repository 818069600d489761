//! The package indexes that a lock names.

use djship_store::Digest;

use super::entries::{Entry, Source};
use super::{LockError, shortened};

/// The fingerprints of the hosts, new and old, of the index that installers ask by themselves: no file names them.
const PUBLIC: [&str; 2] = [
    "a4aa2ac280bb8d1a0ce7a1be5a7bfb10292b49fe9435ad5cff19f421f3c70e41",
    "d6d7019ca9fcbf07c769e445342515ef0c92e4f18a96adbb3bf6460f5b0ba17f",
];
/// What tools call that index.
const USUAL_NAME: &str = "pypi";
/// The longest URL, in bytes.
const LONGEST: usize = 2000;

/// Where the user name and the password of an index stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// In the URL, perhaps as `${NAME}` for the variable `NAME`.
    InUrl,
    /// In `POETRY_HTTP_BASIC_NAME_USERNAME` and `POETRY_HTTP_BASIC_NAME_PASSWORD`; this is `NAME`.
    Poetry(String),
}

/// A package index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its URL. In what stands before the host, `${NAME}` means a variable.
    pub url: String,
    /// Where its user name and password stand.
    pub credentials: Credentials,
    /// Whether its certificate is checked.
    pub verify: bool,
    /// It is asked in place of the one that installers ask by themselves.
    pub is_default: bool,
    /// It stands for the one that installers ask by themselves, so a setting of the host's wins over it.
    pub is_usual: bool,
}

impl Index {
    /// An index with a URL that may have variables before the host, as Pipenv and PDM take them.
    pub(super) fn parse(file: &str, name: Option<&str>, url: &str) -> Result<Self, LockError> {
        let wrong = || LockError::Index { file: file.to_owned(), url: without_user(url) };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let (user, place) = split_user(rest);
        // A comma or a space would begin another index.
        let plain = |c: char| c.is_ascii_graphic() && !"\"'\\<>^`|,".contains(c);
        let is_url = matches!(scheme, "https" | "http")
            && url.len() <= LONGEST
            && user.unwrap_or_default().chars().all(plain)
            && !place.is_empty()
            && place.chars().all(|c| plain(c) && !"${}@".contains(c));
        if !is_url {
            return Err(wrong());
        }
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            credentials: Credentials::InUrl,
            verify: true,
            is_default: false,
            is_usual: name == Some(USUAL_NAME),
        })
    }

    /// The host with its port.
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        split_user(rest).1.split('/').next().unwrap_or_default()
    }

    fn is_public(&self) -> bool {
        PUBLIC.contains(&Digest::of(self.host().to_ascii_lowercase().as_bytes()).hex().as_str())
    }
}

/// What stands before the host, and the host with all that follows.
fn split_user(rest: &str) -> (Option<&str>, &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

/// A URL that can be shown.
fn without_user(url: &str) -> String {
    let shown = url.split_once("://").map_or_else(
        || "...".to_owned(),
        |(scheme, rest)| format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place)),
    );
    shortened(&shown)
}

/// A source of Poetry's; its credentials are variables with its name.
pub(super) fn of_poetry(file: &str, name: Option<&str>, url: &str) -> Result<Index, LockError> {
    let mut index = Index::parse(file, None, url)?;
    if let Some(name) = name {
        let variable = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        index.credentials = Credentials::Poetry(name.chars().take(100).map(variable).collect());
    }
    Ok(index)
}

/// The indexes that the installer must be told, each once. The one that it asks by itself is not among them; when nothing comes
/// from there, the first one is asked in its place.
pub(super) fn used(indexes: Vec<Index>, entries: &[Entry]) -> Vec<Index> {
    let mut used: Vec<Index> = Vec::new();
    for index in indexes {
        if !index.is_public() && !used.iter().any(|known| known.url == index.url) {
            used.push(index);
        }
    }
    let own = |entry: &Entry| match &entry.source {
        Source::Index { index, .. } => {
            index.as_ref().is_some_and(|url| used.iter().any(|known| known.url == url.trim_end_matches('/')))
        }
        _ => true,
    };
    let all_own = entries.iter().all(own);
    if all_own
        && !used.iter().any(|index| index.is_default)
        && let Some(first) = used.first_mut()
    {
        first.is_default = true;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_variables_before_the_host_only() {
        let parse = |url: &str| Index::parse("Pipfile.lock", None, url);
        let index = parse("https://${USER}:${TOKEN}@index.example.org/simple/").unwrap();
        assert_eq!((index.host(), index.url.ends_with("/simple")), ("index.example.org", true));
        assert!(parse("http://127.0.0.1:8000/a@b/simple").is_err());
        for url in [
            "https://index.example.org/${SECRET}/simple",
            "https://${SECRET}.example.org/simple",
            "https://index.example.org/simple https://other.example.org",
            "https://index.example.org/simple,x",
            "file:///etc",
            "index.example.org",
            "https://",
        ] {
            assert!(matches!(parse(url), Err(LockError::Index { .. })), "{url}");
        }
        let shown = parse("ftp://user:secret@index.example.org/simple").unwrap_err().to_string();
        assert!(shown.contains("index.example.org") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn the_only_index_stands_in_for_the_usual_one() {
        let index = |name: &str| {
            of_poetry("x", Some("my-index"), &format!("https://{name}.example.org/simple")).unwrap()
        };
        let entry = |index: Option<&str>| Entry {
            name: super::super::Name::parse("django").unwrap(),
            source: Source::version("5.2", index.map(str::to_owned)).unwrap(),
            hashes: Vec::new(),
        };
        let own = entry(Some("https://a.example.org/simple"));
        let all = used(vec![index("a"), index("a")], std::slice::from_ref(&own));
        assert_eq!(all.len(), 1);
        assert!(all[0].is_default);
        assert_eq!(all[0].credentials, Credentials::Poetry("MY_INDEX".to_owned()));
        assert!(!used(vec![index("a")], &[own, entry(None)])[0].is_default);
    }
}
