//! One project, from a copy of its folder to a row.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::files::{self, Listing};
use super::known::Known;
use super::links;
use super::program::Program;
use super::row::{Answer, Row};
use crate::http::{self, Page};

/// For everything that is fetched, compiled and installed.
const UP: Duration = Duration::from_mins(20);
/// For everything else.
const MOMENT: Duration = Duration::from_mins(5);
/// For a page of a server that says it serves.
const ANSWER: Duration = Duration::from_secs(30);

/// Begins the line of [`ASK`]; projects print in their settings, too.
const FACTS: &str = "djship-facts";
const ASK: &str = "\
import sys, django
from django.conf import settings
print('djship-facts', settings.SETTINGS_MODULE, django.get_version(), sys.version.split()[0], sep='\\t')";

/// A project that was tried.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) row: Row,
    /// Nothing of it runs any more, as far as djship knows.
    pub(super) is_ended: bool,
}

/// A project that runs, or is to.
struct Trial<'a> {
    program: &'a Program,
    known: &'a Known,
    folder: PathBuf,
    row: Row,
}

/// Tries the project in `original`, in a copy that belongs to `owner`.
pub(super) fn run(program: &Program, known: &Known, original: &Path, owner: Option<u32>) -> Result<Tried> {
    let name = original.file_name().context("a project's folder has a name")?;
    let folder = program.place.join(name);
    files::copy(original, &folder)?;
    let row = Row { project: known.name.clone(), commit: known.commit_of(original)?, ..Row::default() };
    let mut trial = Trial { program, known, folder, row };
    trial.write_environment()?;
    if let Some(owner) = owner {
        files::give(&trial.folder, owner)?;
    }
    let before = Listing::of(&trial.folder)?;
    let looked = trial.look();
    if looked.is_err() {
        trial.show_logs();
    }
    let ended = trial.djship(&["down", "."], MOMENT);
    let news = before.news(&trial.folder)?;
    trial.row.new_files = news.files;
    let owned = if news.foreign.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!("does not belong to the owner of the folder: {}", news.foreign.join(", ")))
    };
    let is_ended = ended.is_ok();
    let errors: Vec<String> = [looked, ended.map(drop), owned]
        .into_iter()
        .filter_map(|outcome| outcome.err().map(|error| format!("{error:#}")))
        .collect();
    trial.row.error = (!errors.is_empty()).then(|| errors.join("\n"));
    Ok(Tried { row: trial.row, is_ended })
}

impl Trial<'_> {
    /// Writes `.env` as the project's documentation tells to.
    fn write_environment(&mut self) -> Result<()> {
        let mut text = String::new();
        if let Some(example) = &self.known.env {
            text = fs_err::read_to_string(self.folder.join(example))?;
            self.row.documented.push(format!("cp {example} .env"));
        }
        for (name, value) in &self.known.variables {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text += &format!("{name}={value}\n");
            self.row.documented.push(format!("{name}={value}"));
        }
        if !text.is_empty() {
            fs_err::write(self.folder.join(".env"), text)?;
        }
        Ok(())
    }

    /// Starts it, and looks at everything that a person would.
    fn look(&mut self) -> Result<()> {
        let up = self.djship(&["up", "-d", "."], UP)?;
        let status = self.djship(&["status", "--json", "."], MOMENT)?;
        let status: Value = serde_json::from_str(&status.1).context("no JSON from `djship status`")?;
        self.row.services = texts(&status, "services", "title");
        self.row.programs = texts(&status, "programs", "name");
        self.row.supplied = supplied(&status);
        let url = status.get("url").and_then(Value::as_str).context("`djship status` tells no url")?;
        let url = url.trim_end_matches('/');
        let since = Instant::now();
        // Any answer is one; what it must be is judged when everything that is documented was done.
        http::wait_for(&format!("{url}{}", self.known.page()), ANSWER, |_| true)?;
        self.row.seconds = Some((up.0 + since.elapsed()).as_secs_f64());
        for command in &self.known.manage {
            let words: Vec<&str> = ["manage"].into_iter().chain(command.iter().map(String::as_str)).collect();
            self.djship(&words, MOMENT)?;
            self.row.documented.push(format!("manage.py {}", command.join(" ")));
        }
        let facts = self.djship(&["manage", "shell", "-c", ASK], MOMENT)?;
        let line = facts.1.lines().find(|line| line.starts_with(FACTS)).unwrap_or_default();
        if let [_, settings, django, python] = line.split('\t').collect::<Vec<_>>()[..] {
            self.row.settings = Some(settings.to_owned());
            self.row.django = Some(format!("Django {django}"));
            self.row.python = Some(format!("Python {python}"));
        }
        let page = self.first_page(url)?;
        self.static_file(url, &page)?;
        let down: Vec<String> = not_running(&status);
        if !down.is_empty() {
            bail!("not running: {}", down.join(", "));
        }
        Ok(())
    }

    fn first_page(&mut self, url: &str) -> Result<Page> {
        let path = self.known.page();
        let page = http::get(&format!("{url}{path}"), ANSWER)?;
        self.row.page = Some(Answer { path: path.to_owned(), status: page.status });
        if page.status != 200 {
            bail!("{path} answers {}", page.status);
        }
        if let Some(wanted) = self.known.contains.as_ref().filter(|wanted| !page.text.contains(*wanted)) {
            bail!("{path} does not say `{wanted}`");
        }
        Ok(page)
    }

    fn static_file(&mut self, url: &str, first: &Page) -> Result<()> {
        let linked = match &self.known.static_from {
            Some(path) => links::static_file(&http::get(&format!("{url}{path}"), ANSWER)?.text),
            None => links::static_file(&first.text),
        };
        let Some(path) = linked else {
            // Of a project that nobody has looked at, nobody knows whether there is one.
            if self.known.is_in_table() {
                bail!("no static file is linked where one should be");
            }
            return Ok(());
        };
        let status = http::get(&format!("{url}{path}"), ANSWER)?.status;
        self.row.static_file = Some(Answer { path: path.clone(), status });
        if status != 200 {
            bail!("{path} answers {status}");
        }
        Ok(())
    }

    /// Runs djship in the copy; how long it took, and what it printed.
    fn djship(&self, arguments: &[&str], patience: Duration) -> Result<(Duration, String)> {
        let ended = self.program.run(&self.folder, arguments, patience)?;
        if !ended.is_well {
            // Of a script only the command counts.
            let command = &arguments[..arguments.len().min(3)];
            bail!(self.program.complaint(command, &ended, &self.folder));
        }
        Ok((ended.time, ended.stdout))
    }

    /// For whoever watches: a page that is an error is explained there.
    fn show_logs(&self) {
        if let Ok((_, logs)) = self.djship(&["logs"], MOMENT) {
            let lines: Vec<&str> = logs.lines().collect();
            for line in &lines[lines.len().saturating_sub(30)..] {
                println!("    | {line}");
            }
        }
    }
}

/// The texts of one name in a list of objects.
fn texts(status: &Value, list: &str, name: &str) -> Vec<String> {
    let objects = status.get(list).and_then(Value::as_array).into_iter().flatten();
    objects.filter_map(|object| object.get(name)?.as_str()).map(str::to_owned).collect()
}

/// Names of the variables that were supplied: texts, or objects with a name; beside the rest, or among the facts.
fn supplied(status: &Value) -> Vec<String> {
    let list = status.get("supplied").or_else(|| status.pointer("/facts/supplied"));
    let entries = list.and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| entry.get("name").unwrap_or(entry).as_str()).map(str::to_owned).collect()
}

/// Programs that ended, or never began.
fn not_running(status: &Value) -> Vec<String> {
    let programs = status.get("programs").and_then(Value::as_array).into_iter().flatten();
    let text = |program: &Value, name: &str| {
        program.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    programs
        .map(|program| (text(program, "name"), text(program, "condition")))
        .filter(|(_, condition)| matches!(condition.as_str(), "waiting" | "stopped" | "failed"))
        .map(|(name, condition)| format!("{name} ({condition})"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let status = serde_json::json!({
            "url": "http://localhost:8000",
            "programs": [
                {"name": "postgres", "role": "service", "condition": "ready"},
                {"name": "worker", "role": "worker", "condition": "waiting"},
                {"name": "beat", "role": "worker", "condition": "starting"},
            ],
            "services": [{"name": "postgres", "title": "PostgreSQL 17", "address": "127.70.1.2:5432", "url": null}],
            "facts": {"supplied": [{"name": "SECRET_KEY", "kind": "secret"}, "ALLOWED_HOSTS"]},
        });
        assert_eq!(texts(&status, "services", "title"), ["PostgreSQL 17"]);
        assert_eq!(texts(&status, "programs", "name"), ["postgres", "worker", "beat"]);
        assert_eq!(not_running(&status), ["worker (waiting)"]);
        assert_eq!(supplied(&status), ["SECRET_KEY", "ALLOWED_HOSTS"]);
        assert_eq!(supplied(&Value::Null), [""; 0]);
        assert_eq!(texts(&Value::Null, "services", "title"), [""; 0]);
    }

    #[test]
    fn the_line_of_facts_is_known_by_its_beginning() {
        assert!(ASK.contains(&format!("print('{FACTS}',")));
    }
}
