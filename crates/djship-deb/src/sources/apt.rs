//! apt's two forms of source lists, and which of their entries are Debian's own archives.

use super::{MirrorUrl, Mirrors, without_repeats};
use crate::control::{paragraphs, value_lines, value_words};
use crate::release::Codename;

/// One entry: some archives with the same suites.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SourceEntry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    /// The keyring, if the entry names one.
    signed_by: Option<String>,
}

/// Names of releases that Debian's archives serve, by codename and by role.
const DEBIAN_SUITES: [&str; 10] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "sid",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];

/// Reads `deb [OPTIONS] URI SUITE COMPONENT...` lines. Lines in which something is wrong are left out: apt would complain,
/// but that is its business.
pub(super) fn parse_one_line(text: &str) -> Vec<SourceEntry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<SourceEntry> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with(char::is_whitespace) {
        // `deb-src`, or something else altogether.
        return None;
    }
    rest = rest.trim_start();
    let mut entry = SourceEntry::default();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        entry.signed_by = options
            .split_whitespace()
            .find_map(|option| {
                option.strip_prefix("signed-by=").or_else(|| option.strip_prefix("signed-by+="))
            })
            .map(str::to_owned);
        rest = after.trim_start();
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    entry.uris = vec![words.next()?];
    entry.suites = vec![words.next()?];
    entry.components = words.collect();
    Some(entry)
}

/// Reads the paragraphs of a `.sources` file.
pub(super) fn parse_paragraphs(text: &str) -> Vec<SourceEntry> {
    let mut entries = Vec::new();
    for paragraph in paragraphs(text) {
        let words = |field: &str| -> Vec<String> {
            paragraph
                .get(field)
                .map(|value| value_words(value).map(str::to_owned).collect())
                .unwrap_or_default()
        };
        let is_off = |value: &str| {
            matches!(value.to_ascii_lowercase().as_str(), "no" | "false" | "without" | "off" | "0")
        };
        if paragraph.get("Enabled").is_some_and(is_off) || !words("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        entries.push(SourceEntry {
            uris: words("URIs"),
            suites: words("Suites"),
            components: words("Components"),
            // A whole key may stand here instead of a path.
            signed_by: paragraph
                .get("Signed-By")
                .map(|value| value_lines(value).collect::<Vec<_>>().join("\n")),
        });
    }
    entries
}

/// The archives of those entries that look like Debian's own.
pub(super) fn debian_mirrors(entries: &[SourceEntry], codename: Codename) -> Mirrors {
    let mut main = Vec::new();
    let mut security = Vec::new();
    for entry in entries.iter().filter(|entry| may_be_debian(entry)) {
        let urls = || entry.uris.iter().filter_map(|uri| MirrorUrl::parse(uri).ok());
        for suite in &entry.suites {
            let (release, list) = match split_suite(suite) {
                Some((release, Part::Main)) => (release, &mut main),
                Some((release, Part::Security)) => (release, &mut security),
                None => continue,
            };
            let is_other = release != codename.as_str();
            list.extend(urls().map(|url| (is_other, url)));
        }
    }
    let in_order = |mut list: Vec<(bool, MirrorUrl)>| {
        // A stable sort: what fits alike stays in the host's order.
        list.sort_by_key(|(is_other, _)| *is_other);
        without_repeats(list.into_iter().map(|(_, url)| url).collect())
    };
    Mirrors { main: in_order(main), security: in_order(security) }
}

/// Debian's entries have the component `main`, and are signed by Debian's keyring or by whatever apt trusts.
fn may_be_debian(entry: &SourceEntry) -> bool {
    let debian_key = |value: &str| {
        value.split([',', '\n', ' ']).any(|path| {
            let name = path.rsplit('/').next().unwrap_or("");
            name.starts_with("debian-archive-") || name == "debian-keyring.gpg"
        })
    };
    entry.components.iter().any(|component| component == "main")
        && entry.signed_by.as_deref().is_none_or(debian_key)
}

enum Part {
    Main,
    Security,
}

/// The release in the name of a suite, and which of the two archives serves it.
fn split_suite(suite: &str) -> Option<(&str, Part)> {
    let suite = suite.trim_end_matches('/');
    let (release, part) = if let Some(release) = suite.strip_suffix("-security") {
        (release, Part::Security)
    } else if let Some(release) = suite.strip_suffix("/updates") {
        (release, Part::Security)
    } else {
        (suite.strip_suffix("-updates").unwrap_or(suite), Part::Main)
    };
    DEBIAN_SUITES.contains(&release).then_some((release, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mirrors: &Mirrors) -> (Vec<String>, Vec<String>) {
        let texts = |urls: &[MirrorUrl]| urls.iter().map(ToString::to_string).collect();
        (texts(&mirrors.main), texts(&mirrors.security))
    }

    #[test]
    fn modern_sources_of_a_debian_image() {
        let text = "Types: deb\n# a comment\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                    Types: deb\nURIs: http://m.example/debian-security\nSuites: bookworm-security\nComponents: main\n\
                    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let found = debian_mirrors(&parse_paragraphs(text), Codename::Trixie);
        assert_eq!(
            shown(&found),
            (vec!["http://m.example/debian".to_owned()], vec!["http://m.example/debian-security".to_owned()])
        );
    }

    #[test]
    fn third_parties_are_left_out() {
        let text = "deb https://a.example/apt tools-bookworm main\n\
                    deb [arch=amd64 signed-by=/etc/apt/keyrings/b.asc] https://b.example/debian bookworm main\n\
                    deb https://c.example/linux/debian bookworm stable\n\
                    deb http://d.example/ubuntu noble main\n\
                    deb-src http://e.example/debian bookworm main\n\
                    # deb http://f.example/debian bookworm main\n\
                    deb cdrom:[Debian]/ bookworm main\n\
                    deb http://g.example/pub bookworm-pgdg main\n";
        assert_eq!(debian_mirrors(&parse_one_line(text), Codename::Bookworm), Mirrors::default());
        let text = "Types: deb\nURIs: https://h.example\nSuites: stable\nComponents: main\nSigned-By:\n \
                    -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n\n\
                    Enabled: no\nTypes: deb\nURIs: http://i.example/debian\nSuites: trixie\nComponents: main\n\n\
                    Types: deb-src\nURIs: http://j.example/debian\nSuites: trixie\nComponents: main\n";
        assert_eq!(debian_mirrors(&parse_paragraphs(text), Codename::Trixie), Mirrors::default());
    }

    #[test]
    fn the_wanted_release_comes_first() {
        let text = "deb http://old.example/debian bookworm main contrib # ours\n\
                    deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://new.example/debian/ trixie main\n\
                    deb http://old.example/security buster/updates main\n";
        let found = debian_mirrors(&parse_one_line(text), Codename::Trixie);
        assert_eq!(
            shown(&found),
            (
                vec!["http://new.example/debian".to_owned(), "http://old.example/debian".to_owned()],
                vec!["http://old.example/security".to_owned()]
            )
        );
    }
}
