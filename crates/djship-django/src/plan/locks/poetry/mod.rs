//! `poetry.lock`, as Poetry 1.1 to 1.8 (formats 1.1 and 2.0) and Poetry 2 (2.1) write it.
//!
//! The newer format says for each package in which groups and under which markers it is needed. For the older ones that follows
//! from `pyproject.toml` and the packages' own dependencies: [`walk`].

pub(in crate::plan) mod constraint;
mod fresh;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use constraint::Constraint;

use super::{
    Entry, Environment, Hash, Index, LockError, Name, PythonRange, Scope, Source, Syntax, Texts, Wrong,
};
use super::{indexes, parse_toml, shortened, wrong};
use crate::project::requirements::normalise;

/// The lock and what of `pyproject.toml` belongs to it.
#[derive(Debug, Clone)]
pub(super) struct PoetryLock {
    file: String,
    folder: String,
    document: Document,
    manifest: Manifest,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Document {
    #[serde(default)]
    package: Vec<Package>,
    metadata: Metadata,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    lock_version: Option<String>,
    python_versions: Option<String>,
    content_hash: Option<String>,
    /// Format 1.1 has the hashes of all packages here.
    #[serde(default)]
    files: BTreeMap<String, Vec<File>>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(rename = "python-versions")]
    python_versions: Option<String>,
    groups: Option<Vec<String>>,
    markers: Option<Markers>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    dependencies: BTreeMap<String, Specs>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    source: Option<PackageSource>,
    #[serde(default)]
    develop: bool,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
enum Markers {
    All(String),
    PerGroup(BTreeMap<String, String>),
}

#[derive(Debug, Clone, serde::Deserialize)]
struct File {
    hash: String,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct PackageSource {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    reference: Option<String>,
    resolved_reference: Option<String>,
    subdirectory: Option<String>,
}

/// What a dependency asks for.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
enum Specs {
    One(Spec),
    Several(Vec<Spec>),
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
enum Spec {
    Version(String),
    Table(SpecTable),
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct SpecTable {
    version: Option<String>,
    python: Option<String>,
    platform: Option<String>,
    markers: Option<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    optional: bool,
}

/// `[tool.poetry]`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: BTreeMap<String, Specs>,
    #[serde(default, rename = "dev-dependencies")]
    dev_dependencies: BTreeMap<String, Specs>,
    #[serde(default)]
    group: BTreeMap<String, Group>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Default, serde::Deserialize)]
struct Group {
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    dependencies: BTreeMap<String, Specs>,
}

#[derive(serde::Deserialize)]
struct Shared {
    tool: Option<SharedTool>,
}

#[derive(serde::Deserialize)]
struct SharedTool {
    poetry: Option<Manifest>,
}

pub(super) fn read(texts: &Texts<'_>) -> Result<(PoetryLock, Vec<PythonRange>), LockError> {
    let document: Document = texts.toml()?;
    let format = document.metadata.lock_version.as_deref().unwrap_or("1.0");
    if !matches!(format.split('.').next(), Some("1" | "2")) {
        return Err(texts.format(format));
    }
    if let (Some(hash), Some(_)) = (&document.metadata.content_hash, texts.manifest)
        && !fresh::is_fresh(&texts.manifest()?, texts.lock, format, hash)
    {
        return Err(texts.stale());
    }
    let manifest = texts.manifest.map(|text| parse_toml::<Shared>(texts.manifest_file, text)).transpose()?;
    let manifest = manifest.and_then(|shared| shared.tool?.poetry).unwrap_or_default();
    let range = document.metadata.python_versions.clone().filter(|range| range != "*");
    let range = range.map(|range| PythonRange { range, syntax: Syntax::Poetry, file: texts.file.to_owned() });
    let lock =
        PoetryLock { file: texts.file.to_owned(), folder: texts.folder.to_owned(), document, manifest };
    if !lock.has_groups() && texts.manifest.is_none() {
        // What is asked for is only there.
        return Err(LockError::NoManifest {
            file: texts.file.to_owned(),
            manifest: texts.manifest_file.to_owned(),
        });
    }
    Ok((lock, range.into_iter().collect()))
}

impl PoetryLock {
    /// Whether the packages say which groups need them.
    fn has_groups(&self) -> bool {
        self.document.package.iter().all(|package| package.groups.is_some())
    }

    pub(super) fn entries(
        &self,
        mut environment: Environment,
    ) -> Result<(Vec<Entry>, Vec<Index>), LockError> {
        let extras = self.document.extras.keys().chain(self.manifest.extras.keys());
        environment.extras = extras
            .filter(|name| environment.scope.wants_optional(name))
            .map(|name| normalise(name))
            .collect();
        let chosen: Vec<&Package> = if self.has_groups() {
            environment.groups = self.groups(environment.scope);
            self.document
                .package
                .iter()
                .filter_map(|package| {
                    self.is_needed(package, &environment).map(|needed| needed.then_some(package)).transpose()
                })
                .collect::<Result<_, _>>()?
        } else {
            walk::Walk::new(self, &environment).chosen()?
        };
        let mut found = Vec::new();
        let mut entries = Vec::new();
        for package in chosen {
            let name = &package.name;
            if !self.is_for(package, &environment)? {
                return Err(wrong(&self.file, name, Wrong::Python));
            }
            if let Some(entry) = self.entry(package).map_err(|error| wrong(&self.file, name, error))? {
                entries.push(entry);
            }
            if let Some(PackageSource { kind, url, reference, .. }) = &package.source
                && kind == "legacy"
            {
                found.push(indexes::of_poetry(&self.file, reference.as_deref(), url)?);
            }
        }
        Ok((entries, found))
    }

    /// The groups that are installed, normalised.
    fn groups(&self, scope: Scope) -> BTreeSet<String> {
        let all = self.document.package.iter().flat_map(|package| package.groups.iter().flatten());
        let optional: BTreeSet<String> = self
            .manifest
            .group
            .iter()
            .filter(|(_, group)| group.optional)
            .map(|(name, _)| normalise(name))
            .collect();
        let wanted = |name: &String| {
            *name == "main"
                || if optional.contains(name) { scope.wants_optional(name) } else { scope.wants_group(name) }
        };
        all.map(|name| normalise(name)).filter(wanted).collect()
    }

    fn is_needed(&self, package: &Package, environment: &Environment) -> Result<bool, LockError> {
        let groups = package.groups.iter().flatten().map(|name| normalise(name));
        let groups: Vec<String> = groups.filter(|name| environment.groups.contains(name)).collect();
        let holds = |marker: &str| {
            environment.holds(marker).map_err(|error| wrong(&self.file, &package.name, error.into()))
        };
        match &package.markers {
            _ if groups.is_empty() => Ok(false),
            None => Ok(true),
            Some(Markers::All(marker)) => holds(marker),
            Some(Markers::PerGroup(markers)) => {
                for group in groups {
                    let marker = markers.iter().find(|(name, _)| normalise(name) == group);
                    if marker.map_or(Ok(true), |(_, marker)| holds(marker))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether a package is for this Python.
    fn is_for(&self, package: &Package, environment: &Environment) -> Result<bool, LockError> {
        let Some(range) = &package.python_versions else { return Ok(true) };
        let range = Constraint::parse(range).map_err(|_| LockError::Syntax {
            file: self.file.clone(),
            reason: format!("`{}` is no version range", shortened(range)),
        })?;
        Ok(range.allows(environment.python()))
    }

    /// `None` for what is the project itself.
    fn entry(&self, package: &Package) -> Result<Option<Entry>, Wrong> {
        let name = Name::parse(&package.name)?;
        let listed = self.document.metadata.files.iter().find(|(known, _)| normalise(known) == name.as_str());
        let files = package.files.iter().chain(listed.into_iter().flat_map(|(_, files)| files));
        let hashes = Hash::all(files.map(|file| file.hash.as_str()))?;
        let Some(source) = &package.source else {
            return Ok(Some(Entry { name, source: Source::version(&package.version, None)?, hashes }));
        };
        let PackageSource { kind, url, resolved_reference, subdirectory, .. } = source;
        let source = match kind.as_str() {
            "legacy" => Source::version(&package.version, Some(url.clone()))?,
            "git" => {
                let commit = resolved_reference.as_deref().unwrap_or_default();
                Source::git(url, commit, subdirectory.as_deref())?
            }
            "url" => Source::Url(super::entries::Url::parse(url)?),
            "file" => Source::path(&self.folder, url, false, false)?,
            "directory" => Source::path(&self.folder, url, true, package.develop)?,
            _ => return Err(Wrong::NoSource),
        };
        Ok(Some(Entry { name, source, hashes }))
    }
}

#[cfg(test)]
mod tests;
