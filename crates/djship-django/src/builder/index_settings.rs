//! pip's index settings for uv, which does not read them: environment variables and `pip.conf`.
//!
//! <https://pip.pypa.io/en/stable/topics/configuration/>, <https://docs.astral.sh/uv/reference/environment/>

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::plan::locks::{Credentials, Index};
use crate::project::read_own_text;
use crate::tools::Host;

/// Environment for uv, and folders of the host that it must see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IndexSettings {
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) folders: Vec<PathBuf>,
}

/// pip's settings with the variables of uv that mean the same.
const SAME: &[(&str, &str)] = &[
    ("INDEX_URL", "UV_DEFAULT_INDEX"),
    ("EXTRA_INDEX_URL", "UV_INDEX"),
    ("FIND_LINKS", "UV_FIND_LINKS"),
    ("NO_INDEX", "UV_NO_INDEX"),
    ("TRUSTED_HOST", "UV_INSECURE_HOST"),
    ("DEFAULT_TIMEOUT", "UV_HTTP_TIMEOUT"),
    ("TIMEOUT", "UV_HTTP_TIMEOUT"),
];

/// uv's setting of how it chooses between indexes.
const STRATEGY: &str = "UV_INDEX_STRATEGY";

/// uv's own settings of where packages are and how to reach them. Others hold paths of the host, change what is built, or
/// are secrets for publishing, and stay outside.
const INSIDE: &[&str] = &[
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    STRATEGY,
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_EXCLUDE_NEWER",
];

fn is_for_inside(name: &str) -> bool {
    let of_index = |end: &str| name.starts_with("UV_INDEX_") && name.ends_with(end);
    INSIDE.contains(&name) || of_index("_USERNAME") || of_index("_PASSWORD") || !name.starts_with("UV_")
}

impl IndexSettings {
    /// The settings of this host; what uv is told itself wins over what pip is told.
    pub(crate) fn of(host: &Host) -> Self {
        let mut pip = BTreeMap::new();
        for file in &host.pip_configuration {
            if let Ok(Some(text)) = read_own_text(file) {
                read_pip_conf(&text, &mut pip);
            }
        }
        let mut environment = BTreeMap::new();
        for (name, value) in &host.installer {
            if let Some(setting) = name.strip_prefix("PIP_") {
                pip.insert(setting.to_owned(), value.clone());
            } else if is_for_inside(name) {
                environment.insert(name.clone(), value.clone());
            }
        }
        let mut settings = Self::default();
        for (theirs, ours) in SAME {
            let Some(value) = pip.get(*theirs) else { continue };
            let separator = if *ours == "UV_FIND_LINKS" { "," } else { " " };
            let words: Vec<&str> =
                value.split_whitespace().filter(|word| *theirs != "FIND_LINKS" || usable(word)).collect();
            if !words.is_empty() {
                environment.entry((*ours).to_owned()).or_insert_with(|| words.join(separator));
            }
        }
        for word in environment.get("UV_FIND_LINKS").into_iter().flat_map(|links| links.split(',')) {
            let path = word.strip_prefix("file://").unwrap_or(word);
            if path.starts_with('/') {
                settings.folders.push(PathBuf::from(path));
            }
        }
        Self { environment, ..settings }
    }
}

/// What is missing to ask an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingVariable {
    pub(crate) host: String,
    pub(crate) variable: String,
}

impl IndexSettings {
    /// The same with the indexes that a lock names. Credentials come from the variables that the lock's own tool reads.
    pub(crate) fn with(
        mut self,
        indexes: &[Index],
        exported: &BTreeMap<String, String>,
    ) -> Result<Self, MissingVariable> {
        let own_default =
            ["UV_DEFAULT_INDEX", "UV_INDEX_URL"].iter().any(|name| self.environment.contains_key(*name));
        let mut further = Vec::new();
        for (position, index) in indexes.iter().enumerate() {
            if index.is_usual && own_default {
                continue;
            }
            let name = format!("lock{position}");
            if let Credentials::Poetry(source) = &index.credentials {
                for end in ["USERNAME", "PASSWORD"] {
                    if let Some(value) = exported.get(&format!("POETRY_HTTP_BASIC_{source}_{end}")) {
                        self.environment.insert(format!("UV_INDEX_LOCK{position}_{end}"), value.clone());
                    }
                }
            }
            if !index.verify {
                self.add("UV_INSECURE_HOST", index.host());
            }
            let url = format!("{name}={}", expanded(index, exported)?);
            if index.is_default && !own_default {
                self.environment.insert("UV_DEFAULT_INDEX".to_owned(), url);
            } else {
                further.push(url);
            }
        }
        if !further.is_empty() {
            self.add("UV_INDEX", &further.join(" "));
        }
        Ok(self)
    }

    /// How uv chooses between the indexes of a lock, unless the host is set up for a way. What has hashes may come from whoever has
    /// it. What has none needs others to be built, which no hash names: the first index that knows a name is the only one
    /// asked, so nobody gets in by giving a package of another index's name a higher version.
    pub(crate) fn strategy(&self, hashed: bool) -> Option<(&'static str, &'static str)> {
        let own = self.environment.contains_key(STRATEGY);
        (!own).then_some((STRATEGY, if hashed { "unsafe-best-match" } else { "first-index" }))
    }

    /// Adds to a list that is separated by spaces.
    fn add(&mut self, name: &str, value: &str) {
        let known = self.environment.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push(' ');
        }
        known.push_str(value);
    }
}

/// The URL with the values of `${NAME}` and `$NAME`, which stand before the host only.
fn expanded(index: &Index, exported: &BTreeMap<String, String>) -> Result<String, MissingVariable> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut url = String::new();
    let mut rest = index.url.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        url.push_str(before);
        let (name, after) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        let missing = || MissingVariable { host: index.host().to_owned(), variable: name.to_owned() };
        let value = exported.get(name).ok_or_else(missing)?;
        for c in value.chars() {
            // What would end the URL, or begin another host.
            if c.is_ascii_graphic() && !",/@?#".contains(c) {
                url.push(c);
            } else {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| url.push_str(&format!("%{byte:02X}")));
            }
        }
        rest = after;
    }
    url.push_str(rest);
    Ok(url)
}

/// Variables with which pip and uv in a developer's hands find the indexes of this host.
pub fn installer_environment(host: &Host) -> BTreeMap<String, String> {
    let mut environment = IndexSettings::of(host).environment;
    let pip = host.installer.iter().filter(|(name, _)| {
        // Paths of the host mean nothing inside.
        name.starts_with("PIP_")
            && !["PIP_CERT", "PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_FIND_LINKS", "PIP_PYTHON"]
                .contains(&name.as_str())
    });
    environment.extend(pip.cloned());
    // Neither do folders of links.
    environment
        .retain(|name, value| name != "UV_FIND_LINKS" || !value.contains("file:") && !value.starts_with('/'));
    environment
}

/// A folder of links that does not exist is no error for pip, but is one for uv.
fn usable(link: &str) -> bool {
    let path = link.strip_prefix("file://").unwrap_or(link);
    !path.starts_with('/') || std::path::Path::new(path).exists()
}

/// Adds the settings of `[global]` and `[install]` (the latter wins) with the names that environment variables have.
fn read_pip_conf(text: &str, into: &mut BTreeMap<String, String>) {
    let mut section = String::new();
    let mut last: Option<String> = None;
    let mut installs = BTreeMap::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || trimmed.is_empty() {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            last = None;
            continue;
        }
        let target = match section.as_str() {
            "global" => &mut *into,
            "install" => &mut installs,
            _ => continue,
        };
        if line.starts_with([' ', '\t']) {
            // A further line of the setting before.
            if let Some(value) = last.as_ref().and_then(|name| target.get_mut(name)) {
                value.push(' ');
                value.push_str(trimmed);
            }
        } else if let Some((name, value)) = trimmed.split_once('=') {
            let name = name.trim().to_uppercase().replace('-', "_");
            target.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        }
    }
    into.extend(installs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_settings_become_uvs_and_uvs_own_win() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("pip.conf");
        let text = "[global]\nindex-url = https://one.invalid/simple\nextra-index-url =\n    https://two.invalid/a\n    \
                    https://two.invalid/b\n[install]\ntrusted-host = one.invalid\n[list]\nformat = json\n";
        fs_err::write(&conf, text).unwrap();
        let host = Host {
            installer: vec![
                ("PIP_INDEX_URL".into(), "https://three.invalid/simple".into()),
                ("UV_INDEX".into(), "https://four.invalid/simple".into()),
                ("UV_CACHE_DIR".into(), "/home/x/.cache/uv".into()),
                ("HTTPS_PROXY".into(), "http://proxy.invalid:3128".into()),
                ("PIP_FIND_LINKS".into(), "/no/such/folder".into()),
            ],
            pip_configuration: vec![conf],
            ..Host::default()
        };
        let settings = IndexSettings::of(&host);
        let expected = [
            ("HTTPS_PROXY", "http://proxy.invalid:3128"),
            ("UV_DEFAULT_INDEX", "https://three.invalid/simple"),
            ("UV_INDEX", "https://four.invalid/simple"),
            ("UV_INSECURE_HOST", "one.invalid"),
        ];
        let found: Vec<_> =
            settings.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    fn index(url: &str, credentials: Credentials, is_default: bool) -> Index {
        Index { url: url.to_owned(), credentials, verify: true, is_default, is_usual: false }
    }

    #[test]
    fn indexes_of_a_lock_and_their_credentials() {
        let exported: BTreeMap<String, String> = [
            ("WHO", "me"),
            ("TOKEN", "a b@c"),
            ("POETRY_HTTP_BASIC_OWN_USERNAME", "user"),
            ("POETRY_HTTP_BASIC_OWN_PASSWORD", "secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let indexes = [
            index("https://${WHO}:$TOKEN@a.invalid/simple", Credentials::InUrl, true),
            Index {
                verify: false,
                ..index("https://b.invalid:81/simple", Credentials::Poetry("OWN".into()), false)
            },
        ];
        let settings = IndexSettings::default().with(&indexes, &exported).unwrap();
        let found: Vec<_> =
            settings.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("UV_DEFAULT_INDEX", "lock0=https://me:a%20b%40c@a.invalid/simple"),
            ("UV_INDEX", "lock1=https://b.invalid:81/simple"),
            ("UV_INDEX_LOCK1_PASSWORD", "secret"),
            ("UV_INDEX_LOCK1_USERNAME", "user"),
            ("UV_INSECURE_HOST", "b.invalid:81"),
        ];
        assert_eq!(found, expected);
        let missing = IndexSettings::default().with(&indexes[..1], &BTreeMap::new()).unwrap_err();
        assert_eq!((missing.host.as_str(), missing.variable.as_str()), ("a.invalid", "WHO"));
    }

    #[test]
    fn without_hashes_the_first_index_alone_is_asked() {
        let mut settings = IndexSettings::default();
        assert_eq!(settings.strategy(true), Some(("UV_INDEX_STRATEGY", "unsafe-best-match")));
        assert_eq!(settings.strategy(false), Some(("UV_INDEX_STRATEGY", "first-index")));
        settings.environment.insert("UV_INDEX_STRATEGY".to_owned(), "unsafe-first-match".to_owned());
        assert_eq!((settings.strategy(true), settings.strategy(false)), (None, None));
    }

    #[test]
    fn the_hosts_own_index_wins_over_the_usual_one_only() {
        let host = IndexSettings {
            environment: [("UV_DEFAULT_INDEX".to_owned(), "https://mirror.invalid/simple".to_owned())].into(),
            folders: Vec::new(),
        };
        let usual = Index { is_usual: true, ..index("https://a.invalid/simple", Credentials::InUrl, true) };
        assert_eq!(host.clone().with(&[usual], &BTreeMap::new()).unwrap(), host);
        let own = index("https://b.invalid/simple", Credentials::InUrl, true);
        let settings = host.with(&[own], &BTreeMap::new()).unwrap();
        assert_eq!(settings.environment["UV_DEFAULT_INDEX"], "https://mirror.invalid/simple");
        assert_eq!(settings.environment["UV_INDEX"], "lock0=https://b.invalid/simple");
    }

    #[test]
    fn several_extra_indexes_stand_on_lines_of_their_own() {
        let mut pip = BTreeMap::new();
        read_pip_conf("[global]\nextra-index-url =\n  https://a.invalid\n  https://b.invalid\n", &mut pip);
        assert_eq!(pip["EXTRA_INDEX_URL"].trim(), "https://a.invalid https://b.invalid");
    }
}
