//! One run of a development environment: brought up, kept in step with the project, mended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use djship_engine::Container;

use super::UpError;
use super::access::{Access, ProgramAccess};
use super::databases::{OfSettings, Whose};
use super::describe::{Description, Wish as DescriptionWish, describe};
use super::migrations::{self, Migration};
use super::processes::{Process, Processes};
use super::project_programs::{decides, programs, same};
use super::web::has_lost_its_port;
use super::wishes::{self, Started, Wish, free_address, wishes};
use crate::project::config::ProcessKind;
use crate::report::{Note, Stage};
use crate::running;
use crate::services::{self, Place, ServiceNote};
use crate::supervisor::{Because, Changes, Claim, Program, Role, Supervisor};
use crate::tools::Tools;

/// The port of the development server, or the first one that is tried.
const PORT: u16 = 8000;
/// How many ports are tried.
const PORTS: u16 = 200;
/// How many of them may be lost to others between the look at them and the start of the server.
const PORT_ATTEMPTS: u32 = 5;
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
        self.claim.environment().remember_needs(&self.tools.store.used())?;
        self.now = Some(Now { description, processes });
        Ok(())
    }

    /// Something in the project changed: installs, asks and restarts what that makes necessary.
    ///
    /// What the development server notices by itself is left to it.
    pub fn changed(&mut self, changes: &Changes, supervisor: &mut Supervisor<'a>) -> Result<(), UpError> {
        let Some(now) = &self.now else { return self.bring_up(supervisor) };
        let workers = now.processes.iter().filter(|process| process.kind == ProcessKind::Worker);
        let workers: Vec<_> = workers
            .filter_map(|process| {
                Some((process.name.clone(), supervisor.container_of(&process.name)?.clone()))
            })
            .collect();
        if decides(&now.description, &changes.paths) {
            self.bring_up(supervisor)?;
        }
        if changes.paths.iter().any(|path| path.extension().is_some_and(|extension| extension == "py")) {
            for (name, before) in workers {
                // One that is described anew runs the new code already.
                if supervisor.container_of(&name).is_some_and(|container| same(container, &before)) {
                    supervisor.restart(&name, Because::Code);
                }
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
        let mut decided = Processes::decide(project, facts.celery.as_ref(), config, &schedule)?;
        decided.keep_apart(&wishes::names(description));
        for renamed in &decided.renamed {
            self.tools.reporter.note(Note::RenamedProcess(renamed));
        }
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
        let gone: Vec<String> = self
            .services
            .iter()
            .filter(|one| !wishes.contains(&one.wish))
            .map(|one| one.name.clone())
            .collect();
        supervisor.stop(&gone);
        self.services.retain(|one| wishes.contains(&one.wish));
        let names = description.hosts();
        let volumes = self.options.home.join("volumes").join(self.claim.environment().id());
        let password = &description.password;
        let place = Place { volumes: &volumes, address: self.address, names: &names, password };
        let mut new: Vec<Box<dyn Program + 'a>> = Vec::new();
        let mut started = Vec::new();
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
                if note == ServiceNote::NewVolume {
                    // At once: whatever comes between this and its migrations, it is empty.
                    migrations::forget(&self.migrated())?;
                    fresh = true;
                }
                self.tools.reporter.note(Note::Service { name: server.name(), note: &note });
            }
            started.push(Started::of(&server, wish));
            new.push(Box::new(server));
        }
        // Those that came up before another one failed are ended with it, and tried again.
        let served = supervisor.start_all(new);
        if started.iter().any(|one| one.made_databases.load(Ordering::SeqCst)) {
            migrations::forget(&self.migrated())?;
            fresh = true;
        }
        served?;
        self.services.append(&mut started);
        Ok(fresh)
    }

    fn migrate(&self, description: &Description<'_>, fresh: bool) -> Result<(), UpError> {
        if description.config.develop.migrate.as_ref().is_some_and(|migrate| !migrate.value) {
            return Ok(());
        }
        let remembered = self.migrated();
        if fresh {
            migrations::forget(&remembered)?;
        }
        let databases = OfSettings::all(&description.facts, &description.ground(), &self.services);
        for database in &databases {
            if let Whose::Elsewhere(host) = &database.whose {
                self.tools.reporter.note(Note::NotMigrated { alias: &database.alias, host });
            }
        }
        let migration = Migration {
            databases: &databases,
            container: one_off(self.tools, description),
            remembered: &remembered,
            environment: &description.installed.key,
        };
        let done = migrations::migrate(self.tools, &description.project.folder, migration)?;
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
        let chosen = self.port.is_none() && self.options.port.is_none();
        let mut attempts = 1;
        loop {
            let started = self.start_programs(description, processes, supervisor);
            let lost = matches!(&started, Err(UpError::Start(failed)) if has_lost_its_port(failed));
            if !lost || attempts == PORT_ATTEMPTS {
                return started;
            }
            if !chosen {
                // Says who has it, unless it is free again.
                self.port.map_or(Ok(()), |port| running::check_free((Ipv4Addr::LOCALHOST, port).into()))?;
                return started;
            }
            // Another environment started in the same moment.
            self.port = None;
            attempts += 1;
        }
    }

    fn start_programs(
        &mut self,
        description: &Description<'a>,
        processes: &[Process],
        supervisor: &mut Supervisor<'a>,
    ) -> Result<(), UpError> {
        let port = self.choose_port(description)?;
        let programs = programs(self.tools, description, processes, port);
        let wanted: BTreeSet<String> = programs.iter().map(|program| program.name().to_owned()).collect();
        let mut gone = supervisor.names_of(&[Role::Web, Role::Worker, Role::Watcher]);
        gone.retain(|name| !wanted.contains(name));
        supervisor.stop(&gone);
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
            if let Some(port) = ports.find(|port| running::check_free(local(*port)).is_ok()) {
                port
            } else {
                // All of them are in use; the first one says by whom.
                running::check_free(local(first))?;
                first
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
            supplied: description.facts.supplied.iter().map(|supplied| supplied.name.clone()).collect(),
            settings: description.facts.settings_module.as_ref().map(|module| module.value.clone()),
            sqlite: description.facts.sqlite_file().map(str::to_owned),
            database: self.services.iter().find_map(|one| one.database.clone()),
            databases: OfSettings::all(&description.facts, &description.ground(), &self.services)
                .iter()
                .map(ToString::to_string)
                .collect(),
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
