//! What a lock without groups means for one Python: from what `pyproject.toml` asks for, along the dependencies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Constraint, Package, PoetryLock, Spec, SpecTable, Specs};
use crate::plan::locks::{Environment, LockError, Wrong, wrong};
use crate::project::requirements::normalise;

/// A package with one of its extras; `""` for the package itself.
type Visited = (usize, String);

pub(super) struct Walk<'a> {
    lock: &'a PoetryLock,
    environment: &'a Environment,
    by_name: BTreeMap<String, Vec<usize>>,
    waiting: VecDeque<(usize, BTreeSet<String>)>,
    visited: BTreeSet<Visited>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(lock: &'a PoetryLock, environment: &'a Environment) -> Self {
        let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, package) in lock.document.package.iter().enumerate() {
            by_name.entry(normalise(&package.name)).or_default().push(index);
        }
        Self { lock, environment, by_name, waiting: VecDeque::new(), visited: BTreeSet::new() }
    }

    pub(super) fn chosen(mut self) -> Result<Vec<&'a Package>, LockError> {
        let manifest = &self.lock.manifest;
        let scope = self.environment.scope;
        self.add_all("pyproject.toml", &manifest.dependencies, &self.environment.extras, &manifest.extras)?;
        if scope.wants_group("dev") {
            self.add_all("pyproject.toml", &manifest.dev_dependencies, &BTreeSet::new(), &BTreeMap::new())?;
        }
        for (name, group) in &manifest.group {
            let wanted = if group.optional { scope.wants_optional(name) } else { scope.wants_group(name) };
            if wanted {
                self.add_all("pyproject.toml", &group.dependencies, &BTreeSet::new(), &BTreeMap::new())?;
            }
        }
        while let Some((index, extras)) = self.waiting.pop_front() {
            // An extra adds to what the package itself needs; both are evaluated together, each once.
            let fresh: Vec<_> = extras
                .iter()
                .cloned()
                .chain([String::new()])
                .filter(|extra| self.visited.insert((index, extra.clone())))
                .collect();
            if !fresh.is_empty() {
                let package = &self.lock.document.package[index];
                self.add_all(&package.name, &package.dependencies, &extras, &package.extras)?;
            }
        }
        let indexes: BTreeSet<usize> = self.visited.iter().map(|(index, _)| *index).collect();
        Ok(indexes.into_iter().map(|index| &self.lock.document.package[index]).collect())
    }

    /// Adds what `by` needs with these of its extras.
    fn add_all(
        &mut self,
        by: &str,
        dependencies: &'a BTreeMap<String, Specs>,
        extras: &BTreeSet<String>,
        optional: &BTreeMap<String, Vec<String>>,
    ) -> Result<(), LockError> {
        let mut environment = self.environment.clone();
        environment.extras.clone_from(extras);
        for (name, specs) in dependencies {
            if name == "python" {
                continue;
            }
            let specs: &[Spec] = match specs {
                Specs::One(spec) => std::slice::from_ref(spec),
                Specs::Several(specs) => specs,
            };
            for spec in specs {
                let table = match spec {
                    Spec::Version(version) => {
                        SpecTable { version: Some(version.clone()), ..SpecTable::default() }
                    }
                    Spec::Table(table) => table.clone(),
                };
                let by_marker = table.markers.as_ref().is_some_and(|marker| marker.contains("extra"));
                let asked = !table.optional || by_marker || is_asked_for(name, extras, optional);
                if asked && self.applies(name, &table, &environment)? {
                    self.add(by, name, &table)?;
                }
            }
        }
        Ok(())
    }

    fn applies(&self, name: &str, table: &SpecTable, environment: &Environment) -> Result<bool, LockError> {
        let marker = environment.meets(table.markers.as_deref());
        let marker = marker.map_err(|error| wrong(&self.lock.file, name, error.into()))?;
        let python = table.python.as_deref().map(|range| self.range(name, range)).transpose()?;
        let python = python.is_none_or(|range| range.allows(environment.python()));
        let platform = table.platform.as_deref().is_none_or(|platform| match platform.strip_prefix("!=") {
            Some(other) => other.trim() != "linux",
            None => platform.trim_start_matches('=').trim() == "linux" || platform == "*",
        });
        Ok(marker && python && platform)
    }

    fn range(&self, name: &str, text: &str) -> Result<Constraint, LockError> {
        Constraint::parse(text).map_err(|_| wrong(&self.lock.file, name, Wrong::Version))
    }

    fn add(&mut self, by: &str, name: &str, table: &SpecTable) -> Result<(), LockError> {
        let range = table.version.as_deref().map(|text| self.range(name, text)).transpose()?;
        let known = self.by_name.get(&normalise(name)).map_or(&[][..], Vec::as_slice);
        if known.is_empty() {
            return Err(LockError::Missing {
                file: self.lock.file.clone(),
                name: super::shortened(name),
                by: super::shortened(by),
            });
        }
        let mut found = None;
        for &index in known {
            let package = &self.lock.document.package[index];
            let version =
                package.version.parse().map_err(|_| wrong(&self.lock.file, name, Wrong::Version))?;
            // With one version there is no choice; ranges of what is no release of an index say nothing.
            let fits = known.len() == 1
                || package.source.as_ref().is_some_and(|source| source.kind != "legacy")
                || range.as_ref().is_none_or(|range| range.allows(&version));
            if fits
                && self.lock.is_for(package, self.environment)?
                && found.as_ref().is_none_or(|(known, _)| *known < version)
            {
                found = Some((version, index));
            }
        }
        let (_, index) = found.ok_or_else(|| wrong(&self.lock.file, name, Wrong::Python))?;
        self.waiting.push_back((index, table.extras.iter().map(|extra| normalise(extra)).collect()));
        Ok(())
    }
}

/// Whether one of the extras names an optional dependency.
fn is_asked_for(name: &str, extras: &BTreeSet<String>, optional: &BTreeMap<String, Vec<String>>) -> bool {
    let name = normalise(name);
    let is_it = |text: &String| {
        let end =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
        normalise(&text[..end]) == name
    };
    optional.iter().any(|(extra, texts)| extras.contains(&normalise(extra)) && texts.iter().any(is_it))
}
