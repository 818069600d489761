//! `Pipfile.lock` (format 6).

use std::collections::BTreeMap;

use djship_store::Digest;
use serde_json::Value;

use super::python_json::{COMPACT, Json};
use super::{Entry, Environment, Hash, Index, LockError, Name, Source, Texts, Wrong, entries, wrong};

/// Tables of a Pipfile that are no categories of packages.
const NO_CATEGORIES: [&str; 9] =
    ["source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"];

/// The lock.
#[derive(Debug, Clone)]
pub(super) struct PipenvLock {
    file: String,
    folder: String,
    document: Document,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Document {
    #[serde(rename = "_meta")]
    meta: Meta,
    /// `default`, `develop`, and the categories that the Pipfile has besides.
    #[serde(flatten)]
    categories: BTreeMap<String, BTreeMap<String, Package>>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Meta {
    #[serde(default)]
    hash: BTreeMap<String, String>,
    #[serde(rename = "pipfile-spec")]
    format: Option<u64>,
    #[serde(default)]
    sources: Vec<Value>,
}

#[derive(Debug, Clone, serde::Deserialize)]
struct Package {
    version: Option<String>,
    #[serde(default)]
    hashes: Vec<String>,
    markers: Option<String>,
    git: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    subdirectory: Option<String>,
    path: Option<String>,
    file: Option<String>,
    #[serde(default)]
    editable: bool,
}

pub(super) fn read(texts: &Texts<'_>) -> Result<PipenvLock, LockError> {
    let document: Document = serde_json::from_str(texts.lock)
        .map_err(|error| LockError::Syntax { file: texts.file.to_owned(), reason: error.to_string() })?;
    if let Some(format) = document.meta.format.filter(|format| *format != 6) {
        return Err(texts.format(&format.to_string()));
    }
    if let (Some(hash), Some(_)) = (document.meta.hash.get("sha256"), texts.manifest)
        && *hash != content_hash(&texts.manifest()?, &document.meta.sources)
    {
        return Err(texts.stale());
    }
    Ok(PipenvLock { file: texts.file.to_owned(), folder: texts.folder.to_owned(), document })
}

/// Pipenv's hash of a Pipfile. One without sources has the usual one, as the lock writes it.
fn content_hash(pipfile: &toml::Table, locked: &[Value]) -> String {
    let locked = Value::Array(locked.to_vec());
    let empty = toml::Value::Table(toml::Table::new());
    let section = |name: &str| Json::Toml(pipfile.get(name).unwrap_or(&empty));
    let sources = pipfile.get("source").map_or(Json::Parsed(&locked), Json::Toml);
    let mut content = BTreeMap::from([
        ("_meta", Json::Object([("sources", sources), ("requires", section("requires"))].into())),
        ("default", section("packages")),
        ("develop", section("dev-packages")),
    ]);
    for (name, packages) in pipfile {
        if !NO_CATEGORIES.contains(&name.as_str()) {
            content.insert(name, Json::Toml(packages));
        }
    }
    Digest::of(Json::Object(content).write(COMPACT).as_bytes()).hex()
}

impl PipenvLock {
    pub(super) fn entries(&self, environment: &Environment) -> Result<(Vec<Entry>, Vec<Index>), LockError> {
        let mut entries = Vec::new();
        for (category, packages) in &self.document.categories {
            let wanted = category == "default" || environment.scope.wants_optional(category);
            for (name, package) in packages.iter().filter(|_| wanted) {
                let fails = |error| wrong(&self.file, name, error);
                let needed = environment.meets(package.markers.as_deref());
                if needed.map_err(|error| fails(error.into()))?
                    && let Some(entry) = self.entry(name, package).map_err(fails)?
                {
                    entries.push(entry);
                }
            }
        }
        Ok((entries, self.indexes()?))
    }

    /// `None` for the project itself.
    fn entry(&self, name: &str, package: &Package) -> Result<Option<Entry>, Wrong> {
        let name = Name::parse(name)?;
        let hashes = Hash::all(package.hashes.iter().map(String::as_str))?;
        let Package { version, git, reference, subdirectory, path, file, editable, .. } = package;
        let source = if let Some(url) = git {
            Source::git(url, reference.as_deref().unwrap_or_default(), subdirectory.as_deref())?
        } else if let Some(place) = path.as_ref().or(file.as_ref()) {
            if place.starts_with("http://") || place.starts_with("https://") {
                Source::Url(entries::Url::parse(place)?)
            } else {
                let is_archive = [".whl", ".zip", ".tar.gz", ".tgz"].iter().any(|end| place.ends_with(end));
                Source::path(&self.folder, place, !is_archive, *editable)?
            }
        } else {
            Source::version(version.as_deref().ok_or(Wrong::NoSource)?, None)?
        };
        let is_project = matches!(&source, Source::Folder { path, .. } if *path == self.folder);
        Ok((!is_project).then_some(Entry { name, source, hashes }))
    }

    /// The first source is asked for everything, the others for what they alone have.
    fn indexes(&self) -> Result<Vec<Index>, LockError> {
        let mut indexes = Vec::new();
        for (position, source) in self.document.meta.sources.iter().enumerate() {
            let text = |key: &str| source.get(key).and_then(Value::as_str);
            let mut index = Index::parse(&self.file, text("name"), text("url").unwrap_or_default())?;
            index.verify = source.get("verify_ssl").and_then(Value::as_bool) != Some(false);
            index.is_default = position == 0;
            indexes.push(index);
        }
        Ok(indexes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::locks::{List, Scope, Tool};
    use crate::plan::python::Release;

    const PIPFILE: &str = "[[source]]\nname = \"own\"\nurl = \"https://${WHO}:${TOKEN}@index.example.org/simple\"\n\
        verify_ssl = false\n[packages]\ndjango = \"~=5.2\"\n[dev-packages]\npytest = \"*\"\n[requires]\npython_version = \"3.11\"\n";
    const HEX: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";

    fn lock(hash: &str) -> String {
        let package =
            |version: &str| format!("{{\"hashes\": [\"sha256:{HEX}\"], \"version\": \"=={version}\"}}");
        format!(
            "{{\"_meta\": {{\"hash\": {{\"sha256\": \"{hash}\"}}, \"pipfile-spec\": 6, \"requires\": {{}}, \"sources\": \
             [{{\"name\": \"own\", \"url\": \"https://${{WHO}}:${{TOKEN}}@index.example.org/simple\", \"verify_ssl\": false}}]}},\
             \"default\": {{\"Django\": {}, \"old\": {{\"version\": \"==1\", \"markers\": \"python_version < '3.9'\"}},\
             \"lib\": {{\"path\": \"./lib\", \"editable\": true}}, \"self\": {{\"path\": \".\", \"editable\": true}}}},\
             \"develop\": {{\"pytest\": {}}}, \"prod\": {{\"gunicorn\": {}}}, \"docs\": {{\"sphinx\": {}}}}}",
            package("5.2.1"),
            package("8.0"),
            package("23.0"),
            package("8.1")
        )
    }

    fn texts<'a>(lock: &'a str, manifest: Option<&'a str>) -> Texts<'a> {
        let (file, manifest_file) = ("Pipfile.lock", "Pipfile");
        Texts { folder: "", file, lock, manifest_file, manifest, tool: Tool::Pipenv }
    }

    fn list(scope: Scope) -> List {
        let hash = content_hash(&toml::from_str(PIPFILE).unwrap(), &[]);
        let text = lock(&hash);
        let lock = read(&texts(&text, Some(PIPFILE))).unwrap();
        let (entries, indexes) = lock.entries(&Environment::new(Release::Trixie, scope)).unwrap();
        assert_eq!(indexes.len(), 1);
        assert!(indexes[0].is_default && !indexes[0].verify && !indexes[0].is_usual);
        List::of("Pipfile.lock", entries, scope == Scope::Development).unwrap()
    }

    #[test]
    fn categories_markers_and_folders() {
        assert_eq!(list(Scope::Production).names, ["django", "gunicorn", "lib"]);
        assert_eq!(list(Scope::Development).names, ["django", "lib", "pytest"]);
        assert_eq!(list(Scope::Production).unhashed, "lib @ file:///app/lib\n");
    }

    #[test]
    fn a_changed_pipfile_is_noticed() {
        let hash = content_hash(&toml::from_str(PIPFILE).unwrap(), &[]);
        let text = lock(&hash);
        let changed = PIPFILE.replace("~=5.2", "~=5.1");
        assert!(matches!(read(&texts(&text, Some(&changed))), Err(LockError::Stale { .. })));
        // Scripts and settings of Pipenv do not count.
        let scripts = format!(
            "{PIPFILE}[scripts]\nserve = \"./manage.py runserver\"\n[pipenv]\nallow_prereleases = true\n"
        );
        assert!(read(&texts(&text, Some(&scripts))).is_ok());
        assert!(read(&texts(&text, None)).is_ok());
    }

    #[test]
    fn the_hash_is_pipenvs() {
        // As `plette.Pipfile.get_hash` writes it.
        let pipfile = "[[source]]\nurl = \"https://index.example.org/simple\"\nverify_ssl = true\nname = \"x\"\n[packages]\ndjango = {version = \"*\", extras = [\"argon2\"]}\n";
        let written = "{\"_meta\":{\"requires\":{},\"sources\":[{\"name\":\"x\",\"url\":\"https://index.example.org/simple\",\"verify_ssl\":true}]},\
            \"default\":{\"django\":{\"extras\":[\"argon2\"],\"version\":\"*\"}},\"develop\":{}}";
        assert_eq!(
            content_hash(&toml::from_str(pipfile).unwrap(), &[]),
            Digest::of(written.as_bytes()).hex()
        );
    }

    #[test]
    fn what_is_no_lock_is_named() {
        assert!(matches!(read(&texts("{", None)), Err(LockError::Syntax { .. })));
        let other = "{\"_meta\": {\"pipfile-spec\": 7}}";
        assert!(matches!(read(&texts(other, None)), Err(LockError::Format { .. })));
        let hostile = "{\"_meta\": {}, \"default\": {\"x\\n--index-url=https://evil.example.org\": {\"version\": \"==1\"}}}";
        let lock = read(&texts(hostile, None)).unwrap();
        let error = lock.entries(&Environment::new(Release::Trixie, Scope::Production)).unwrap_err();
        assert!(
            matches!(error, LockError::Entry { wrong: Wrong::Name, .. }) && !error.to_string().contains('\n')
        );
        let deep =
            format!("{{\"_meta\": {{}}, \"default\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(read(&texts(&deep, None)), Err(LockError::Syntax { .. })));
    }
}
