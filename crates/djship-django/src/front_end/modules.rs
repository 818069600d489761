//! `node_modules`, from the lock.

use std::path::Path;

use djship_store::tree::EPOCH;
use djship_store::{Bucket, Digest, FileTree, Node, TreePath};

use super::FrontEndError;
use super::find::{FrontEnd, Installer, below};
use crate::application::copy_tree;
use crate::base::ServiceRoot;
use crate::builder::{caches, index_settings::IndexSettings, make_owned, network::online};
use crate::child;
use crate::laid::{Key, Laid};
use crate::plan::Plan;
use crate::report::{Because, Note};
use crate::tools::{Host, Tools};

/// Where Yarn and pnpm are put, in the containers and in the kept tree.
pub(super) const PROGRAMS: &str = "opt/front-end";
/// The folder that everything here is about.
pub(super) const MODULES: &str = "node_modules";
/// Where npm finds the host's settings.
const SETTINGS: &str = "/etc/djship/npmrc";

/// Files that decide what is installed.
const MANIFESTS: [&str; 10] = [
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    ".pnpmfile.cjs",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
];

/// Installs the dependencies, or finds them installed: a tree with `app/.../node_modules` and perhaps [`PROGRAMS`], and its key.
pub(super) fn install(
    tools: &Tools<'_>,
    plan: &Plan,
    front_end: &FrontEnd,
    tree: &FileTree,
    root: &ServiceRoot,
) -> Result<Option<(Laid, Digest)>, FrontEndError> {
    if !front_end.depends {
        return Ok(None);
    }
    let manifests = manifests(front_end, tree)?;
    let settings = settings(tools.host);
    let project = Key::new("project").part(plan.project.folder.as_os_str().as_encoded_bytes()).digest();
    let key = Key::new("node modules, form 1")
        .part(root.identity().as_bytes())
        // Never another project's: its scripts ran here.
        .part(project.as_bytes())
        .part(&front_end.folder)
        .part(format!("{:?}", front_end.installer))
        .part(&settings)
        .part(manifests.digest().as_bytes());
    let is_deciding = |name: &str| name.to_lowercase().ends_with("registry");
    let deciding = tools.host.npm.iter().filter(|(name, _)| is_deciding(name));
    let key = deciding.fold(key, |key, (name, value)| key.part(name).part(value)).digest();
    if tools.host.debian.refresh && front_end.installer == (Installer::Npm { lock: None }) {
        // What is not pinned is resolved again.
        tools.store.remove(Bucket::Outputs, &key)?;
    }
    if let Some(laid) = Laid::find(tools.store, Bucket::Outputs, &key)? {
        tools.reporter.note(Note::NodeModules { packages: packages(&laid.tree), because: None });
        return Ok(Some((laid, key)));
    }
    let work = tools.store.temp_dir("node-modules")?;
    let [app, programs] = ["app", PROGRAMS].map(|name| work.path().join(name));
    let owner = tools.host.owner.map(|owner| (owner.uid, owner.gid));
    copy_tree(&manifests, &app, owner)?;
    make_owned(&programs, tools)?;

    let user = tools.host.owner.map_or_else(|| rustix::process::getuid().as_raw(), |owner| owner.uid);
    let name = format!("npm-{}-{user}", &project.hex()[..16]);
    let _lock = tools.store.lock(&caches::lock_name(&name))?;
    let cache = caches::folder(tools.store).join(name);
    make_owned(&cache, tools)?;
    tools.store.mark_folder(&cache);

    let mut container = child::step([root.fs()], ["/bin/sh", "-c", &command(&front_end.installer)]);
    container.bind(&app, "/app").bind(&programs, format!("/{PROGRAMS}")).cache(&cache, "/cache");
    container.cwd = Path::new("/app").join(&front_end.folder);
    online(&mut container, tools, &IndexSettings::default());
    environment(&mut container);
    for (name, value) in &tools.host.npm {
        container.env(name, value);
    }
    if tools.host.offline {
        container.env("NPM_CONFIG_OFFLINE", "true");
    }
    container.file(SETTINGS, settings).env("NPM_CONFIG_USERCONFIG", SETTINGS);
    let finished = child::run(tools, &container)?;
    if !finished.success() {
        let file = lock(&front_end.installer).unwrap_or("package.json");
        let (file, output) = (below(&front_end.folder, file), finished.tail(40).to_vec());
        return Err(FrontEndError::Install { file, output });
    }
    let tree = installed(work.path())?;
    let laid = Laid::keep(tools.store, Bucket::Outputs, &key, &tree, |_| Ok(()))?;
    let because = Some(Because::InputsChanged);
    tools.reporter.note(Note::NodeModules { packages: packages(&laid.tree), because });
    Ok(Some((laid, key)))
}

/// What of the files decides what is installed: more than the manifests, when scripts or folders of the project take part.
fn manifests(front_end: &FrontEnd, tree: &FileTree) -> Result<FileTree, FrontEndError> {
    let mut takes = Takes::Manifests;
    for (path, entry) in tree.iter().filter(|(path, _)| path.file_name() == "package.json") {
        let Node::File { at, size, .. } = &entry.node else { continue };
        if *size <= 1 << 20 && front_end.inside(path).is_some() {
            takes = takes.max(takes_of(&fs_err::read(at)?));
        }
    }
    let mut manifests = super::shown(front_end, tree)?;
    manifests.retain(|path, entry| {
        let inside = front_end.inside(path);
        let is_kept = |inside: &str| {
            let folders = [".yarn/", "patches/"].iter().any(|folder| inside.starts_with(folder));
            takes == Takes::Folder || folders || MANIFESTS.contains(&path.file_name())
        };
        takes == Takes::Everything || !entry.is_dir() && inside.is_some_and(is_kept)
    });
    manifests.fill_parents();
    Ok(manifests)
}

/// What installing takes of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Takes {
    Manifests,
    /// Files of the front end's folder.
    Folder,
    Everything,
}

/// What this `package.json` takes: scripts of its own may read anything, dependencies may be folders.
fn takes_of(package: &[u8]) -> Takes {
    let Ok(package) = serde_json::from_slice::<serde_json::Value>(package) else { return Takes::Manifests };
    let runs = |script: &&str| package.pointer(&format!("/scripts/{script}")).is_some();
    if ["preinstall", "install", "postinstall", "prepare"].iter().any(runs) {
        return Takes::Everything;
    }
    let kinds = ["dependencies", "devDependencies", "optionalDependencies"];
    let lists = kinds.iter().filter_map(|kind| package.get(kind)?.as_object());
    let versions = lists.flatten().filter_map(|(_, version)| version.as_str());
    let of_version = |version: &str| match version.split_once(':') {
        Some(("file" | "link" | "portal", path)) if path.contains("..") => Takes::Everything,
        Some(("file" | "link" | "portal", _)) => Takes::Folder,
        _ if version.starts_with("../") => Takes::Everything,
        _ if version.starts_with("./") => Takes::Folder,
        _ => Takes::Manifests,
    };
    versions.map(of_version).max().unwrap_or(Takes::Manifests)
}

fn lock(installer: &Installer) -> Option<&'static str> {
    match installer {
        Installer::Npm { lock } => *lock,
        Installer::Yarn | Installer::Berry(_) => Some("yarn.lock"),
        Installer::Pnpm(_) => Some("pnpm-lock.yaml"),
    }
}

/// What installs. Yarn and pnpm come from the index that npm is set up for.
fn command(installer: &Installer) -> String {
    let with = |package: &str, command: &str| {
        format!("npm install --global --prefix /{PROGRAMS} '{package}' && {command}")
    };
    match installer {
        Installer::Npm { lock: Some(_) } => "exec npm ci".to_owned(),
        Installer::Npm { lock: None } => "exec npm install --no-package-lock".to_owned(),
        Installer::Yarn => with("yarn@1.22.22", "exec yarn install --frozen-lockfile --non-interactive"),
        Installer::Berry(version) => {
            with(&format!("@yarnpkg/cli-dist@{version}"), "exec yarn install --immutable")
        }
        Installer::Pnpm(version) => with(&format!("pnpm@{version}"), "exec pnpm install --frozen-lockfile"),
    }
}

/// Installers that ask and tell less, keep what they fetch in `/cache`, and download no browser.
pub(super) fn environment(container: &mut djship_engine::Container) {
    for (name, value) in [
        ("PATH", "/opt/front-end/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        ("CI", "1"),
        ("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt"),
        ("NPM_CONFIG_AUDIT", "false"),
        ("NPM_CONFIG_CACHE", "/cache/npm"),
        ("NPM_CONFIG_FUND", "false"),
        ("NPM_CONFIG_STORE_DIR", "/cache/pnpm"),
        ("NPM_CONFIG_PACKAGE_IMPORT_METHOD", "copy"),
        ("NPM_CONFIG_UPDATE_NOTIFIER", "false"),
        ("YARN_CACHE_FOLDER", "/cache/yarn"),
        ("YARN_ENABLE_GLOBAL_CACHE", "false"),
        ("YARN_ENABLE_TELEMETRY", "false"),
        ("YARN_NODE_LINKER", "node-modules"),
        ("CYPRESS_INSTALL_BINARY", "0"),
        ("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
        ("PUPPETEER_SKIP_CHROMIUM_DOWNLOAD", "true"),
        ("PUPPETEER_SKIP_DOWNLOAD", "true"),
    ] {
        container.env(name, value);
    }
}

/// What of the host's npm settings means the same inside: where packages are, and who asks. The rest names places of the host.
fn settings(host: &Host) -> String {
    let mut text = String::new();
    for file in &host.npm_configuration {
        let Ok(Some(found)) = crate::project::read_own_text(file) else { continue };
        for line in found.lines().map(str::trim) {
            let Some((key, _)) = line.split_once('=') else { continue };
            let key = key.trim();
            let known = [
                "registry",
                "replace-registry-host",
                "strict-ssl",
                "always-auth",
                "proxy",
                "https-proxy",
                "noproxy",
            ];
            if known.contains(&key)
                || key.starts_with("//")
                || key.starts_with('@')
                || key.starts_with("fetch-")
            {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// Every `node_modules`, and the programs, without what varies.
fn installed(work: &Path) -> Result<FileTree, FrontEndError> {
    let scanned = FileTree::scan_where(work, |path, is_folder| is_folder || is_installed(path));
    let mut tree = FileTree::new();
    for (path, mut entry) in scanned.map_err(crate::laid::KeepError::from)? {
        // npm's own record of what it did, with times.
        if entry.is_dir() && !is_installed(&path) || path.file_name() == ".yarn-state.yml" {
            continue;
        }
        plain(&mut entry);
        tree.insert(path, entry);
    }
    tree.fill_parents();
    Ok(tree)
}

fn is_installed(path: &TreePath) -> bool {
    path.as_str().starts_with(PROGRAMS) || path.as_str().split('/').any(|part| part == MODULES)
}

/// Root's, with one of two modes and a fixed time.
pub(super) fn plain(entry: &mut djship_store::Entry) {
    entry.mode = match entry.node {
        Node::Symlink { .. } => 0o777,
        Node::File { .. } if entry.mode & 0o111 == 0 => 0o644,
        _ => 0o755,
    };
    entry.mtime = EPOCH;
}

/// The number of packages.
fn packages(tree: &FileTree) -> usize {
    let is_package = |path: &TreePath| {
        let mut parts = path.as_str().rsplit('/');
        let (Some("package.json"), Some(_), Some(above)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        above == MODULES || above.starts_with('@') && parts.next() == Some(MODULES)
    };
    tree.iter().filter(|(path, _)| is_package(path)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_folders_of_the_project_take_part() {
        let cases: [(&[u8], Takes); 5] = [
            (br#"{"scripts": {"postinstall": "node setup.js"}}"#, Takes::Everything),
            (br#"{"dependencies": {"ui": "file:../ui", "vue": "^3"}}"#, Takes::Everything),
            (br#"{"devDependencies": {"ui": "file:ui"}}"#, Takes::Folder),
            (br#"{"scripts": {"build": "x"}, "dependencies": {"vue": "^3"}}"#, Takes::Manifests),
            (b"{", Takes::Manifests),
        ];
        for (text, takes) in cases {
            assert_eq!(takes_of(text), takes, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn settings_that_name_places_of_the_host_stay_outside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("npmrc");
        let text = "registry=https://npm.test/\ncafile=/etc/own.pem\nprefix = ~/npm\n//npm.test/:_authToken=s\n@shop:registry=https://x.test\n";
        fs_err::write(&file, text).unwrap();
        let host = Host { npm_configuration: vec![file], ..Host::default() };
        let expected =
            "registry=https://npm.test/\n//npm.test/:_authToken=s\n@shop:registry=https://x.test\n";
        assert_eq!(settings(&host), expected);
    }
}
