//! The whole story of a build, in one function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use djship_oci::{Image, ImageName, Layer, LayerEntry, Platform};
use djship_store::{Digest, FileTree};

use crate::application::commands::{CommandsError, Inside};
use crate::application::layer::open_folders;
use crate::application::{Snapshot, SnapshotError, serving, statics};
use crate::base::{BaseError, Roots};
use crate::builder::{self, BuilderError};
use crate::bytecode::BytecodeError;
use crate::context::clean::Rule;
use crate::context::libraries::{self, LibrariesError};
use crate::context::{self, ContextError};
use crate::facts::{self, Facts, FactsError};
use crate::front_end::{self, FrontEndError};
use crate::ground::Ground;
use crate::image::check::{self, CheckError};
use crate::image::image_config;
use crate::last_build::LastBuild;
use crate::plan::python::Release;
use crate::plan::{Plan, PlanError};
use crate::project::config::Config;
use crate::project::{Project, ProjectError};
use crate::report::{Note, Stage};
use crate::tools::Tools;
use crate::unchanged;

/// Code is small: a folder of more bytes is most likely data, or a front end's packages.
const LARGE: u64 = 100_000_000;

/// What a build is asked for.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The image's name; the plan's when absent.
    pub name: Option<ImageName>,
    /// Whether the finished image is started and checked.
    pub check: bool,
}

/// A finished build.
#[derive(Debug)]
pub struct Built {
    /// What was decided.
    pub plan: Plan,
    /// The Debian release that it stands on.
    pub release: Release,
    /// What Django said.
    pub facts: Facts,
    /// The image, kept in the store.
    pub image: Image,
    /// Its name.
    pub name: ImageName,
    /// What there is to say about it.
    pub summary: Summary,
}

/// An image in a few words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Digest,
    /// Number of files.
    pub files: usize,
    /// Bytes in regular files.
    pub size: u64,
    /// Number of Debian packages.
    pub packages: usize,
    /// Number of Python distributions.
    pub distributions: usize,
    /// Headers that belong to installed distributions.
    pub headers: usize,
    /// Folders that can be written to.
    pub writable: Vec<String>,
    /// What was supplied, with versions.
    pub supplied: Vec<(String, String)>,
    /// The commands that it starts, `web` first.
    #[serde(default)]
    pub commands: Vec<String>,
    /// Whether it was started and checked.
    pub checked: bool,
    /// The image that it stands on, when it is one.
    #[serde(default)]
    pub base: Option<BaseSummary>,
}

/// A base image in a few words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BaseSummary {
    /// As the project names it.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// How many files it brings that djship would not ship, by the rule that they break.
    pub brought: BTreeMap<Rule, usize>,
}

macro_rules! build_errors {
    ($($(#[$doc:meta])* $name:ident($error:ty),)*) => {
        /// Why there is no image.
        #[derive(Debug, thiserror::Error)]
        pub enum BuildError {
            $($(#[$doc])* #[error(transparent)] $name(#[from] $error),)*
        }
    };
}

build_errors! {
    /// There is no project.
    Project(ProjectError),
    /// No plan can be made.
    Plan(PlanError),
    /// No Debian root can be made.
    Base(BaseError),
    /// The dependencies cannot be installed.
    Builder(BuilderError),
    /// A run-time library cannot be found.
    Libraries(LibrariesError),
    /// The project cannot be copied.
    Snapshot(SnapshotError),
    /// The front end cannot be built.
    FrontEnd(FrontEndError),
    /// The settings do not import.
    Facts(FactsError),
    /// The image has no commands.
    Commands(CommandsError),
    /// What ships cannot be put together.
    Context(ContextError),
    /// Static files cannot be collected.
    Static(statics::StaticError),
    /// Files cannot be compiled.
    Bytecode(BytecodeError),
    /// The image does not count.
    Check(CheckError),
    /// A layer cannot be made.
    Layer(djship_oci::layer::LayerError),
    /// The image cannot be kept.
    Keep(djship_oci::records::RecordError),
    /// The project's name makes no image name.
    Name(djship_oci::name::NameError),
    /// The store failed.
    Store(djship_store::StoreError),
}

/// Builds the production image of the project in `folder`, and keeps it in the store.
pub fn build(tools: &Tools<'_>, folder: &Path, options: &BuildOptions) -> Result<Built, BuildError> {
    tools.reporter.stage(Stage::Plan);
    let project = Project::open(folder)?;
    // First of all: what changes from here on is the next build's.
    let config = Config::read(&project).map_err(PlanError::from)?;
    let snapshot = Snapshot::take(&project.folder, tools.store, &config.ship.include())?;
    let mut plan = Plan::configured(&project, config)?;
    let name = options.name.clone().map_or_else(|| plan.name.value.parse(), Ok)?;
    tools.reporter.note(Note::Planned(&plan));

    tools.reporter.stage(Stage::Base);
    let roots = Roots::on(tools, &plan.foundation)?;
    plan.settle(&roots.python_version())?;
    roots.check_asked(&plan)?;
    let base = roots.production()?;

    tools.reporter.stage(Stage::Builder);
    let installed = builder::install(tools, &plan, &snapshot, &roots, &base)?;
    let found = libraries::find(tools, &plan, &roots, &base, &installed)?;
    let snapshot = front_end::build(tools, &plan, snapshot, &roots)?;

    tools.reporter.stage(Stage::Facts);
    let runtime =
        lowers([Some(installed.laid.fs()), found.as_ref().map(Layer::bytes_dir), Some(base.bytes_dir())]);
    let ground = Ground {
        plan: &plan,
        snapshot: &snapshot,
        lowers: &runtime,
        layers: &plan.layers(&installed.key),
        interpreter: &roots.interpreter(),
    };
    let mut facts = facts::ask(tools, &ground)?;
    facts.postgres_driver = installed.has_any(&["psycopg", "psycopg2", "psycopg2-binary"]);

    tools.reporter.stage(Stage::Context);
    tools.reporter.note(Note::LeftOut(&snapshot.left_out));
    for (folder, size) in snapshot.large_folders(LARGE) {
        tools.reporter.note(Note::Large { folder, size });
    }
    let collected = statics::collect(tools, &ground, &facts)?;
    for path in open_folders(&plan, &facts) {
        let writes = facts.writable.iter().find(|folder| folder.path.trim_end_matches('/') == path);
        let why = writes.map_or_else(String::new, |folder| folder.why.clone());
        tools.reporter.note(Note::OpenFolder { path, why });
    }
    let below = [Some(&installed.laid.tree), found.as_ref().map(|found| &found.tree), Some(&base.tree)];
    let inside = Inside::new(below.into_iter().flatten(), &snapshot.tree);
    let serving = serving::choose(&plan, &facts, &installed.distributions, collected.is_some(), &inside)?;
    tools.reporter.note(Note::Commands(&serving));
    let dependencies = context::dependencies(tools, &roots, &installed, &serving, &runtime)?;
    let application = context::application(tools, &ground, &facts, &serving, collected)?;

    tools.reporter.stage(Stage::Image);
    let config = image_config(&plan, &facts, roots.image());
    let made_of = if roots.image().is_some() { "base image" } else { "Debian base" };
    let layers = [Some((base, made_of)), found.map(|found| (found, "run-time libraries"))]
        .into_iter()
        .flatten()
        .chain([(dependencies, "dependencies"), (application, "application")])
        .map(|(layer, what)| LayerEntry { layer, made_by: format!("djship: {what}") })
        .collect();
    let image = Image::from_layers(layers, config, Platform::linux(crate::base::ARCHITECTURE));
    let whole = whole(&image);
    let proof = check::look(tools, &whole, roots.image().map(|image| &image.laid.tree))?;
    if options.check {
        check::start(tools, &ground, &facts, &image, &installed.distributions)?;
    }
    djship_oci::ImageStore::new(tools.store).save(&image, std::slice::from_ref(&name))?;
    let summary = Summary {
        name: name.to_string(),
        id: image.id,
        files: proof.files,
        size: whole.size(),
        packages: context::debian_packages(&whole),
        distributions: installed.distributions.len(),
        headers: proof.distribution_headers,
        writable: image.config.volumes.iter().cloned().chain(open_folders(&plan, &facts)).collect(),
        supplied: serving
            .supplied
            .iter()
            .map(|(name, version)| ((*name).to_owned(), version.clone()))
            .collect(),
        commands: serving.commands.iter().map(|command| command.name.clone()).collect(),
        checked: options.check,
        base: roots.image().map(|image| BaseSummary {
            name: image.name.clone(),
            digest: image.digest,
            brought: proof.brought,
        }),
    };
    LastBuild::remember(tools.store, &plan.project.folder, &facts, &serving, &summary)?;
    unchanged::remember(tools, folder, options, &plan, &snapshot, &summary)?;
    Ok(Built { plan, release: roots.release(), facts, image, name, summary })
}

/// The folders of an image as an overlay takes them, topmost first.
pub fn mounted(image: &Image) -> Vec<PathBuf> {
    image.layers.iter().rev().map(Layer::bytes_dir).collect()
}

fn lowers(folders: impl IntoIterator<Item = Option<PathBuf>>) -> Vec<PathBuf> {
    folders.into_iter().flatten().collect()
}

/// What a container of the image sees.
fn whole(image: &Image) -> FileTree {
    let mut whole = FileTree::new();
    for layer in &image.layers {
        whole.overlay(layer.tree.clone());
    }
    whole
}
