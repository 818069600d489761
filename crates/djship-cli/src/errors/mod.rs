//! Errors into words: one place where typed errors become a title, a body, hints and an exit code.

mod base_image;
mod build;
mod develop;
mod front_end;
mod registry;
mod ship;
mod stages;
mod statics;
mod stored;

pub(crate) use build::{build, eject};
pub(crate) use develop::{config, environment, up, volume};
pub(crate) use front_end::front_end;
pub(crate) use registry::registry;
pub(crate) use stages::{base, bytecode, child, docker, first_look, run, start, storage};
pub(crate) use stored::{image, removal, sweep};

/// What a failed command tells the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// One line: what could not be done.
    pub(crate) title: String,
    /// What happened, details, a line each.
    pub(crate) body: Vec<String>,
    /// What to do next.
    pub(crate) hints: Vec<String>,
    /// Who is to act.
    pub(crate) kind: Kind,
}

/// Who is to act; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The user: project, settings, input.
    User,
    /// The user: the command line.
    Usage,
    /// The host lacks something.
    Host,
    /// We do: a bug.
    Internal,
}

impl Kind {
    /// The exit code of the command.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::User => 1,
            Self::Usage => 2,
            Self::Host => 3,
            Self::Internal => 70,
        }
    }
}

impl Report {
    /// A report with nothing but a title.
    pub(crate) fn new(kind: Kind, title: impl Into<String>) -> Self {
        Self { title: title.into(), body: Vec::new(), hints: Vec::new(), kind }
    }

    /// Adds a line to the body.
    #[must_use]
    pub(crate) fn line(mut self, line: impl Into<String>) -> Self {
        self.body.push(line.into());
        self
    }

    /// Adds a hint, once.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    /// Adds the causes of an error, outermost first, leaving out what the title already says.
    #[must_use]
    pub(crate) fn causes(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !self.title.ends_with(&text) && self.body.last().is_none_or(|last| !last.ends_with(&text)) {
                self.body.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds the last lines that a program printed.
    #[must_use]
    pub(crate) fn tail(mut self, lines: &[String]) -> Self {
        const SHOWN: usize = 25;
        let lines = &lines[lines.len().saturating_sub(SHOWN)..];
        self.body.extend(lines.iter().map(|line| format!("| {line}")));
        self
    }

    /// Prints the report to standard error.
    pub(crate) fn print(&self) {
        let (bold, reset) = (anstyle::Style::new().bold(), anstyle::Reset);
        let red = anstyle::AnsiColor::Red.on_default().bold();
        anstream::eprintln!("{red}error{reset}{bold}:{reset} {}", capital(&self.title));
        for line in self.body.iter().flat_map(|text| text.lines()) {
            anstream::eprintln!("  {line}");
        }
        let cyan = anstyle::AnsiColor::Cyan.on_default().bold();
        for hint in &self.hints {
            anstream::eprintln!("{cyan}hint{reset}{bold}:{reset} {hint}");
        }
    }
}

/// The first letter as a capital, unless it is in a name.
fn capital(title: &str) -> String {
    let mut chars = title.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot build")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("no space left"));
        let report =
            Report::new(Kind::User, error.to_string()).causes(&error).hint("free some").hint("free some");
        assert_eq!(report.body, ["no space left"]);
        assert_eq!(report.hints.len(), 1);
        assert_eq!(report.kind.code(), 1);
    }
}
