//! Which processes run beside the development server: what a Procfile names, Celery's where the settings have it, and
//! what the configuration says.

mod error;
mod procfile;
mod purpose;

use std::collections::BTreeSet;

use crate::plan::{Origin, Sourced};
use crate::project::Project;
use crate::project::command::CommandLine;
use crate::project::config::{Config, Entry, OwnProcess, ProcessKind};

pub use error::ProcessesError;
pub(crate) use procfile::Line;
pub use procfile::Procfile;
pub(crate) use purpose::{Purpose, celery as celery_started};

/// The names of Celery's processes when nothing else starts them.
const WORKER: &str = "worker";
const BEAT: &str = "beat";

/// The most processes that run.
pub const MAX_PROCESSES: usize = 50;

/// A process beside the development server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its name in logs: letters, digits, `-` and `_`.
    pub name: String,
    /// What starts it.
    pub command: CommandLine,
    /// Whether it starts again when code changes.
    pub kind: ProcessKind,
    /// Where it runs, relative to the project, `""` for the project itself.
    pub folder: String,
    /// The Debian packages that it asks for.
    pub packages: Vec<String>,
    /// Who says so.
    pub origin: ProcessOrigin,
}

/// Who says that a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessOrigin {
    /// A file of the project, relative to it, and the line.
    File(String, usize),
    /// The settings: they configure Celery.
    Celery,
}

/// Celery as the settings have it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Celery {
    /// What `celery -A` takes, such as `config`.
    pub app: String,
    /// Whether there are tasks for a worker.
    #[serde(default)]
    pub worker: bool,
    /// Whether there is a schedule.
    #[serde(default)]
    pub beat: bool,
}

/// The decision about all processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// What runs: in the Procfile's order, then Celery's, then the configuration's in the order of names.
    pub run: Vec<Process>,
    /// What is named somewhere and does not run.
    pub left_out: Vec<LeftOut>,
    /// What runs under another name than its own, which a service has.
    pub renamed: Vec<Renamed>,
}

/// A process that has another name than the project gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The project's name for it.
    pub from: String,
    /// Its name in logs and on the command line.
    pub to: String,
}

/// Something that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name; the beginning of the line for one that cannot be read.
    pub name: String,
    /// Who names it.
    pub origin: ProcessOrigin,
    /// Why it does not run.
    pub why: Why,
}

/// Why something does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// `web`, or another one that starts Django's development server: that runs already.
    DevelopmentServer,
    /// It is for a deployment, such as `release`.
    Deployment,
    /// It starts a server that the settings' services have in its place, or Docker.
    Service,
    /// The configuration switches it off.
    SwitchedOff,
    /// A later line has the same name.
    Repeated,
    /// Another process has the name that Celery's would have.
    NameTaken,
    /// The line is no `NAME: COMMAND`.
    Unreadable,
    /// The configuration switches it off, and nothing of that name is there.
    NothingToSwitchOff,
}

impl Processes {
    /// Decides from the project's files, the settings and the configuration. `schedule` is the file, in the container, in
    /// which Celery's beat keeps its times when we start it.
    pub fn decide(
        project: &Project,
        celery: Option<&Celery>,
        config: &Config,
        schedule: &str,
    ) -> Result<Self, ProcessesError> {
        let procfile = Procfile::find(project)?;
        let mut all = Self::default();
        if let Some(procfile) = &procfile {
            few(procfile.lines.len())?;
            for line in &procfile.lines {
                all.add_line(procfile, line)?;
            }
        }
        if let Some(celery) = celery {
            all.add_celery(celery, config, schedule, &project.django_folder());
        }
        for (name, entry) in &config.processes {
            all.apply(project, name, entry)?;
        }
        few(all.run.len())?;
        Ok(all)
    }

    /// Gives other names to processes that are called like one of `services`: programs are told apart by their names.
    pub fn keep_apart(&mut self, services: &BTreeSet<String>) {
        for at in 0..self.run.len() {
            let from = self.run[at].name.clone();
            if !services.contains(&from) {
                continue;
            }
            let taken = |name: &String| {
                services.contains(name) || self.run.iter().any(|process| process.name == *name)
            };
            let mut to = format!("{from}-process");
            while taken(&to) {
                to.push_str("-2");
            }
            self.run[at].name.clone_from(&to);
            self.renamed.push(Renamed { from, to });
        }
    }

    fn add_line(&mut self, procfile: &Procfile, line: &Line) -> Result<(), ProcessesError> {
        let Procfile { file, folder, .. } = procfile;
        let origin = ProcessOrigin::File(file.clone(), line.number);
        let mut leave_out = |name: &str, why| {
            self.left_out.push(LeftOut { name: name.to_owned(), origin: origin.clone(), why });
            Ok(())
        };
        let (name, text) = match &line.content {
            Ok((name, text)) => (name.as_str(), text.as_str()),
            Err(text) => return leave_out(text, Why::Unreadable),
        };
        match name {
            "web" => return leave_out(name, Why::DevelopmentServer),
            "release" | "postdeploy" => return leave_out(name, Why::Deployment),
            _ => {}
        }
        if procfile.repeats(line) {
            return leave_out(name, Why::Repeated);
        }
        let command = CommandLine::parse(text).map_err(|source| ProcessesError::Command {
            file: file.clone(),
            line: line.number,
            name: name.to_owned(),
            source,
        })?;
        let kind = match Purpose::of(&command) {
            Purpose::DevelopmentServer => return leave_out(name, Why::DevelopmentServer),
            Purpose::Service => return leave_out(name, Why::Service),
            Purpose::FrontEnd => ProcessKind::Watcher,
            Purpose::Other => ProcessKind::Worker,
        };
        let (name, folder) = (name.to_owned(), folder.clone());
        self.run.push(Process { name, command, kind, folder, packages: Vec::new(), origin });
        Ok(())
    }

    /// Adds Celery's own processes, but for those that the project starts itself.
    fn add_celery(&mut self, celery: &Celery, config: &Config, schedule: &str, folder: &str) {
        let own = config.processes.values().filter_map(|entry| match &entry.value {
            Entry::On(own) => own.command.as_ref(),
            Entry::Off => None,
        });
        let commands = self.run.iter().map(|process| &process.command).chain(own);
        let (mut worker, mut beat) = (false, false);
        for started in commands.map(purpose::celery) {
            worker |= started.worker;
            beat |= started.beat;
        }
        let app = celery.app.as_str();
        let base = ["celery", "-A", app];
        // An empty pidfile keeps older releases from writing one into the project.
        let worker_command = [&base[..], &["worker", "--loglevel", "INFO"]].concat();
        let beat_command =
            [&base[..], &["beat", "--loglevel", "INFO", "--pidfile=", "--schedule", schedule]].concat();
        for (name, wanted, command) in
            [(WORKER, celery.worker && !worker, worker_command), (BEAT, celery.beat && !beat, beat_command)]
        {
            let name = name.to_owned();
            if !wanted {
                continue;
            }
            if self.run.iter().any(|process| process.name == name) {
                self.left_out.push(LeftOut { name, origin: ProcessOrigin::Celery, why: Why::NameTaken });
                continue;
            }
            self.run.push(Process {
                name,
                command: CommandLine::Words(command.into_iter().map(str::to_owned).collect()),
                kind: ProcessKind::Worker,
                folder: folder.to_owned(),
                packages: Vec::new(),
                origin: ProcessOrigin::Celery,
            });
        }
    }

    fn apply(
        &mut self,
        project: &Project,
        name: &str,
        entry: &Sourced<Entry<OwnProcess>>,
    ) -> Result<(), ProcessesError> {
        let (file, line) = match &entry.origin {
            Origin::File(file, line) => (file.clone(), line.unwrap_or(0)),
            _ => (String::new(), 0),
        };
        let at = self.run.iter().position(|process| process.name == name);
        let own = match (&entry.value, at) {
            (Entry::On(own), _) => own,
            (Entry::Off, Some(at)) => {
                let Process { name, origin, .. } = self.run.remove(at);
                self.left_out.push(LeftOut { name, origin, why: Why::SwitchedOff });
                return Ok(());
            }
            (Entry::Off, None) => {
                if !self.left_out.iter().any(|known| known.name == name) {
                    let origin = ProcessOrigin::File(file, line);
                    let why = Why::NothingToSwitchOff;
                    self.left_out.push(LeftOut { name: name.to_owned(), origin, why });
                }
                return Ok(());
            }
        };
        if let Some(folder) = &own.folder
            && !project.folder.join(folder).is_dir()
        {
            let (name, folder) = (name.to_owned(), folder.clone());
            return Err(ProcessesError::NoFolder { file, line, name, folder });
        }
        let process = match (&own.command, at) {
            (Some(command), _) => Process {
                name: name.to_owned(),
                kind: Purpose::of(command).kind(),
                command: command.clone(),
                folder: project.django_folder(),
                packages: Vec::new(),
                origin: ProcessOrigin::File(file, line),
            },
            (None, Some(at)) => self.run[at].clone(),
            (None, None) => return Err(ProcessesError::NoCommand { file, line, name: name.to_owned() }),
        };
        let process = Process {
            kind: own.kind.unwrap_or(process.kind),
            folder: own.folder.clone().unwrap_or(process.folder),
            packages: own.packages.clone(),
            ..process
        };
        match at {
            Some(at) => self.run[at] = process,
            None => self.run.push(process),
        }
        Ok(())
    }
}

fn few(count: usize) -> Result<(), ProcessesError> {
    if count > MAX_PROCESSES { Err(ProcessesError::TooMany { count }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
