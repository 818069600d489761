//! Replacing a database by what a file holds, so that it is the old or the new one whatever happens; with MariaDB, where
//! nothing takes the place of a database at once, after the file was tried.

use std::collections::BTreeMap;

use djship_engine::Exec;

use super::server::Client;

/// What a file of a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The server's own format: what [`super::Task::Dump`] writes.
    Own,
    /// Statements.
    Script,
}

/// Programs that replace a database, one after the other; each must end well.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// In this order.
    pub steps: Vec<Step>,
    /// Cleans up when a step fails.
    pub give_up: Step,
}

/// A program of a replacement, to be run in the server's container.
#[derive(Debug, Clone)]
pub struct Step {
    /// The program.
    pub exec: Exec,
    /// What it reads.
    pub input: Input,
    /// When it fails, the database is as it was.
    pub harmless: bool,
}

/// What a program reads from standard input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// The file.
    File,
    /// This.
    Text(String),
}

/// The same before the container's variables are in it.
pub(super) struct Plan {
    pub(super) steps: Vec<PlannedStep>,
    pub(super) give_up: PlannedStep,
}

pub(super) struct PlannedStep {
    pub(super) client: Client,
    pub(super) input: Input,
    harmless: bool,
}

impl PlannedStep {
    /// Statements for a client.
    pub(super) fn statements(client: Client, text: String) -> Self {
        Self { client, input: Input::Text(text), harmless: true }
    }

    /// The file for a client.
    pub(super) fn file(client: Client) -> Self {
        Self { client, input: Input::File, harmless: true }
    }

    /// The old database is gone when this begins.
    pub(super) fn after_the_old_one(self) -> Self {
        Self { harmless: false, ..self }
    }

    fn with(self, env: &BTreeMap<String, String>) -> Step {
        Step { exec: self.client.exec(env), input: self.input, harmless: self.harmless }
    }
}

impl Plan {
    pub(super) fn with(self, env: &BTreeMap<String, String>) -> Replacement {
        let steps = self.steps.into_iter().map(|step| step.with(env)).collect();
        Replacement { steps, give_up: self.give_up.with(env) }
    }
}
