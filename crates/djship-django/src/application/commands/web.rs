//! The project's own `web`, made to listen where it is told, and to serve static files where nothing else does.
//!
//! A server's own options about where it listens give way to `PORT`, like `bind` in a `gunicorn.conf.py`: the platform says
//! where, and `djship run` publishes on the loopback only.

use crate::application::layer::Wrapped;
use crate::facts::Facts;
use crate::project::command::CommandLine;

/// Servers that djship can start with another application.
const SERVERS: &[&str] = &["gunicorn", "uvicorn", "daphne", "hypercorn"];

/// An option, and what makes its value a place.
type Place = (&'static str, fn(&str) -> bool);

/// A `web` that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::application) struct Fitted {
    /// What starts it.
    pub(in crate::application) line: CommandLine,
    /// The options about where it listens that were left out.
    pub(in crate::application) dropped: Vec<String>,
    /// What it serves of ours in the place of the project's application.
    pub(in crate::application) wrapped: Option<Wrapped>,
}

impl Fitted {
    /// Fits a command; `wrap` when static files are to be served around the application. `None` when that cannot be done.
    pub(in crate::application) fn of(line: &CommandLine, facts: &Facts, wrap: bool) -> Option<Self> {
        let Some(text) = text(line) else {
            return (!wrap).then(|| Self { line: line.clone(), dropped: Vec::new(), wrapped: None });
        };
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let dropped = without_place(&mut words);
        let wrapped = if wrap { Some(wrapped(&mut words, facts)?) } else { None };
        let text = everywhere(&words.join(" "));
        let mut line = CommandLine::parse(&text).unwrap_or_else(|_| line.clone());
        super::keep_builtin(&mut line);
        Some(Self { line, dropped, wrapped })
    }
}

/// `0.0.0.0` as a host becomes the address that the entry point was told; in `10.0.0.0/8` and `0.0.0.0/0` it is none.
fn everywhere(text: &str) -> String {
    const HOST: &str = "0.0.0.0";
    let mut fitted = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(HOST) {
        let (before, after) = (&rest[..at], &rest[at + HOST.len()..]);
        let is_part = |one: char| one.is_ascii_digit() || one == '.';
        let is_host = !before.ends_with(is_part) && !after.starts_with(|one| is_part(one) || one == '/');
        fitted.push_str(before);
        fitted.push_str(if is_host { "$DJSHIP_BIND" } else { HOST });
        rest = after;
    }
    fitted + rest
}

/// The line as words between spaces; `None` when quotes hold spaces, which such words do not keep.
fn text(line: &CommandLine) -> Option<String> {
    let text = match line {
        CommandLine::Words(words) => shlex::try_join(words.iter().map(String::as_str)).ok()?,
        CommandLine::Shell(script) => script.clone(),
    };
    let even = |word: &str, quote: char| word.matches(quote).count().is_multiple_of(2);
    let is_whole = |word: &str| even(word, '"') && even(word, '\'') && !word.contains('\\');
    // In single quotes no variable is looked at.
    let is_plain = !(text.contains('\'') && text.contains("0.0.0.0"));
    (is_plain && text.split_whitespace().all(is_whole)).then_some(text)
}

fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Takes out the options of Gunicorn and Uvicorn that say where it listens: the entry point says it in variables.
fn without_place(words: &mut Vec<String>) -> Vec<String> {
    let Some(server) = words.iter().position(|word| matches!(program(word), "gunicorn" | "uvicorn")) else {
        return Vec::new();
    };
    let options: &[Place] = if program(&words[server]) == "gunicorn" {
        &[("--bind", is_place), ("-b", is_place)]
    } else {
        &[("--host", is_host), ("--port", is_port)]
    };
    let mut dropped = Vec::new();
    let mut at = server + 1;
    while at < words.len() {
        let word = words[at].clone();
        let told = options.iter().find_map(|(option, fits)| {
            let rest = word.strip_prefix(option)?;
            if rest.is_empty() {
                let value = words.get(at + 1)?;
                return fits(value).then(|| (2, format!("{option} {value}")));
            }
            let value = rest.strip_prefix('=').or_else(|| (option.len() == 2).then_some(rest))?;
            fits(value).then(|| (1, word.clone()))
        });
        if let Some((count, option)) = told {
            words.drain(at..at + count);
            dropped.push(option);
        } else {
            at += 1;
        }
    }
    dropped
}

fn plain(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}

/// `HOST:PORT`, no socket in a file.
fn is_place(word: &str) -> bool {
    let word = plain(word);
    // `${PORT:-8000}` has a colon of its own.
    let port = word.find(":$").or_else(|| word.rfind(':'));
    port.is_some_and(|at| is_host(&word[..at]) && is_port(&word[at + 1..]))
}

fn is_host(word: &str) -> bool {
    let word = plain(word);
    !word.starts_with("unix") && !word.starts_with("fd") && !word.contains(['/', '$', '`'])
}

fn is_port(word: &str) -> bool {
    let word = plain(word);
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let braced = word.strip_prefix("${PORT").and_then(|rest| rest.strip_suffix('}'));
    let otherwise =
        |rest: &str| rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-')).is_some_and(is_number);
    is_number(word) || word == "$PORT" || braced.is_some_and(|rest| rest.is_empty() || otherwise(rest))
}

/// Puts our application in the place of the project's.
fn wrapped(words: &mut Vec<String>, facts: &Facts) -> Option<Wrapped> {
    let server = words.iter().position(|word| SERVERS.contains(&program(word)))?;
    let is = |word: &str, target: Option<&String>| {
        let module = |target: &String| target.split_once(':').is_some_and(|(module, _)| word == module);
        target.is_some_and(|target| word == target || module(target))
    };
    let (at, wrapped) = (server + 1..words.len()).find_map(|at| {
        let word = plain(&words[at]);
        match () {
            () if is(word, facts.wsgi.as_ref()) => Some((at, Wrapped::Wsgi)),
            () if is(word, facts.asgi.as_ref()) => Some((at, Wrapped::Asgi)),
            () => None,
        }
    })?;
    words[at] = match wrapped {
        Wrapped::Wsgi => "djship_serve.wsgi:application".to_owned(),
        Wrapped::Asgi => "djship_serve.asgi:application".to_owned(),
    };
    let module = program(&words[server]).to_owned();
    let launch = ["/venv/bin/python".to_owned(), "/opt/djship/launch.py".to_owned(), module];
    words.splice(server..=server, launch);
    Some(wrapped)
}

#[cfg(test)]
mod tests {
    #[test]
    fn networks_are_no_hosts() {
        let fitted = super::everywhere("x --bind 0.0.0.0:80 --allow 10.0.0.0/8 --from 0.0.0.0/0 -b0.0.0.0");
        assert_eq!(fitted, "x --bind $DJSHIP_BIND:80 --allow 10.0.0.0/8 --from 0.0.0.0/0 -b$DJSHIP_BIND");
    }
}
