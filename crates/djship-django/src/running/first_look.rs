//! What a first look at an image needs, for one run only: a key, a database, `localhost` among the allowed hosts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use djship_engine::{Stdio, Streams};
use djship_store::TempDir;

use super::{RunError, RunOptions, Runnable};
use crate::base::{BaseError, Roots};
use crate::build::Built;
use crate::child;
use crate::facts::{Database, Facts};
use crate::services;
use crate::services::postgres::{Account, PORT, Postgres, PostgresError};
use crate::tools::Tools;

/// What was added for this run.
#[derive(Debug)]
pub struct FirstLook {
    /// Variables that were set, and what for.
    pub env: BTreeMap<String, String>,
    /// Names for `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// The database server.
    pub postgres: Option<Postgres>,
    /// A database of another kind that the settings ask for and that is not supplied.
    pub unmet: Option<String>,
    /// Everything that is thrown away at the end.
    pub folder: TempDir,
}

/// Why there is no first look.
#[derive(Debug, thiserror::Error)]
pub enum FirstLookError {
    /// The database server does not start.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// Its root cannot be made.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// There is no room.
    #[error(transparent)]
    Store(#[from] djship_store::StoreError),
}

impl FirstLook {
    /// Makes what the settings need and `given` does not have.
    pub fn prepare(
        tools: &Tools<'_>,
        built: &Built,
        given: &BTreeMap<String, String>,
    ) -> Result<Self, FirstLookError> {
        let facts = &built.facts;
        let folder = tools.store.temp_dir("first-look")?;
        let mut look = Self { env: BTreeMap::new(), hosts: Vec::new(), postgres: None, unmet: None, folder };
        look.env.insert("DJSHIP_TRY".to_owned(), "1".to_owned());
        let names_a_database = facts.database_env.keys().any(|name| given.contains_key(name));
        match facts.databases.get("default") {
            Some(database) if wants_postgres(facts, database) && !names_a_database => {
                let roots = Roots::open(tools, built.release)?;
                look.start_postgres(tools, &roots, &built.plan.project.folder, facts, database)?;
            }
            Some(database) if !database.is_postgres() && !database.is_sqlite() && !names_a_database => {
                look.unmet = Some(database.engine.clone());
            }
            _ => {}
        }
        for variable in &facts.required {
            if given.contains_key(&variable.name) || look.env.contains_key(&variable.name) {
                continue;
            }
            let replaced = |name: &String| given.contains_key(name) || look.env.contains_key(name);
            if variable.unless.iter().any(replaced) {
                continue;
            }
            let value = match variable.kind.as_deref() {
                Some("secret") => secret(),
                _ => facts.throwaway.get(&variable.name).cloned().unwrap_or_else(secret),
            };
            look.env.insert(variable.name.clone(), value);
        }
        Ok(look)
    }

    fn start_postgres(
        &mut self,
        tools: &Tools<'_>,
        roots: &Roots<'_>,
        project: &Path,
        facts: &Facts,
        database: &Database,
    ) -> Result<(), FirstLookError> {
        let url = facts.database_env.iter().find(|(_, part)| *part == "url").map(|(name, _)| name.clone());
        let account = account(facts, database, url.is_some());
        let data = self.folder.path().join("data");
        let address = |attempt| services::of_project(project, attempt);
        let server = Postgres::start(tools, roots, &data, address, account)?;
        let Account { user, password, database: name } = &server.account;
        let address = server.address;
        if let Some(url) = url {
            let scheme = if database.engine.contains("postgis") { "postgis" } else { "postgres" };
            self.env.insert(url, format!("{scheme}://{user}:{password}@{address}:{PORT}/{name}"));
        } else {
            for (variable, part) in &facts.database_env {
                let value = match part.as_str() {
                    "host" => address.to_string(),
                    "port" => PORT.to_string(),
                    "user" => user.clone(),
                    "password" => password.clone(),
                    "name" => name.clone(),
                    "engine" if database.is_postgres() => database.engine.clone(),
                    "engine" => "django.db.backends.postgresql".to_owned(),
                    _ => continue,
                };
                self.env.insert(variable.clone(), value);
            }
        }
        // Settings with a fixed host find the server under its usual names.
        for alias in ["db", "postgres", "database", "postgresql"] {
            self.hosts.push((IpAddr::V4(address), alias.to_owned()));
        }
        self.postgres = Some(server);
        Ok(())
    }

    /// Where the database listens.
    pub fn database_address(&self) -> Option<Ipv4Addr> {
        self.postgres.as_ref().map(|server| server.address)
    }

    /// Ends the database server.
    pub fn end(self) {
        if let Some(server) = self.postgres {
            server.stop();
        }
    }
}

/// Whether the settings lead to PostgreSQL, by themselves or when their variables are set.
fn wants_postgres(facts: &Facts, database: &Database) -> bool {
    let fed = |part: &str| facts.database_env.values().any(|known| known == part);
    database.is_postgres()
        || database.is_sqlite() && (fed("url") || fed("engine") && fed("host")) && facts.postgres_driver
}

/// Migrates the database with a one-off container; the last lines of it when it fails.
pub fn migrate(
    tools: &Tools<'_>,
    image: &Runnable,
    options: &RunOptions,
) -> Result<Option<Vec<String>>, RunError> {
    let mut container = super::container(tools, image, options)?;
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped };
    let finished = child::run(tools, &container)?;
    Ok((!finished.success()).then(|| finished.tail(30).to_vec()))
}

/// Makes a first superuser, where the project has the admin and its users need no more than a name and a password:
/// the password.
pub fn superuser(
    tools: &Tools<'_>,
    image: &Runnable,
    facts: &Facts,
    options: &RunOptions,
) -> Result<Option<String>, RunError> {
    if !facts.installed_apps.iter().any(|app| app.starts_with("django.contrib.admin")) {
        return Ok(None);
    }
    let password = secret()[..16].to_owned();
    let mut options = RunOptions {
        command: ["python", "manage.py", "createsuperuser", "--noinput"].map(str::to_owned).to_vec(),
        ..options.clone()
    };
    for (name, value) in
        [("USERNAME", "admin"), ("EMAIL", "admin@example.invalid"), ("PASSWORD", password.as_str())]
    {
        options.env.insert(format!("DJANGO_SUPERUSER_{name}"), value.to_owned());
    }
    let mut container = super::container(tools, image, &options)?;
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped };
    Ok(child::run(tools, &container)?.success().then_some(password))
}

/// Who may connect: what the settings have fixed, and throw-away values for what variables decide.
fn account(facts: &Facts, database: &Database, url: bool) -> Account {
    let decided = |part: &str| url || facts.database_env.values().any(|known| known == part);
    let fixed = |part: &str, value: &Option<serde_json::Value>| {
        let text = value.as_ref().and_then(|value| value.as_str()).filter(|text| !text.is_empty());
        text.filter(|_| !decided(part)).map(str::to_owned)
    };
    Account {
        user: fixed("user", &database.user).unwrap_or_else(|| "postgres".to_owned()),
        // A password in the settings is not among the facts; trusting is all that is left then.
        password: secret(),
        database: fixed("name", &database.name).unwrap_or_else(|| "postgres".to_owned()),
    }
}

/// 50 random characters.
fn secret() -> String {
    let mut bytes = [0; 25];
    // The kernel's generator works from the first moment of user space on.
    getrandom::fill(&mut bytes).unwrap_or_else(|error| panic!("internal error: no random numbers: {error}"));
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
