//! `pdm.lock`, format 4 with what PDM calls inherited metadata: groups and markers at each package (PDM 2.11 and newer).

use std::collections::{BTreeMap, BTreeSet};

use djship_store::Digest;
use toml::{Table, Value};

use super::poetry::constraint::Constraint;
use super::python_json::{Json, SPACED};
use super::{
    Entry, Environment, Hash, Index, LockError, Name, PythonRange, Source, Syntax, Texts, Wrong, entries,
    shortened, wrong,
};
use crate::project::requirements::normalise;

/// The group of what is always installed.
const DEFAULT: &str = "default";

/// The lock.
#[derive(Debug, Clone)]
pub(super) struct PdmLock {
    file: String,
    folder: String,
    packages: Vec<Package>,
    /// Groups of the lock that are dependency groups, not extras; normalised.
    groups: BTreeSet<String>,
    indexes: Vec<Index>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Document {
    #[serde(default)]
    package: Vec<Package>,
    metadata: Metadata,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Metadata {
    lock_version: Option<String>,
    content_hash: Option<String>,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Target {
    requires_python: Option<String>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    groups: Option<Vec<String>>,
    marker: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    files: Vec<File>,
    git: Option<String>,
    revision: Option<String>,
    subdirectory: Option<String>,
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    editable: bool,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct File {
    hash: String,
}

pub(super) fn read(texts: &Texts<'_>) -> Result<(PdmLock, Vec<PythonRange>), LockError> {
    let document: Document = texts.toml()?;
    let format = document.metadata.lock_version.as_deref().unwrap_or_default();
    // Without groups at each package, only resolving again says what belongs to production.
    let has_groups = document.package.iter().all(|package| package.groups.is_some());
    if format.split('.').next() != Some("4") || !has_groups {
        return Err(texts.format(format));
    }
    let manifest = texts.manifest()?;
    if let (Some(hash), Some(_)) = (&document.metadata.content_hash, texts.manifest)
        && !content_hashes(&manifest).contains(hash)
    {
        return Err(texts.stale());
    }
    let targets = document.metadata.targets.iter().map(|target| target.requires_python.as_deref());
    let range = targets.collect::<Option<Vec<_>>>().filter(|ranges| !ranges.is_empty());
    let range = range.map(|ranges| PythonRange {
        range: ranges.join(" || "),
        syntax: Syntax::Poetry,
        file: texts.file.to_owned(),
    });
    let lock = PdmLock {
        file: texts.file.to_owned(),
        folder: texts.folder.to_owned(),
        packages: document.package,
        groups: groups(&manifest).into_keys().collect(),
        indexes: indexes(texts.manifest_file, &manifest)?,
    };
    Ok((lock, range.into_iter().collect()))
}

fn section<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

/// The dependency groups of a manifest: `[dependency-groups]`, and PDM's own before there were those.
fn groups(manifest: &Table) -> BTreeMap<String, Vec<Value>> {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for path in [&["dependency-groups"][..], &["tool", "pdm", "dev-dependencies"]] {
        for (name, list) in section(manifest, path).and_then(Value::as_table).into_iter().flatten() {
            groups.entry(normalise(name)).or_default().extend(list.as_array().into_iter().flatten().cloned());
        }
    }
    groups
}

/// The hashes that versions of PDM give a manifest, with their algorithm.
fn content_hashes(manifest: &Table) -> Vec<String> {
    let (list, table) = (Value::Array(Vec::new()), Value::Table(Table::new()));
    let text = Value::String(String::new());
    let or = |path: &[&str], absent: &Value| section(manifest, path).unwrap_or(absent).clone();
    let sources = or(&["tool", "pdm", "source"], &list);
    let dependencies = or(&["project", "dependencies"], &list);
    let optional = or(&["project", "optional-dependencies"], &table);
    let python = or(&["project", "requires-python"], &text);
    let resolution = or(&["tool", "pdm", "resolution"], &table);
    let overrides = or(&["tool", "pdm", "resolution", "overrides"], &table);
    let groups = groups(manifest).into_iter().map(|(name, list)| (name, Value::Array(list)));
    let groups = Value::Table(groups.collect());
    // Before PDM 2.20: only its own groups, with their names as they are written.
    let older = or(&["tool", "pdm", "dev-dependencies"], &table);
    [
        (&groups, "resolution", &resolution),
        (&older, "resolution", &resolution),
        (&older, "overrides", &overrides),
    ]
    .map(|(groups, name, resolution)| {
        let content = Json::Object(BTreeMap::from([
            ("sources", Json::Toml(&sources)),
            ("dependencies", Json::Toml(&dependencies)),
            ("dev-dependencies", Json::Toml(groups)),
            ("optional-dependencies", Json::Toml(&optional)),
            ("requires-python", Json::Toml(&python)),
            (name, Json::Toml(resolution)),
        ]));
        Digest::of(content.write(SPACED).as_bytes()).to_string()
    })
    .to_vec()
}

/// `[[tool.pdm.source]]`; one that is called as the usual index replaces it.
fn indexes(file: &str, manifest: &Table) -> Result<Vec<Index>, LockError> {
    let mut indexes = Vec::new();
    for source in
        section(manifest, &["tool", "pdm", "source"]).and_then(Value::as_array).into_iter().flatten()
    {
        let text = |key: &str| source.get(key).and_then(Value::as_str);
        if text("type").is_some_and(|kind| kind != "index") {
            continue;
        }
        let mut index = Index::parse(file, text("name"), text("url").unwrap_or_default())?;
        index.verify = source.get("verify_ssl").and_then(Value::as_bool) != Some(false);
        index.is_default = index.is_usual;
        indexes.push(index);
    }
    Ok(indexes)
}

impl PdmLock {
    pub(super) fn entries(
        &self,
        mut environment: Environment,
    ) -> Result<(Vec<Entry>, Vec<Index>), LockError> {
        let scope = environment.scope;
        let all = self.packages.iter().flat_map(|package| package.groups.iter().flatten());
        let wanted = |name: &String| {
            name == DEFAULT
                || if self.groups.contains(name) {
                    scope.wants_group(name)
                } else {
                    scope.wants_optional(name)
                }
        };
        environment.groups = all.map(|name| normalise(name)).filter(wanted).collect();
        let mut entries = Vec::new();
        for package in &self.packages {
            let fails = |error| wrong(&self.file, &package.name, error);
            let mut groups = package.groups.iter().flatten();
            let needed = groups.any(|name| environment.groups.contains(&normalise(name)))
                && environment.meets(package.marker.as_deref()).map_err(|error| fails(error.into()))?;
            if !needed {
                continue;
            }
            if let Some(text) = &package.requires_python {
                let range = Constraint::parse(text).map_err(|_| LockError::Syntax {
                    file: self.file.clone(),
                    reason: format!("`{}` is no version range", shortened(text)),
                })?;
                if !range.allows(environment.python()) {
                    return Err(fails(Wrong::Python));
                }
            }
            entries.extend(self.entry(package).map_err(fails)?);
        }
        Ok((entries, self.indexes.clone()))
    }

    /// `None` for the project itself.
    fn entry(&self, package: &Package) -> Result<Option<Entry>, Wrong> {
        let name = Name::parse(&package.name)?;
        let hashes = Hash::all(package.files.iter().map(|file| file.hash.as_str()))?;
        let source = if let Some(url) = &package.git {
            let commit = package.revision.as_deref().unwrap_or_default();
            Source::git(url, commit, package.subdirectory.as_deref())?
        } else if let Some(url) = &package.url {
            Source::Url(entries::Url::parse(url)?)
        } else if let Some(path) = &package.path {
            let is_archive = [".whl", ".zip", ".tar.gz", ".tgz"].iter().any(|end| path.ends_with(end));
            Source::path(&self.folder, path, !is_archive, package.editable)?
        } else {
            Source::version(package.version.as_deref().ok_or(Wrong::NoSource)?, None)?
        };
        let is_project = matches!(&source, Source::Folder { path, .. } if *path == self.folder);
        Ok((!is_project).then_some(Entry { name, source, hashes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::locks::{List, Scope, Tool};
    use crate::plan::python::Release;

    const MANIFEST: &str = "[project]\nname = \"shop\"\nrequires-python = \">=3.11\"\ndependencies = [\"django~=5.2\"]\n\
        [project.optional-dependencies]\npg = [\"psycopg\"]\n[dependency-groups]\ndev = [\"pytest\"]\n\
        [[tool.pdm.source]]\nname = \"own\"\nurl = \"https://${WHO}@index.example.org/simple\"\n";
    const HEX: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";

    fn lock(manifest: &str) -> String {
        let package = |name: &str, groups: &str, more: &str| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"5.2.1\"\ngroups = [{groups}]\n{more}files = [{{file = \"x.whl\", hash = \"sha256:{HEX}\"}}]\n"
            )
        };
        format!(
            "[metadata]\ngroups = [\"default\", \"dev\", \"pg\"]\nstrategy = [\"inherit_metadata\"]\nlock_version = \"4.5.0\"\ncontent_hash = \"{}\"\n\
             [[metadata.targets]]\nrequires_python = \">=3.11\"\n{}{}{}{}{}",
            content_hashes(&toml::from_str(manifest).unwrap())[0],
            package("django", "\"default\"", ""),
            package("django", "\"default\"", "extras = [\"argon2\"]\n"),
            package("pytest", "\"dev\"", ""),
            package("psycopg", "\"pg\"", ""),
            package("colorama", "\"default\", \"dev\"", "marker = \"sys_platform == 'win32'\"\n"),
        )
    }

    fn texts<'a>(lock: &'a str, manifest: Option<&'a str>) -> Texts<'a> {
        let (file, manifest_file) = ("pdm.lock", "pyproject.toml");
        Texts { folder: "", file, lock, manifest_file, manifest, tool: Tool::Pdm }
    }

    #[test]
    fn groups_markers_and_extras() {
        let text = lock(MANIFEST);
        let (lock, ranges) = read(&texts(&text, Some(MANIFEST))).unwrap();
        assert_eq!(ranges[0].range, ">=3.11");
        for (scope, expected) in
            [(Scope::Production, &["django"][..]), (Scope::Development, &["django", "pytest"])]
        {
            let (entries, indexes) = lock.entries(Environment::new(Release::Bookworm, scope)).unwrap();
            let list = List::of("pdm.lock", entries, false).unwrap();
            assert_eq!(list.names, expected);
            assert_eq!((indexes.len(), indexes[0].is_default), (1, false));
        }
    }

    #[test]
    fn a_changed_manifest_is_noticed() {
        let text = lock(MANIFEST);
        for (from, to) in [
            ("django~=5.2", "django~=5.1"),
            ("pytest", "pytest>8"),
            ("index.example", "i.example"),
            (">=3.11", ">=3.12"),
        ] {
            let changed = MANIFEST.replace(from, to);
            assert!(matches!(read(&texts(&text, Some(&changed))), Err(LockError::Stale { .. })), "{from}");
        }
        let renamed = MANIFEST.replace("shop", "store");
        assert!(read(&texts(&text, Some(&renamed))).is_ok());
    }

    #[test]
    fn without_groups_it_must_be_made_anew() {
        let text = lock(MANIFEST).replace("groups = [\"dev\"]\n", "");
        assert!(matches!(read(&texts(&text, None)), Err(LockError::Format { .. })));
    }
}
