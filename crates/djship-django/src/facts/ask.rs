//! Runs the probe where the application will run: on the production layers, without network, on a copy that it may
//! write to.

use std::collections::BTreeMap;
use std::path::Path;

use djship_store::{Beneath, Bucket};

use super::{Facts, SettingsFailure};
use crate::application::SnapshotError;
use crate::builder::make_owned;
use crate::child::{self, ChildError};
use crate::ground::Ground;
use crate::laid::Key;
use crate::python::{self, Source};
use crate::reads::{self, Standing};
use crate::report::{Because, Note};
use crate::tools::Tools;

/// Where the probe finds the variables that the user gives.
const GIVEN: &str = "/opt/djship-given.json";

/// The answers are at most this long.
const MAX_FACTS: u64 = 16 << 20;

/// Why Django could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The settings do not import, whatever is tried.
    #[error("cannot import the project's settings")]
    Settings {
        /// What failed, each with the user's own file and line.
        failures: Vec<SettingsFailure>,
    },
    /// The probe itself failed.
    #[error("internal error: the settings probe stopped")]
    Probe {
        /// Its last lines.
        output: Vec<String>,
    },
    /// What it wrote cannot be read.
    #[error("internal error: cannot read what the settings probe wrote: {0}")]
    Answer(#[from] serde_json::Error),
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The project cannot be copied.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] djship_store::StoreError),
    /// A file operation failed.
    #[error("cannot prepare the settings probe")]
    Io(#[from] std::io::Error),
}

/// Asks Django, or finds what it said about the same files before.
pub fn ask(tools: &Tools<'_>, ground: &Ground<'_>) -> Result<Facts, FactsError> {
    let mut inputs =
        Key::new("facts, form 1").part(ground.layers.as_bytes()).part(ground.plan.project.manage_py.as_str());
    for (name, text) in python::PROBE {
        inputs = inputs.part(name).part(text);
    }
    let ship = &ground.plan.config.ship;
    let given = ship.build_env.as_ref().map_or_else(BTreeMap::new, |given| given.value.clone());
    inputs = inputs.part(ship.settings.as_ref().map_or("", |settings| &settings.value));
    inputs = given.iter().fold(inputs, |inputs, (name, value)| inputs.part(name).part(value));
    let inputs = inputs.part(python::READS).digest();
    let answers = ground.answers(tools);
    let because = match answers.standing("facts", &inputs) {
        Standing::Reuse(answer) => {
            if let Some(file) = tools.store.find(Bucket::Facts, &answer) {
                let facts = Facts { given, ..serde_json::from_slice(&fs_err::read(file)?)? };
                tools.reporter.note(Note::Facts { facts: &facts, because: None });
                return Ok(facts);
            }
            Because::First
        }
        Standing::Redo(because) => because,
    };
    let work = tools.store.temp_dir("probe")?;
    let text = probe(tools, ground, work.path())?;
    let facts = Facts { given, ..serde_json::from_slice(&text)? };
    if !facts.errors.is_empty() || facts.settings_module.is_none() {
        return Err(FactsError::Settings { failures: facts.errors });
    }
    let answer = Key::new("facts").part(&text).digest();
    tools.store.insert_file(Bucket::Facts, &answer, |writer| -> Result<(), FactsError> {
        Ok(writer.write_all(&text)?)
    })?;
    answers.remember("facts", &inputs, &work.path().join("out/reads"), &answer)?;
    tools.reporter.note(Note::Facts { facts: &facts, because: Some(because) });
    Ok(facts)
}

fn probe(tools: &Tools<'_>, ground: &Ground<'_>, work: &Path) -> Result<Vec<u8>, FactsError> {
    let (app, out, program) = (work.join("app"), work.join("out"), work.join("probe"));
    ground.snapshot.copy_to(&app, tools.host.owner.map(|owner| (owner.uid, owner.gid)))?;
    make_owned(&out, tools)?;
    write_sources(python::PROBE, &program)?;
    write_sources(&[("reads.py", python::READS)], &program)?;
    let folder = ground.plan.project.django_folder();
    let arguments = [
        "/venv/bin/python",
        "/opt/djship-probe/probe.py",
        "--project",
        "/app",
        "--root",
        if folder.is_empty() { "." } else { &folder },
        "--out",
        "/out/facts.json",
    ];
    let mut arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let ship = &ground.plan.config.ship;
    if let Some(settings) = &ship.settings {
        arguments.extend(["--settings".to_owned(), settings.value.clone()]);
        arguments.extend(["--settings-origin".to_owned(), settings.origin.to_string()]);
    }
    let given = ship.build_env.as_ref().map(|given| serde_json::to_vec(&given.value)).transpose()?;
    if given.is_some() {
        arguments.extend(["--environment", GIVEN].map(str::to_owned));
    }
    let mut container = child::step(ground.lowers.iter().cloned(), arguments);
    if let Some(given) = given {
        container.file(GIVEN, given);
    }
    container.bind(&app, "/app").bind(&out, "/out").bind_read_only(&program, "/opt/djship-probe");
    container.env("DJSHIP_READS", reads::RECORD);
    container.cwd = ground.folder();
    let finished = child::run(tools, &container)?;
    // The settings' own code may have put anything there.
    let answer = Beneath::open(&out).and_then(|out| out.read("facts.json", MAX_FACTS));
    match answer {
        Ok(answer) if finished.success() && !answer.is_empty() => Ok(answer),
        _ => Err(FactsError::Probe { output: finished.tail(30).to_vec() }),
    }
}

/// Writes files of ours into a folder that containers see.
pub(crate) fn write_sources(sources: &[Source], folder: &Path) -> Result<(), std::io::Error> {
    for (name, text) in sources {
        let file = folder.join(name);
        if let Some(parent) = file.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(file, text)?;
    }
    Ok(())
}
