//! `djship db restore`.

use std::io::{BufRead, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use djship_django::develop::StepAccess;
use djship_django::services::Input;
use djship_engine::{Stdio, Streams};

use super::Database;
use crate::errors::{Kind, Report};
use crate::host::Workshop;
use crate::interrupt::{INTERRUPTED, Interrupts};

/// How PostgreSQL's own format begins (pg_dump, custom format).
const PGDMP: [u8; 5] = *b"PGDMP";
/// So much of a line says whether it leads elsewhere.
const LINE: usize = 24;

/// A file that can be restored.
pub(super) struct Source {
    path: PathBuf,
    file: std::fs::File,
    /// In the server's own format.
    own: bool,
}

impl Source {
    /// Opens it, and looks whether it would work on another database than the one that it is to replace.
    pub(super) fn open(path: &Path, database: &Database<'_>) -> Result<Self, Report> {
        let mut file = fs_err::File::open(path).map_err(|error| {
            Report::new(Kind::User, error.to_string()).hint("Give a file that `djship db dump` wrote")
        })?;
        let unread = |error: std::io::Error| {
            Report::new(Kind::User, format!("cannot read `{}`", path.display()))
                .line(error.to_string())
                .hint("Give a file that `djship db dump` wrote")
        };
        let mut start = Vec::new();
        std::io::Read::by_ref(&mut file).take(PGDMP.len() as u64).read_to_end(&mut start).map_err(unread)?;
        file.rewind().map_err(unread)?;
        let own = database.is_postgres() && start == PGDMP;
        if start.is_empty() {
            return Err(Report::new(Kind::User, format!("cannot restore `{}`: it is empty", path.display()))
                .hint("Give a file that `djship db dump` wrote"));
        }
        if !own {
            let elsewhere = leads_elsewhere(BufReader::new(&mut file), database.is_postgres());
            if let Some((number, line)) = elsewhere.map_err(unread)? {
                return Err(Report::new(
                    Kind::User,
                    format!("cannot restore `{}`: it works on a database that it names itself", path.display()),
                )
                .line(format!("Line {number}: {line}"))
                .hint("Dump one database, without what makes it: pg_dump without --create, mariadb-dump without --databases")
                .hint(format!("To run it all the same: djship db < {}", path.display())));
            }
            file.rewind().map_err(unread)?;
        }
        let (file, _) = file.into_parts();
        Ok(Self { path: path.to_owned(), file, own })
    }
}

/// The first line that makes a client go to another database. In what dumps hold of data, no line begins like that: newlines
/// and backslashes are escaped.
fn leads_elsewhere(mut text: impl BufRead, postgres: bool) -> std::io::Result<Option<(u64, String)>> {
    let leads = |line: &str| {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if postgres {
            return matches!(first, "\\connect" | "\\c");
        }
        let second = words.next().unwrap_or_default();
        first.eq_ignore_ascii_case("use")
            || first.eq_ignore_ascii_case("create") && second.eq_ignore_ascii_case("database")
    };
    let (mut number, mut start) = (1, Vec::new());
    loop {
        let chunk = text.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let (part, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&chunk[..at], true),
            None => (chunk, false),
        };
        start.extend(part.iter().take(LINE - start.len().min(LINE)));
        let used = part.len() + usize::from(ended);
        text.consume(used);
        if ended {
            let line = String::from_utf8_lossy(&start);
            if leads(&line) {
                return Ok(Some((number, line.into_owned())));
            }
            number += 1;
            start.clear();
        }
    }
    let line = String::from_utf8_lossy(&start);
    Ok(leads(&line).then(|| (number, line.into_owned())))
}

/// Replaces the database step by step; when one fails, what was begun is cleaned up.
pub(super) fn restore(workshop: &Workshop, database: &Database<'_>, source: &Source) -> Result<i32, Report> {
    let interrupts = Interrupts::watch_terminal()
        .map_err(|error| Report::new(Kind::Host, "cannot notice Ctrl-C").line(error.to_string()))?;
    let replacement = if source.own { &database.access.restore } else { &database.access.script };
    for step in &replacement.steps {
        let code = run(workshop, database, source, step, Some(&interrupts));
        if matches!(code, Ok(0)) {
            continue;
        }
        // What went wrong before is the news.
        let _ = run(workshop, database, source, &replacement.give_up, None);
        let state = if step.harmless {
            "The database is as it was."
        } else {
            "The database is empty or half filled."
        };
        if interrupts.came() {
            anstream::eprintln!("Interrupted. {state}");
            return Ok(INTERRUPTED);
        }
        code?;
        let report =
            Report::new(Kind::User, format!("cannot restore `{}`", source.path.display())).line(state);
        let report = if source.own {
            report.hint("If the file is damaged or not whole, give another one that `djship db dump` wrote")
        } else if database.is_postgres() {
            report.hint("A role that is missing here is left out by: pg_dump --no-owner --no-acl")
        } else {
            report
        };
        return Err(if step.harmless {
            report
        } else {
            report
                .hint(format!(
                    "Mend what is said above, then once more: djship db restore {}",
                    source.path.display()
                ))
                .hint("Or begin with an empty one: djship manage migrate")
        });
    }
    Ok(0)
}

/// Runs one step to its end.
fn run(
    workshop: &Workshop,
    database: &Database<'_>,
    source: &Source,
    step: &StepAccess,
    interrupts: Option<&Interrupts>,
) -> Result<i32, Report> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| Report::new(Kind::Host, error.to_string()).causes(error);
    let mut exec = step.command.exec();
    exec.stdio = Streams { stdin: Stdio::Piped, stdout: Stdio::Null, stderr: Stdio::Inherit };
    let mut file = source.file.try_clone().map_err(|error| failed(&error))?;
    file.rewind().map_err(|error| failed(&error))?;
    let mut running = database.start(workshop, &exec)?;
    let stdin = running.take_stdin();
    let status = std::thread::scope(|scope| {
        scope.spawn(move || {
            let Some(mut stdin) = stdin else { return };
            // A program that ends early says why itself.
            let _ = match &step.input {
                Input::File => std::io::copy(&mut file, &mut stdin).map(drop),
                Input::Text(text) => stdin.write_all(text.as_bytes()),
            };
        });
        let status = match interrupts {
            Some(interrupts) => interrupts.wait(&mut running),
            None => running.wait(),
        };
        // With it the streams, so that the thread ends.
        drop(running);
        status
    });
    Ok(status.map_err(|error| failed(&error))?.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_elsewhere_is_noticed() {
        let found = |text: &str, postgres| {
            // In pieces, as files come.
            let pieces = BufReader::with_capacity(3, text.as_bytes());
            leads_elsewhere(pieces, postgres).unwrap().map(|(number, _)| number)
        };
        assert_eq!(found("-- a dump\n\\connect shop\nselect 1;\n", true), Some(2));
        assert_eq!(found("\\restrict x\ninsert into poll values ('\\c x');\n\\copyright", true), None);
        assert_eq!(found("select 1;\n\\c shop", true), Some(2));
        assert_eq!(found("USE `shop`;\n", false), Some(1));
        assert_eq!(found("a\nb\ncreate  DATABASE x;\n", false), Some(3));
        assert_eq!(found("CREATE TABLE `use` (a int);\n-- use x\n", false), None);
        assert_eq!(found("", true), None);
    }
}
