//! What a project says to djship: `[tool.djship]` in `pyproject.toml`, or `djship.toml` with the same keys at its top.
//! Both are looked for in the project's folder. Nothing is required, and nothing that is not known is passed over.

mod error;
mod front_end;
mod keys;
mod ship;
mod withheld;

use std::collections::BTreeMap;

use djship_store::TreePath;
use toml::de::{DeTable, DeValue};

pub use error::ConfigError;
pub use front_end::FrontEndWish;
pub(crate) use keys::is_package;
use keys::{Document, Value};
pub use ship::{Ship, ShipPackages, StaticChoice};
pub(crate) use withheld::without_build_values;

use super::Project;
use super::command::CommandLine;
use crate::plan::Sourced;

/// A file of djship's own.
const OWN: &str = "djship.toml";
/// The file that all Python tools share.
const SHARED: &str = "pyproject.toml";

/// The name that the development server has among what runs.
pub const WEB: &str = "web";

/// What can be said at the top.
const KEYS: &[&str] = &[
    "base",          // the image that everything stands on
    "registry",      // where images with short names are
    "services",      // development's servers
    "processes",     // what runs beside the development server
    "develop",       // development
    "settings",      // of production; this and what follows: the image
    "requirements",  // of production
    "python-strict", // a wish that cannot be met is an error
    "include",       // ships although a rule leaves it out
    "static",        // `none`
    "packages",      // of Debian
    "build-env",     // variables of a build's steps
    "commands",      // what the image starts
    "front-end",     // which one is built, or `false`
    "cache",         // the repository of what builds share
];

/// Folders of the system that data cannot be mounted over: the program is in them, or the kernel's are.
const SYSTEM: &[&str] =
    &["bin", "dev", "etc", "lib", "lib64", "proc", "run", "sbin", "sys", "tmp", "usr", "var"];

/// Everything that a project says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The file that says it, relative to the project; `None` when there is none.
    pub file: Option<String>,
    /// `base`: the image that everything stands on, in place of Debian's packages.
    pub base: Option<Sourced<String>>,
    /// `registry`: where images with short names are, `HOST[:PORT][/PATH]`.
    pub registry: Option<Sourced<String>>,
    /// `cache`: the repository of what builds share, as it is written.
    pub cache: Option<Sourced<String>>,
    /// `services.NAME`.
    pub services: BTreeMap<String, Sourced<Entry<OwnService>>>,
    /// `processes.NAME`.
    pub processes: BTreeMap<String, Sourced<Entry<OwnProcess>>>,
    /// `develop`.
    pub develop: Develop,
    /// `front-end`.
    pub front_end: Option<Sourced<FrontEndWish>>,
    /// Everything about the image.
    pub ship: Ship,
}

/// What is said about something that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<T> {
    /// `NAME = false`: it is not started, whoever asks for it.
    Off,
    /// `[NAME]`: how it is started.
    On(T),
}

/// A service that the project brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnService {
    /// The Debian packages that it is in; at least one.
    pub packages: Vec<String>,
    /// What starts it.
    pub command: CommandLine,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// A command that succeeds when it serves.
    pub health: Option<CommandLine>,
    /// Where it keeps its data: absolute, without `.` and `..`.
    pub data: Option<String>,
    /// Its variables.
    pub environment: BTreeMap<String, String>,
}

/// A process that runs beside the development server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProcess {
    /// What starts it; `None` leaves what a Procfile says.
    pub command: Option<CommandLine>,
    /// What it is; `None` when its command shall tell.
    pub kind: Option<ProcessKind>,
    /// The Debian packages that it needs.
    pub packages: Vec<String>,
    /// Where it runs, relative to the project, `""` for the project itself.
    pub folder: Option<String>,
}

/// What kind of process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessKind {
    /// It runs the project's code, and starts again when that changes.
    Worker,
    /// It watches files for itself, as front-end tools do.
    Watcher,
}

/// What is said about development.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Develop {
    /// Further Debian packages in the development root.
    pub packages: Option<Sourced<Vec<String>>>,
    /// The settings module.
    pub settings: Option<Sourced<String>>,
    /// The requirements files, relative to the project; at least one.
    pub requirements: Option<Sourced<Vec<String>>>,
    /// The port of the development server; the next free one from there.
    pub port: Option<Sourced<u16>>,
    /// Variables of everything that runs the project's code.
    pub environment: Option<Sourced<BTreeMap<String, String>>>,
    /// Whether migrations are applied at the start.
    pub migrate: Option<Sourced<bool>>,
}

impl Config {
    /// Where it can stand, relative to the project.
    pub const PLACES: [&str; 2] = [OWN, SHARED];

    /// Reads what the project says.
    pub fn read(project: &Project) -> Result<Self, ConfigError> {
        let own = project.read(OWN)?.map(|text| Self::parse(OWN, &text)).transpose()?.flatten();
        let shared = project.read(SHARED)?.map(|text| Self::parse(SHARED, &text)).transpose()?.flatten();
        match (own, shared) {
            (Some(_), Some(_)) => Err(ConfigError::Both { first: OWN, second: SHARED }),
            (own, shared) => Ok(own.or(shared).unwrap_or_default()),
        }
    }

    /// Reads the text of `pyproject.toml` or `djship.toml`; `None` when it says nothing to djship.
    pub fn parse(file: &str, text: &str) -> Result<Option<Self>, ConfigError> {
        let document = Document { file, text };
        let top = DeTable::parse(text).map_err(|error| document.syntax(&error))?;
        let top = DeValue::Table(top.into_inner());
        let table = if file == SHARED {
            // What other tools write under `tool` is theirs.
            let tool = top.get("tool").and_then(|tool| tool.get_ref().as_table());
            let Some((key, table)) = tool.and_then(|tool| tool.get_key_value("djship")) else {
                return Ok(None);
            };
            Value::of(&document, "tool.djship".to_owned(), key, table)
        } else {
            Value::top(&document, &top)
        };
        Self::of(&table).map(|config| config.map(|config| Self { file: Some(file.to_owned()), ..config }))
    }

    fn of(table: &Value<'_>) -> Result<Option<Self>, ConfigError> {
        let keys = table.keys(KEYS)?;
        if keys.is_empty() {
            return Ok(None);
        }
        let text = |value: &Value<'_>| value.text().map(str::to_owned);
        let services = keys.read("services", |value| entries(value, OwnService::of))?;
        let processes = keys.read("processes", |value| entries(value, OwnProcess::of))?;
        let develop = keys.read("develop", Develop::of)?;
        let config = Self {
            file: None,
            base: keys.sourced("base", text)?,
            registry: keys.sourced("registry", text)?,
            cache: keys.sourced("cache", text)?,
            services: services.unwrap_or_default(),
            processes: processes.unwrap_or_default(),
            develop: develop.unwrap_or_default(),
            front_end: keys.sourced("front-end", FrontEndWish::of)?,
            ship: Ship::of(&keys)?,
        };
        Ok(Some(config))
    }
}

fn entries<T>(
    value: &Value<'_>,
    read: impl Fn(&Value<'_>) -> Result<T, ConfigError>,
) -> Result<BTreeMap<String, Sourced<Entry<T>>>, ConfigError> {
    let mut entries = BTreeMap::new();
    for (name, value) in value.named()? {
        if name == WEB {
            return Err(value.fails("another name, because it is the development server's"));
        }
        let entry = match value.boolean() {
            Ok(false) => Entry::Off,
            Ok(true) => return Err(value.fails("`false` or a table")),
            Err(_) => Entry::On(read(&value)?),
        };
        entries.insert(name, value.sourced(entry));
    }
    Ok(entries)
}

impl OwnService {
    fn of(value: &Value<'_>) -> Result<Self, ConfigError> {
        let keys = value.keys(&["packages", "command", "port", "health", "data", "environment"])?;
        Ok(Self {
            packages: keys.required("packages")?.packages()?,
            command: keys.required("command")?.command()?,
            port: keys.read("port", Value::port)?,
            health: keys.read("health", Value::command)?,
            data: keys.read("data", data)?,
            environment: keys.read("environment", Value::environment)?.unwrap_or_default(),
        })
    }
}

impl OwnProcess {
    fn of(value: &Value<'_>) -> Result<Self, ConfigError> {
        let keys = value.keys(&["command", "kind", "packages", "folder"])?;
        if keys.is_empty() {
            return Err(value.fails("`false`, or a table with a command"));
        }
        Ok(Self {
            command: keys.read("command", Value::command)?,
            kind: keys.read("kind", kind)?,
            packages: keys.read("packages", Value::packages)?.unwrap_or_default(),
            folder: keys.read("folder", folder)?,
        })
    }
}

impl Develop {
    fn of(value: &Value<'_>) -> Result<Self, ConfigError> {
        let keys = value.keys(&["packages", "settings", "requirements", "port", "environment", "migrate"])?;
        Ok(Self {
            packages: keys.sourced("packages", Value::packages)?,
            settings: keys.sourced("settings", settings)?,
            requirements: keys.sourced("requirements", requirements)?,
            port: keys.sourced("port", Value::port)?,
            environment: keys.sourced("environment", Value::environment)?,
            migrate: keys.sourced("migrate", Value::boolean)?,
        })
    }
}

fn kind(value: &Value<'_>) -> Result<ProcessKind, ConfigError> {
    match value.text()? {
        "worker" => Ok(ProcessKind::Worker),
        "watcher" => Ok(ProcessKind::Watcher),
        _ => Err(value.fails("`worker` or `watcher`")),
    }
}

fn data(value: &Value<'_>) -> Result<String, ConfigError> {
    let text = value.text()?;
    let path =
        TreePath::parse(text).ok().filter(|path| text.starts_with('/') && !path.as_str().contains('\n'));
    let own = |path: &TreePath| {
        let path = path.as_str();
        let kernel = ["dev", "proc", "sys"].iter().any(|name| path.split('/').next() == Some(name));
        !kernel && !SYSTEM.contains(&path)
    };
    match path {
        Some(path) if own(&path) => Ok(path.to_string()),
        _ => Err(value.fails("an absolute path to a folder that is not the system's")),
    }
}

fn folder(value: &Value<'_>) -> Result<String, ConfigError> {
    let text = value.text()?;
    if text == "." {
        return Ok(String::new());
    }
    relative(text).ok_or_else(|| value.fails("a folder in the project, relative to it"))
}

fn requirements(value: &Value<'_>) -> Result<Vec<String>, ConfigError> {
    let fails = || value.fails("a list of requirements files in the project, relative to it");
    let other = |file: &String| [".toml", ".lock", ".cfg", ".py"].iter().any(|end| file.ends_with(end));
    let read = |file: &String| relative(file).filter(|file| !other(file));
    let files: Option<Vec<_>> = value.texts()?.iter().map(read).collect();
    files.filter(|files| !files.is_empty()).ok_or_else(fails)
}

/// A path in the project, as `TreePath` writes it.
fn relative(text: &str) -> Option<String> {
    let path = TreePath::parse(text).ok()?;
    (!text.starts_with('/') && !text.contains(char::is_control)).then(|| path.as_str().to_owned())
}

fn settings(value: &Value<'_>) -> Result<String, ConfigError> {
    let text = value.text()?;
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    if text.split('.').all(is_name) {
        Ok(text.to_owned())
    } else {
        Err(value.fails("the dotted name of a Python module"))
    }
}

#[cfg(test)]
mod tests;
