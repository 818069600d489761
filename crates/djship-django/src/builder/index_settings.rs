//! pip's index settings for uv, which does not read them: environment variables and `pip.conf`.
//!
//! <https://pip.pypa.io/en/stable/topics/configuration/>, <https://docs.astral.sh/uv/reference/environment/>

use std::collections::BTreeMap;
use std::path::PathBuf;

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

/// uv's own settings of where packages are and how to reach them. Others hold paths of the host, change what is built, or
/// are secrets for publishing, and stay outside.
const INSIDE: &[&str] = &[
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_STRATEGY",
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

    #[test]
    fn several_extra_indexes_stand_on_lines_of_their_own() {
        let mut pip = BTreeMap::new();
        read_pip_conf("[global]\nextra-index-url =\n  https://a.invalid\n  https://b.invalid\n", &mut pip);
        assert_eq!(pip["EXTRA_INDEX_URL"].trim(), "https://a.invalid https://b.invalid");
    }
}
