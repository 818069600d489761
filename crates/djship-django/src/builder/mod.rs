//! Installing the dependencies, in a container on the Debian root of the release.
//!
//! Wheels first, on a root without a compiler; when something has no wheel, once more on one with the toolchain. uv
//! does the installing; it comes from the Python index that the host is set up for, by pinned hash.

pub mod caches;
mod environment;
mod error;
pub(crate) mod index_settings;
pub(crate) mod network;
mod sources;
pub mod supplied;
pub(crate) mod uv;

use std::path::{Path, PathBuf};

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
use crate::tools::Tools;
use index_settings::IndexSettings;
use sources::Sources;

/// Beside the tree of an installed environment: what is in it.
const RECORD: &str = "installed.json";

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
    let key = key(&sources, roots, &settings, &project);
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
    let because = if last.exists() { Because::InputsChanged } else { Because::First };
    let work = Workplace::open(tools, plan, roots, settings, &project)?;
    sources.write(&work.folder.path().join("source/app"), tools)?;
    work.install()?;
    let (mut tree, distributions) = work.result()?;
    // Here and not later: every step from now on starts Python on it.
    bytecode::add(tools, plan.release.value, &roots.interpreter(), &[base.bytes_dir()], &mut tree)?;
    let laid = Laid::keep(tools.store, Bucket::Outputs, &key, &tree, |folder| {
        let text = serde_json::to_vec(&distributions).map_err(std::io::Error::other)?;
        Ok(fs_err::write(folder.join(RECORD), text)?)
    })?;
    if let Some(folder) = last.parent() {
        fs_err::create_dir_all(folder)?;
        fs_err::write(&last, key.hex())?;
    }
    tools.reporter.note(Note::Installed { distributions: distributions.len(), because: Some(because) });
    Ok(Installed { laid, distributions, key })
}

fn read_record(folder: &Path) -> Result<Vec<Distribution>, BuilderError> {
    let text = fs_err::read(folder.join(RECORD))?;
    Ok(serde_json::from_slice(&text).map_err(std::io::Error::other)?)
}

/// Stands for everything that decides what an environment holds.
fn key(sources: &Sources<'_>, roots: &Roots<'_>, settings: &IndexSettings, project: &Digest) -> Digest {
    let mut key =
        Key::new("environment, form 3").part(roots.key().as_bytes()).part(python::UV).part(python::COMPILE);
    // Never another project's: what its `setup.py` files once did to its cache stays there.
    key = sources.add_to(key.part(project.as_bytes()));
    for (name, value) in &settings.environment {
        key = key.part(name).part(value);
    }
    key.digest()
}

/// Where an environment is being made.
struct Workplace<'a> {
    tools: &'a Tools<'a>,
    plan: &'a Plan,
    roots: &'a Roots<'a>,
    settings: IndexSettings,
    folder: djship_store::TempDir,
    cache: PathBuf,
    uv: PathBuf,
    _cache_lock: djship_store::Lock,
}

impl<'a> Workplace<'a> {
    fn open(
        tools: &'a Tools<'a>,
        plan: &'a Plan,
        roots: &'a Roots<'a>,
        settings: IndexSettings,
        project: &Digest,
    ) -> Result<Self, BuilderError> {
        let installer = roots.installer()?;
        let uv = uv::fetch(tools, || Ok(installer.fs()), &settings)?;
        let folder = tools.store.temp_dir("builder")?;
        for name in ["venv", "out", "source"] {
            make_owned(&folder.path().join(name), tools)?;
        }
        // What a project compiles is its own: another project's `setup.py` never wrote here.
        let owner = tools.host.owner.map_or_else(|| rustix::process::getuid().as_raw(), |owner| owner.uid);
        let name = format!("{}-{owner}", &project.hex()[..16]);
        let lock = tools.store.lock(&caches::lock_name(&name))?;
        let cache = caches::folder(tools.store).join(name);
        make_owned(&cache, tools)?;
        tools.store.mark_folder(&cache);
        Ok(Self { tools, plan, roots, settings, folder, cache, uv, _cache_lock: lock })
    }

    fn install(&self) -> Result<(), BuilderError> {
        let light = self.roots.installer()?.fs();
        self.must(&light, &["venv", "/venv", "--python", "/usr/bin/python3", "--no-config"], &[])?;
        let list = self.requirements(&light)?;
        let wheels = self.uv(&light, &install_arguments(&list, &["--no-build"]), &[])?;
        if !wheels.success() {
            let Some(distributions) = uv::without_wheel(&wheels.lines) else {
                return Err(self.failure(&wheels));
            };
            let toolchain = self.roots.toolchain(self.plan, &distributions);
            self.tools.reporter.note(Note::MustCompile { distributions });
            let toolchain = toolchain?.fs();
            self.must(&toolchain, &install_arguments(&list, &[]), COMPILER)?;
        }
        Ok(())
    }

    /// The arguments that name what is installed. A lock is exported to a hashed list first.
    fn requirements(&self, root: &Path) -> Result<Vec<String>, BuilderError> {
        match &self.plan.dependencies.value {
            Dependencies::Requirements { file, .. } | Dependencies::PyProject { file, .. } => {
                Ok(vec!["-r".to_owned(), format!("/app/{file}")])
            }
            Dependencies::UvLock { folder, .. } => {
                let project = format!("/app/{folder}");
                let export = [
                    "export",
                    "--project",
                    &project,
                    "--frozen",
                    "--no-dev",
                    "--no-emit-project",
                    "--no-header",
                    "--format",
                    "requirements-txt",
                    "--output-file",
                    "/out/requirements.txt",
                ];
                self.must(root, &export, &[])?;
                Ok(["--require-hashes", "--no-deps", "-r", "/out/requirements.txt"]
                    .map(str::to_owned)
                    .to_vec())
            }
        }
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
        container.cwd = "/app".into();
        container.bind_read_only(&self.uv, "/opt/uv");
        container.bind(self.folder.path().join("venv"), "/venv");
        container.bind(self.folder.path().join("out"), "/out");
        container.cache(&self.cache, "/cache");
        let source = self.folder.path().join("source/app");
        if self.plan.dependencies.value.local() {
            // A build of the project itself writes beside its files.
            container.bind(source, "/app");
        } else {
            container.bind_read_only(source, "/app");
        }
        online(&mut container, self.tools, &self.settings);
        for (name, value) in uv::ENVIRONMENT.iter().chain(environment) {
            container.env(*name, *value);
        }
        Ok(child::run(self.tools, &container)?)
    }

    /// What is installed, as it ships.
    fn result(&self) -> Result<(FileTree, Vec<Distribution>), BuilderError> {
        let venv = self.folder.path().join("venv");
        let scanned = FileTree::scan_where(&venv, |path, _| path.file_name() != "__pycache__");
        environment::normalise(scanned.map_err(KeepError::from)?, self.tools.store)
    }

    fn failure(&self, finished: &Finished) -> BuilderError {
        let file = self.plan.dependencies.value.files().into_iter().next().unwrap_or_default();
        let reason = uv::failure(&finished.lines);
        BuilderError::Install { file, reason, output: finished.tail(60).to_vec() }
    }
}

/// Flags that make compiled files independent of where, when and by whom they are compiled.
const COMPILER: &[(&str, &str)] = &[
    ("CFLAGS", "-g0 -O2 -ffile-prefix-map=/cache=/build -ffile-prefix-map=/tmp=/build"),
    ("CXXFLAGS", "-g0 -O2 -ffile-prefix-map=/cache=/build -ffile-prefix-map=/tmp=/build"),
    ("LDFLAGS", "-Wl,--build-id=none -s"),
];

fn install_arguments(list: &[String], further: &[&str]) -> Vec<String> {
    let mut arguments = ["pip", "install", "--python", "/venv/bin/python"].map(str::to_owned).to_vec();
    arguments.extend(further.iter().map(|&text| text.to_owned()));
    arguments.extend(list.iter().cloned());
    arguments
}
