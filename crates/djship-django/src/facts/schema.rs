//! What the probe writes, version 1. `python/probe/README.md` describes it field by field.

use std::collections::BTreeMap;

use crate::develop::processes::Celery;

/// What Django itself says about the project.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    /// Version of this format.
    pub version: u32,
    /// The settings module, such as `site.settings`; `None` when none was found.
    #[serde(default)]
    pub settings_module: Option<Named>,
    /// The class of django-configurations.
    #[serde(default)]
    pub configuration: Option<Named>,
    /// Variables that turn production on, to be set in the image.
    #[serde(default)]
    pub switches: Vec<Switch>,
    /// `DEBUG` with the switches set; `None` when the settings do not import.
    #[serde(default)]
    pub debug: Option<bool>,
    /// Variables without which the settings do not import, each proved.
    #[serde(default)]
    pub required: Vec<Variable>,
    /// Every variable that the settings were seen to read.
    #[serde(default)]
    pub read: Vec<Variable>,
    /// `package.module:attribute`.
    #[serde(default)]
    pub wsgi: Option<String>,
    /// `package.module:attribute`.
    #[serde(default)]
    pub asgi: Option<String>,
    /// Static files.
    #[serde(rename = "static")]
    pub static_files: StaticFiles,
    /// `MEDIA_ROOT`.
    #[serde(default)]
    pub media_root: Option<String>,
    /// `DATABASES` by alias.
    #[serde(default)]
    pub databases: BTreeMap<String, Database>,
    /// Which variables feed `DATABASES`, and with what part: `url`, `host`, `port`, `user`, `password`, `name`,
    /// `engine`.
    #[serde(default)]
    pub database_env: BTreeMap<String, String>,
    /// `ALLOWED_HOSTS`.
    #[serde(default)]
    pub allowed_hosts: Vec<String>,
    /// The variable that `ALLOWED_HOSTS` comes from.
    #[serde(default)]
    pub allowed_hosts_env: Option<String>,
    /// `INSTALLED_APPS`.
    #[serde(default)]
    pub installed_apps: Vec<String>,
    /// `MIDDLEWARE`.
    #[serde(default)]
    pub middleware: Vec<String>,
    /// Django's version; `None` when the settings do not import.
    #[serde(default)]
    pub django_version: Option<String>,
    /// Python's version; `None` when the settings do not import.
    #[serde(default)]
    pub python_version: Option<String>,
    /// Whether any app has migrations.
    #[serde(default)]
    pub has_migrations: bool,
    /// Folders that the project writes to.
    #[serde(default)]
    pub writable: Vec<Writable>,
    /// What is worth a warning, in the probe's words.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// What keeps the settings from importing.
    #[serde(default)]
    pub errors: Vec<SettingsFailure>,
    /// Whether a PostgreSQL driver is installed. Not the probe's: the installed distributions say it.
    #[serde(default)]
    pub postgres_driver: bool,
    /// Celery's application, and whether it has work.
    #[serde(default)]
    pub celery: Option<Celery>,
    /// Variables that the user gives to a build's steps. Not the probe's.
    #[serde(default)]
    pub given: BTreeMap<String, String>,
    /// Values with which the settings import although nothing real is there.
    #[serde(default)]
    pub throwaway: BTreeMap<String, String>,
}

/// A name with where it came from.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Named {
    /// The name.
    pub value: String,
    /// The file, or what found it.
    #[serde(default)]
    pub origin: String,
}

/// A variable that turns production on.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// The value to set.
    pub value: String,
    /// How that was found.
    #[serde(default)]
    pub why: String,
}

/// A variable that the settings read.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it seems to hold: `secret`, `url`, `host`, ...
    #[serde(default)]
    pub kind: Option<String>,
    /// Any of these, set, makes this one unnecessary.
    #[serde(default)]
    pub unless: Vec<String>,
    /// The file that reads it, relative to the project.
    #[serde(default)]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(default)]
    pub line: Option<u64>,
}

/// Static files as the settings have them.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct StaticFiles {
    /// `STATIC_ROOT`.
    #[serde(default)]
    pub root: Option<String>,
    /// `STATIC_URL`.
    #[serde(default)]
    pub url: Option<String>,
    /// The storage class.
    #[serde(default)]
    pub storage: Option<String>,
    /// Whether `django.contrib.staticfiles` is installed.
    #[serde(default)]
    pub app: bool,
    /// What in the project serves them in production.
    #[serde(default)]
    pub served_by: Option<String>,
    /// Whether the storage writes to a folder; `None` when it could not be seen.
    #[serde(default)]
    pub file_system: Option<bool>,
}

/// One of `DATABASES`.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Database {
    /// Such as `django.db.backends.postgresql`.
    #[serde(default)]
    pub engine: String,
    /// Its name, or the file.
    #[serde(default)]
    pub name: Option<serde_json::Value>,
    /// Host.
    #[serde(default)]
    pub host: Option<serde_json::Value>,
    /// Port.
    #[serde(default)]
    pub port: Option<serde_json::Value>,
    /// User.
    #[serde(default)]
    pub user: Option<serde_json::Value>,
}

impl Database {
    /// Whether it is PostgreSQL, with or without PostGIS.
    pub fn is_postgres(&self) -> bool {
        self.engine.contains("postgresql") || self.engine.contains("postgis")
    }

    /// Whether it is a file.
    pub fn is_sqlite(&self) -> bool {
        self.engine.contains("sqlite") || self.engine.contains("spatialite")
    }
}

/// A folder that the project writes to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Writable {
    /// Absolute in the image.
    pub path: String,
    /// `MEDIA_ROOT`, `sqlite`, `log`, ...
    #[serde(default)]
    pub why: String,
}

/// Something worth a warning.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Warning {
    /// What.
    pub message: String,
    /// The user's own file, relative to the project.
    #[serde(default)]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(default)]
    pub line: Option<u64>,
}

/// Why the settings do not import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SettingsFailure {
    /// What was being done.
    #[serde(default)]
    pub stage: String,
    /// The user's own file, relative to the project.
    #[serde(default)]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(default)]
    pub line: Option<u64>,
    /// The exception's class.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// What might help.
    #[serde(default)]
    pub hint: Option<String>,
}

impl Facts {
    /// The settings module's name, empty when none was found.
    pub fn settings(&self) -> &str {
        self.settings_module.as_ref().map_or("", |module| &module.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_own_sample_reads() {
        let facts: Facts =
            serde_json::from_str(include_str!("../../python/probe/sample-polls.json")).unwrap();
        assert_eq!(facts.settings(), "pollsite.settings");
        assert_eq!(facts.debug, Some(false));
        assert!(facts.databases["default"].is_postgres());
        let user = facts.required.iter().find(|variable| variable.name == "POSTGRES_USER").unwrap();
        assert_eq!(user.unless, ["DATABASE_URL"]);
    }
}
