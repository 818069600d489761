//! Installing what development needs, into `.cache` of the project.
//!
//! Each environment lies under the digest of what it was made from, `venvs/KEY`, and the link `venv` leads to the one in
//! use: going back to a branch with other requirements is going back to its environment, and an installation that
//! fails, or is killed, changes nothing.

mod lists;

use std::io;
use std::path::{Path, PathBuf};

use djship_engine::Container;
use djship_store::Beneath;
use djship_store::beneath::Found;

use super::{Cache, Developer, needed};
use crate::base::Roots;
use crate::builder::index_settings::IndexSettings;
use crate::builder::{BuilderError, HASHED, UNHASHED, network, pkg_resources, uv};
use crate::child::{self, Finished};
use crate::context::{elf, native};
use crate::laid::Key;
use crate::plan::development::{DevelopmentDependencies, Install};
use crate::project::Project;
use crate::project::requirements::normalise;
use crate::python;
use crate::report::{Because, Note};
use crate::tools::Tools;

/// In an environment: what it was made from.
const RECORD: &str = "djship.json";
/// How many environments are kept.
const KEPT: usize = 4;

/// What installing needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// The project.
    pub(super) project: &'a Project,
    /// Its development dependencies.
    pub(super) dependencies: &'a DevelopmentDependencies,
    /// Further Debian packages in the root.
    pub(super) packages: &'a [String],
    /// Where everything goes.
    pub(super) cache: &'a Cache,
    /// Who it belongs to.
    pub(super) developer: &'a Developer,
}

/// An environment that is in use.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The root file system that it runs on.
    pub root: PathBuf,
    /// The folder that holds `bin/uv`.
    pub uv: PathBuf,
    /// What it was made from.
    pub key: String,
    /// Normalised names of what is in it.
    pub distributions: Vec<String>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    /// Something had to be compiled: the root has the compiler, and what these distributions link against.
    compiled: bool,
    /// Normalised names.
    distributions: Vec<String>,
    /// Debian packages of libraries that wheels take for granted.
    libraries: Vec<String>,
}

/// Installs, or finds installed.
pub(super) fn install(
    tools: &Tools<'_>,
    roots: &Roots<'_>,
    request: &Request<'_>,
) -> Result<Installed, BuilderError> {
    let settings = IndexSettings::of(tools.host);
    let uv = uv::fetch(tools, roots, &settings)?;
    let sources = read_sources(request)?;
    let key = key(roots, request, &settings, &sources);
    let venv = format!("venvs/{key}");
    if let Some(record) = record(request.cache, &venv) {
        if request.cache.linked("venv").as_deref() != Some(&venv) {
            link(request.cache, &venv)?;
        }
        let installed = finish(roots, request, key, uv, &record)?;
        tools.reporter.note(Note::Installed { distributions: installed.distributions.len(), because: None });
        return Ok(installed);
    }
    let because =
        if request.cache.linked("venv").is_some() { Because::InputsChanged } else { Because::First };
    let settings = match request.dependencies.list() {
        Some(list) => settings.with(&list.indexes, &tools.host.exported)?,
        None => settings,
    };
    let work = Workplace::open(tools, request, &settings, &uv, &sources)?;
    let compiled = work.install(roots, &venv)?;
    let record = Record {
        compiled: compiled.is_some(),
        libraries: libraries(roots, request, &venv, compiled.as_deref())?,
        distributions: compiled.unwrap_or_default(),
    };
    let text = serde_json::to_vec(&record).map_err(io::Error::other)?;
    request.cache.write(&format!("{venv}/{RECORD}"), &text)?;
    link(request.cache, &venv)?;
    tidy(request.cache, &key);
    let installed = finish(roots, request, key, uv, &record)?;
    tools
        .reporter
        .note(Note::Installed { distributions: installed.distributions.len(), because: Some(because) });
    Ok(installed)
}

fn finish(
    roots: &Roots<'_>,
    request: &Request<'_>,
    key: String,
    uv: PathBuf,
    record: &Record,
) -> Result<Installed, BuilderError> {
    let distributions = distributions(request.cache, &key);
    // What is opened by name comes in now that it is known what is installed.
    let mut names = distributions.clone();
    names.extend(record.distributions.iter().cloned());
    names.sort();
    names.dedup();
    let packages = [request.packages, &record.libraries].concat();
    let root = roots.development(&names, record.compiled, &packages)?.fs();
    Ok(Installed { root, uv, key, distributions })
}

/// The Debian packages of libraries that wheels take for granted and the root does not have. What else is missing there,
/// importing says.
fn libraries(
    roots: &Roots<'_>,
    request: &Request<'_>,
    venv: &str,
    compiled: Option<&[String]>,
) -> Result<Vec<String>, BuilderError> {
    let root = match compiled {
        Some(names) => roots.development(names, true, request.packages)?.tree,
        None => roots.installer()?.tree.clone(),
    };
    let present = elf::system_libraries(&root);
    let environment = request.cache.beneath().folder(venv)?;
    let unmet = needed::unmet(&environment, "lib", &present)?;
    let assumed = native::ASSUMED.iter().filter(|(soname, _)| unmet.contains(*soname));
    Ok(assumed.map(|(_, package)| (*package).to_owned()).collect())
}

/// The text of every file that decides, as UTF-8 whatever its own encoding is.
fn read_sources(request: &Request<'_>) -> Result<Vec<(String, String)>, BuilderError> {
    let mut sources = Vec::new();
    for file in request.dependencies.files() {
        let text = request.project.read(file)?.unwrap_or_default();
        sources.push((file.clone(), text));
    }
    Ok(sources)
}

fn key(
    roots: &Roots<'_>,
    request: &Request<'_>,
    settings: &IndexSettings,
    sources: &[(String, String)],
) -> String {
    let mut key = Key::new("development environment, form 2").part(roots.interpreter().digest.as_bytes());
    key =
        key.part(python::UV).part(python::PKG_RESOURCES).part(format!("{:?}", request.dependencies.install));
    for (name, text) in sources {
        key = key.part(name).part(text);
    }
    for (name, value) in &settings.environment {
        key = key.part(name).part(value);
    }
    key.digest().hex()[..16].to_owned()
}

fn record(cache: &Cache, venv: &str) -> Option<Record> {
    serde_json::from_slice(&cache.read(&format!("{venv}/{RECORD}"))?).ok()
}

/// Normalised names of what is installed, sorted: from the names of the metadata folders.
fn distributions(cache: &Cache, key: &str) -> Vec<String> {
    let Ok(lib) = cache.beneath().folder(&format!("venvs/{key}/lib")) else { return Vec::new() };
    let packages = entries(&lib).filter_map(|python| {
        let folder = lib.folder(&format!("{}/site-packages", python.name.to_str()?)).ok()?;
        Some(entries(&folder).collect::<Vec<_>>())
    });
    let mut names: Vec<String> = packages
        .flatten()
        .filter_map(|entry| {
            let name = entry.name.to_str()?.strip_suffix(".dist-info")?;
            Some(normalise(name.split_once('-').map_or(name, |(name, _)| name)))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn entries(folder: &Beneath) -> impl Iterator<Item = Found> {
    folder.entries().into_iter().flatten()
}

/// Makes the environment in this folder the one in use.
fn link(cache: &Cache, venv: &str) -> io::Result<()> {
    Ok(cache.beneath().link("venv", venv)?)
}

/// Removes the oldest environments.
fn tidy(cache: &Cache, in_use: &str) {
    let Ok(venvs) = cache.beneath().folder("venvs") else { return };
    let mut others: Vec<_> = entries(&venvs)
        .filter_map(|entry| Some((entry.modified, entry.name.into_string().ok()?)))
        .filter(|(_, name)| name != in_use)
        .collect();
    others.sort();
    others.reverse();
    for (_, name) in others.into_iter().skip(KEPT - 1) {
        // What cannot be removed now is removed next time.
        let _ = venvs.remove(&name);
    }
}

/// Where an environment is being made.
struct Workplace<'a> {
    tools: &'a Tools<'a>,
    request: &'a Request<'a>,
    settings: &'a IndexSettings,
    uv: &'a Path,
    folder: djship_store::TempDir,
}

impl<'a> Workplace<'a> {
    fn open(
        tools: &'a Tools<'a>,
        request: &'a Request<'a>,
        settings: &'a IndexSettings,
        uv: &'a Path,
        sources: &[(String, String)],
    ) -> Result<Self, BuilderError> {
        let folder = tools.store.temp_dir("develop")?;
        let app = folder.path().join("app");
        fs_err::create_dir_all(app.join(".cache"))?;
        for (file, text) in sources {
            let path = app.join(file);
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent)?;
            }
            fs_err::write(path, text)?;
        }
        crate::builder::make_owned(&folder.path().join("out"), tools)?;
        for name in ["venvs", "uv", "pip"] {
            request.cache.beneath().make_folder(name)?;
        }
        Ok(Self { tools, request, settings, uv, folder })
    }

    /// Installs into `venv`; the distributions that the compiler came in for, `None` when all had wheels.
    fn install(&self, roots: &Roots<'_>, venv: &str) -> Result<Option<Vec<String>>, BuilderError> {
        let light = roots.installer()?.fs();
        let place = format!("{}/{venv}", self.request.cache.inside);
        let name = self.request.project.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let python = roots.interpreter().program;
        let make = ["venv", "--clear", &place, "--python", &python, "--no-config", "--prompt", &name];
        self.must(&light, &make, &[])?;
        let python = format!("{place}/bin/python");
        let compiled = self.install_lists(roots, &light, &python)?;
        self.add_pkg_resources(&light, venv, &python)?;
        Ok(compiled)
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
        self.request.developer.enter(&mut container);
        container.env("HOME", "/tmp");
        // pip and uv take `./library` in a requirements file from where they are started.
        container.cwd = match &self.request.dependencies.install {
            // What uv exports is relative to the lock.
            Install::Lock { folder, .. } => Path::new("/app").join(folder),
            _ => "/app".into(),
        };
        container.bind_read_only(self.uv, "/opt/uv");
        container.bind(self.folder.path().join("out"), "/out");
        self.show_project(&mut container);
        if let Some(list) = self.request.dependencies.list() {
            container.file(HASHED, list.hashed.as_str()).file(UNHASHED, list.unhashed.as_str());
        }
        container.file(pkg_resources::LIST, python::PKG_RESOURCES);
        network::online(&mut container, self.tools, self.settings);
        for (name, value) in uv::ENVIRONMENT.iter().chain(environment) {
            container.env(*name, *value);
        }
        container.env("UV_CACHE_DIR", format!("{}/uv", self.request.cache.inside));
        // From the cache beside it.
        container.env("UV_LINK_MODE", "hardlink");
        Ok(child::run(self.tools, &container)?)
    }

    /// Only the files that name the dependencies, unless something is installed from the project itself: packages' own
    /// programs run beside it and have the network.
    fn show_project(&self, container: &mut Container) {
        let Request { project, cache, .. } = self.request;
        if self.request.dependencies.local() {
            container.bind_as_owner(&project.folder, "/app");
            if cache.elsewhere {
                container.bind_as_owner(&cache.path, cache.inside);
            }
        } else {
            container.bind_read_only(self.folder.path().join("app"), "/app");
            container.bind_as_owner(&cache.path, cache.inside);
        }
    }

    fn failure(&self, finished: &Finished) -> BuilderError {
        let file = self.request.dependencies.files().first().cloned().unwrap_or_default();
        let reason = uv::failure(&finished.lines);
        BuilderError::Install { file, reason, output: finished.tail(60).to_vec() }
    }
}

#[cfg(test)]
mod tests;
