//! What a project says about the image: the keys at the top, besides those of development.

use std::collections::BTreeMap;

use super::keys::{Keys, Value};
use super::{ConfigError, requirements, settings};
use crate::plan::Sourced;
use crate::project::command::CommandLine;
use crate::project::selection::Include;

/// What is said about the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ship {
    /// `settings`: the settings module of production.
    pub settings: Option<Sourced<String>>,
    /// `requirements`: the requirements files of production, relative to the project; at least one.
    pub requirements: Option<Sourced<Vec<String>>>,
    /// `python-strict`: a wish for a Python that cannot be met is an error.
    pub python_strict: Option<Sourced<bool>>,
    /// `include`: what ships although a rule leaves it out.
    pub include: Option<Sourced<Include>>,
    /// `static`.
    pub static_files: Option<Sourced<StaticChoice>>,
    /// `packages`.
    pub packages: ShipPackages,
    /// `build-env`: variables of the steps that run Django in a build.
    pub build_env: Option<Sourced<BTreeMap<String, String>>>,
    /// `commands.NAME`: what the image starts under that name; `None` for `false`.
    pub commands: BTreeMap<String, Sourced<Option<CommandLine>>>,
}

/// Debian packages that the project asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShipPackages {
    /// There when distributions are compiled.
    pub build: Option<Sourced<Vec<String>>>,
    /// In the image.
    pub run: Option<Sourced<Vec<String>>>,
}

/// What becomes of static files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaticChoice {
    /// They are neither collected nor served: somebody else does both.
    None,
}

impl Ship {
    /// What ships whatever other rules say.
    pub fn include(&self) -> Include {
        self.include.as_ref().map_or_else(Include::default, |include| include.value.clone())
    }

    /// Reads the keys that are the image's.
    pub(super) fn of(keys: &Keys<'_, '_>) -> Result<Self, ConfigError> {
        Ok(Self {
            settings: keys.sourced("settings", settings)?,
            requirements: keys.sourced("requirements", requirements)?,
            python_strict: keys.sourced("python-strict", Value::boolean)?,
            include: keys.sourced("include", include)?,
            static_files: keys.sourced("static", static_choice)?,
            packages: keys.read("packages", ShipPackages::of)?.unwrap_or_default(),
            build_env: keys.sourced("build-env", Value::environment)?,
            commands: keys.read("commands", commands)?.unwrap_or_default(),
        })
    }
}

impl ShipPackages {
    /// A list is for both; a table tells them apart.
    fn of(value: &Value<'_>) -> Result<Self, ConfigError> {
        if value.is_list() {
            let both = value.sourced(value.packages()?);
            return Ok(Self { build: Some(both.clone()), run: Some(both) });
        }
        let keys = value.keys(&["build", "run"])?;
        Ok(Self {
            build: keys.sourced("build", Value::packages)?,
            run: keys.sourced("run", Value::packages)?,
        })
    }
}

fn include(value: &Value<'_>) -> Result<Include, ConfigError> {
    let fails = || value.fails("a list of paths or patterns in the project, relative to it");
    Include::new(value.texts()?).ok_or_else(fails)
}

fn static_choice(value: &Value<'_>) -> Result<StaticChoice, ConfigError> {
    match value.text()? {
        "none" => Ok(StaticChoice::None),
        _ => Err(value.fails("`none`; without the key they are collected and served")),
    }
}

fn commands(value: &Value<'_>) -> Result<BTreeMap<String, Sourced<Option<CommandLine>>>, ConfigError> {
    let mut commands = BTreeMap::new();
    for (name, value) in value.named()? {
        if name == "migrate" {
            return Err(
                value.fails("another name, because `migrate` is djship's own; `release` is the project's")
            );
        }
        let command = match value.boolean() {
            Ok(false) if name == "web" => {
                return Err(value.fails("a command: an image without a server serves nothing"));
            }
            Ok(false) => None,
            Ok(true) => return Err(value.fails("`false` or a command")),
            Err(_) => {
                let command = value.command()?;
                if command.argv().iter().any(|word| word.contains(['\n', '\r'])) {
                    return Err(value.fails("a command in one line"));
                }
                Some(command)
            }
        };
        commands.insert(name, value.sourced(command));
    }
    Ok(commands)
}
