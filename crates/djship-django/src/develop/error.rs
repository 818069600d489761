//! Why there is no development environment.

use crate::base::BaseError;
use crate::builder::{BuilderError, InstallFailure};
use crate::facts::FactsError;
use crate::plan::PlanError;
use crate::project::ProjectError;
use crate::project::config::ConfigError;
use crate::running::RunError;
use crate::services::ServiceError;
use crate::supervisor::{EnvironmentError, Role, StartFailed, WhyNot};

use super::dot_env::DotEnvError;
use super::migrations::MigrateError;
use super::processes::ProcessesError;

macro_rules! up_errors {
    ($($(#[$doc:meta])* $name:ident($error:ty),)*) => {
        /// Why there is no development environment.
        #[derive(Debug, thiserror::Error)]
        pub enum UpError {
            $($(#[$doc])* #[error(transparent)] $name(#[from] $error),)*
        }
    };
}

up_errors! {
    /// There is no project.
    Project(ProjectError),
    /// What the project says to djship is wrong.
    Config(ConfigError),
    /// No plan can be made.
    Plan(PlanError),
    /// No Debian root can be made.
    Base(BaseError),
    /// The dependencies cannot be installed.
    Builder(BuilderError),
    /// `.env` is wrong.
    DotEnv(DotEnvError),
    /// The settings do not import.
    Facts(FactsError),
    /// A process of the project is described wrongly.
    Processes(ProcessesError),
    /// A service cannot be prepared.
    Service(ServiceError),
    /// A program does not start.
    Start(StartFailed),
    /// The database cannot be migrated.
    Migrate(MigrateError),
    /// The port cannot be used.
    Port(RunError),
    /// The environment's own files cannot be used.
    Environment(EnvironmentError),
    /// The store failed.
    Store(djship_store::StoreError),
    /// A file operation failed.
    Io(std::io::Error),
}

impl UpError {
    /// Whether a change in the project can mend it, so that waiting for one makes sense.
    pub fn is_mendable(&self) -> bool {
        match self {
            // Most likely it is the wrong folder.
            Self::Project(error) => matches!(
                error,
                ProjectError::Read(_)
                    | ProjectError::TooLarge { .. }
                    | ProjectError::Special { .. }
                    | ProjectError::LeadsOut { .. }
                    | ProjectError::Encoding { .. }
            ),
            Self::Config(_) | Self::Plan(_) | Self::DotEnv(_) | Self::Processes(_) => true,
            Self::Builder(BuilderError::Install { reason, .. }) => !matches!(
                reason,
                Some(InstallFailure::Network | InstallFailure::Offline | InstallFailure::NoSpace)
            ),
            Self::Facts(error) => matches!(error, FactsError::Settings { .. }),
            // A program of the project that does not come up; a service's reason is elsewhere.
            Self::Start(failed) => {
                failed.role != Role::Service && matches!(failed.why, WhyNot::Ended(_) | WhyNot::Silent(_))
            }
            Self::Migrate(error) => matches!(error, MigrateError::Failed { .. }),
            _ => false,
        }
    }
}
