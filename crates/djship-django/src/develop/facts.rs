//! What Django says in development: which settings, which variables, which services.
//!
//! The probe looks at the live project through a layer that is thrown away: it writes nothing there.

use std::collections::BTreeMap;
use std::path::Path;

use djship_store::{Beneath, Bucket};

use super::ground::{APP, Ground};
use super::processes::Celery;
use super::variables::{self, Given};
use crate::builder::make_owned;
use crate::child;
use crate::facts::{Database, FactsError, Named, SettingsFailure, Switch, Variable, Warning, write_sources};
use crate::laid::Key;
use crate::python;
use crate::reads::{self, Answers, Standing};
use crate::services::Wanted;
use crate::tools::Tools;

/// The answers are at most this long.
const MAX_FACTS: u64 = 16 << 20;

/// In the cache: the names of the variables that the settings read last time.
const NAMES: &str = "variables.json";

/// What stands in the store for the environment's password.
const PASSWORD: &str = "<password of the environment>";

/// What the probe is told of the services that will run.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Offer {
    /// Where they will listen, each on its usual port.
    pub(super) address: String,
    /// What to call a database when nothing else decides.
    pub(super) database: String,
    /// Its user, likewise.
    pub(super) user: String,
    /// Its password, likewise.
    pub(super) password: String,
}

/// The probe's document for development, version 1. `python/probe/README.md` describes it field by field.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct DevelopmentFacts {
    /// The settings module.
    pub settings_module: Option<Named>,
    /// The class of django-configurations.
    pub configuration: Option<Named>,
    /// Variables that turn development on.
    pub switches: Vec<Switch>,
    /// `DEBUG` with them; `None` when the settings do not import.
    pub debug: Option<bool>,
    /// Values for variables that are needed and that nobody sets.
    pub supplied: Vec<Supplied>,
    /// Variables that lead the settings to our services.
    pub connections: BTreeMap<String, Connection>,
    /// Services that the settings lead to and that are ours to run.
    pub services: Vec<Wanted>,
    /// Services elsewhere.
    pub external: Vec<External>,
    /// `DATABASES` by alias.
    pub databases: BTreeMap<String, Database>,
    /// Celery, when the project has it.
    pub celery: Option<Celery>,
    /// Whose `runserver` it is: `django` or `daphne`.
    pub runserver: String,
    /// Every variable that the settings were seen to read.
    pub read: Vec<Variable>,
    /// `INSTALLED_APPS`.
    pub installed_apps: Vec<String>,
    /// Django's version.
    pub django_version: Option<String>,
    /// Python's version.
    pub python_version: Option<String>,
    /// Whether any app has migrations.
    pub has_migrations: bool,
    /// What is worth a warning.
    pub warnings: Vec<Warning>,
    /// What keeps the settings from importing.
    pub errors: Vec<SettingsFailure>,
}

/// A value for a variable that nobody sets.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Supplied {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it seems to hold.
    #[serde(default)]
    pub kind: Option<String>,
}

/// A value that leads the settings to a service.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Connection {
    /// The value.
    pub value: String,
    /// The service's kind.
    #[serde(default)]
    pub service: String,
    /// `url`, `host`, `port`, `user`, `password`, `name` or `engine`.
    #[serde(default)]
    pub part: String,
}

/// A service that is somebody else's to run.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct External {
    /// The service's kind.
    pub kind: String,
    /// Where it is.
    #[serde(default)]
    pub host: String,
    /// What leads there, such as `DATABASES['default']`.
    #[serde(default)]
    pub uses: Vec<String>,
}

impl DevelopmentFacts {
    /// Variables of ours, weakest of all: what turns development on, what is needed, what leads to services.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let switches = self.switches.iter().map(|switch| (switch.name.clone(), switch.value.clone()));
        let supplied = self.supplied.iter().map(|supplied| (supplied.name.clone(), supplied.value.clone()));
        let connections = self.connections.iter().map(|(name, to)| (name.clone(), to.value.clone()));
        supplied.chain(switches).chain(connections).collect()
    }

    /// The default database, when it is a file: as the settings name it, absolute inside.
    pub fn sqlite_file(&self) -> Option<&str> {
        let database = self.databases.get("default").filter(|database| database.is_sqlite())?;
        database.name.as_ref()?.as_str()
    }
}

/// Asks Django, or finds what it said about the same files and variables before.
pub(super) fn ask(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    environment: &str,
    given: &Given,
    offer: &Offer,
) -> Result<DevelopmentFacts, FactsError> {
    let offer_text = serde_json::to_vec(offer)?;
    let inputs = |given: &BTreeMap<String, String>| {
        let mut inputs = Key::new("development facts, form 2")
            .part(environment)
            .part(ground.root.as_os_str().as_encoded_bytes())
            .part(ground.project.manage_py.as_str())
            .part(&offer_text);
        for (name, value) in given {
            inputs = inputs.part(name).part(value);
        }
        for (name, text) in python::PROBE {
            inputs = inputs.part(name).part(text);
        }
        inputs.part(python::READS).digest()
    };
    let answers = Answers::live(tools.store, &ground.project.folder);
    // A shell exports much that changes and that no settings read: what they read last time counts.
    let names =
        ground.cache.read(NAMES).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    if let Standing::Reuse(answer) = answers.standing("development", &inputs(&given.relevant(&names)))
        && let Some(file) = tools.store.find(Bucket::Facts, &answer)
    {
        return Ok(serde_json::from_str(&opened(&fs_err::read_to_string(file)?, &offer.password))?);
    }
    let work = tools.store.temp_dir("probe")?;
    let text = probe(tools, ground, work.path(), &given.all(), &offer_text)?;
    let facts: DevelopmentFacts = serde_json::from_slice(&text)?;
    if !facts.errors.is_empty() || facts.settings_module.is_none() {
        return Err(FactsError::Settings { failures: facts.errors });
    }
    let kept = closed(&String::from_utf8_lossy(&text), &offer.password);
    let answer = Key::new("facts").part(&kept).digest();
    tools.store.insert_file(Bucket::Facts, &answer, |writer| -> Result<(), FactsError> {
        Ok(writer.write_all(kept.as_bytes())?)
    })?;
    let names = variables::names_read(&facts);
    ground.cache.write(NAMES, &serde_json::to_vec(&names)?)?;
    let inputs = inputs(&given.relevant(&names));
    answers.remember("development", &inputs, &work.path().join("out/reads"), &answer)?;
    Ok(facts)
}

/// A document as it is kept: everybody who uses the store may read it, and nobody else the environment's password.
fn closed(text: &str, password: &str) -> String {
    text.replace(password, PASSWORD)
}

/// The same with the password in it.
fn opened(text: &str, password: &str) -> String {
    text.replace(PASSWORD, password)
}

fn probe(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    work: &Path,
    given: &BTreeMap<String, String>,
    offer: &[u8],
) -> Result<Vec<u8>, FactsError> {
    let (out, program) = (work.join("out"), work.join("probe"));
    make_owned(&out, tools)?;
    write_sources(python::PROBE, &program)?;
    write_sources(&[("reads.py", python::READS)], &program)?;
    let folder = ground.project.django_folder();
    let python = format!("{}/venv/bin/python", ground.cache.inside);
    let arguments = [
        python.as_str(),
        "/opt/djship-probe/probe.py",
        "--develop",
        "/etc/djship-services.json",
        "--project",
        APP,
        "--root",
        if folder.is_empty() { "." } else { &folder },
        "--out",
        "/out/facts.json",
    ];
    let mut container = child::step([ground.root.clone()], arguments);
    ground.developer.enter(&mut container);
    container.env.remove("PYTHONDONTWRITEBYTECODE");
    container.throw_away_as_owner(&ground.project.folder, APP);
    container.bind_as_owner(&ground.cache.path, ground.cache.inside);
    container.bind(&out, "/out").bind_read_only(&program, "/opt/djship-probe");
    container.file("/etc/djship-services.json", offer);
    container.env("HOME", "/tmp");
    container.env(
        "PATH",
        format!("{}/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", ground.cache.inside),
    );
    container.env("PYTHONPYCACHEPREFIX", format!("{}/bytecode", ground.cache.inside));
    for (name, value) in given {
        container.env(name, value);
    }
    container.env("DJSHIP_READS", reads::RECORD).env("DJSHIP_READS_APART", ground.cache.inside);
    container.cwd = ground.folder();
    let finished = child::run(tools, &container)?;
    // The settings' own code may have put anything there.
    let answer = Beneath::open(&out).and_then(|out| out.read("facts.json", MAX_FACTS));
    match answer {
        Ok(answer) if finished.success() && !answer.is_empty() => Ok(answer),
        _ => Err(FactsError::Probe { output: finished.tail(30).to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_the_environment_is_not_in_the_store() {
        let text = r#"{"connections": {"DATABASE_URL": {"value": "postgres://shop:0a1b@127.70.1.2/shop"}}}"#;
        let kept = closed(text, "0a1b");
        assert!(!kept.contains("0a1b"), "{kept}");
        assert_eq!(opened(&kept, "0a1b"), text);
    }
}
