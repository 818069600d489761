//! The tables of a `pyproject.toml` that name more than `[project.dependencies]`.

use crate::plan::dependencies::{DependenciesError, parse};
use crate::project::Project;
use crate::project::requirements::normalise;

/// Groups and extras that are for development.
const NAMES: &[&str] = &["dev", "development", "local"];

/// A name with the requirements under it, as they are written.
type Named = (String, Vec<String>);

/// A `pyproject.toml`.
pub(super) struct Tables(toml::Table);

impl Tables {
    pub(super) fn read(project: &Project, file: &str) -> Result<Self, DependenciesError> {
        let text = project.read(file)?.unwrap_or_default();
        Ok(Self(parse(file, &text)?))
    }

    fn get(&self, path: &[&str]) -> Option<&toml::Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, key| value.get(key))
    }

    /// The dependency groups for development with what they hold: uv's own list of defaults, or those of such a name
    /// (<https://packaging.python.org/en/latest/specifications/dependency-groups/>).
    pub(super) fn groups(&self) -> Vec<Named> {
        let Some(groups) = self.get(&["dependency-groups"]).and_then(toml::Value::as_table) else {
            return Vec::new();
        };
        let defaults = self.get(&["tool", "uv", "default-groups"]);
        let listed = defaults
            .and_then(toml::Value::as_array)
            .map(|list| list.iter().filter_map(toml::Value::as_str).map(normalise).collect::<Vec<_>>());
        let every = defaults.and_then(toml::Value::as_str) == Some("all");
        let chosen = |name: &String| {
            let name = normalise(name);
            every || listed.as_ref().map_or(NAMES.contains(&name.as_str()), |listed| listed.contains(&name))
        };
        let group = |name: &String| {
            let mut lines = Vec::new();
            add_group(groups, name, &mut Vec::new(), &mut lines);
            (name.clone(), lines)
        };
        groups.keys().filter(|name| chosen(name)).map(group).collect()
    }

    /// The extras for development with what they hold.
    pub(super) fn extras(&self) -> Vec<Named> {
        let extras = self.get(&["project", "optional-dependencies"]).and_then(toml::Value::as_table);
        let extras = extras.into_iter().flatten();
        extras
            .filter(|(name, _)| NAMES.contains(&normalise(name).as_str()))
            .map(|(name, lines)| (name.clone(), texts(lines)))
            .collect()
    }
}

fn texts(list: &toml::Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

fn add_group(groups: &toml::Table, name: &str, seen: &mut Vec<String>, lines: &mut Vec<String>) {
    let name = normalise(name);
    let Some((_, list)) = groups.iter().find(|(key, _)| normalise(key) == name) else { return };
    if seen.contains(&name) {
        return;
    }
    seen.push(name);
    lines.extend(texts(list));
    for item in list.as_array().into_iter().flatten() {
        if let Some(included) = item.get("include-group").and_then(toml::Value::as_str) {
            add_group(groups, included, seen, lines);
        }
    }
}
