//! What a command is for, told from its words.

use crate::project::command::CommandLine;
use crate::project::config::ProcessKind;

/// Programs that build a front end, and the ones that start them.
const FRONT_END: &[&str] = &[
    "bun",
    "bunx",
    "deno",
    "esbuild",
    "grunt",
    "gulp",
    "next",
    "node",
    "npm",
    "npx",
    "parcel",
    "pnpm",
    "pnpx",
    "postcss",
    "rollup",
    "sass",
    "tailwindcss",
    "tsc",
    "vite",
    "webpack",
    "yarn",
];

/// Servers that are services, and the ways to containers that hold them.
const SERVICES: &[&str] = &[
    "docker",
    "docker-compose",
    "mailcatcher",
    "maildev",
    "mailhog",
    "mailpit",
    "mariadbd",
    "memcached",
    "mysqld",
    "podman",
    "postgres",
    "rabbitmq-server",
    "redis-server",
    "valkey-server",
];

/// Options of Celery that come before its command, with a value each.
const CELERY_OPTIONS: &[&str] =
    &["-A", "--app", "-b", "--broker", "--config", "--loader", "--result-backend", "--workdir"];

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Django's development server.
    DevelopmentServer,
    /// A database or another server that is no part of the project.
    Service,
    /// A front-end tool, which watches files for itself.
    FrontEnd,
    /// Anything else, so most likely the project's own code.
    Other,
}

impl Purpose {
    pub(crate) fn of(command: &CommandLine) -> Self {
        let mut commands = command.commands();
        for words in &mut commands {
            // What starts a program in an environment says nothing about it.
            let before = words.iter().take_while(|word| is_wrapper(word) || word.contains('=')).count();
            words.drain(..before);
        }
        let started = |programs: &[&str]| {
            commands.iter().filter_map(|words| words.first()).any(|word| programs.contains(&program(word)))
        };
        let manage = |names: &[&str]| {
            commands
                .iter()
                .flatten()
                .flat_map(|word| word.split_whitespace())
                .any(|word| names.contains(&word))
                && commands
                    .iter()
                    .flatten()
                    .any(|word| word.contains("manage.py") || word.contains("django-admin"))
        };
        match () {
            () if manage(&["runserver", "runserver_plus"]) => Self::DevelopmentServer,
            () if started(SERVICES) => Self::Service,
            () if started(FRONT_END) || manage(&["tailwind"]) => Self::FrontEnd,
            () => Self::Other,
        }
    }

    /// What kind of process does that.
    pub(crate) fn kind(self) -> ProcessKind {
        if self == Self::FrontEnd { ProcessKind::Watcher } else { ProcessKind::Worker }
    }
}

/// Which of Celery's processes a command starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) worker: bool,
    pub(crate) beat: bool,
}

/// What of Celery a command starts, also through another program (`watchfiles "celery ..."`, `python -m celery`).
pub(crate) fn celery(command: &CommandLine) -> Started {
    let mut started = Started::default();
    for words in command.commands() {
        let words: Vec<_> = words.iter().flat_map(|word| word.split_whitespace()).collect();
        let Some(at) = words.iter().position(|word| program(word) == "celery") else { continue };
        let mut rest = words[at + 1..].iter();
        while let Some(word) = rest.next() {
            match *word {
                "worker" => {
                    started.worker = true;
                    started.beat |= rest.clone().any(|word| matches!(*word, "-B" | "--beat"));
                }
                "beat" => started.beat = true,
                option if CELERY_OPTIONS.contains(&option) => {
                    rest.next();
                    continue;
                }
                option if option.starts_with('-') => continue,
                _ => {}
            }
            break;
        }
    }
    started
}

fn is_wrapper(word: &str) -> bool {
    matches!(word, "env" | "time" | "nice" | "exec")
}

/// A program's name without its folder.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}
