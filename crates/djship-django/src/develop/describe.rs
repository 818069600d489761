//! Everything that is found out before anything runs: the same stages as a build, up to the facts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::facts::{self, DevelopmentFacts, Offer};
use super::geographic;
use super::ground::Ground;
use super::install::{self, Installed, Request};
use super::mentions::mentioned;
use super::variables::{self, Given};
use super::{Cache, Developer, UpError, secret, wishes};
use crate::base::Roots;
use crate::builder::make_owned;
use crate::plan::development::DevelopmentPlan;
use crate::project::Project;
use crate::project::config::Config;
use crate::report::{Note, Stage};
use crate::tools::Tools;

/// A development environment, described.
pub struct Description<'a> {
    /// The project.
    pub project: Project,
    /// What it says to djship.
    pub config: Config,
    /// What the files decide.
    pub plan: DevelopmentPlan,
    /// Debian.
    pub roots: Roots<'a>,
    /// Who runs everything.
    pub developer: Developer,
    /// Where everything made goes.
    pub cache: Cache,
    /// The environment in use.
    pub installed: Installed,
    /// What the developer gives.
    pub given: Given,
    /// What Django says.
    pub facts: DevelopmentFacts,
    /// The password of databases for which the settings have none.
    pub password: String,
    /// The variables of the project's processes.
    pub env: BTreeMap<String, String>,
    /// Where services listen.
    pub address: Ipv4Addr,
    /// The home folder, on the host.
    pub home: PathBuf,
}

impl std::fmt::Debug for Description<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Description").field("project", &self.project).finish_non_exhaustive()
    }
}

/// Where an environment has its things, and what is asked for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The project's folder.
    pub folder: &'a Path,
    /// The environment's own folder, which outlives a run.
    pub state: &'a Path,
    /// What the developer exported.
    pub exported: &'a BTreeMap<String, String>,
    /// Where services listen.
    pub address: Ipv4Addr,
}

/// Finds out everything.
pub fn describe<'a>(tools: &'a Tools<'a>, wish: &Wish<'_>) -> Result<Description<'a>, UpError> {
    tools.reporter.stage(Stage::Plan);
    let project = Project::open(wish.folder)?;
    let config = Config::read(&project)?;
    let mut plan = DevelopmentPlan::for_project(&project, &config)?;
    tools.reporter.note(Note::Develop(&plan));
    let developer = Developer::of(tools, &project.folder);
    if developer.root {
        tools.reporter.note(Note::RootsProject);
    }

    tools.reporter.stage(Stage::Base);
    let roots = Roots::on(tools, &plan.foundation)?;
    plan.settle(&roots.python_version())?;

    tools.reporter.stage(Stage::Builder);
    let owner = tools.host.owner.filter(|_| !developer.root).map(|owner| (owner.uid, owner.gid));
    // DJSHIP_HOME may lead through links, which a container of root's does not follow to what it shows.
    let state = fs_err::canonicalize(wish.state)?;
    let cache = Cache::open(&project.folder, &state.join("cache"), owner)?;
    if cache.elsewhere {
        tools.reporter.note(Note::CacheElsewhere(&cache.path));
    }
    let mut packages = packages(&config);
    packages.extend(geographic::packages(&project.folder, roots.codename()));
    let request = Request {
        project: &project,
        dependencies: &plan.dependencies.value,
        packages: &packages,
        cache: &cache,
        developer: &developer,
    };
    let installed = install::install(tools, &roots, &request)?;

    tools.reporter.stage(Stage::Facts);
    let own: BTreeMap<String, String> = own_variables(&config);
    let given = Given::read(&project, wish.exported, &own)?;
    let home = state.join("home");
    make_owned(&home, tools)?;
    let ground = Ground {
        project: &project,
        cache: &cache,
        developer: &developer,
        root: installed.root.clone(),
        uv: installed.uv.clone(),
        home: home.clone(),
        hosts: Vec::new(),
    };
    let password = secret::of(wish.state)?;
    let offer = offer(&project, wish.address, &password);
    let facts = facts::ask(tools, &ground, &installed.key, &given, &offer)?;
    tools.reporter.note(Note::Development(&facts));
    let mut env = given.environment(&facts, mentioned(&project.folder, given.exported.keys())?);
    variables::add_password(&mut env, &facts.services, &password);
    if let Some(version) = &facts.python_version {
        // Docker's Python images have it, and projects that were developed in them read it.
        env.entry("PYTHON_VERSION".to_owned()).or_insert_with(|| version.clone());
    }
    Ok(Description {
        project,
        config,
        plan,
        roots,
        developer,
        cache,
        installed,
        given,
        facts,
        password,
        env,
        address: wish.address,
        home,
    })
}

impl Description<'_> {
    /// What the project's containers stand on.
    pub fn ground(&self) -> Ground<'_> {
        Ground {
            project: &self.project,
            cache: &self.cache,
            developer: &self.developer,
            root: self.installed.root.clone(),
            uv: self.installed.uv.clone(),
            home: self.home.clone(),
            hosts: self.hosts(),
        }
    }

    /// Names that lead to the services: the usual ones, and what the settings say.
    pub fn hosts(&self) -> Vec<(IpAddr, String)> {
        let names = wishes::host_names(&self.facts, &self.config);
        names.into_iter().map(|name| (IpAddr::V4(self.address), name)).collect()
    }
}

/// Debian packages beyond what Python needs.
fn packages(config: &Config) -> Vec<String> {
    let mut packages =
        config.develop.packages.as_ref().map_or_else(Vec::new, |packages| packages.value.clone());
    for process in config.processes.values() {
        if let crate::project::config::Entry::On(process) = &process.value {
            packages.extend(process.packages.iter().cloned());
        }
    }
    packages.sort();
    packages.dedup();
    packages
}

/// Variables that the configuration sets.
fn own_variables(config: &Config) -> BTreeMap<String, String> {
    let mut own = config.develop.environment.as_ref().map_or_else(BTreeMap::new, |found| found.value.clone());
    if let Some(settings) = &config.develop.settings {
        own.insert("DJANGO_SETTINGS_MODULE".to_owned(), settings.value.clone());
    }
    own
}

/// What databases are called when nothing else decides: like the project, as an identifier that needs no quotes.
fn offer(project: &Project, address: Ipv4Addr, password: &str) -> Offer {
    let folder = project.folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String =
        folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
    let name = if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("p{name}") };
    Offer { address: address.to_string(), database: name.clone(), user: name, password: password.to_owned() }
}
