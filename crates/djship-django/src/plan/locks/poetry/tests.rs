use super::*;
use crate::plan::locks::{Credentials, List, Tool};
use crate::plan::python::Release;

const HEX: &str = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";

fn texts<'a>(lock: &'a str, manifest: Option<&'a str>) -> Texts<'a> {
    let (file, manifest_file) = ("poetry.lock", "pyproject.toml");
    Texts { folder: "", file, lock, manifest_file, manifest, tool: Tool::Poetry }
}

fn package(name: &str, version: &str, more: &str) -> String {
    format!(
        "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\noptional = false\npython-versions = \">=3.8\"\n\
         files = [{{file = \"x.whl\", hash = \"sha256:{HEX}\"}}]\n{more}\n"
    )
}

fn metadata(format: &str, hash: &str) -> String {
    format!(
        "[metadata]\nlock-version = \"{format}\"\npython-versions = \"^3.11\"\ncontent-hash = \"{hash}\"\n"
    )
}

fn list(lock: &str, manifest: Option<&str>, release: Release, scope: Scope) -> Result<List, LockError> {
    let (lock, _) = read(&texts(lock, manifest))?;
    let (entries, _) = lock.entries(Environment::new(release, scope))?;
    List::of("poetry.lock", entries, scope == Scope::Development)
}

/// The lock without its hash, so that only what is asked for counts.
fn unhashed(packages: &[String], format: &str) -> String {
    let metadata = metadata(format, "").replace("content-hash = \"\"\n", "");
    format!("{}{metadata}[extras]\npg = [\"psycopg\"]\ndev = [\"ipython\"]\n", packages.concat())
}

const MANIFEST: &str = r#"
[tool.poetry]
name = "shop"
version = "0.1.0"
[tool.poetry.dependencies]
python = "^3.11"
django = "^5.2"
uvicorn = {version = "^0.30", extras = ["standard"]}
psycopg = {version = "^3", optional = true}
backport = [{version = "<2", python = "<3.12"}, {version = ">=2", python = ">=3.12"}]
windows = {version = "*", markers = "sys_platform == 'win32'"}
mac = {version = "*", platform = "darwin"}
[tool.poetry.extras]
pg = ["psycopg"]
[tool.poetry.dev-dependencies]
pytest = "^8"
[tool.poetry.group.docs]
optional = true
[tool.poetry.group.docs.dependencies]
sphinx = "*"
[tool.poetry.group.production]
optional = true
[tool.poetry.group.production.dependencies]
gunicorn = "*"
"#;

fn old_packages() -> Vec<String> {
    let dependencies = "[package.dependencies]\nasgiref = \">=3.8\"\ntzdata = {version = \"*\", markers = \"sys_platform == \\\"win32\\\"\"}\n";
    let extra = "[package.dependencies]\nhttptools = {version = \">=0.6\", optional = true, markers = \"extra == \\\"standard\\\"\"}\n\
                 other = {version = \">=0.6\", optional = true, markers = \"extra == \\\"other\\\"\"}\n\
                 [package.extras]\nstandard = [\"httptools (>=0.6)\"]\nother = [\"other\"]\n";
    vec![
        package("asgiref", "3.9", ""),
        package("backport", "1.5", ""),
        package("backport", "2.5", ""),
        package("Django", "5.2.1", dependencies),
        package("gunicorn", "23.0", ""),
        package("httptools", "0.6", ""),
        package("mac", "1", ""),
        package("other", "1", ""),
        package("psycopg", "3.2", ""),
        package("pytest", "8.0", ""),
        package("sphinx", "8.0", ""),
        package("tzdata", "2025.1", ""),
        package("uvicorn", "0.30.1", extra),
        package("windows", "1", ""),
    ]
}

#[test]
fn a_lock_without_groups_is_walked() {
    let lock = unhashed(&old_packages(), "2.0");
    let found = list(&lock, Some(MANIFEST), Release::Trixie, Scope::Production).unwrap();
    assert_eq!(found.names, ["asgiref", "backport", "django", "gunicorn", "httptools", "uvicorn"]);
    assert!(found.hashed.contains("backport==2.5 \\\n"));
    let older = list(&lock, Some(MANIFEST), Release::Bookworm, Scope::Production).unwrap();
    assert!(older.hashed.contains("backport==1.5 \\\n"));
    let development = list(&lock, Some(MANIFEST), Release::Trixie, Scope::Development).unwrap();
    assert_eq!(development.names, ["asgiref", "backport", "django", "httptools", "pytest", "uvicorn"]);
    assert!(matches!(
        list(&lock, None, Release::Trixie, Scope::Production),
        Err(LockError::NoManifest { .. })
    ));
    let without = unhashed(&old_packages()[1..], "2.0");
    let error = list(&without, Some(MANIFEST), Release::Trixie, Scope::Production).unwrap_err();
    assert!(
        matches!(&error, LockError::Missing { name, by, .. } if name == "asgiref" && by == "Django"),
        "{error}"
    );
}

#[test]
fn hashes_of_the_oldest_format_stand_apart() {
    let bare = |name: &str, version: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\ncategory = \"main\"\noptional = false\npython-versions = \"*\"\n"
        )
    };
    let files = format!("[metadata.files]\ndjango = [{{file = \"x\", hash = \"sha256:{HEX}\"}}]\n");
    let lock = format!(
        "{}{}{files}",
        bare("django", "4.2"),
        metadata("1.1", "").replace("content-hash = \"\"\n", "")
    );
    let manifest = "[tool.poetry.dependencies]\npython = \"^3.9\"\ndjango = \"^4\"\n";
    let found = list(&lock, Some(manifest), Release::Bookworm, Scope::Production).unwrap();
    assert_eq!(found.hashed, format!("django==4.2 \\\n    --hash=sha256:{HEX}\n"));
}

#[test]
fn groups_and_markers_of_the_new_format() {
    let packages = [
        package("django", "5.2.1", "groups = [\"main\"]"),
        package("pytest", "8.0", "groups = [\"dev\"]"),
        package(
            "colorama",
            "0.4",
            "groups = [\"main\", \"dev\"]\nmarkers = \"sys_platform == \\\"win32\\\"\"",
        ),
        package(
            "shared",
            "1.0",
            "groups = [\"main\", \"dev\"]\nmarkers = {main = \"python_version < '3.12'\"}",
        ),
        package("psycopg", "3.2", "groups = [\"main\"]\nmarkers = \"extra == \\\"pg\\\"\""),
        package("ipython", "9", "groups = [\"main\"]\nmarkers = \"extra == 'dev'\""),
        package("sphinx", "8.0", "groups = [\"docs\"]"),
        package("gunicorn", "23.0", "groups = [\"production\"]"),
        package("two", "1.0", "groups = [\"main\"]\nmarkers = \"python_version < '3.12'\""),
        package("two", "2.0", "groups = [\"main\"]\nmarkers = \"python_version >= '3.12'\""),
    ];
    let lock = unhashed(&packages, "2.1");
    let names = |release, scope| list(&lock, Some(MANIFEST), release, scope).unwrap().names;
    assert_eq!(names(Release::Trixie, Scope::Production), ["django", "gunicorn", "two"]);
    assert_eq!(names(Release::Bookworm, Scope::Production), ["django", "gunicorn", "shared", "two"]);
    assert_eq!(names(Release::Trixie, Scope::Development), ["django", "ipython", "pytest", "shared", "two"]);
}

#[test]
fn sources() {
    let commit = &HEX[..40];
    let source = |kind: &str, url: &str, more: &str| {
        format!("groups = [\"main\"]\n[package.source]\ntype = \"{kind}\"\nurl = \"{url}\"\n{more}")
    };
    let bare = |text: String| text.replace(&format!("[{{file = \"x.whl\", hash = \"sha256:{HEX}\"}}]"), "[]");
    let git = format!("reference = \"main\"\nresolved_reference = \"{commit}\"\nsubdirectory = \"sub\"\n");
    let packages = [
        package(
            "own",
            "1.0",
            &source("legacy", "https://index.example.org/simple", "reference = \"my.index\"\n"),
        ),
        bare(package("from-git", "1.0", &source("git", "https://example.org/x.git", &git))),
        package("from-url", "1.0", &source("url", "https://example.org/x.whl", "")),
        bare(package("folder", "1.0", &source("directory", "libs/folder", ""))),
        package("file", "1.0", &source("file", "wheels/file.whl", "")),
    ];
    let text = unhashed(&packages, "2.1");
    let (lock, _) = read(&texts(&text, None)).unwrap();
    let (entries, indexes) = lock.entries(Environment::new(Release::Trixie, Scope::Production)).unwrap();
    let list = List::of("poetry.lock", entries, false).unwrap();
    assert_eq!(
        list.unhashed,
        format!(
            "folder @ file:///app/libs/folder\nfrom-git @ git+https://example.org/x.git@{commit}#subdirectory=sub\n"
        )
    );
    assert!(list.hashed.contains("file @ file:///app/wheels/file.whl") && list.hashed.contains("own==1.0"));
    assert_eq!(indexes[0].credentials, Credentials::Poetry("MY_INDEX".to_owned()));
    let outside = [bare(package("folder", "1.0", &source("directory", "../lib", "")))];
    let (lock, _) = read(&texts(&unhashed(&outside, "2.1"), None)).unwrap();
    let error = lock.entries(Environment::new(Release::Trixie, Scope::Production)).unwrap_err();
    assert!(matches!(error, LockError::Entry { wrong: Wrong::Outside, .. }));
}

#[test]
fn hostile_texts_are_errors() {
    let production = |text: &str| list(text, Some(MANIFEST), Release::Trixie, Scope::Production);
    let name = package("x\\n--index-url=https://evil.example.org\\n", "1.0", "groups = [\"main\"]");
    assert!(matches!(
        production(&unhashed(&[name], "2.1")),
        Err(LockError::Entry { wrong: Wrong::Name, .. })
    ));
    let version = package("x", "1.0 --hash=sha256:00", "groups = [\"main\"]");
    assert!(matches!(
        production(&unhashed(&[version], "2.1")),
        Err(LockError::Entry { wrong: Wrong::Version, .. })
    ));
    let marker = package("x", "1.0", "groups = [\"main\"]\nmarkers = \"import os\"");
    assert!(matches!(
        production(&unhashed(&[marker], "2.1")),
        Err(LockError::Entry { wrong: Wrong::Marker, .. })
    ));
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(matches!(production(&deep), Err(LockError::Syntax { .. })));
    assert!(matches!(production("[metadata]\nlock-version = \"3.0\"\n"), Err(LockError::Format { .. })));
    // A circle ends.
    let circle = [
        package("django", "5.2", "[package.dependencies]\nasgiref = \"*\"\n"),
        package("asgiref", "3.9", "[package.dependencies]\ndjango = {version = \"*\", extras = [\"x\"]}\n"),
    ];
    let manifest = "[tool.poetry.dependencies]\ndjango = \"*\"\n";
    let found = list(&unhashed(&circle, "2.0"), Some(manifest), Release::Trixie, Scope::Production).unwrap();
    assert_eq!(found.names, ["asgiref", "django"]);
}

#[test]
fn content_hashes_are_poetrys() {
    use djship_store::Digest;
    // What Poetry hands to `json.dumps`, written out.
    let manifest = "[tool.poetry]\nname = \"x\"\n[tool.poetry.dependencies]\npython = \"^3.11\"\n[tool.poetry.group.dev.dependencies]\npytest = \"*\"\n";
    let json = r#"{"dependencies": {"python": "^3.11"}, "dev-dependencies": null, "extras": null, "group": {"dev": {"dependencies": {"pytest": "*"}}}, "source": null}"#;
    let hash = Digest::of(json.as_bytes()).hex();
    for format in ["1.1", "2.0", "2.1"] {
        assert!(read(&texts(&metadata(format, &hash), Some(manifest))).is_ok(), "{format}");
        let changed = manifest.replace("^3.11", "^3.12");
        let error = read(&texts(&metadata(format, &hash), Some(&changed))).unwrap_err();
        assert!(matches!(error, LockError::Stale { .. }), "{format}");
    }
    let shared = "[project]\nname = \"x\"\nrequires-python = \">=3.11\"\ndependencies = [\"django\"]\n[dependency-groups]\ndev = [\"pytest\"]\n";
    let json =
        r#"{"project": {"dependencies": ["django"], "requires-python": ">=3.11"}, "tool": {"poetry": {}}}"#;
    let before = format!(
        "# This file is automatically @generated by Poetry 2.1.3 and\n{}",
        metadata("2.1", &Digest::of(json.as_bytes()).hex())
    );
    assert!(read(&texts(&before, Some(shared))).is_ok());
    let json = r#"{"dependency-groups": {"dev": ["pytest"]}, "project": {"dependencies": ["django"], "requires-python": ">=3.11"}, "tool": {"poetry": {}}}"#;
    let after = format!("# by Poetry 2.3.0 and\n{}", metadata("2.1", &Digest::of(json.as_bytes()).hex()));
    assert!(read(&texts(&after, Some(shared))).is_ok());
    assert!(read(&texts(&after.replace("2.3.0", "2.4"), Some(&shared.replace("pytest", "tox")))).is_err());
}
