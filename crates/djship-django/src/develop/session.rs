//! One run of a development environment: brought up, kept in step with the project, mended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use djship_engine::Container;

use super::UpError;
use super::access::{Access, DatabaseAccess, ProgramAccess};
use super::describe::{Description, Wish as DescriptionWish, describe};
use super::dot_env::DotEnv;
use super::ground;
use super::migrations;
use super::processes::{Process, Processes, Procfile};
use super::web::ProjectProgram;
use crate::project::command::CommandLine;
use crate::project::config::{Config, Entry, ProcessKind};
use crate::report::{Note, Stage};
use crate::running;
use crate::services::{self, OwnService, Place, PlannedServer, Server, ServiceNote};
use crate::supervisor::{Because, Changes, Claim, Program, Role, ServiceDescription, Supervisor};
use crate::tools::Tools;

/// The port of the development server, or the first one that is tried.
const PORT: u16 = 8000;
/// How many ports are tried.
const PORTS: u16 = 200;
/// The usual ports of the services.
const SERVICE_PORTS: &[u16] = &[5432, 3306, 6379, 5672, 11211, 1025];

/// How far an environment is brought up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Only what the project's commands need: its services.
    Services,
    /// Migrations, the development server, and what runs beside it.
    Everything,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project's folder.
    pub folder: PathBuf,
    /// DJSHIP_HOME.
    pub home: PathBuf,
    /// The port of the development server, when the developer names one.
    pub port: Option<u16>,
    /// What the developer exported.
    pub exported: BTreeMap<String, String>,
    /// How far.
    pub until: Until,
}

/// A run of an environment.
pub struct Session<'a> {
    tools: &'a Tools<'a>,
    claim: &'a Claim,
    options: Options,
    address: Ipv4Addr,
    port: Option<u16>,
    now: Option<Now<'a>>,
    services: Vec<Started>,
}

/// What runs.
struct Now<'a> {
    description: Description<'a>,
    processes: Vec<Process>,
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a> Session<'a> {
    /// A run of the claimed environment in which nothing runs yet.
    pub fn new(tools: &'a Tools<'a>, claim: &'a Claim, options: Options) -> Self {
        let address = free_address(claim.environment().project());
        Self { tools, claim, options, address, port: None, now: None, services: Vec::new() }
    }

    /// Brings up what does not run yet, and what has changed anew: the whole of `djship up` until something happens.
    pub fn bring_up(&mut self, supervisor: &mut Supervisor<'a>) -> Result<(), UpError> {
        let description = self.describe()?;
        let processes = self.processes(&description)?;

        self.tools.reporter.stage(Stage::Services);
        let fresh = self.start_services(&description, supervisor)?;

        if self.options.until == Until::Everything {
            self.tools.reporter.stage(Stage::Start);
            self.migrate(&description, fresh)?;
            self.start_project(&description, &processes, supervisor)?;
        }
        self.publish(&description, supervisor)?;
        self.now = Some(Now { description, processes });
        Ok(())
    }

    /// Something in the project changed: installs, asks and restarts what that makes necessary.
    ///
    /// What the development server notices by itself is left to it.
    pub fn changed(&mut self, changes: &Changes, supervisor: &mut Supervisor<'a>) -> Result<(), UpError> {
        let Some(now) = &self.now else { return self.bring_up(supervisor) };
        if decides(now, &changes.paths) {
            return self.bring_up(supervisor);
        }
        if changes.paths.iter().any(|path| path.extension().is_some_and(|extension| extension == "py")) {
            let workers: Vec<String> = now
                .processes
                .iter()
                .filter(|process| process.kind == ProcessKind::Worker)
                .map(|process| process.name.clone())
                .collect();
            for name in workers {
                supervisor.restart(&name, Because::Code);
            }
        }
        Ok(())
    }

    /// Where the development server is.
    pub fn url(&self) -> Option<String> {
        self.port.map(|port| format!("http://localhost:{port}"))
    }

    /// What else there is to open: a name, and the address for it.
    pub fn places(&self) -> Vec<(String, String)> {
        let described = self.services.iter().map(|one| &one.description);
        described.filter_map(|one| Some((one.title.clone(), one.url.clone()?))).collect()
    }

    /// A container like the development server's, for one command.
    pub fn one_off(&self) -> Option<Container> {
        let description = &self.now.as_ref()?.description;
        Some(one_off(self.tools, description))
    }

    fn describe(&self) -> Result<Description<'a>, UpError> {
        let wish = DescriptionWish {
            folder: &self.options.folder,
            state: self.claim.environment().folder(),
            exported: &self.options.exported,
            address: self.address,
        };
        describe(self.tools, &wish)
    }
}

/// What the project's own commands are run in.
fn one_off(tools: &Tools<'_>, description: &Description<'_>) -> Container {
    description.ground().container(tools, Vec::<String>::new(), &description.env)
}

impl<'a> Session<'a> {
    fn processes(&self, description: &Description<'_>) -> Result<Vec<Process>, UpError> {
        let schedule = format!("{}/celerybeat-schedule", description.cache.inside);
        let Description { project, facts, config, .. } = description;
        let decided = Processes::decide(project, facts.celery.as_ref(), config, &schedule)?;
        for left in &decided.left_out {
            self.tools.reporter.note(Note::LeftOutProcess(left));
        }
        Ok(decided.run)
    }

    /// Starts the services that do not run yet, and ends those that nobody wants any more; whether one is new, so that its
    /// database is empty.
    fn start_services(
        &mut self,
        description: &Description<'a>,
        supervisor: &mut Supervisor<'a>,
    ) -> Result<bool, UpError> {
        let wishes = wishes(description);
        let gone: Vec<String> =
            self.services.iter().filter(|one| !wishes.contains(&one.wish)).map(|one| one.name.clone()).collect();
        for name in &gone {
            supervisor.stop(name);
        }
        self.services.retain(|one| wishes.contains(&one.wish));
        let names = description.hosts();
        let volumes = self.options.home.join("volumes").join(self.claim.environment().id());
        let place = Place { volumes: &volumes, address: self.address, names: &names };
        let mut new: Vec<Box<dyn Program + 'a>> = Vec::new();
        let mut fresh = false;
        for wish in wishes {
            if self.services.iter().any(|one| one.wish == wish) {
                continue;
            }
            let mut server = match &wish {
                Wish::Found(planned) => services::prepare(self.tools, &description.roots, &place, planned)?,
                Wish::Own(own) => services::prepare_own(self.tools, &description.roots, &place, own)?,
            };
            for note in server.take_notes() {
                fresh |= note == ServiceNote::NewVolume;
                self.tools.reporter.note(Note::Service { name: server.name(), note: &note });
            }
            self.services.push(Started::of(&server, wish));
            new.push(Box::new(server));
        }
        supervisor.start_all(new)?;
        Ok(fresh)
    }

    fn migrate(&self, description: &Description<'_>, fresh: bool) -> Result<(), UpError> {
        if description.config.develop.migrate.as_ref().is_some_and(|migrate| !migrate.value) {
            return Ok(());
        }
        let ground = description.ground();
        let mut container = one_off(self.tools, description);
        container.argv = ["python", "manage.py", "migrate", "--noinput"].map(str::to_owned).to_vec();
        let remembered = self.migrated();
        let environment = &description.installed.key;
        let facts = &description.facts;
        let done =
            migrations::migrate(self.tools, &ground, facts, &container, &remembered, environment, fresh)?;
        self.tools.reporter.note(Note::Migrated(done));
        Ok(())
    }

    /// Starts, or starts anew, what runs the project's code.
    fn start_project(
        &mut self,
        description: &Description<'a>,
        processes: &[Process],
        supervisor: &mut Supervisor<'a>,
    ) -> Result<(), UpError> {
        let port = self.choose_port(description)?;
        let programs = programs(self.tools, description, processes, port);
        let wanted: BTreeSet<String> = programs.iter().map(|program| program.name().to_owned()).collect();
        for name in supervisor.names_of(&[Role::Web, Role::Worker, Role::Watcher]) {
            if !wanted.contains(&name) {
                supervisor.stop(&name);
            }
        }
        let mut new: Vec<Box<dyn Program + 'a>> = Vec::new();
        for program in programs {
            match supervisor.container_of(program.name()) {
                Some(running) if same(running, program.container()) => {}
                Some(_) => supervisor.replace(Box::new(program)),
                None => new.push(Box::new(program)),
            }
        }
        supervisor.start_all(new)?;
        Ok(())
    }

    /// The port of the development server: the one that is asked for, else the next free one.
    fn choose_port(&mut self, description: &Description<'_>) -> Result<u16, UpError> {
        if let Some(port) = self.port {
            return Ok(port);
        }
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let port = if let Some(port) = self.options.port {
            running::check_free(local(port))?;
            port
        } else {
            let first = description.config.develop.port.as_ref().map_or(PORT, |port| port.value);
            let mut ports = first..=first.saturating_add(PORTS);
            match ports.find(|port| running::check_free(local(*port)).is_ok()) {
                Some(port) => port,
                None => {
                    running::check_free(local(first))?;
                    first
                }
            }
        };
        self.port = Some(port);
        Ok(port)
    }

    /// The file that says which migrations were applied.
    fn migrated(&self) -> PathBuf {
        self.claim.environment().folder().join("migrated")
    }

    /// Writes down what other commands need.
    fn publish(&self, description: &Description<'_>, supervisor: &Supervisor<'a>) -> Result<(), UpError> {
        let programs = supervisor.containers().map(|(name, container)| ProgramAccess::of(name, container));
        let access = Access {
            one_off: one_off(self.tools, description),
            programs: programs.collect(),
            interpreter: description.cache.path.join("venv/bin/python"),
            python: description.facts.python_version.clone(),
            sqlite: description.facts.sqlite_file().map(str::to_owned),
            database: self.services.iter().find_map(|one| one.database.clone()),
            migrated: self.migrated(),
        };
        let url = self.port.map(|port| format!("http://localhost:{port}"));
        let facts = serde_json::to_value(&access).map_err(std::io::Error::other)?;
        let services = self.services.iter().map(|one| one.description.clone()).collect();
        self.claim.update(|state| {
            state.url = url;
            state.services = services;
            state.facts = facts;
        })?;
        Ok(())
    }
}

/// A service that runs.
struct Started {
    name: String,
    wish: Wish,
    description: ServiceDescription,
    database: Option<DatabaseAccess>,
}

/// Why a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    /// The settings lead to it.
    Found(PlannedServer),
    /// The configuration names it.
    Own(OwnService),
}

impl Started {
    fn of(server: &Server<'_>, wish: Wish) -> Self {
        let name = server.name().to_owned();
        let address = server.addresses().first().map_or_else(String::new, ToString::to_string);
        let description = ServiceDescription {
            name: name.clone(),
            title: server.title().to_owned(),
            address,
            url: server.url_for_desktop(),
        };
        let database = DatabaseAccess::of(server);
        Self { name, wish, description, database }
    }
}

/// The services that the settings and the configuration come to.
fn wishes(description: &Description<'_>) -> Vec<Wish> {
    let config = &description.config.services;
    let off = |name: &str| config.get(name).is_some_and(|entry| entry.value == Entry::Off);
    let found = PlannedServer::all(&description.facts.services).into_iter().filter(|server| !off(&server.name));
    let own = config.iter().filter_map(|(name, entry)| match &entry.value {
        Entry::Off => None,
        Entry::On(own) => Some(Wish::Own(OwnService {
            name: name.clone(),
            packages: own.packages.clone(),
            command: own.command.argv(),
            port: own.port,
            health: own.health.as_ref().map(CommandLine::argv),
            data: own.data.clone(),
            environment: own.environment.clone(),
        })),
    });
    found.map(Wish::Found).chain(own).collect()
}

/// The development server, and what runs beside it.
fn programs<'a>(
    tools: &'a Tools<'a>,
    description: &Description<'_>,
    processes: &[Process],
    port: u16,
) -> Vec<ProjectProgram<'a>> {
    let ground = description.ground();
    let serve = ["python", "manage.py", "runserver", &format!("127.0.0.1:{port}")].map(str::to_owned);
    let web = ProjectProgram::web(tools, ground.container(tools, serve, &description.env), port);
    let beside = processes.iter().map(|process| {
        let mut container = ground.container(tools, process.command.argv(), &description.env);
        container.cwd = Path::new(ground::APP).join(&process.folder);
        let role = match process.kind {
            ProcessKind::Worker => Role::Worker,
            ProcessKind::Watcher => Role::Watcher,
        };
        ProjectProgram::beside(tools, process.name.clone(), role, container)
    });
    std::iter::once(web).chain(beside).collect()
}

/// Whether two containers are the same to who is in them.
fn same(one: &Container, other: &Container) -> bool {
    let view = |container: &Container| serde_json::to_string(container).unwrap_or_default();
    view(one) == view(other)
}

/// Whether one of these paths decides more than the development server can notice: what is installed, the settings,
/// variables, what runs.
fn decides(now: &Now<'_>, paths: &BTreeSet<PathBuf>) -> bool {
    let Description { project, plan, facts, .. } = &now.description;
    let mut files: Vec<PathBuf> = plan.dependencies.value.files().iter().map(PathBuf::from).collect();
    files.extend(Config::PLACES.iter().map(PathBuf::from));
    files.extend(DotEnv::places(project).into_iter().map(PathBuf::from));
    files.extend(Procfile::places(project).into_iter().map(PathBuf::from));
    files.push(PathBuf::from(project.manage_py.as_str()));
    let module = facts.settings_module.as_ref().map_or("", |module| &module.value).replace('.', "/");
    let settings = Path::new(&project.django_folder()).join(module);
    // The settings' package, or the folder that their file is in.
    let package = settings.parent().map_or_else(PathBuf::new, Path::to_owned);
    paths.iter().any(|path| {
        let path = path.strip_prefix(&project.folder).unwrap_or(path);
        let is_settings = path.starts_with(&settings)
            || path.with_extension("") == settings
            || path.parent() == Some(&package)
                && path.file_stem().is_some_and(|stem| {
                    let stem = stem.to_string_lossy();
                    stem.contains("settings") || stem.contains("celery") || package.ends_with("settings")
                });
        is_settings || files.iter().any(|file| file == path)
    })
}

/// The address of the project's own on which all usual ports are free; its first one when none is.
fn free_address(project: &Path) -> Ipv4Addr {
    let free = |address: &Ipv4Addr| SERVICE_PORTS.iter().all(|port| TcpListener::bind((*address, *port)).is_ok());
    (0..32)
        .map(|attempt| services::of_project(project, attempt))
        .find(free)
        .unwrap_or_else(|| services::of_project(project, 0))
}
