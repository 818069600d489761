//! What an image says about how to run it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// System and processor, in Go's words, as OCI has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v8` for 64-bit ARM in some images; mostly absent.
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this processor.
    pub fn linux(architecture: impl Into<String>) -> Self {
        Self { os: "linux".to_owned(), architecture: architecture.into(), variant: None }
    }
}

/// How the containers of an image run. Everything is sorted or ordered, so that equal settings have equal bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// User and group: `1000:1000`, or names of the image's own. Root if empty.
    pub user: String,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The program with its first arguments; `command` is appended.
    pub entrypoint: Vec<String>,
    /// Default arguments, replaced by those that are given when a container is run.
    pub command: Vec<String>,
    /// The working folder; `/` if empty.
    pub working_dir: String,
    /// Folders that hold data.
    pub volumes: BTreeSet<String>,
    /// Ports in the form `8000/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// The signal that asks the program to end, `SIGTERM` if absent.
    pub stop_signal: Option<String>,
    /// Free text by name.
    pub labels: BTreeMap<String, String>,
    /// How to ask whether the program is well. Docker's extension: not in OCI's own list, kept by everybody.
    pub healthcheck: Option<Healthcheck>,
}

/// How to ask whether a program is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Docker's form: `CMD` and a program with its arguments, or `CMD-SHELL` and a line for the shell.
    pub test: Vec<String>,
    /// Between two questions.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long after the start a bad answer does not count.
    pub start_period: Duration,
    /// How many bad answers in a row count.
    pub retries: u32,
}
