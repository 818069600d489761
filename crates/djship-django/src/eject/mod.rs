//! `djship eject`: plain files for Docker and Compose, with which a project is developed and shipped without djship.
//!
//! | module | holds |
//! |---|---|
//! | [`description`] | everything that the files say, decided |
//! | `installing` | how the requirements are installed |
//! | `variables` | the variables of development, of the build and of what ships |
//! | `services` | the servers beside Django, and the variables that lead to them |
//! | `left_out` | what must not ship, in Docker's and in tar's way of writing |
//! | `render` | the templates, filled in |

pub mod description;
mod installing;
mod left_out;
mod render;
mod services;
#[cfg(test)]
mod tests;
mod variables;

use std::path::Path;

use crate::application::commands::Inside;
use crate::application::{Snapshot, serving};
use crate::base::Roots;
use crate::build::BuildError;
use crate::builder;
use crate::context::libraries;
use crate::facts;
use crate::front_end;
use crate::ground::Ground;
use crate::plan::Plan;
use crate::plan::development::DevelopmentPlan;
use crate::project::Project;
use crate::project::config::{Config, ConfigError};
use crate::report::{Note, Progress, Reporter, Stage};
use crate::tools::Tools;

use description::Description;

/// One of the files, as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EjectedFile {
    /// Relative to the project.
    pub path: &'static str,
    /// Its content.
    pub text: String,
    /// Whether it is a program.
    pub executable: bool,
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
pub enum EjectError {
    /// A stage that eject shares with a build failed.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// djship's configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The project stands on an image of its own choice.
    #[error(
        "cannot eject a project with a base image: the files would be made for Debian's Python, and not for that of `{image}`"
    )]
    BaseImage {
        /// The image, as the project names it.
        image: String,
    },
    /// A value does not fit its template.
    #[error("internal error: cannot write `{path}`: {source}")]
    Template {
        /// The file.
        path: &'static str,
        /// What is wrong where.
        source: minijinja::Error,
    },
}

/// The files for the project in `folder`. Nothing is written there.
pub fn eject(tools: &Tools<'_>, folder: &Path) -> Result<Vec<EjectedFile>, EjectError> {
    let project = Project::open(folder).map_err(BuildError::from)?;
    let config = Config::read(&project)?;
    if let Some(image) = &config.base {
        return Err(EjectError::BaseImage { image: image.value.clone() });
    }
    let description = describe(tools, &project, &config)?;
    render::files(&description)
}

/// The stages of a build up to what Django says, and what follows from them.
fn describe(tools: &Tools<'_>, project: &Project, config: &Config) -> Result<Description, BuildError> {
    tools.reporter.stage(Stage::Plan);
    let snapshot = Snapshot::take(&project.folder, tools.store, &config.ship.include())?;
    let plan = Plan::configured(project, config.clone())?;
    let development = DevelopmentPlan::for_project(project, config)?;
    tools.reporter.note(Note::Planned(&plan));
    if let Some(front_end) = front_end::find::find(&plan, &snapshot.tree)? {
        tools.reporter.note(Note::FrontEndStays(&front_end.folder));
    }

    tools.reporter.stage(Stage::Base);
    let roots = Roots::on(tools, &plan.foundation)?;
    roots.check_asked(&plan)?;
    let base = roots.production()?;

    tools.reporter.stage(Stage::Builder);
    let installed = builder::install(tools, &plan, &snapshot, &roots, &base)?;
    let found = libraries::find(tools, &plan, &roots, &base, &installed)?;
    // Said already when they were found.
    let silent = Tools { reporter: &Silent, ..*tools };
    let packages = libraries::packages(&silent, &plan, &roots, &base, &installed)?;

    tools.reporter.stage(Stage::Facts);
    let layers =
        [Some(installed.laid.fs()), found.as_ref().map(djship_oci::Layer::bytes_dir), Some(base.bytes_dir())];
    let lowers: Vec<_> = layers.into_iter().flatten().collect();
    let ground = Ground {
        plan: &plan,
        snapshot: &snapshot,
        lowers: &lowers,
        layers: &plan.layers(&installed.key),
        interpreter: &roots.interpreter(),
    };
    let mut facts = facts::ask(tools, &ground)?;
    facts.postgres_driver = installed.has_any(&["psycopg", "psycopg2", "psycopg2-binary"]);
    let has_static = facts.static_files.app && facts.static_files.file_system != Some(false);
    let has_static = has_static && config.ship.static_files.is_none();
    let below = [Some(&installed.laid.tree), found.as_ref().map(|found| &found.tree), Some(&base.tree)];
    let inside = Inside::new(below.into_iter().flatten(), &snapshot.tree);
    let serving = serving::choose(&plan, &facts, &installed.distributions, has_static, &inside)
        .map_err(BuildError::from)?;
    Ok(Description::of(&plan, &development, &facts, &installed.distributions, &serving, packages))
}

/// Tells nobody.
struct Silent;

impl Reporter for Silent {
    fn stage(&self, _: Stage) {}

    fn note(&self, _: Note<'_>) {}

    fn progress(&self, _: Progress) {}

    fn output(&self, _: &str) {}
}
