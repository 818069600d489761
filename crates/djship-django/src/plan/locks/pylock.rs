//! `pylock.toml`, format 1.0 (<https://packaging.python.org/en/latest/specifications/pylock-toml/>).
//!
//! Packages of an index are asked for there by version and hashes, not at the URLs that the lock has, so that mirrors work.

use std::collections::BTreeMap;

use super::{DEVELOPMENT, entries, shortened, wrong};
use super::{
    Entry, Environment, Hash, Index, LockError, Name, PythonRange, Scope, Source, Syntax, Texts, Wrong,
};
use crate::project::requirements::normalise;

/// The lock.
#[derive(Debug, Clone)]
pub(super) struct Pylock {
    file: String,
    folder: String,
    document: Document,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    requires_python: Option<String>,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependency_groups: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    index: Option<String>,
    vcs: Option<Vcs>,
    directory: Option<Directory>,
    archive: Option<Archive>,
    sdist: Option<Archive>,
    #[serde(default)]
    wheels: Vec<Archive>,
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Vcs {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Directory {
    path: String,
    #[serde(default)]
    editable: bool,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Archive {
    url: Option<String>,
    path: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(super) fn read(texts: &Texts<'_>) -> Result<(Pylock, Vec<PythonRange>), LockError> {
    let document: Document = texts.toml()?;
    if document.lock_version.split('.').next() != Some("1") {
        return Err(texts.format(&document.lock_version));
    }
    let range = document.requires_python.clone();
    let range = range.map(|range| PythonRange { range, syntax: Syntax::Pep440, file: texts.file.to_owned() });
    Ok((
        Pylock { file: texts.file.to_owned(), folder: texts.folder.to_owned(), document },
        range.into_iter().collect(),
    ))
}

impl Pylock {
    pub(super) fn entries(
        &self,
        mut environment: Environment,
    ) -> Result<(Vec<Entry>, Vec<Index>), LockError> {
        let document = &self.document;
        let scope = environment.scope;
        let is_for_development = |name: &String| DEVELOPMENT.contains(&normalise(name).as_str());
        let by_default = document
            .default_groups
            .iter()
            .filter(|name| scope == Scope::Development || !is_for_development(name));
        let groups = document.dependency_groups.iter().filter(|name| scope.wants_optional(name));
        environment.groups = by_default.chain(groups).map(|name| normalise(name)).collect();
        let extras = document.extras.iter().filter(|name| scope.wants_optional(name));
        environment.extras = extras.map(|name| normalise(name)).collect();
        self.is_for(&environment)?;
        let (mut entries, mut indexes) = (Vec::new(), Vec::new());
        for package in &document.packages {
            let fails = |error| wrong(&self.file, &package.name, error);
            if !environment.meets(package.marker.as_deref()).map_err(|error| fails(error.into()))? {
                continue;
            }
            if let Some(range) = &package.requires_python {
                let range: pep440_rs::VersionSpecifiers = range.parse().map_err(|_| fails(Wrong::Version))?;
                if !range.contains(environment.python()) {
                    return Err(fails(Wrong::Python));
                }
            }
            entries.extend(self.entry(package).map_err(fails)?);
            if let Some(url) = &package.index {
                indexes.push(Index::parse(&self.file, None, url)?);
            }
        }
        Ok((entries, indexes))
    }

    /// The lock names the environments that it was made for, if it was not made for all.
    fn is_for(&self, environment: &Environment) -> Result<(), LockError> {
        let markers = &self.document.environments;
        for marker in markers {
            let holds = environment.holds(marker).map_err(|_| LockError::Syntax {
                file: self.file.clone(),
                reason: format!("`{}` is no environment marker", shortened(marker)),
            })?;
            if holds {
                return Ok(());
            }
        }
        if markers.is_empty() { Ok(()) } else { Err(LockError::Environment { file: self.file.clone() }) }
    }

    /// `None` for the project itself.
    fn entry(&self, package: &Package) -> Result<Option<Entry>, Wrong> {
        let name = Name::parse(&package.name)?;
        let archives = package.sdist.iter().chain(&package.wheels).chain(&package.archive);
        let hashes: Vec<String> = archives
            .flat_map(|archive| archive.hashes.iter().map(|(algorithm, hex)| format!("{algorithm}:{hex}")))
            .collect();
        let hashes = Hash::all(hashes.iter().map(String::as_str))?;
        let place = |archive: &Archive| match (&archive.url, &archive.path) {
            (Some(url), _) => entries::Url::parse(url).map(Source::Url),
            (None, Some(path)) => Source::path(&self.folder, path, false, false),
            (None, None) => Err(Wrong::NoSource),
        };
        let source = if let Some(vcs) = &package.vcs {
            if vcs.kind != "git" {
                return Err(Wrong::Commit);
            }
            Source::git(vcs.url.as_deref().unwrap_or_default(), &vcs.commit_id, vcs.subdirectory.as_deref())?
        } else if let Some(Directory { path, editable }) = &package.directory {
            let source = Source::path(&self.folder, path, true, *editable)?;
            if matches!(&source, Source::Folder { path, .. } if *path == self.folder) {
                return Ok(None);
            }
            source
        } else if let Some(archive) = &package.archive {
            place(archive)?
        } else if let Some(version) = &package.version {
            match package.wheels.as_slice() {
                // Files of the project are in no index.
                [wheel] if wheel.url.is_none() => place(wheel)?,
                _ => Source::version(version, package.index.clone())?,
            }
        } else {
            match (package.wheels.as_slice(), &package.sdist) {
                ([wheel], _) => place(wheel)?,
                ([], Some(sdist)) => place(sdist)?,
                _ => return Err(Wrong::NoSource),
            }
        };
        Ok(Some(Entry { name, source, hashes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::locks::{List, Tool};
    use crate::plan::python::Release;

    const HEX: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";

    fn lists(text: &str) -> [Result<List, LockError>; 2] {
        let (file, manifest_file) = ("pylock.toml", "pyproject.toml");
        let texts = Texts { folder: "", file, lock: text, manifest_file, manifest: None, tool: Tool::Pylock };
        [Scope::Production, Scope::Development].map(|scope| {
            let (lock, _) = read(&texts)?;
            let (entries, _) = lock.entries(Environment::new(Release::Trixie, scope))?;
            List::of(file, entries, scope == Scope::Development)
        })
    }

    #[test]
    fn every_kind_of_source_and_group() {
        let hashes = format!("hashes = {{sha256 = \"{HEX}\", md5 = \"00\"}}");
        let text = format!(
            "lock-version = \"1.0\"\nrequires-python = \">=3.11\"\ncreated-by = \"x\"\nextras = [\"prod\", \"docs\"]\n\
             dependency-groups = [\"default\", \"dev\"]\ndefault-groups = [\"default\"]\n\
             environments = [\"python_version >= '3.11'\"]\n\
             [[packages]]\nname = \"django\"\nversion = \"5.2.1\"\nmarker = \"'default' in dependency_groups\"\nindex = \"https://index.example.org/simple\"\n\
             wheels = [{{name = \"a.whl\", url = \"https://example.org/a.whl\", {hashes}}}]\n\
             [[packages]]\nname = \"pytest\"\nversion = \"8\"\nmarker = \"'dev' in dependency_groups\"\nsdist = {{name = \"a\", {hashes}}}\n\
             [[packages]]\nname = \"gunicorn\"\nversion = \"23\"\nmarker = \"'prod' in extras\"\nsdist = {{name = \"a\", {hashes}}}\n\
             [[packages]]\nname = \"sphinx\"\nversion = \"8\"\nmarker = \"'docs' in extras\"\nsdist = {{name = \"a\", {hashes}}}\n\
             [[packages]]\nname = \"shop\"\ndirectory = {{path = \".\", editable = true}}\n\
             [[packages]]\nname = \"lib\"\ndirectory = {{path = \"lib\", editable = true}}\n\
             [[packages]]\nname = \"zipped\"\narchive = {{url = \"https://example.org/z.zip\", {hashes}}}\n\
             [[packages]]\nname = \"from-git\"\nvcs = {{type = \"git\", url = \"https://example.org/g.git\", commit-id = \"{}\"}}\n",
            &HEX[..40]
        );
        let [production, development] = lists(&text).map(Result::unwrap);
        assert_eq!(production.names, ["django", "from-git", "gunicorn", "lib", "zipped"]);
        assert_eq!(development.names, ["django", "from-git", "lib", "pytest", "zipped"]);
        assert!(production.hashed.contains("zipped @ https://example.org/z.zip \\\n    --hash=sha256:"));
        assert!(development.unhashed.contains("-e file:///app/lib\n"));
    }

    #[test]
    fn other_formats_environments_and_weak_hashes_are_named() {
        let errors = |text: &str| lists(text).map(|list| list.unwrap_err())[0].to_string();
        assert!(errors("lock-version = \"2.0\"\n").contains("version 2.0"));
        assert!(
            errors("lock-version = \"1.0\"\nenvironments = [\"sys_platform == 'win32'\"]\n")
                .contains("another kind of system")
        );
        let weak = "lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"1\"\nsdist = {name = \"a\", hashes = {md5 = \"00\"}}\n";
        assert!(errors(weak).contains("sha256"));
        let bare = "lock-version = \"1.0\"\n[[packages]]\nname = \"x\"\nversion = \"1\"\n";
        assert!(errors(bare).contains("no hash"));
    }
}
