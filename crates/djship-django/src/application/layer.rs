//! The application's layer: the project's files, its static files, the folders it writes to, and what the entry point
//! reads.

use std::collections::BTreeSet;

use djship_store::{Entry, FileTree, Store, StoreError, TreePath};

use super::commands::{Command, LeftOut};
use crate::facts::{Facts, Variable, Writable};
use crate::plan::Plan;

/// The run user in the image.
pub const USER: u32 = 1000;

/// What the image starts, and what is supplied for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Serving {
    /// The command line of `web`.
    pub web: Vec<String>,
    /// What is supplied, with versions.
    pub supplied: Vec<(&'static str, String)>,
    /// The pinned requirements of that, empty when nothing is.
    pub requirements: String,
    /// Whether WhiteNoise is put around the application.
    pub whitenoise: bool,
    /// Every command of the image, `web` first.
    pub commands: Vec<Command>,
    /// What is named somewhere and is no command.
    pub left_out: Vec<LeftOut>,
    /// The options of `web` about where it listens that give way to `PORT`.
    pub dropped: Vec<String>,
    /// `web` is the project's own, and nothing serves the static files.
    pub unserved: bool,
}

/// The application that djship puts in the place of the project's, to serve static files around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapped {
    /// For WSGI.
    Wsgi,
    /// For ASGI.
    Asgi,
}

/// Where the project's static files are in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRoot {
    /// Absolute.
    pub root: String,
    /// `STATIC_URL`.
    pub url: String,
}

/// The entries that do not come from the project: settings of the entry point, writable folders.
pub fn generated(
    store: &Store,
    plan: &Plan,
    facts: &Facts,
    serving: &Serving,
    static_root: Option<&StaticRoot>,
) -> Result<FileTree, StoreError> {
    let mut tree = FileTree::new();
    let mut add = |path: &str, text: String| -> Result<(), StoreError> {
        let (digest, at) = store.put_blob(text.as_bytes())?;
        if let Ok(path) = TreePath::parse(path) {
            tree.insert(path, Entry::file(digest, text.len() as u64, at));
        }
        Ok(())
    };
    add("opt/djship/required", required(facts))?;
    for command in &serving.commands {
        let words = command.argv(&plan.project.django_folder());
        add(&format!("opt/djship/commands/{}", command.name), lines(&words))?;
    }
    add("opt/djship/app.json", app_json(facts, serving, static_root))?;
    for folder in &writable(plan, facts) {
        if let Ok(path) = TreePath::parse(&folder.path) {
            // Group 0 and the set-group-id bit: an arbitrary user is in group 0, and so is what it writes.
            tree.insert(path, Entry::dir().owned_by(USER, 0).with_mode(0o2775));
        }
    }
    Ok(tree)
}

/// Folders that no project makes its data folder: temporary ones, and those of the system and of djship.
const NOT_WRITABLE: &[&str] = &[
    "/tmp",
    "/run",
    "/dev",
    "/proc",
    "/sys",
    "/usr",
    "/etc",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/boot",
    "/root",
    "/venv",
    "/opt/djship",
];

/// The label that names folders of code into which the project writes as well.
pub const OPEN_FOLDERS: &str = "djship.open-folders";

/// Folders that hold code and into which the project writes, such as one with an SQLite file beside `manage.py`. They
/// cannot be volumes, which would hide the code; they are open to the run user instead.
pub fn open_folders(plan: &Plan, facts: &Facts) -> Vec<String> {
    let django_folder = format!("/app/{}", plan.project.django_folder());
    let django_folder = django_folder.trim_end_matches('/');
    let clean = facts.writable.iter().map(|folder| folder.path.trim_end_matches('/'));
    let open: BTreeSet<&str> = clean.filter(|path| *path == "/app" || *path == django_folder).collect();
    open.into_iter().map(str::to_owned).collect()
}

/// The files that the project's databases are, where they are files.
fn database_files(facts: &Facts) -> impl Iterator<Item = &str> {
    let files = facts.databases.values().filter(|database| database.is_sqlite());
    files.filter_map(|database| database.name.as_ref()?.as_str()).filter(|name| name.starts_with('/'))
}

/// Opens folders of code and database files in `tree` to the run user.
pub fn open_up(tree: &mut FileTree, plan: &Plan, facts: &Facts) {
    let folders = open_folders(plan, facts);
    let files: BTreeSet<&str> = database_files(facts).collect();
    for (path, entry) in tree.iter_mut() {
        let path = path.to_string();
        if folders.contains(&path) || files.contains(path.as_str()) {
            entry.uid = USER;
            entry.mode = if entry.is_dir() { 0o2775 } else { 0o664 };
        }
    }
}

/// The folders that the project writes to, below what ships and not all of it.
pub fn writable(plan: &Plan, facts: &Facts) -> Vec<Writable> {
    let django_folder = format!("/app/{}", plan.project.django_folder());
    let mut seen = BTreeSet::new();
    // Temporary already, or not the project's to write to.
    let within = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let outside_tmp =
        |path: &str| !NOT_WRITABLE.iter().any(|folder| within(path, folder)) && !path.contains("/../");
    let whole = |path: &str| {
        matches!(path.trim_end_matches('/'), "" | "/app" | "/venv" | "/opt")
            || path.trim_end_matches('/') == django_folder.trim_end_matches('/')
    };
    let mut folders: Vec<Writable> = facts
        .writable
        .iter()
        .filter(|folder| folder.path.starts_with('/') && outside_tmp(&folder.path) && !whole(&folder.path))
        .filter(|folder| seen.insert(folder.path.trim_end_matches('/').to_owned()))
        .cloned()
        .collect();
    folders.sort_by(|a, b| a.path.cmp(&b.path));
    folders
}

/// Lines of NAME, kind, and what else will do in its place.
fn required(facts: &Facts) -> String {
    let mut text = String::new();
    for Variable { name, kind, unless, .. } in &facts.required {
        text.push_str(name);
        text.push('\t');
        text.push_str(kind.as_deref().unwrap_or("value"));
        if !unless.is_empty() {
            text.push('\t');
            text.push_str(&unless.join(","));
        }
        text.push('\n');
    }
    text
}

fn lines(words: &[String]) -> String {
    words.iter().map(|word| format!("{word}\n")).collect()
}

/// The hosts of the settings, without those that only a build was given.
fn allowed_hosts(facts: &Facts) -> Vec<&String> {
    let is_given = |host: &String| facts.given.values().any(|value| value.contains(host.as_str()));
    facts.allowed_hosts.iter().filter(|host| !is_given(host)).collect()
}

fn app_json(facts: &Facts, serving: &Serving, static_root: Option<&StaticRoot>) -> String {
    let value = serde_json::json!({
        "settings_module": facts.settings(),
        "configuration": facts.configuration.as_ref().map(|class| &class.value),
        "wsgi": facts.wsgi,
        "asgi": facts.asgi,
        "manage": "manage.py",
        "allowed_hosts": allowed_hosts(facts),
        "allowed_hosts_env": facts.allowed_hosts_env,
        "static": static_root.map(|found| serde_json::json!({
            "whitenoise": serving.whitenoise, "root": found.root, "url": found.url,
        })),
    });
    format!("{value:#}\n")
}
