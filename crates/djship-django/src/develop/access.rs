//! What other commands need to know of a running environment: written into its state by `up`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use djship_engine::{Container, Exec};

use crate::services::{Form, Input, Replacement, Server, Step, Task};
use crate::supervisor::Program as _;

/// How to work in an environment.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Access {
    /// A container like that of the development server, without a command: for `manage`, `shell`.
    pub one_off: Container,
    /// The containers of the programs, by name: what enters one has its environment.
    pub programs: Vec<ProgramAccess>,
    /// The interpreter on the host, for an editor.
    pub interpreter: PathBuf,
    /// Python's version.
    pub python: Option<String>,
    /// Names of variables that nobody sets, and that have a value of ours.
    #[serde(default)]
    pub supplied: Vec<String>,
    /// The settings module.
    #[serde(default)]
    pub settings: Option<String>,
    /// The database, when it is a file: inside.
    pub sqlite: Option<String>,
    /// What to run in a database's container.
    pub database: Option<DatabaseAccess>,
    /// What the databases of the settings are, one a line: said when none of them is ours.
    #[serde(default)]
    pub databases: Vec<String>,
    /// The file that says which migrations were applied; removed when somebody replaces the database.
    pub migrated: PathBuf,
}

/// The environment and folder of a program.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ProgramAccess {
    /// Its name.
    pub name: String,
    /// Its variables.
    pub env: Vec<(String, String)>,
    /// Its working folder.
    pub cwd: PathBuf,
}

/// What a developer does with a database, run in its container.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DatabaseAccess {
    /// The service, such as `postgres`.
    pub service: String,
    /// An interactive client on the project's database.
    pub shell: Command,
    /// Writes the database to standard output.
    pub dump: Command,
    /// Runs one statement, which is appended to its last argument; `None` for what has none.
    #[serde(default)]
    pub statement: Option<Command>,
    /// Replaces the database by what `dump` wrote.
    pub restore: ReplacementAccess,
    /// Replaces the database by what a file of statements makes.
    pub script: ReplacementAccess,
}

/// Programs that replace a database, one after the other; each must end well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReplacementAccess {
    /// In this order.
    pub steps: Vec<StepAccess>,
    /// Cleans up when a step fails.
    pub give_up: StepAccess,
}

/// A program of a replacement.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StepAccess {
    /// The program.
    pub command: Command,
    /// What it reads.
    pub input: Input,
    /// When it fails, the database is as it was.
    pub harmless: bool,
}

impl From<Step> for StepAccess {
    fn from(step: Step) -> Self {
        let Step { exec, input, harmless } = step;
        Self { command: exec.into(), input, harmless }
    }
}

impl From<Replacement> for ReplacementAccess {
    fn from(replacement: Replacement) -> Self {
        let Replacement { steps, give_up } = replacement;
        Self { steps: steps.into_iter().map(StepAccess::from).collect(), give_up: give_up.into() }
    }
}

/// A program with its variables.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Command {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    cwd: PathBuf,
}

impl Command {
    /// To be run in a container.
    pub fn exec(&self) -> Exec {
        let mut exec = Exec::new(self.argv.iter().cloned());
        exec.env.clone_from(&self.env);
        exec.cwd.clone_from(&self.cwd);
        exec
    }
}

impl Command {
    /// With a text at the end of its last argument.
    #[must_use]
    pub fn ending_with(mut self, text: &str) -> Self {
        if let Some(last) = self.argv.last_mut() {
            last.push_str(text);
        }
        self
    }
}

impl From<Exec> for Command {
    fn from(exec: Exec) -> Self {
        Self { argv: exec.argv, env: exec.env, cwd: exec.cwd }
    }
}

impl DatabaseAccess {
    /// Of a service; `None` when it is no database.
    pub fn of(server: &Server<'_>) -> Option<Self> {
        let command = |task| server.command(task, None).map(Command::from);
        Some(Self {
            service: server.name().to_owned(),
            shell: command(Task::Shell)?,
            dump: command(Task::Dump)?,
            statement: command(Task::Statement),
            restore: server.replacement(Form::Own, None)?.into(),
            script: server.replacement(Form::Script, None)?.into(),
        })
    }
}

impl ProgramAccess {
    /// Of a program in this container.
    pub fn of(name: &str, container: &Container) -> Self {
        let env = container.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { name: name.to_owned(), env, cwd: container.cwd.clone() }
    }

    /// Something to run beside the program, in its container.
    pub fn exec(&self, argv: impl IntoIterator<Item = impl Into<String>>) -> Exec {
        let mut exec = Exec::new(argv);
        for (name, value) in &self.env {
            exec.env(name, value);
        }
        exec.cwd.clone_from(&self.cwd);
        exec
    }
}
