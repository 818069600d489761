//! `.env`: the variables that a developer keeps beside the project.
//!
//! Read as python-dotenv and Docker Compose read it where they agree. Where they do not: single quotes are literal, and
//! `$NAME` without braces stands for a variable only if there is one, because secret keys have `$` in them.
//! <https://saurabh-kumar.com/python-dotenv/reference/>,
//! <https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax>

mod reader;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::project::{Project, ProjectError};
use reader::Reader;

/// The file's name.
const NAME: &str = ".env";

/// A file is at most this long, in bytes.
pub const MAX_FILE: u64 = 1 << 20;
/// A name with its value is at most this long, in bytes: Linux passes a program no longer ones than 128 KiB.
pub const MAX_VALUE: usize = 100 << 10;
/// All values together, in bytes: Linux gives a quarter of the stack to variables and arguments.
pub const MAX_ALL: usize = 1 << 20;

/// The variables of the files of a project.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DotEnv {
    /// The files that are there, relative to the project.
    pub files: Vec<String>,
    /// Names with values in the order of the files; every name once, with its last value.
    pub variables: Vec<(String, String)>,
}

/// Only names: the values are secrets.
impl fmt::Debug for DotEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("DotEnv").field("files", &self.files).field("variables", &names).finish()
    }
}

/// Why a file cannot be used. None of the errors tells a value.
#[derive(Debug, thiserror::Error)]
pub enum DotEnvError {
    /// A line is not what a line has to be.
    #[error("cannot read `{file}`, line {line}: {problem}")]
    Line {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// The file is no list of variables.
    #[error("cannot read `{file}`: it has {size} bytes, more than {MAX_FILE}")]
    TooLarge {
        /// The file, relative to the project.
        file: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// It does not begin with a name: a letter or `_`, then also digits, `.` and `-`.
    #[error("it does not begin with the name of a variable")]
    Name,
    /// Something else follows the name.
    #[error("there is no `=` after the name")]
    NoEquals,
    /// A quotation mark has no second one in the file.
    #[error("the quotation mark is not closed")]
    Unclosed,
    /// Something follows a value in quotation marks.
    #[error("only a comment may follow the closing quotation mark")]
    AfterQuote,
    /// No program can be given such a variable.
    #[error("the value has a zero byte")]
    Zero,
    /// The value, or all of them, are too long, perhaps because of what they refer to.
    #[error("the values are too long")]
    TooLong,
}

impl DotEnv {
    /// Where the files of a project are, relative to it: in its folder, and beside `manage.py`. The later one wins.
    pub fn places(project: &Project) -> Vec<String> {
        let beside = project.django_folder();
        let mut places = vec![NAME.to_owned()];
        if !beside.is_empty() {
            places.push(format!("{beside}/{NAME}"));
        }
        places
    }

    /// Reads the files of a project. A value may refer to variables before it and to those of `given`, which win.
    pub fn of_project(project: &Project, given: &BTreeMap<String, String>) -> Result<Self, DotEnvError> {
        let (mut files, mut all) = (Vec::new(), Variables::default());
        for file in Self::places(project) {
            if let Some(text) = text(project, &file)? {
                all.add(&file, &text, given)?;
                files.push(file);
            }
        }
        Ok(Self { files, variables: all.list })
    }
}

/// What is read so far.
#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    /// Where each name is in the list.
    at: HashMap<String, usize>,
    /// All names and values, in bytes.
    size: usize,
}

impl Variables {
    /// Adds the variables of one file.
    fn add(&mut self, file: &str, text: &str, given: &BTreeMap<String, String>) -> Result<(), DotEnvError> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut reader = Reader::of(&text);
        loop {
            let read = reader
                .next(&|name: &str| given.get(name).map_or_else(|| self.value(name), |value| Some(value)));
            let added = read.and_then(|read| match read {
                Some((name, value)) => self.set(name, value).map(|()| true),
                None => Ok(false),
            });
            match added {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(problem) => {
                    return Err(DotEnvError::Line { file: file.to_owned(), line: reader.line, problem });
                }
            }
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.at.get(name).map(|at| self.list[*at].1.as_str())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), LineProblem> {
        self.size += name.len() + value.len();
        if let Some(at) = self.at.get(name) {
            let old = std::mem::replace(&mut self.list[*at].1, value);
            self.size -= name.len() + old.len();
        } else {
            self.at.insert(name.to_owned(), self.list.len());
            self.list.push((name.to_owned(), value));
        }
        if self.size > MAX_ALL { Err(LineProblem::TooLong) } else { Ok(()) }
    }
}

/// Reads one file, relative to the project; `None` when there is none. A folder of that name, such as a virtual
/// environment, is none.
pub fn read(
    project: &Project,
    file: &str,
    given: &BTreeMap<String, String>,
) -> Result<Option<Vec<(String, String)>>, DotEnvError> {
    let Some(text) = text(project, file)? else { return Ok(None) };
    let mut all = Variables::default();
    all.add(file, &text, given)?;
    Ok(Some(all.list))
}

fn text(project: &Project, file: &str) -> Result<Option<String>, DotEnvError> {
    let text = project.read(file)?;
    match &text {
        Some(text) if text.len() as u64 > MAX_FILE => {
            Err(DotEnvError::TooLarge { file: file.to_owned(), size: text.len() as u64 })
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests;
