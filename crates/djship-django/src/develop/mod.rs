//! `djship up`: the whole development environment of a project.
//!
//! The stages up to the facts are those of a build: the development root doubles as the builder. Then services, migrations, the
//! development server and what runs beside it, kept running by the supervisor.

mod access;
mod cache;
mod databases;
mod describe;
mod developer;
pub mod dot_env;
mod error;
mod facts;
mod geographic;
mod ground;
mod install;
mod mentions;
mod migrations;
mod needed;
pub mod processes;
mod project_programs;
mod secret;
mod session;
mod variables;
mod web;
mod wishes;

pub use crate::builder::index_settings::installer_environment;
pub use access::{Access, DatabaseAccess, ProgramAccess, ReplacementAccess, StepAccess};
pub use cache::Cache;
pub use describe::{Description, Wish, describe};
pub use developer::Developer;
pub use error::UpError;
pub use facts::{Connection, DevelopmentFacts, External, Supplied};
pub use ground::Ground;
pub use install::Installed;
pub use migrations::{MigrateError, Migrated};
pub use session::{Options, Session, Until};
pub use variables::Given;
