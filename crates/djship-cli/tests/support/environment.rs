//! A development environment that runs, as a test sees it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::{Request, Response};
use djship_testkit::{Djship, Output, Running};
use rustix::process::Signal;

use super::processes::{self, Process};
use super::{SOON, await_some};

/// `djship up` in the foreground that has said it serves.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) running: Running,
    pub(crate) project: PathBuf,
    pub(crate) port: u16,
}

impl Up {
    /// Starts `djship up` with these further arguments, and waits until it serves.
    pub(crate) fn start(djship: &Djship, project: &Path, arguments: &[&str]) -> Result<Self> {
        let folder = project.to_str().context("a path in UTF-8")?;
        let mut running = djship.start(["up", folder].iter().chain(arguments))?;
        running.await_text("Serving on http://localhost:", 10 * SOON)?;
        let port = port(&running.text())?;
        Ok(Self { running, project: project.to_owned(), port })
    }

    /// The page, which must be there.
    pub(crate) fn page(&self, path: &str) -> Result<Response> {
        page(self.port, path).with_context(|| format!("djship said:\n{}", self.running.text()))
    }

    /// Waits until a page holds a text: the development server looks for changes every second.
    pub(crate) fn await_page(&self, path: &str, text: &str) -> Result<()> {
        let shown = || page(self.port, path).ok().filter(|page| page.text().contains(text)).map(drop);
        let found = await_some(SOON, shown);
        found.with_context(|| format!("{path} does not show `{text}`\n{}", self.running.text()))
    }

    /// Ctrl-C: everything ends, in order, and nothing is left.
    pub(crate) fn interrupt(self) -> Result<Output> {
        let family = processes::descendants(self.running.id());
        self.running.signal(Signal::INT)?;
        let output = self.running.wait(SOON)?.exit_code(130)?;
        nothing_is_left(&self.project, &family)?;
        Ok(output)
    }
}

/// The port in what `djship up` says.
pub(crate) fn port(text: &str) -> Result<u16> {
    let rest = text.split("Serving on http://localhost:").nth(1).context("no address is named")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

/// A page of a development server on this port.
pub(crate) fn page(port: u16, path: &str) -> Result<Response> {
    let response = Request::get(&format!("http://localhost:{port}{path}")).send()?;
    ensure!(response.status == 200, "{path} has the status {}\n{}", response.status, response.text());
    Ok(response)
}

/// None of these processes runs any more, and none has to do with the project. The kernel gets a moment.
pub(crate) fn nothing_is_left(project: &Path, family: &[Process]) -> Result<()> {
    let left = || -> Vec<Process> {
        let mut left = processes::using(project);
        left.extend(family.iter().filter(|process| processes::is_alive(process)).cloned());
        left
    };
    let gone = await_some(Duration::from_secs(10), || left().is_empty().then_some(()));
    ensure!(gone.is_some(), "these processes are left: {:#?}", left());
    Ok(())
}

/// A command that works in the environment of a project.
pub(crate) fn within(djship: &Djship, project: &Path, arguments: &[&str]) -> Result<Output> {
    let folder = project.to_str().context("a path in UTF-8")?;
    djship.run(["-C", folder].iter().chain(arguments))
}

/// The same with a text as its standard input.
pub(crate) fn typed(djship: &Djship, project: &Path, arguments: &[&str], text: &str) -> Result<Output> {
    let folder = project.to_str().context("a path in UTF-8")?;
    let mut command = djship.command(["-C", folder].iter().chain(arguments));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("a pipe")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// What djship keeps of an environment in one of its folders, `environments` or `volumes`.
pub(crate) fn kept(djship: &Djship, place: &str, project: &Path) -> Option<PathBuf> {
    let name = project.file_name()?.to_string_lossy().to_lowercase();
    let words: Vec<_> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let prefix = format!("{}-", words.join("-"));
    let entries = fs_err::read_dir(djship.home().join(place)).ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
}

/// Nobody is said to run any more: not by `status`, and not by what lies on the disk.
pub(crate) fn nothing_is_said_to_run(djship: &Djship, project: &Path) -> Result<()> {
    within(djship, project, &["status"])?.exit_code(1)?;
    let document = status(djship, project)?;
    ensure!(document["running"] == false, "{document}");
    let folder = kept(djship, "environments", project).context("the environment's folder")?;
    for name in ["state.json", "run"] {
        ensure!(!folder.join(name).exists(), "{name} is left in {}", folder.display());
    }
    ensure!(fs_err::read_to_string(folder.join("lock"))?.is_empty(), "the lock names somebody");
    Ok(())
}

/// What `djship status --json` says.
pub(crate) fn status(djship: &Djship, project: &Path) -> Result<serde_json::Value> {
    let folder = project.to_str().context("a path in UTF-8")?;
    let output = djship.run(["status", "--json", folder])?;
    serde_json::from_str(&output.stdout).with_context(|| format!("no document\n{output}"))
}

/// Everything below a folder that somebody else than `uid` owns.
pub(crate) fn foreign_files(folder: &Path, uid: u32) -> Result<Vec<PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;
    let mut foreign = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs_err::symlink_metadata(&path)?;
        if metadata.uid() != uid {
            foreign.push(path.clone());
        }
        if metadata.is_dir() {
            foreign.extend(foreign_files(&path, uid)?);
        }
    }
    Ok(foreign)
}

/// Every file and link below a folder, relative to it and sorted, without what lies in `.cache`.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop() {
        for entry in fs_err::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                if !path.ends_with(".cache") {
                    folders.push(path);
                }
            } else {
                found.push(path.strip_prefix(folder)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A running environment that is ended with the test, however that ends.
#[derive(Debug)]
pub(crate) struct Background<'a> {
    djship: &'a Djship,
    pub(crate) project: PathBuf,
    pub(crate) port: u16,
    /// It was ended, and its data is still wanted.
    kept: bool,
    /// What was said until it ran.
    pub(crate) said: String,
}

impl<'a> Background<'a> {
    /// `djship up -d`.
    pub(crate) fn start(djship: &'a Djship, project: &Path) -> Result<Self> {
        let folder = project.to_str().context("a path in UTF-8")?;
        let mut background = Self::of(djship, project);
        let output = djship.run(["up", "-d", folder])?.success()?;
        background.port = port(&output.stderr).with_context(|| output.to_string())?;
        ensure!(output.stdout.trim() == format!("http://localhost:{}", background.port), "{output}");
        let roots: Vec<_> = output.stderr.lines().filter(|line| line.ends_with("in the store")).collect();
        let different: std::collections::BTreeSet<_> = roots.iter().collect();
        ensure!(different.len() == roots.len(), "said twice: {output}");
        background.said = output.stderr;
        Ok(background)
    }

    /// One that is, or will be, started otherwise: it is ended with the test as well.
    pub(crate) fn of(djship: &'a Djship, project: &Path) -> Self {
        Self { djship, project: project.to_owned(), port: 0, kept: false, said: String::new() }
    }

    pub(crate) fn page(&self, path: &str) -> Result<Response> {
        page(self.port, path).with_context(|| match within(self.djship, &self.project, &["logs"]) {
            Ok(logs) => logs.to_string(),
            Err(error) => error.to_string(),
        })
    }

    pub(crate) fn within(&self, arguments: &[&str]) -> Result<Output> {
        within(self.djship, &self.project, arguments)
    }

    pub(crate) fn status(&self) -> Result<serde_json::Value> {
        status(self.djship, &self.project)
    }

    /// The titles of its services, sorted.
    pub(crate) fn services(&self) -> Result<Vec<String>> {
        let status = self.status()?;
        let services = status["services"].as_array().context("no services")?;
        let mut titles: Vec<_> =
            services.iter().map(|service| service["title"].as_str().unwrap_or_default().to_owned()).collect();
        titles.sort();
        Ok(titles)
    }

    /// The names of its programs, in their order.
    pub(crate) fn programs(&self) -> Result<Vec<String>> {
        let status = self.status()?;
        let programs = status["programs"].as_array().context("no programs")?;
        Ok(programs.iter().map(|program| program["name"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// Tries a page until it shows a text.
    pub(crate) fn await_page(&self, path: &str, text: &str) -> Result<()> {
        let shown = || page(self.port, path).ok().filter(|page| page.text().contains(text)).map(drop);
        await_some(SOON, shown).with_context(|| {
            let logs = self.within(&["logs"]).map(|logs| logs.to_string()).unwrap_or_default();
            format!("{path} does not show `{text}`\n{logs}")
        })
    }

    /// `djship down`; the data stays.
    pub(crate) fn down(mut self) -> Result<Output> {
        let folder = self.project.to_str().context("a path in UTF-8")?;
        let output = self.djship.run(["down", folder])?.success();
        self.kept = true;
        output
    }
}

impl Drop for Background<'_> {
    fn drop(&mut self) {
        if !self.kept
            && let Some(folder) = self.project.to_str()
        {
            let _ = self.djship.run(["down", "--volumes", "--yes", folder]);
        }
    }
}
