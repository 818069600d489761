//! Asking Django: the probe in a container, and what it says.

mod ask;
mod schema;

pub(crate) use ask::write_sources;
pub use ask::{FactsError, ask};
pub use schema::{Database, Facts, Named, SettingsFailure, StaticFiles, Switch, Variable, Warning, Writable};
