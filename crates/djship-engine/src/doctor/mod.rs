//! What this host can and cannot do for containers, as findings. Nothing is changed, nothing is printed.

mod identities;
mod kernel;
mod storage;
mod trial;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    docker::{Docker, DockerSettings},
    engine::Engine,
    error::StartError,
};

pub use identities::{SubordinateRanges, subordinate_ranges};
pub use kernel::apparmor_profile;

/// What the examination has to be told.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where djship keeps its store; must exist for the checks of its file system and for trial containers.
    pub store: PathBuf,
    /// The installed djship binary, as a security profile would name it.
    pub binary: PathBuf,
    /// Folders in which the host's tools are looked for.
    pub tool_path: Vec<PathBuf>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Good,
    /// Something optional is missing.
    Notice,
    /// Something will be slower, weaker or will not work in some projects.
    Warning,
    /// Containers cannot run.
    Blocking,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, a sentence without a full stop.
    pub what: String,
    /// What it means for djship, sentences; empty when all is well.
    pub why: String,
    /// What to do about it: commands or a sentence.
    pub mend: Option<String>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Version of the kernel.
    Kernel,
    /// Whether users may create user namespaces.
    UserNamespaces,
    /// Whether system calls can be filtered.
    SystemCallFilter,
    /// Whether abstract sockets of the host can be kept away.
    AbstractSockets,
    /// Whether a container really starts.
    Container,
    /// Whether a container with a writable root really starts.
    WritableRoot,
    /// Subordinate ids and the tools for them.
    SubordinateIds,
    /// The store's file system.
    StoreFileSystem,
    /// Space in the store's file system.
    StoreSpace,
    /// Control groups.
    ControlGroups,
    /// A Docker daemon as the other engine.
    Docker,
}

impl Finding {
    fn good(check: Check, what: impl Into<String>) -> Self {
        Self { check, severity: Severity::Good, what: what.into(), why: String::new(), mend: None }
    }

    fn new(check: Check, severity: Severity, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { check, severity, what: what.into(), why: why.into(), mend: None }
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

/// Looks at everything. Starts trial containers, which need [`crate::dispatch`] in `main`; takes a few hundredths of a second.
pub fn examine(subject: &Subject) -> Vec<Finding> {
    let mut findings = vec![kernel::version(), kernel::user_namespaces(&subject.binary), kernel::filter()];
    findings.push(kernel::abstract_sockets());
    findings.extend(trial::containers(subject));
    findings.push(identities::subordinate_ids(&subject.tool_path));
    findings.extend(storage::examine(&subject.store));
    findings.push(kernel::control_groups());
    findings
}

/// Whether an engine can start a container here, in a few thousandths of a second; the reason when it cannot. `folder` must exist,
/// and is for work space. Needs [`crate::dispatch`] in `main`.
pub fn try_one(engine: &Engine, folder: &Path) -> Result<(), StartError> {
    trial::one(engine, folder)
}

/// What a Docker daemon can do as the engine; nothing of it is needed as long as the embedded one works.
pub fn examine_docker(settings: &DockerSettings) -> Finding {
    match Docker::connect(settings) {
        Ok(docker) => Finding::good(
            Check::Docker,
            format!("a Docker daemon at {} can run containers instead (--engine docker)", docker.address()),
        ),
        Err(error) => Finding::new(
            Check::Docker,
            Severity::Notice,
            error.to_string(),
            "Docker cannot be the engine. It is needed only where djship's own does not work.",
        ),
    }
}

/// Whether programs on the host's network can be kept from its abstract sockets (Landlock, Linux 6.12).
pub fn can_confine_abstract_sockets() -> bool {
    crate::inside::can_confine_abstract_sockets()
}

/// A small file of the kernel's, without the line end; `None` when there is none.
fn read_setting(path: &str) -> Option<String> {
    fs_err::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
