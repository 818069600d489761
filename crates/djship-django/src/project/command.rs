//! Command lines as Procfiles and settings have them: plain words, or a line for the shell.
//!
//! A shell between a container's first process and the program would keep signals from it. So plain words start no
//! shell, and a shell becomes the program (`exec`) wherever the line surely allows it.

mod scan;

use scan::Scan;

/// The shell of every Debian root.
const SHELL: &str = "/bin/sh";

/// A line is at most this long, in bytes.
pub const MAX_LENGTH: usize = 16 << 10;

/// Names that mean something to the shell itself: `exec` cannot start them.
const OF_THE_SHELL: &[&str] = &[
    ".", ":", "[[", "alias", "bg", "break", "cd", "command", "continue", "eval", "exec", "exit", "export",
    "fg", "getopts", "hash", "jobs", "local", "read", "readonly", "return", "set", "shift", "source",
    "times", "type", "ulimit", "umask", "unset", "wait",
];

/// Names that begin something larger than a command, or that must outlive one.
const LARGER: &[&str] = &[
    "!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "then",
    "time", "trap", "until", "while",
];

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// A program and its arguments.
    Words(Vec<String>),
    /// A script for `/bin/sh -c`.
    Shell(String),
}

/// Why a text is no command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no program in it.
    #[error("there is no command")]
    Empty,
    /// A quotation mark has no second one, or the line ends in a backslash.
    #[error("a quotation mark is not closed")]
    Unclosed,
    /// It is longer than [`MAX_LENGTH`].
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// It holds a zero byte.
    #[error("it holds a zero byte")]
    Zero,
}

impl CommandLine {
    /// Reads a line as the shell would. Only a line with variables, operators or patterns keeps the shell.
    pub fn parse(line: &str) -> Result<Self, CommandError> {
        let line = line.trim();
        check_text(line)?;
        let scan = Scan::of(line).ok_or(CommandError::Unclosed)?;
        let firsts: Vec<_> = scan.parts.iter().map(|part| first(line, part)).collect();
        if firsts.iter().all(Option::is_none) {
            // Assignments alone start nothing, neither does a comment.
            return Err(CommandError::Empty);
        }
        let Some((at, word)) = firsts.last().copied().flatten() else {
            return Ok(Self::Shell(line.to_owned()));
        };
        if !scan.shell && at == 0 && word == "exec" {
            return Self::parse(&line[word.len()..]);
        }
        let larger = firsts.iter().flatten().any(|(_, word)| LARGER.contains(word));
        let begins = !larger && !OF_THE_SHELL.contains(&word);
        if begins && !scan.shell && at == 0 {
            return shlex::split(line).map(Self::Words).ok_or(CommandError::Unclosed);
        }
        let becomes = begins && !scan.opaque;
        Ok(Self::Shell(if becomes {
            format!("{}exec {}", &line[..at], &line[at..])
        } else {
            line.to_owned()
        }))
    }

    /// Takes words as they are.
    pub fn of_words(words: Vec<String>) -> Result<Self, CommandError> {
        if words.first().is_none_or(String::is_empty) {
            return Err(CommandError::Empty);
        }
        check_text(&words.concat())?;
        Ok(Self::Words(words))
    }

    /// The program and its arguments, the shell's included.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Words(words) => words.clone(),
            Self::Shell(script) => vec![SHELL.to_owned(), "-c".to_owned(), script.clone()],
        }
    }

    /// The line as people write it.
    pub fn as_text(&self) -> String {
        match self {
            Self::Words(words) => shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default(),
            Self::Shell(script) => script.strip_prefix("exec ").unwrap_or(script).to_owned(),
        }
    }

    /// The commands in it with their words, without assignments and `exec`: for telling what they are, not for running
    /// them.
    pub fn commands(&self) -> Vec<Vec<String>> {
        match self {
            Self::Words(words) => vec![words.clone()],
            Self::Shell(script) => {
                let Some(scan) = Scan::of(script) else { return Vec::new() };
                let words = |part: &Vec<std::ops::Range<usize>>| {
                    let (at, word) = first(script, part)?;
                    let begin = if word == "exec" { at + word.len() } else { at };
                    let words = part.iter().filter(|word| word.start >= begin).map(|word| {
                        let text = &script[word.clone()];
                        shlex::split(text).map_or_else(|| text.to_owned(), |words| words.join(" "))
                    });
                    Some(words.collect())
                };
                scan.parts.iter().filter_map(words).collect()
            }
        }
    }
}

fn check_text(text: &str) -> Result<(), CommandError> {
    if text.len() > MAX_LENGTH {
        return Err(CommandError::TooLong);
    }
    if text.contains('\0') { Err(CommandError::Zero) } else { Ok(()) }
}

/// The first word of a command that is no assignment, and where it begins.
fn first<'a>(line: &'a str, part: &[std::ops::Range<usize>]) -> Option<(usize, &'a str)> {
    let mut words = part.iter().map(|word| (word.start, &line[word.clone()]));
    words.find(|(_, word)| !is_assignment(word))
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests;
