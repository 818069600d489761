//! What the programs of an environment print: one stream, each line behind the coloured name of its program.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use anstyle::AnsiColor;
use djship_django::supervisor::{Because, Event, Observer, Role};

use super::duration;

/// The colours of programs, in the order in which they first say something.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::BrightRed,
];

/// Puts names before lines.
#[derive(Debug, Default)]
pub(crate) struct Prefix {
    colors: BTreeMap<String, AnsiColor>,
    width: usize,
}

impl Prefix {
    /// The line behind its program's name.
    pub(crate) fn line(&mut self, program: &str, text: &str) -> String {
        let next = COLORS[self.colors.len() % COLORS.len()];
        let color = self.colors.entry(program.to_owned()).or_insert(next).on_default();
        self.width = self.width.max(program.len());
        let width = self.width;
        format!("{color}{program:width$} |{color:#} {text}")
    }
}

/// Shows an environment on standard output.
pub(crate) struct Stream {
    /// Lines of programs are shown, not only what becomes of them.
    lines: bool,
    prefix: Mutex<Prefix>,
}

impl Stream {
    pub(crate) fn new(lines: bool) -> Self {
        Self { lines, prefix: Mutex::default() }
    }

    fn say(&self, program: &str, text: &str) {
        // A panic elsewhere does not make the colours wrong.
        let mut prefix = self.prefix.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let line = prefix.line(program, text);
        // Whoever reads may have gone; the environment stays.
        let _ = writeln!(anstream::stdout().lock(), "{line}");
    }
}

impl Observer for Stream {
    fn line(&self, program: &str, _role: Role, text: &str, _prompt: bool) {
        if self.lines {
            self.say(program, text);
        }
    }

    fn event(&self, event: &Event<'_>) {
        let bold = anstyle::Style::new().bold();
        match event {
            Event::Ended { program, role, status, again_in } => {
                let when = if *role == Role::Service {
                    format!("started again in {}", duration(*again_in))
                } else {
                    format!("started again when the project changes, or in {}", duration(*again_in))
                };
                self.say(program, &format!("{bold}has ended ({status}); {when}{bold:#}"));
            }
            Event::NotStarted { program, error, again_in } => {
                self.say(
                    program,
                    &format!(
                        "{bold}cannot be started: {error}; tried again in {}{bold:#}",
                        duration(*again_in)
                    ),
                );
            }
            Event::Restarting { program, because } => {
                let why = match because {
                    Because::Backoff => "its time has come",
                    Because::Code => "code changed",
                    Because::Description => "settings, variables or dependencies changed",
                    Because::Asked => "asked for",
                };
                self.say(program, &format!("{bold}starting again: {why}{bold:#}"));
            }
            Event::NotServing { program } => {
                self.say(program, &format!("{bold}runs, and does not serve any more{bold:#}"));
            }
            Event::LeftOut { number } => {
                self.say(
                    "djship",
                    &format!("{bold}{number} lines were left out: this terminal took none; djship logs has them{bold:#}"),
                );
            }
            Event::Debugger { program } => {
                self.say(program, &format!("{bold}waits in a debugger: djship attach {program}{bold:#}"));
            }
            Event::Polling => {
                self.say(
                    "djship",
                    "the kernel watches no more folders for this user; looking every two seconds",
                );
            }
            _ => {}
        }
    }
}
