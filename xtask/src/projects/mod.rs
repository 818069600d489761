//! Runs public Django projects, whose folders somebody put there, and keeps what was seen as rows and as a page.
//!
//! | module | holds |
//! |---|---|
//! | [`known`] | what projects document about themselves, as data |
//! | [`trial`] | one project, from a copy of its folder to a row |
//! | [`program`] | djship, run with an end to patience |
//! | [`files`], [`links`] | what is new in a folder; the static file that a page links to |
//! | [`row`], [`page`] | the JSON rows, and `docs/real-projects.md` made from them |

mod files;
mod known;
mod links;
mod page;
mod program;
mod row;
mod trial;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use known::Known;
use program::Program;
use row::Row;
use trial::Tried;

use crate::workspace::{self, output_of};

/// The rows that are kept, and the page made from them, below the workspace's root.
const ROWS: &str = "docs/real-projects.json";
const PAGE: &str = "docs/real-projects.md";

/// Whom the copies belong to when root tries them: the first ordinary user of most machines, who need not exist.
const OWNER: u32 = 1000;

/// What to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder with a folder for each project; `.git` is left out of what is copied
    #[arg(value_name = "FOLDER", required_unless_present = "write")]
    folder: Option<PathBuf>,
    /// Try only these, by the name of the folder or of the repository
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "folder")]
    only: Vec<String>,
    /// Write the rows into this file; without FOLDER, make the page from those in it
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Add the rows to docs/real-projects.json, and make docs/real-projects.md from them
    #[arg(long)]
    write: bool,
    /// Try this program; without it, the release build is made and tried
    #[arg(long, value_name = "FILE")]
    djship: Option<PathBuf>,
    /// What djship keeps; without it, a new folder that is removed afterwards
    #[arg(long, value_name = "FOLDER")]
    home: Option<PathBuf>,
    /// Number of the user whom the copies belong to (root only) [default: 1000]
    #[arg(long, value_name = "UID")]
    owner: Option<u32>,
}

/// Tries what is to be tried, and writes what is to be written.
pub(crate) fn projects(arguments: &Arguments) -> Result<()> {
    let known = Known::all()?;
    let kept = workspace::root().join(ROWS);
    let rows = match &arguments.folder {
        Some(folder) => {
            let rows = try_all(folder, arguments, &known)?;
            if let Some(file) = &arguments.json {
                Row::write_all(&rows, file)?;
            }
            rows
        }
        None => Row::read_all(arguments.json.as_deref().unwrap_or(&kept))?,
    };
    if arguments.write {
        let all = Row::merge(Row::read_all(&kept)?, &rows);
        Row::write_all(&all, &kept)?;
        fs_err::write(workspace::root().join(PAGE), page::page(&all, &known))?;
        println!("wrote {ROWS} and {PAGE}");
    }
    let failed: Vec<&str> =
        rows.iter().filter(|row| row.error.is_some()).map(|row| row.project.as_str()).collect();
    if arguments.folder.is_some() && !failed.is_empty() {
        bail!("{} of {} projects do not work: {}", failed.len(), rows.len(), failed.join(", "));
    }
    Ok(())
}

fn try_all(folder: &Path, arguments: &Arguments, known: &[Known]) -> Result<Vec<Row>> {
    let is_root = rustix::process::geteuid().is_root();
    if arguments.owner.is_some() && !is_root {
        bail!("only root gives files away");
    }
    let projects = wanted(folder, &arguments.only, known)?;
    let binary = workspace::djship(arguments.djship.as_deref())?;
    let place = std::env::temp_dir().join(format!("djship-projects-{}", std::process::id()));
    fs_err::create_dir_all(&place)?;
    let home = match &arguments.home {
        Some(home) => std::path::absolute(home)?,
        None => place.join("home"),
    };
    let program = Program { binary, home, place: place.clone() };
    let owner = is_root.then(|| arguments.owner.unwrap_or(OWNER));
    let ask = |command: &mut Command| output_of(command).map(|text| text.trim().to_owned());
    let date = ask(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?;
    let mut describe = Command::new("git");
    describe.args(["describe", "--always", "--dirty"]).current_dir(workspace::root());
    let djship = ask(&mut describe)?;
    let mut rows = Vec::new();
    let mut may_still_run = false;
    for (project, known) in projects {
        println!("{}", known.name);
        // What cannot even be tried is told like what does not work, and does not keep the others from being tried.
        let Tried { mut row, is_ended } =
            trial::run(&program, &known, &project, owner).unwrap_or_else(|error| Tried {
                row: Row {
                    project: known.name.clone(),
                    error: Some(program.without_folders(&format!("{error:#}"), &place)),
                    ..Row::default()
                },
                is_ended: true,
            });
        may_still_run |= !is_ended;
        row.date.clone_from(&date);
        row.djship.clone_from(&djship);
        println!("  {}", told(&row));
        rows.push(row);
    }
    // Nothing is taken away from under a database that runs; and what cannot be removed is no reason to lose the rows.
    let removed = if may_still_run { None } else { fs_err::remove_dir_all(&place).ok() };
    if removed.is_none() {
        println!("{} is left", place.display());
    }
    Ok(rows)
}

/// The folders of the projects that are to be tried, by name, with what is known of each.
fn wanted(folder: &Path, only: &[String], known: &[Known]) -> Result<Vec<(PathBuf, Known)>> {
    let mut projects = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?.to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') {
            projects.push((name.clone(), path, Known::of_folder(known, &name)));
        }
    }
    let is_it = |only: &String, name: &String, known: &Known| only == name || *only == known.name;
    if let Some(missing) =
        only.iter().find(|only| !projects.iter().any(|(name, _, known)| is_it(only, name, known)))
    {
        bail!("no project `{missing}` in {}", folder.display());
    }
    projects.retain(|(name, _, known)| only.is_empty() || only.iter().any(|only| is_it(only, name, known)));
    projects.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(projects.into_iter().map(|(_, path, known)| (path, known)).collect())
}

/// A row in a few words, for whoever watches.
fn told(row: &Row) -> String {
    let seconds = row.seconds.map(|seconds| format!(" after {seconds:.1} s")).unwrap_or_default();
    let services = if row.services.is_empty() { "no services".to_owned() } else { row.services.join(", ") };
    match &row.error {
        None => format!("works{seconds}, {services}"),
        Some(error) => format!("DOES NOT WORK{seconds}, {services}: {}", error.replace('\n', "\n    ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_found_by_either_name() {
        let folder = std::env::temp_dir().join(format!("djship-projects-wanted-{}", std::process::id()));
        for name in ["bakerydemo", "mine", ".git"] {
            fs_err::create_dir_all(folder.join(name)).unwrap();
        }
        fs_err::write(folder.join("README"), "").unwrap();
        let all = Known::all().unwrap();
        let names = |only: &[&str]| -> Result<Vec<String>> {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            Ok(wanted(&folder, &only, &all)?.into_iter().map(|(_, known)| known.name).collect())
        };
        assert_eq!(names(&[]).unwrap(), ["wagtail/bakerydemo", "mine"]);
        assert_eq!(names(&["bakerydemo"]).unwrap(), ["wagtail/bakerydemo"]);
        assert_eq!(names(&["wagtail/bakerydemo", "mine"]).unwrap(), ["wagtail/bakerydemo", "mine"]);
        assert!(names(&["yours"]).unwrap_err().to_string().contains("no project `yours`"));
        fs_err::remove_dir_all(folder).unwrap();
    }
}
