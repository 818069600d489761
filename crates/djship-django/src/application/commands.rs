//! What the image starts: `web`, and what a Procfile, the configuration and Celery add to it.

mod inside;
mod web;

use crate::develop::processes::{Celery, Line, Procfile, Purpose, celery_started};
use crate::facts::Facts;
use crate::plan::{Origin, Plan};
use crate::project::ProjectError;
use crate::project::command::CommandLine;

pub use inside::Inside;
pub(super) use web::Fitted;

/// Where Celery's beat keeps its times when nothing says otherwise: the root is read-only.
const SCHEDULE: &str = "/tmp/celerybeat-schedule";

/// The commands of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// What the project starts: `web` where it says so, then the others in their order.
    pub all: Vec<Command>,
    /// What is named somewhere and is no command of the image.
    pub left_out: Vec<LeftOut>,
}

/// A command of the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Command {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// What starts it.
    pub line: CommandLine,
    /// Its folder, relative to the project, `""` for the project itself.
    pub folder: String,
    /// Who says so.
    pub origin: CommandOrigin,
}

/// Who says that there is a command.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CommandOrigin {
    /// A Procfile, relative to the project, and the line.
    Procfile(String, usize),
    /// The configuration, relative to the project, and the line.
    Config(String, usize),
    /// The settings: they configure Celery.
    Celery,
    /// Nobody: it is what serves when nothing is said.
    Default,
}

impl CommandOrigin {
    fn of_config(origin: &Origin) -> Self {
        match origin {
            Origin::File(file, line) => Self::Config(file.clone(), line.unwrap_or_default()),
            other => Self::Config(other.to_string(), 0),
        }
    }
}

impl std::fmt::Display for CommandOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Procfile(file, line) | Self::Config(file, line) => write!(f, "{file}, line {line}"),
            Self::Celery => f.write_str("the settings: Celery"),
            Self::Default => f.write_str("djship's default"),
        }
    }
}

/// What is no command of the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftOut {
    /// Its name; the beginning of the line for one that cannot be read.
    pub name: String,
    /// Who names it.
    pub origin: CommandOrigin,
    /// Why.
    pub why: Why,
}

/// Why something is no command of the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Why {
    /// The image has no such program.
    NoProgram(String),
    /// The project has no such file, or it does not ship.
    NoFile(String),
    /// The file may not be executed.
    NotExecutable(String),
    /// It starts Django's development server.
    DevelopmentServer,
    /// It starts a server that is no part of the project, or Docker.
    Service,
    /// A later line has the same name.
    Repeated,
    /// The line is no `NAME: COMMAND`, or its command cannot be read.
    Unreadable,
    /// The configuration says otherwise.
    Overruled,
    /// djship has a command of that name.
    Reserved,
    /// Nothing would serve the static files, and its application cannot be told.
    StaticFiles,
}

/// Why there are no commands.
#[derive(Debug, thiserror::Error)]
pub enum CommandsError {
    /// The kernel would look for an interpreter whose name ends in a carriage return.
    #[error("cannot start `{script}`, which `{name}` runs: it has Windows line endings")]
    WindowsLines {
        /// The file, relative to the project.
        script: String,
        /// The command.
        name: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

impl Commands {
    /// Decides what the files and the settings say; `inside` is what the image holds, `None` when nobody knows yet.
    pub fn decide(
        plan: &Plan,
        celery: Option<&Celery>,
        inside: Option<&Inside<'_>>,
    ) -> Result<Self, CommandsError> {
        let mut all = Self::default();
        if let Some(procfile) = Procfile::of_production(&plan.project)? {
            for line in &procfile.lines {
                all.add_line(&procfile, line, inside)?;
            }
        }
        all.apply_config(plan, inside)?;
        if let Some(celery) = celery {
            all.add_celery(plan, celery);
        }
        for command in &mut all.all {
            keep_schedule(&mut command.line);
            keep_builtin(&mut command.line);
        }
        all.all.sort_by_key(|command| command.name != "web");
        Ok(all)
    }

    /// The command of that name.
    pub fn find(&self, name: &str) -> Option<&Command> {
        self.all.iter().find(|command| command.name == name)
    }

    fn add_line(
        &mut self,
        procfile: &Procfile,
        line: &Line,
        inside: Option<&Inside<'_>>,
    ) -> Result<(), CommandsError> {
        let origin = CommandOrigin::Procfile(procfile.file.clone(), line.number);
        let mut leave_out = |name: &str, why| {
            self.left_out.push(LeftOut { name: name.to_owned(), origin: origin.clone(), why });
            Ok(())
        };
        let (name, text) = match &line.content {
            Ok((name, text)) => (name.as_str(), text.as_str()),
            Err(text) => return leave_out(text, Why::Unreadable),
        };
        if name == "migrate" {
            return leave_out(name, Why::Reserved);
        }
        if procfile.repeats(line) {
            return leave_out(name, Why::Repeated);
        }
        let Ok(command) = CommandLine::parse(text) else { return leave_out(name, Why::Unreadable) };
        match Purpose::of(&command) {
            Purpose::DevelopmentServer => return leave_out(name, Why::DevelopmentServer),
            Purpose::Service => return leave_out(name, Why::Service),
            Purpose::FrontEnd | Purpose::Other => {}
        }
        if let Some(why) = missing(inside, name, &command, &procfile.folder)? {
            return leave_out(name, why);
        }
        let (name, folder) = (name.to_owned(), procfile.folder.clone());
        self.all.push(Command { name, line: command, folder, origin });
        Ok(())
    }

    fn apply_config(&mut self, plan: &Plan, inside: Option<&Inside<'_>>) -> Result<(), CommandsError> {
        for (name, said) in &plan.config.ship.commands {
            if let Some(at) = self.all.iter().position(|command| command.name == *name) {
                let Command { name, origin, .. } = self.all.remove(at);
                self.left_out.push(LeftOut { name, origin, why: Why::Overruled });
            }
            let Some(line) = &said.value else { continue };
            let (name, folder) = (name.clone(), plan.project.django_folder());
            let origin = CommandOrigin::of_config(&said.origin);
            if let Some(why) = missing(inside, &name, line, &folder)? {
                self.left_out.push(LeftOut { name, origin, why });
                continue;
            }
            self.all.push(Command { name, line: line.clone(), folder, origin });
        }
        Ok(())
    }

    /// Adds Celery's own processes, but for those that the project starts itself, or does not want.
    fn add_celery(&mut self, plan: &Plan, celery: &Celery) {
        let started: Vec<_> = self.all.iter().map(|command| celery_started(&command.line)).collect();
        let (worker, beat) =
            (started.iter().any(|started| started.worker), started.iter().any(|started| started.beat));
        for (name, wanted) in [("worker", celery.worker && !worker), ("beat", celery.beat && !beat)] {
            if !wanted || self.find(name).is_some() || plan.config.ship.commands.contains_key(name) {
                continue;
            }
            let words = ["celery", "-A", &celery.app, name, "--loglevel", "INFO"].map(str::to_owned);
            self.all.push(Command {
                name: name.to_owned(),
                line: CommandLine::Words(words.to_vec()),
                folder: plan.project.django_folder(),
                origin: CommandOrigin::Celery,
            });
        }
    }
}

/// What keeps a command from running in the image.
fn missing(
    inside: Option<&Inside<'_>>,
    name: &str,
    command: &CommandLine,
    folder: &str,
) -> Result<Option<Why>, CommandsError> {
    inside.map_or(Ok(None), |inside| inside.missing(name, command, folder))
}

/// Celery's beat writes its times beside the code unless it is told where, and the code is read-only.
fn keep_schedule(line: &mut CommandLine) {
    let CommandLine::Words(words) = line else { return };
    let plain = words.iter().map(String::as_str);
    let told = plain.clone().any(|word| word == "-s" || word.starts_with("--schedule"));
    let other = plain.clone().any(|word| word == "-S" || word.starts_with("--scheduler"));
    let is_celery = words.first().is_some_and(|first| first.rsplit('/').next() == Some("celery"));
    if is_celery && celery_started(line).beat && !told && !other {
        let CommandLine::Words(words) = line else { return };
        words.extend(["--schedule".to_owned(), SCHEDULE.to_owned()]);
    }
}

/// The image has no coreutils: what the shell can do itself, it does.
fn keep_builtin(line: &mut CommandLine) {
    const BUILTINS: &[&str] = &["[", "echo", "false", "kill", "printf", "pwd", "test", "true"];
    let last = line.commands().last().and_then(|words| words.first().cloned()).unwrap_or_default();
    if !BUILTINS.contains(&last.as_str()) {
        return;
    }
    *line = match line {
        CommandLine::Words(words) => match shlex::try_join(words.iter().map(String::as_str)) {
            Ok(script) => CommandLine::Shell(script),
            Err(_) => return,
        },
        CommandLine::Shell(script) => match script.rfind(&format!("exec {last}")) {
            Some(at) => CommandLine::Shell(format!("{}{}", &script[..at], &script[at + "exec ".len()..])),
            None => return,
        },
    };
}

impl Command {
    /// The words that start it in a container of the image, whose folder is that of `manage.py`.
    pub fn argv(&self, django_folder: &str) -> Vec<String> {
        let argv = self.line.argv();
        if self.folder == django_folder {
            return argv;
        }
        // The shell goes there, and becomes the command.
        let folder = format!("/app/{}", self.folder);
        let enter = ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", folder.trim_end_matches('/')];
        enter.iter().map(|&word| word.to_owned()).chain(argv).collect()
    }
}

/// What the commands are without a build: nobody knows yet what Celery has, and what the image holds.
pub fn from_files(plan: &Plan) -> Result<Commands, CommandsError> {
    Commands::decide(plan, None, None)
}

/// The commands of a finished environment.
pub(super) fn of_image(plan: &Plan, facts: &Facts, inside: &Inside<'_>) -> Result<Commands, CommandsError> {
    Commands::decide(plan, facts.celery.as_ref(), Some(inside))
}

#[cfg(test)]
mod tests;
