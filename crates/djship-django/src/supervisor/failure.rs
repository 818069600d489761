//! Programs that do not come up.

use std::time::Duration;

use djship_engine::ExitStatus;

use super::kept::Kept;
use super::program::{ProgramError, Role};

/// A program that did not come up.
#[derive(Debug, thiserror::Error)]
#[error("cannot start `{program}`{}", why.in_short())]
pub struct StartFailed {
    /// Its name.
    pub program: String,
    /// What it is.
    pub role: Role,
    /// The last lines that it printed.
    pub output: Vec<String>,
    /// Why.
    #[source]
    pub why: WhyNot,
}

/// Why a program did not come up.
#[derive(Debug, thiserror::Error)]
pub enum WhyNot {
    /// It ended.
    #[error("it has ended: {0}")]
    Ended(ExitStatus),
    /// It does not serve.
    #[error("it does not serve after {} s", .0.as_secs())]
    Silent(Duration),
    /// It could not be started or looked at.
    #[error(transparent)]
    Error(ProgramError),
    /// Everything is to be ended.
    #[error("it was interrupted")]
    Interrupted,
}

impl WhyNot {
    fn in_short(&self) -> String {
        match self {
            Self::Ended(status) => format!(": it has ended ({status})"),
            Self::Silent(_) => ": it does not serve".to_owned(),
            Self::Error(_) => String::new(),
            Self::Interrupted => ": interrupted".to_owned(),
        }
    }
}

impl StartFailed {
    /// Of a program, with what it printed last.
    pub(super) fn of(kept: &Kept<'_>, why: WhyNot) -> Self {
        Self { program: kept.name().to_owned(), role: kept.program.role(), output: kept.tail.lines(), why }
    }
}
