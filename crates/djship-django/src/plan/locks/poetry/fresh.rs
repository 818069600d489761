//! Whether `poetry.lock` belongs to its `pyproject.toml`: Poetry's own content hash.

use std::collections::BTreeMap;

use djship_store::Digest;
use toml::{Table, Value};

use crate::plan::locks::python_json::{Json, SPACED};

/// Of `[tool.poetry]`, written even where they are absent.
const ALWAYS: [&str; 4] = ["dependencies", "source", "extras", "dev-dependencies"];
/// Of `[project]`.
const PROJECT: [&str; 3] = ["requires-python", "dependencies", "optional-dependencies"];

/// Whether `hash` is that of the manifest, by the rules of the Poetry that wrote the lock.
pub(super) fn is_fresh(manifest: &Table, lock: &str, format: &str, hash: &str) -> bool {
    let is_new = format.split('.').nth(1).is_some_and(|minor| minor != "0") && format.starts_with("2.");
    let has_project =
        section(manifest, &["project"]).is_some_and(|project| project.contains_key("dependencies"));
    if !is_new && !has_project {
        return hash == digest(of_poetry(manifest, true));
    }
    hash == content(manifest, true) || before_groups(lock) && hash == content(manifest, false)
}

/// Poetry below 2.3 does not count `[dependency-groups]`.
fn before_groups(lock: &str) -> bool {
    let first = lock.lines().next().unwrap_or_default();
    let version = first.split_once("Poetry ").and_then(|(_, rest)| rest.split_whitespace().next());
    let version = version.and_then(|version| version.parse::<pep440_rs::Version>().ok());
    version.is_some_and(|version| version < pep440_rs::Version::new([2, 3, 0]))
}

/// Poetry 2: what counts of `[project]`, `[dependency-groups]` and `[tool.poetry]`.
fn content(manifest: &Table, with_groups: bool) -> String {
    let mut content = BTreeMap::new();
    let project = section(manifest, &["project"]);
    let project: BTreeMap<&str, Json<'_>> =
        PROJECT.iter().filter_map(|key| Some((*key, Json::Toml(project?.get(*key)?)))).collect();
    let groups = manifest.get("dependency-groups").filter(|_| with_groups);
    let groups = groups.filter(|groups| groups.as_table().is_some_and(|table| !table.is_empty()));
    let own = of_poetry(manifest, project.is_empty() && groups.is_none());
    if !project.is_empty() {
        content.insert("project", Json::Object(project));
    }
    if let Some(groups) = groups {
        content.insert("dependency-groups", Json::Toml(groups));
    }
    if content.is_empty() {
        return digest(own);
    }
    content.insert("tool", Json::Object([("poetry", Json::Object(own))].into()));
    digest(content)
}

/// What counts of `[tool.poetry]`; what is absent counts as well where nothing else does.
fn of_poetry(manifest: &Table, absent_counts: bool) -> BTreeMap<&'static str, Json<'_>> {
    let poetry = section(manifest, &["tool", "poetry"]);
    let mut content = BTreeMap::new();
    for key in ALWAYS.into_iter().chain(["group"]) {
        match poetry.and_then(|poetry| poetry.get(key)) {
            Some(value) => content.insert(key, Json::Toml(value)),
            None if absent_counts && key != "group" => content.insert(key, Json::Null),
            None => None,
        };
    }
    content
}

fn section<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    path.iter().try_fold(table, |table, key| table.get(*key).and_then(Value::as_table))
}

fn digest(content: BTreeMap<&str, Json<'_>>) -> String {
    Digest::of(Json::Object(content).write(SPACED).as_bytes()).hex()
}
