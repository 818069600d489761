//! Installing the dependencies, in a container on the Debian root of the release.
//!
//! Wheels first, on a root without a compiler; when something has no wheel, once more on one with the toolchain. uv
//! does the installing; it comes from the Python index that the host is set up for, by pinned hash.

pub mod caches;
mod environment;
mod error;
pub(crate) mod index_settings;
pub(crate) mod network;
pub(crate) mod pkg_resources;
mod record;
mod share;
mod sources;
pub mod supplied;
pub(crate) mod uv;

use std::path::{Path, PathBuf};
use std::time::Instant;

use djship_oci::Layer;
use djship_store::{Bucket, Digest, FileTree};

pub use environment::Distribution;
pub use error::{BuilderError, InstallFailure};
pub(crate) use network::make_owned;
use network::online;

use crate::application::Snapshot;
use crate::base::Roots;
use crate::bytecode;
use crate::child::{self, Finished};
use crate::laid::{KeepError, Key, Laid};
use crate::plan::Plan;
use crate::plan::dependencies::Dependencies;
use crate::project::requirements::normalise;
use crate::python;
use crate::report::{Because, Note};
use crate::shared;
use crate::tools::Tools;
use caches::cache_of;
use index_settings::IndexSettings;
use record::{note_last, read_record, write_record};
use sources::Sources;
use uv::{COMPILER, install_arguments};

/// In a container that installs: the two lists of a translated lock.
pub(crate) const HASHED: &str = "/locked.txt";
/// The other one.
pub(crate) const UNHASHED: &str = "/unhashed.txt";
/// The Debian package without which no repository can be read.
pub(crate) const GIT: &str = "git";

/// An installed environment.
#[derive(Debug)]
pub struct Installed {
    /// `/venv`, laid out.
    pub laid: Laid,
    /// What is in it, by name.
    pub distributions: Vec<Distribution>,
    /// What it was made from.
    pub key: Digest,
}

impl Installed {
    /// Whether one of these distributions is installed; names normalised.
    pub fn has_any(&self, names: &[&str]) -> bool {
        self.distributions.iter().any(|found| names.contains(&normalise(&found.name).as_str()))
    }
}

/// Installs what the plan names, or finds it installed.
pub fn install(
    tools: &Tools<'_>,
    plan: &Plan,
    snapshot: &Snapshot,
    roots: &Roots<'_>,
    base: &Layer,
) -> Result<Installed, BuilderError> {
    let settings = IndexSettings::of(tools.host);
    let project = Key::new("project").part(plan.project.folder.as_os_str().as_encoded_bytes()).digest();
    let sources = Sources::of(plan, snapshot)?;
    let key = key(plan, &sources, roots, &settings, &project);
    if tools.host.debian.refresh {
        // What is not pinned is resolved again.
        tools.store.remove(Bucket::Outputs, &key)?;
    }
    let last = tools.store.root().join("last").join(format!("dependencies-{}", &project.hex()[..16]));
    if let Some(laid) = Laid::find(tools.store, Bucket::Outputs, &key)? {
        let distributions = read_record(&laid.folder)?;
        let note = Note::Installed { distributions: distributions.len(), because: None };
        tools.reporter.note(note);
        return Ok(Installed { laid, distributions, key });
    }
    let share = share::share(tools, plan, &sources, roots, &settings);
    if !tools.host.debian.refresh
        && let Some(share) = &share
        && let Some((laid, distributions)) = shared::tree(tools, share, Bucket::Outputs, &key, write_record)
    {
        note_last(&last, &key)?;
        return Ok(Installed { laid, distributions, key });
    }
    let because = if last.exists() { Because::InputsChanged } else { Because::First };
    let since = Instant::now();
    // What others are to take is installed from nothing: a program that once ran for this project may have left something
    // in its cache.
    let is_shared = share.as_ref().is_some_and(|share| shared::is_shared(tools, share));
    let work = Workplace::open(tools, plan, roots, settings, (!is_shared).then_some(&project))?;
    sources.write(&work.folder.path().join("source/app"), tools)?;
    work.install()?;
    let (mut tree, distributions) = work.result()?;
    // Here and not later: every step from now on starts Python on it.
    bytecode::add(tools, &roots.interpreter(), &[base.bytes_dir()], &mut tree)?;
    let laid = Laid::keep(tools.store, Bucket::Outputs, &key, &tree, |folder| {
        Ok(write_record(folder, &distributions)?)
    })?;
    note_last(&last, &key)?;
    tools.reporter.note(Note::Installed { distributions: distributions.len(), because: Some(because) });
    if let Some(share) = &share {
        shared::put(tools, share, since.elapsed(), &distributions, Some(&laid.tree));
    }
    Ok(Installed { laid, distributions, key })
}

/// Stands for everything that decides what an environment holds.
fn key(
    plan: &Plan,
    sources: &Sources<'_>,
    roots: &Roots<'_>,
    settings: &IndexSettings,
    project: &Digest,
) -> Digest {
    let mut key =
        Key::new("environment, form 3").part(roots.key().as_bytes()).part(python::UV).part(python::COMPILE);
    key = key.part(python::PKG_RESOURCES);
    if let Dependencies::Lock(locked) = &plan.dependencies.value {
        key = key.part(&locked.list.hashed).part(&locked.list.unhashed);
    }
    // Never another project's: what its `setup.py` files once did to its cache stays there.
    key = sources.add_to(key.part(project.as_bytes()));
    for (name, value) in &settings.environment {
        key = key.part(name).part(value);
    }
    // What is there to compile with decides what comes of it.
    plan.packages.build_names().iter().fold(key, Key::part).digest()
}

/// Where an environment is being made.
struct Workplace<'a> {
    tools: &'a Tools<'a>,
    plan: &'a Plan,
    roots: &'a Roots<'a>,
    settings: IndexSettings,
    folder: djship_store::TempDir,
    /// What uv downloaded and built for this project before; `None` when nothing of it may be used.
    cache: Option<(PathBuf, djship_store::Lock)>,
    uv: PathBuf,
}

impl<'a> Workplace<'a> {
    fn open(
        tools: &'a Tools<'a>,
        plan: &'a Plan,
        roots: &'a Roots<'a>,
        settings: IndexSettings,
        project: Option<&Digest>,
    ) -> Result<Self, BuilderError> {
        let uv = uv::fetch(tools, roots, &settings)?;
        let settings = match &plan.dependencies.value {
            Dependencies::Lock(locked) => settings.with(&locked.list.indexes, &tools.host.exported)?,
            _ => settings,
        };
        let folder = tools.store.temp_dir("builder")?;
        for name in ["venv", "out", "source", "cache"] {
            make_owned(&folder.path().join(name), tools)?;
        }
        let cache = project.map(|project| cache_of(tools, project)).transpose()?;
        Ok(Self { tools, plan, roots, settings, folder, cache, uv })
    }

    fn install(&self) -> Result<(), BuilderError> {
        let light = self.roots.installer()?.fs();
        let python = self.roots.interpreter().program;
        self.must(&light, &["venv", "/venv", "--python", &python, "--no-config"], &[])?;
        let list = self.requirements(&light)?;
        if !list.is_empty() {
            self.install_list(&light, &list)?;
        }
        match &self.plan.dependencies.value {
            Dependencies::Lock(locked) if !locked.list.unhashed.is_empty() => {
                self.install_unhashed(UNHASHED, &locked.list.without_hashes, locked.list.git)
            }
            Dependencies::UvLock { folder, apart, .. } if !apart.names.is_empty() => {
                self.export(&light, folder, "/out/apart.txt", "--only-emit-package", &apart.names)?;
                self.install_unhashed("/out/apart.txt", &apart.shown, apart.git)
            }
            _ => Ok(()),
        }
    }

    /// Without a compiler first, and once more with what compiles when something has no wheel. A project's own package has
    /// none, and most need no compiler.
    fn install_list(&self, light: &Path, list: &[String]) -> Result<(), BuilderError> {
        let dependencies = &self.plan.dependencies.value;
        let builds = dependencies.local() && matches!(dependencies, Dependencies::Requirements { .. });
        let first = install_arguments(list, if builds { &[] } else { &["--no-build"] });
        let environment = self.compiler(true);
        let mut finished = self.uv(light, &first, &environment)?;
        if uv::wants_git(&finished.lines) {
            let git = self.roots.development(&[], false, &[GIT.to_owned()])?;
            finished = self.uv(&git.fs(), &first, &environment)?;
        }
        if finished.success() {
            return Ok(());
        }
        let distributions = match (uv::without_wheel(&finished.lines), uv::failure(&finished.lines)) {
            (Some(names), _) => names,
            (None, Some(InstallFailure::Compile { distribution, .. })) if builds => vec![distribution],
            _ => return Err(self.failure(&finished)),
        };
        let known = self.known(&distributions);
        let toolchain = self.roots.toolchain(self.plan, &known);
        self.tools.reporter.note(Note::MustCompile { distributions });
        let arguments = install_arguments(list, &[]);
        let mut compiled = self.uv(&toolchain?.fs(), &arguments, &environment)?;
        if uv::wants_git(&compiled.lines) {
            let git = self.roots.development(&known, true, &[GIT.to_owned()])?;
            compiled = self.uv(&git.fs(), &arguments, &environment)?;
        }
        if compiled.success() { Ok(()) } else { Err(self.failure(&compiled)) }
    }

    /// What has no hashes: built from source, first without a compiler, as most of it is plain Python.
    fn install_unhashed(&self, list: &str, shown: &[String], git: bool) -> Result<(), BuilderError> {
        self.tools.reporter.note(Note::WithoutHashes { packages: shown });
        let git = if git { vec![GIT.to_owned()] } else { Vec::new() };
        let arguments = install_arguments(&["--no-deps", "-r", list].map(str::to_owned), &[]);
        let environment = self.compiler(false);
        let first = self.uv(&self.roots.development(&[], false, &git)?.fs(), &arguments, &environment)?;
        match uv::failure(&first.lines) {
            _ if first.success() => Ok(()),
            Some(InstallFailure::Compile { distribution, .. }) => {
                let distributions = vec![distribution];
                let toolchain = self.roots.development(&self.known(&distributions), true, &git)?.fs();
                self.tools.reporter.note(Note::MustCompile { distributions });
                self.must(&toolchain, &arguments, &environment)
            }
            _ => Err(self.failure(&first)),
        }
    }

    /// Variables of a step that may compile, and installs by hashes or without.
    fn compiler(&self, hashed: bool) -> Vec<(&'static str, &'static str)> {
        let is_list = matches!(self.plan.dependencies.value, Dependencies::Lock(_));
        let strategy = is_list.then(|| self.settings.strategy(hashed)).flatten();
        COMPILER.iter().copied().chain(strategy).collect()
    }

    /// Normalised names of what may be compiled.
    fn known(&self, more: &[String]) -> Vec<String> {
        let more = more.iter().map(|name| normalise(name.split("==").next().unwrap_or_default()));
        self.plan.dependencies.value.names().into_iter().chain(more).collect()
    }

    /// The arguments that name what is installed. A lock is exported to a hashed list first.
    fn requirements(&self, root: &Path) -> Result<Vec<String>, BuilderError> {
        match &self.plan.dependencies.value {
            Dependencies::Requirements { file, all } | Dependencies::PyProject { file, all } => {
                let files = std::iter::once(file).chain(&all.also);
                Ok(files.flat_map(|file| ["-r".to_owned(), format!("/app/{file}")]).collect())
            }
            Dependencies::Lock(locked) if locked.list.hashed.is_empty() => Ok(Vec::new()),
            Dependencies::Lock(_) => {
                Ok(["--require-hashes", "--no-deps", "-r", HASHED].map(str::to_owned).to_vec())
            }
            Dependencies::UvLock { folder, apart, .. } => {
                self.export(root, folder, "/out/requirements.txt", "--no-emit-package", &apart.names)?;
                Ok(["--require-hashes", "--no-deps", "-r", "/out/requirements.txt"]
                    .map(str::to_owned)
                    .to_vec())
            }
        }
    }

    /// Writes what a `uv.lock` in `folder` installs as a requirements file: with or without these packages.
    fn export(
        &self,
        root: &Path,
        folder: &str,
        to: &str,
        option: &str,
        names: &[String],
    ) -> Result<(), BuilderError> {
        let project = format!("/app/{folder}");
        let mut export = vec![
            "export",
            "--project",
            &project,
            "--frozen",
            "--no-dev",
            "--no-emit-project",
            "--no-editable",
            "--no-header",
            "--format",
            "requirements-txt",
            "--output-file",
            to,
        ];
        export.extend(names.iter().flat_map(|name| [option, name.as_str()]));
        self.must(root, &export, &[])
    }

    fn must(
        &self,
        root: &Path,
        arguments: &[impl AsRef<str>],
        environment: &[(&str, &str)],
    ) -> Result<(), BuilderError> {
        let finished = self.uv(root, arguments, environment)?;
        if finished.success() { Ok(()) } else { Err(self.failure(&finished)) }
    }

    fn uv(
        &self,
        root: &Path,
        arguments: &[impl AsRef<str>],
        environment: &[(&str, &str)],
    ) -> Result<Finished, BuilderError> {
        let program = ["/opt/uv/bin/uv"].into_iter().chain(arguments.iter().map(AsRef::as_ref));
        let mut container = child::step([root.to_owned()], program);
        // pip and uv take `./library` in a requirements file from where they are started.
        container.cwd = match &self.plan.dependencies.value {
            // What uv exports is relative to the lock.
            Dependencies::UvLock { folder, .. } => Path::new("/app").join(folder),
            _ => "/app".into(),
        };
        container.bind_read_only(&self.uv, "/opt/uv");
        container.bind(self.folder.path().join("venv"), "/venv");
        container.bind(self.folder.path().join("out"), "/out");
        match &self.cache {
            Some((cache, _)) => container.cache(cache, "/cache"),
            None => container.bind(self.folder.path().join("cache"), "/cache"),
        };
        let source = self.folder.path().join("source/app");
        if self.plan.dependencies.value.local() {
            // A build of the project itself writes beside its files.
            container.bind(source, "/app");
        } else {
            container.bind_read_only(source, "/app");
        }
        if let Dependencies::Lock(locked) = &self.plan.dependencies.value {
            container.file(HASHED, locked.list.hashed.as_str());
            container.file(UNHASHED, locked.list.unhashed.as_str());
        }
        container.file(pkg_resources::LIST, python::PKG_RESOURCES);
        online(&mut container, self.tools, &self.settings);
        for (name, value) in uv::ENVIRONMENT.iter().chain(environment) {
            container.env(*name, *value);
        }
        Ok(child::run(self.tools, &container)?)
    }

    /// What is installed, as it ships.
    fn result(&self) -> Result<(FileTree, Vec<Distribution>), BuilderError> {
        let mut scanned = self.scan()?;
        if let Some(wanted_by) = pkg_resources::wanted_by(&scanned)? {
            self.must(&self.roots.installer()?.fs(), &pkg_resources::arguments("/venv/bin/python"), &[])?;
            let version = pkg_resources::version();
            self.tools.reporter.note(Note::PkgResources { version, wanted_by });
            scanned = self.scan()?;
        }
        environment::normalise(scanned, self.tools.store)
    }

    fn scan(&self) -> Result<FileTree, KeepError> {
        let venv = self.folder.path().join("venv");
        Ok(FileTree::scan_where(&venv, |path, _| path.file_name() != "__pycache__")?)
    }

    fn failure(&self, finished: &Finished) -> BuilderError {
        let file = self.plan.dependencies.value.files().into_iter().next().unwrap_or_default();
        let reason = uv::failure(&finished.lines);
        BuilderError::Install { file, reason, output: finished.tail(60).to_vec() }
    }
}
