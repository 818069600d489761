//! Which `package.json` builds something.

use std::collections::BTreeSet;

use djship_store::{FileTree, Node, TreePath};

use super::FrontEndError;
use crate::plan::Plan;
use crate::project::config::FrontEndWish;

/// A `package.json` is smaller than that, in bytes.
const LARGEST: u64 = 1 << 20;
/// The scripts that make what ships, the first one that there is; a hosting service gave the first one its name.
const SCRIPTS: [&str; 2] = ["heroku-postbuild", "build"];
/// What people call the folder of a front end, when others have a `build` script as well (documentation, end-to-end tests).
const USUAL: [&str; 12] = [
    "frontend",
    "front-end",
    "front",
    "client",
    "assets",
    "static_src",
    "ui",
    "web",
    "webapp",
    "js",
    "theme",
    "spa",
];

/// What builds the front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontEnd {
    /// The folder of `package.json`, relative to the project; `""` is the project itself.
    pub folder: String,
    /// The script.
    pub script: String,
    /// What installs its dependencies.
    pub installer: Installer,
    /// Whether it has dependencies at all.
    pub depends: bool,
}

/// What installs dependencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installer {
    /// npm, from its lock.
    Npm {
        /// The lock's name; without one, versions are what is newest.
        lock: Option<&'static str>,
    },
    /// Yarn's first generation, from its lock.
    Yarn,
    /// Yarn's later ones, of this version.
    Berry(String),
    /// pnpm, of this version.
    Pnpm(String),
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Package {
    scripts: serde_json::Map<String, serde_json::Value>,
    dependencies: serde_json::Map<String, serde_json::Value>,
    #[serde(rename = "devDependencies")]
    dev_dependencies: serde_json::Map<String, serde_json::Value>,
    workspaces: serde_json::Value,
    #[serde(rename = "packageManager")]
    wanted_installer: Option<String>,
}

impl FrontEnd {
    /// The file.
    pub fn file(&self) -> String {
        below(&self.folder, "package.json")
    }

    /// The path in its folder, for what lies there.
    pub(super) fn inside<'a>(&self, path: &'a TreePath) -> Option<&'a str> {
        if self.folder.is_empty() {
            return Some(path.as_str());
        }
        path.as_str().strip_prefix(&self.folder)?.strip_prefix('/')
    }
}

/// The front end of the project whose files these are: in the project's folder, else in that of `manage.py`, else in one
/// directly below them.
pub fn find(plan: &Plan, tree: &FileTree) -> Result<Option<FrontEnd>, FrontEndError> {
    let Some(wish) = &plan.config.front_end else {
        return search(&plan.project.django_folder(), tree);
    };
    match &wish.value {
        FrontEndWish::Off => Ok(None),
        FrontEndWish::On { folder, script } => {
            let scripts: Vec<&str> =
                script.as_deref().map_or_else(|| SCRIPTS.to_vec(), |script| vec![script]);
            let found = of_folder(tree, folder, &scripts)?;
            let missing = || FrontEndError::Configured {
                folder: if folder.is_empty() { ".".to_owned() } else { folder.clone() },
                script: scripts[scripts.len() - 1].to_owned(),
            };
            found.ok_or_else(missing).map(Some)
        }
    }
}

fn search(django: &str, tree: &FileTree) -> Result<Option<FrontEnd>, FrontEndError> {
    let mut own = vec![String::new()];
    if !django.is_empty() && django != "." {
        own.push(django.trim_matches('/').to_owned());
    }
    for folder in &own {
        if let Some(found) = of_folder(tree, folder, &SCRIPTS)? {
            return Ok(Some(found));
        }
    }
    let mut below_them = BTreeSet::new();
    for (path, _) in tree.iter() {
        let Some(folder) = path.as_str().strip_suffix("/package.json") else { continue };
        let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        let name = folder.rsplit('/').next().unwrap_or(folder);
        if own.iter().any(|own| own == parent) && name != "node_modules" && !name.starts_with('.') {
            below_them.insert(folder.to_owned());
        }
    }
    let mut found = Vec::new();
    for folder in below_them {
        found.extend(of_folder(tree, &folder, &SCRIPTS)?);
    }
    if found.len() > 1 {
        let is_usual = |one: &FrontEnd| USUAL.contains(&one.folder.rsplit('/').next().unwrap_or_default());
        if found.iter().filter(|one| is_usual(one)).count() == 1 {
            found.retain(is_usual);
        } else {
            return Err(FrontEndError::Several { files: found.iter().map(FrontEnd::file).collect() });
        }
    }
    Ok(found.pop())
}

fn of_folder(tree: &FileTree, folder: &str, scripts: &[&str]) -> Result<Option<FrontEnd>, FrontEndError> {
    let file = below(folder, "package.json");
    let Some(text) = text(tree, &file)? else { return Ok(None) };
    let malformed = |reason: String| FrontEndError::Malformed { file: file.clone(), reason };
    let package: Package = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| malformed(error.to_string()))?;
    let is_there = |script: &&str| {
        package
            .scripts
            .get(*script)
            .and_then(serde_json::Value::as_str)
            .is_some_and(|text| !text.trim().is_empty())
    };
    let Some(script) = scripts.iter().copied().find(is_there) else { return Ok(None) };
    let depends = !package.dependencies.is_empty()
        || !package.dev_dependencies.is_empty()
        || !package.workspaces.is_null();
    let installer = installer(tree, folder, &package)?;
    Ok(Some(FrontEnd { folder: folder.to_owned(), script: script.to_owned(), installer, depends }))
}

fn installer(tree: &FileTree, folder: &str, package: &Package) -> Result<Installer, FrontEndError> {
    let has = |name: &str| tree.get(&below(folder, name)).is_some();
    // `pnpm@9.1.0+sha512...`
    let wanted = package.wanted_installer.as_deref().and_then(|text| text.split_once('@'));
    let version = |of: &str| {
        let (name, version) = wanted?;
        let version = version.split('+').next().unwrap_or(version);
        (name == of && is_version(version)).then(|| version.to_owned())
    };
    if let Some(lock) = ["npm-shrinkwrap.json", "package-lock.json"].into_iter().find(|lock| has(lock)) {
        return Ok(Installer::Npm { lock: Some(lock) });
    }
    if has("pnpm-lock.yaml") {
        return Ok(Installer::Pnpm(version("pnpm").unwrap_or_else(|| "9".to_owned())));
    }
    let yarn = below(folder, "yarn.lock");
    if let Some(text) = text(tree, &yarn)? {
        if text.contains("# yarn lockfile v1") {
            return Ok(Installer::Yarn);
        }
        if text.contains("__metadata:") {
            return Ok(Installer::Berry(version("yarn").unwrap_or_else(|| "4".to_owned())));
        }
        return Err(FrontEndError::Lock { file: yarn, reason: "it is no lock of Yarn's".to_owned() });
    }
    Ok(Installer::Npm { lock: None })
}

/// What can stand in a command line as a version.
fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || ".-".contains(one))
}

/// The text of a file of the project.
fn text(tree: &FileTree, path: &str) -> Result<Option<String>, FrontEndError> {
    let Some(Node::File { at, size, .. }) = tree.get(path).map(|entry| &entry.node) else { return Ok(None) };
    if *size > LARGEST && path.ends_with("package.json") {
        let reason = format!("it has {size} bytes; {LARGEST} at most");
        return Err(FrontEndError::Malformed { file: path.to_owned(), reason });
    }
    let bytes = fs_err::read(at)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

pub(super) fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use djship_store::{Digest, Entry};

    use super::*;

    fn tree(folder: &std::path::Path, files: &[(&str, &str)]) -> FileTree {
        let mut tree = FileTree::new();
        for (index, (path, text)) in files.iter().enumerate() {
            let at = folder.join(index.to_string());
            fs_err::write(&at, text).unwrap();
            let entry = Entry::file(Digest::of(text.as_bytes()), text.len() as u64, at);
            tree.insert(TreePath::parse(path).unwrap(), entry);
        }
        tree.fill_parents();
        tree
    }

    const BUILDS: &str = r#"{"scripts": {"build": "node build.mjs"}, "devDependencies": {"vite": "5"}}"#;
    const LINTS: &str = r#"{"scripts": {"lint": "eslint ."}, "devDependencies": {"eslint": "9"}}"#;

    fn found(django: &str, files: &[(&str, &str)]) -> Result<Option<FrontEnd>, FrontEndError> {
        let folder = tempfile::tempdir().unwrap();
        search(django, &tree(folder.path(), files))
    }

    #[test]
    fn what_only_lints_is_no_front_end() {
        assert_eq!(found("", &[("package.json", LINTS), ("package-lock.json", "{}")]).unwrap(), None);
        assert_eq!(found("", &[("manage.py", "")]).unwrap(), None);
        assert_eq!(found("", &[("package.json", r#"{"scripts": {"build": " "}}"#)]).unwrap(), None);
    }

    #[test]
    fn the_nearest_one_counts() {
        let files = [
            ("package.json", LINTS),
            ("frontend/package.json", BUILDS),
            ("frontend/package-lock.json", "{}"),
        ];
        let one = found("", &files).unwrap().unwrap();
        assert_eq!((one.folder.as_str(), one.script.as_str(), one.depends), ("frontend", "build", true));
        assert_eq!(one.installer, Installer::Npm { lock: Some("package-lock.json") });
        let files = [("package.json", BUILDS), ("frontend/package.json", BUILDS)];
        assert_eq!(found("", &files).unwrap().unwrap().folder, "");
        let files = [("site/ui/package.json", BUILDS), ("site/manage.py", "")];
        assert_eq!(found("site", &files).unwrap().unwrap().folder, "site/ui");
        // Deeper ones belong to somebody else.
        assert_eq!(
            found("", &[("a/b/package.json", BUILDS), ("node_modules/package.json", BUILDS)]).unwrap(),
            None
        );
    }

    #[test]
    fn several_are_told_apart_by_their_names_or_not_at_all() {
        let files = [("docs/package.json", BUILDS), ("client/package.json", BUILDS)];
        assert_eq!(found("", &files).unwrap().unwrap().folder, "client");
        let files = [("docs/package.json", BUILDS), ("shop/package.json", BUILDS)];
        let error = found("", &files).unwrap_err().to_string();
        assert!(error.contains("`docs/package.json`, `shop/package.json`"), "{error}");
        let error = found("", &[("package.json", "{")]).unwrap_err().to_string();
        assert!(error.contains("cannot read `package.json`"), "{error}");
    }

    #[test]
    fn locks_name_their_installer() {
        let with = |lock: &str, text: &str, package: &str| {
            found("", &[("package.json", package), (lock, text)]).map(|found| found.unwrap().installer)
        };
        assert_eq!(with("yarn.lock", "# yarn lockfile v1\n", BUILDS).unwrap(), Installer::Yarn);
        let pinned = r#"{"scripts": {"build": "x"}, "packageManager": "pnpm@9.1.0+sha512.abc"}"#;
        assert_eq!(with("pnpm-lock.yaml", "", pinned).unwrap(), Installer::Pnpm("9.1.0".to_owned()));
        let hostile = r#"{"scripts": {"build": "x"}, "packageManager": "pnpm@file:../evil"}"#;
        assert_eq!(with("pnpm-lock.yaml", "", hostile).unwrap(), Installer::Pnpm("9".to_owned()));
        assert_eq!(with("yarn.lock", "__metadata:\n", BUILDS).unwrap(), Installer::Berry("4".to_owned()));
        assert!(with("yarn.lock", "hello", BUILDS).is_err());
    }
}
