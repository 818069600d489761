//! What an environment is called where machines share it: by everything that decides what it holds, and nothing else.
//!
//! The local key has the project's path and all settings of indexes in it, proxies and credentials included. None of them
//! may be in this one: it is seen by others, and has to be the same on their machines.

use std::path::PathBuf;

use djship_store::Digest;

use crate::base::Roots;
use crate::laid::Key;
use crate::plan::Plan;
use crate::plan::dependencies::Dependencies;
use crate::python;
use crate::report::Note;
use crate::shared::{NotShared, Part, Share, SharedNote};
use crate::tools::Tools;

use super::index_settings::IndexSettings;
use super::sources::Sources;

/// Settings that decide which distributions are found. The others say how to get there.
const DECIDING: &[&str] = &[
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX_STRATEGY",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_EXCLUDE_NEWER",
];

/// The environment as a shared part; `None` when nothing is shared, or this cannot be.
pub(super) fn share(
    tools: &Tools<'_>,
    plan: &Plan,
    sources: &Sources<'_>,
    roots: &Roots<'_>,
    settings: &IndexSettings,
) -> Option<Share> {
    tools.shared?;
    let not_shared = |why| {
        tools.reporter.note(Note::Shared(&SharedNote::NotShared(why)));
        None
    };
    if matches!(sources, Sources::Project(_)) {
        return not_shared(NotShared::Local);
    }
    let key = Key::new("environment, form 1").part(roots.release().codename());
    let key =
        key.part(roots.key().as_bytes()).part(python::UV).part(python::COMPILE).part(python::PKG_RESOURCES);
    let mut key = sources.add_to(key);
    key = plan.packages.build_names().iter().fold(key, Key::part);
    if let Dependencies::Lock(locked) = &plan.dependencies.value {
        key = key.part(&locked.list.hashed).part(&locked.list.unhashed);
    }
    // What is locked with its digests is the same, wherever it comes from.
    let is_locked = match &plan.dependencies.value {
        Dependencies::UvLock { apart, .. } => apart.names.is_empty(),
        Dependencies::Lock(locked) => locked.list.unhashed.is_empty(),
        _ => false,
    };
    if !is_locked {
        for (name, value) in deciding(settings) {
            key = key.part(name).part(value);
        }
        let Ok(links) = links(&settings.folders) else { return not_shared(NotShared::Links) };
        for digest in links {
            key = key.part(digest.as_bytes());
        }
    }
    Some(Share::new(Part::Environment, &key))
}

/// The settings that decide what is found, without who asks.
fn deciding(settings: &IndexSettings) -> impl Iterator<Item = (&str, String)> {
    DECIDING.iter().filter_map(|name| {
        let value = settings.environment.get(*name)?;
        let words =
            value.split([' ', ',']).filter(|word| !word.is_empty() && !is_folder(word)).map(without_login);
        Some((*name, words.collect::<Vec<_>>().join(" ")))
    })
}

/// What lies in folders of links counts, and not where they are.
fn is_folder(word: &str) -> bool {
    word.starts_with('/') || word.starts_with("file:")
}

/// The digests of all distributions in folders of links, sorted.
fn links(folders: &[PathBuf]) -> std::io::Result<Vec<Digest>> {
    const ENDINGS: &[&str] = &[".whl", ".gz", ".zip", ".bz2", ".xz", ".tgz", ".zst", ".html"];
    let mut digests = Vec::new();
    for folder in folders {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if !path.is_file() || !ENDINGS.iter().any(|ending| name.ends_with(ending.as_bytes())) {
                continue;
            }
            let (content, _) = Digest::of_reader(fs_err::File::open(&path)?)?;
            digests.push(Key::new("link").part(name).part(content.as_bytes()).digest());
        }
    }
    digests.sort();
    digests.dedup();
    Ok(digests)
}

/// An address without user, password and query, where tokens stand; anything else as it is.
fn without_login(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_links_count_by_what_is_in_them() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let links = |folder: &tempfile::TempDir| links(&[folder.path().to_owned()]);
        fs_err::write(one.path().join("README"), "").unwrap();
        assert_eq!(links(&one).unwrap(), []);
        for folder in [&one, &two] {
            fs_err::write(folder.path().join("a-1-py3-none-any.whl"), "a").unwrap();
        }
        assert_eq!(links(&one).unwrap(), links(&two).unwrap());
        fs_err::write(two.path().join("a-1-py3-none-any.whl"), "b").unwrap();
        assert_ne!(links(&one).unwrap(), links(&two).unwrap());
        assert!(super::links(&["/no/such/folder".into()]).is_err());
    }

    #[test]
    fn what_decides_is_told_from_how_to_get_there() {
        let environment = [
            ("HTTPS_PROXY", "http://me:secret@proxy.invalid:3128"),
            ("UV_FIND_LINKS", "/opt/wheels,https://me@four.invalid/"),
            ("UV_DEFAULT_INDEX", "https://me:p%40ss@one.invalid/simple?token=secret"),
            ("UV_HTTP_TIMEOUT", "10"),
            ("UV_INDEX", "main=https://token@two.invalid  https://three.invalid/a@b"),
            ("UV_INDEX_MAIN_PASSWORD", "secret"),
        ];
        let environment =
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let settings = IndexSettings { environment, ..IndexSettings::default() };
        let found: Vec<_> = deciding(&settings).collect();
        let expected = [
            ("UV_DEFAULT_INDEX", "https://one.invalid/simple".to_owned()),
            ("UV_INDEX", "main=https://two.invalid https://three.invalid/a@b".to_owned()),
            ("UV_FIND_LINKS", "https://four.invalid/".to_owned()),
        ];
        assert_eq!(found, expected);
    }
}
