//! What other commands need to know of a running environment: written into its state by `up`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use djship_engine::{Container, Exec};

use crate::services::{Server, Task};
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
    /// Puts in what `dump` wrote, read from standard input, in the place of what is there.
    pub restore: Command,
    /// Runs a file of SQL statements, read from standard input, as one.
    pub script: Command,
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
            restore: command(Task::Restore)?,
            script: command(Task::Script)?,
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
