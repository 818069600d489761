//! Whether `uv.lock` belongs to its `pyproject.toml`: what the lock remembers of the requirements, compared with what they are.
//!
//! uv itself has no hash of them; it writes them down (`[package.metadata]`). Only what both sides say in a way that is understood
//! here can make a lock stale.

use std::collections::{BTreeMap, BTreeSet};

use pep440_rs::{Version, VersionSpecifiers};
use toml::{Table, Value};

use super::entries::{Name, Source};
use super::{LockError, Wrong, wrong};
use crate::project::requirements::normalise;

/// What of a `uv.lock` has no hashes: folders and commits. It is exported and installed in a step of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apart {
    /// Their names, normalised.
    pub names: Vec<String>,
    /// Names with where they come from.
    pub shown: Vec<String>,
    /// Something comes from the project's own folder, with or without hashes.
    pub local: bool,
    /// Something comes from a repository.
    pub git: bool,
}

/// Finds what has no hashes; `file` is the lock in `folder`, relative to the project.
pub(in crate::plan) fn apart(file: &str, folder: &str, lock: &Table) -> Result<Apart, LockError> {
    let mut apart = Apart::default();
    for package in lock.get("package").and_then(Value::as_array).into_iter().flatten() {
        let (Some(name), Some(source)) = (package.get("name").and_then(Value::as_str), package.get("source"))
        else {
            continue;
        };
        let place = |key: &str| source.get(key).and_then(Value::as_str);
        let fails = |error| wrong(file, name, error);
        let from = match (place("directory").or(place("editable")), place("path"), place("git")) {
            (Some("."), ..) => continue,
            (Some(path), ..) => {
                let Source::Folder { path, .. } = Source::path(folder, path, true, false).map_err(fails)?
                else {
                    continue;
                };
                apart.local = true;
                path
            }
            (None, Some(path), _) => {
                Source::path(folder, path, false, false).map_err(fails)?;
                apart.local = true;
                continue;
            }
            (None, None, Some(url)) => {
                if url.starts_with("ssh://") {
                    return Err(fails(Wrong::Ssh));
                }
                apart.git = true;
                super::shortened(url.split(['?', '#']).next().unwrap_or_default())
            }
            _ => continue,
        };
        let name = Name::parse(name).map_err(fails)?;
        apart.shown.push(format!("{} ({from})", name.as_str()));
        apart.names.push(name.as_str().to_owned());
    }
    Ok(apart)
}

/// Whether nothing says that the lock is older than the manifest.
pub(in crate::plan) fn is_fresh(lock: &Table, manifest: &Table) -> bool {
    let Some(root) = root(lock, manifest) else { return true };
    let Some(remembered) = root.get("metadata").and_then(Value::as_table) else { return true };
    if !allows_the_same(lock, manifest) {
        return false;
    }
    if is_dynamic(manifest) {
        return true;
    }
    let project = manifest.get("project");
    let mut asked: BTreeSet<Asked> = of_texts(project.and_then(|project| project.get("dependencies")));
    let optional = project.and_then(|project| project.get("optional-dependencies")).and_then(Value::as_table);
    for list in optional.into_iter().flatten().map(|(_, list)| list) {
        asked.extend(of_texts(Some(list)));
    }
    if asked != of_lock(remembered.get("requires-dist")) {
        return false;
    }
    let groups = groups(manifest);
    let locked = remembered.get("requires-dev").and_then(Value::as_table);
    let locked: BTreeMap<String, BTreeSet<Asked>> =
        locked.into_iter().flatten().map(|(name, list)| (normalise(name), of_lock(Some(list)))).collect();
    let filled = |groups: &BTreeMap<String, BTreeSet<Asked>>| {
        groups.clone().into_iter().filter(|(_, asked)| !asked.is_empty()).collect::<Vec<_>>()
    };
    filled(&groups) == filled(&locked)
}

/// A name with its version range, the parts of it sorted.
type Asked = (String, Vec<String>);

/// The package that stands for the project itself.
fn root<'a>(lock: &'a Table, manifest: &Table) -> Option<&'a Value> {
    let name = normalise(manifest.get("project")?.get("name")?.as_str()?);
    let packages = lock.get("package")?.as_array()?;
    packages.iter().find(|package| {
        let here = |key: &str| {
            package.get("source").and_then(|source| source.get(key)).and_then(Value::as_str) == Some(".")
        };
        package.get("name").and_then(Value::as_str).map(normalise) == Some(name.clone())
            && (here("virtual") || here("editable"))
    })
}

/// Whether both are for the same Pythons. The lock of a workspace has what all its members allow.
fn allows_the_same(lock: &Table, manifest: &Table) -> bool {
    let is_workspace = lock.get("manifest").and_then(|manifest| manifest.get("members")).is_some();
    let range = |value: Option<&Value>| {
        value.and_then(Value::as_str).and_then(|text| text.parse::<VersionSpecifiers>().ok())
    };
    let locked = range(lock.get("requires-python"));
    let asked = range(manifest.get("project").and_then(|project| project.get("requires-python")));
    let (Some(locked), Some(asked), false) = (locked, asked, is_workspace) else { return true };
    // uv writes a range in its own way, so what is in it is compared.
    let versions =
        (0..100).flat_map(|minor| [0, 1, 2, 5, 10, 50].map(|patch| Version::new([3, minor, patch])));
    let all = versions.chain([2, 4, 5].map(|major| Version::new([major, 0, 0])));
    all.into_iter().all(|version| locked.contains(&version) == asked.contains(&version))
}

/// Whether something else than the manifest says what is asked for.
fn is_dynamic(manifest: &Table) -> bool {
    let dynamic =
        manifest.get("project").and_then(|project| project.get("dynamic")).and_then(Value::as_array);
    let fields = dynamic.into_iter().flatten().filter_map(Value::as_str);
    fields.into_iter().any(|field| field.ends_with("dependencies"))
}

fn groups(manifest: &Table) -> BTreeMap<String, BTreeSet<Asked>> {
    let mut groups: BTreeMap<String, BTreeSet<Asked>> = BTreeMap::new();
    let tables = manifest.get("dependency-groups").and_then(Value::as_table);
    for name in tables.into_iter().flatten().map(|(name, _)| name) {
        let mut asked = BTreeSet::new();
        add_group(tables, name, &mut BTreeSet::new(), &mut asked);
        groups.insert(normalise(name), asked);
    }
    // uv's own, from before there were groups.
    let own = manifest.get("tool").and_then(|tool| tool.get("uv")).and_then(|uv| uv.get("dev-dependencies"));
    if own.is_some() {
        groups.entry("dev".to_owned()).or_default().extend(of_texts(own));
    }
    groups
}

fn add_group(tables: Option<&Table>, name: &str, seen: &mut BTreeSet<String>, asked: &mut BTreeSet<Asked>) {
    let name = normalise(name);
    let list = tables.into_iter().flatten().find(|(key, _)| normalise(key) == name).map(|(_, list)| list);
    if !seen.insert(name) {
        return;
    }
    asked.extend(of_texts(list));
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        if let Some(included) = item.get("include-group").and_then(Value::as_str) {
            add_group(tables, included, seen, asked);
        }
    }
}

fn of_texts(list: Option<&Value>) -> BTreeSet<Asked> {
    let texts = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    texts.filter_map(of_text).collect()
}

/// `name[extra] >=1,<2 ; marker` as the lock writes it.
fn of_text(text: &str) -> Option<Asked> {
    let text = text.split(';').next()?;
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest);
    let range = rest.split('@').next()?.trim().trim_matches(['(', ')']);
    Some((Name::parse(name).ok()?.as_str().to_owned(), sorted(range)))
}

fn of_lock(list: Option<&Value>) -> BTreeSet<Asked> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| {
            let text = |key: &str| item.get(key).and_then(Value::as_str);
            Some((normalise(text("name")?), sorted(text("specifier").unwrap_or_default())))
        })
        .collect()
}

/// The parts of a range, without white space, in order.
fn sorted(range: &str) -> Vec<String> {
    let mut parts: Vec<String> = range
        .split(',')
        .map(|part| part.chars().filter(|c| !c.is_whitespace()).collect::<String>())
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse::<pep440_rs::VersionSpecifier>().map_or(part, |specifier| specifier.to_string())
        })
        .collect();
    parts.sort();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[project]\nname = \"Shop\"\nrequires-python = \">=3.11\"\ndependencies = [\"django ~= 5.2\", \"uvicorn[standard]>=0.30, <1; python_version > '3'\"]\n\
        [project.optional-dependencies]\npg = [\"psycopg[binary]\"]\n[dependency-groups]\ndev = [\"pytest\", {include-group = \"lint\"}]\nlint = [\"ruff==0.9\"]\nempty = []\n\
        [tool.uv.sources]\nlib = {path = \"lib\"}\n";
    const LOCK: &str = "version = 1\nrequires-python = \">=3.11\"\n[[package]]\nname = \"django\"\nversion = \"5.2.1\"\n[[package]]\nname = \"shop\"\nsource = {virtual = \".\"}\n\
        [package.metadata]\nrequires-dist = [{name = \"django\", specifier = \"~=5.2\"}, {name = \"psycopg\", extras = [\"binary\"], marker = \"extra == 'pg'\"},\
        {name = \"uvicorn\", extras = [\"standard\"], specifier = \">=0.30,<1\", marker = \"python_full_version > '3'\"}]\nprovides-extras = [\"pg\"]\n\
        [package.metadata.requires-dev]\ndev = [{name = \"pytest\"}, {name = \"ruff\", specifier = \"==0.9\"}]\nlint = [{name = \"ruff\", specifier = \"==0.9\"}]\n";

    fn fresh(manifest: &str) -> bool {
        is_fresh(&toml::from_str(LOCK).unwrap(), &toml::from_str(manifest).unwrap())
    }

    #[test]
    fn what_the_lock_remembers_is_compared() {
        assert!(fresh(MANIFEST));
        for (from, to) in [
            ("django ~= 5.2", "django ~= 5.1"),
            ("\"pytest\"", "\"pytest\", \"tox\""),
            ("[\"psycopg[binary]\"]", "[\"psycopg[binary]>3\"]"),
            ("\"django ~= 5.2\", ", ""),
            ("ruff==0.9", "ruff==0.10"),
            (">=3.11", ">=3.12"),
        ] {
            assert!(!fresh(&MANIFEST.replace(from, to)), "{from}");
        }
    }

    #[test]
    fn what_has_no_hashes_is_told_apart() {
        let lock = |source: &str| {
            let text = format!(
                "[[package]]\nname = \"shop\"\nsource = {{editable = \".\"}}\n[[package]]\nname = \"lib\"\nsource = {{{source}}}\n"
            );
            apart("site/uv.lock", "site", &toml::from_str(&text).unwrap())
        };
        let found = lock("directory = \"../libs/lib\"").unwrap();
        assert_eq!((found.shown, found.local, found.git), (vec!["lib (libs/lib)".to_owned()], true, false));
        let found = lock("git = \"https://example.org/x.git?rev=main#0123\"").unwrap();
        assert_eq!(
            (found.shown, found.local, found.git),
            (vec!["lib (https://example.org/x.git)".to_owned()], false, true)
        );
        assert!(lock("registry = \"https://index.example.org/simple\"").unwrap().names.is_empty());
        assert!(matches!(
            lock("editable = \"../../lib\""),
            Err(LockError::Entry { wrong: Wrong::Outside, .. })
        ));
        assert!(matches!(
            lock("git = \"ssh://git@example.org/x\""),
            Err(LockError::Entry { wrong: Wrong::Ssh, .. })
        ));
    }

    #[test]
    fn what_is_not_understood_is_no_proof() {
        assert!(fresh("[project]\nname = \"other\"\ndependencies = []\n"));
        assert!(fresh("[project]\nname = \"shop\"\ndynamic = [\"dependencies\"]\n"));
        assert!(fresh("[tool.x]\n"));
    }
}
