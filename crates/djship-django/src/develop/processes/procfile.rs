//! Procfiles, read as Foreman and Heroku read them
//! (<https://devcenter.heroku.com/articles/procfile#procfile-format>).

use crate::project::{Project, ProjectError};

/// The files, best first: one for development wins.
const NAMES: &[&str] = &["Procfile.dev", "Procfile"];

/// Names are at most this long, in bytes.
const MAX_NAME: usize = 40;
/// So much of a line that cannot be read is kept.
const SHOWN: usize = 40;

/// A Procfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Procfile {
    /// The file, relative to the project.
    pub file: String,
    /// Its folder, in which its processes run, relative to the project.
    pub folder: String,
    pub(crate) lines: Vec<Line>,
}

/// A line that is neither empty nor a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    /// Name and command, or the beginning of a line that is none.
    pub(crate) content: Result<(String, String), String>,
}

impl Procfile {
    /// Where Procfiles are looked for, relative to the project, best first: beside `manage.py`, and in the project's
    /// folder.
    pub fn places(project: &Project) -> Vec<String> {
        let beside = project.django_folder();
        let mut places = Vec::new();
        for name in NAMES {
            if !beside.is_empty() {
                places.push(format!("{beside}/{name}"));
            }
            places.push((*name).to_owned());
        }
        places
    }

    /// Where production's is looked for.
    pub(crate) fn production_places(project: &Project) -> Vec<String> {
        let of_development = |file: &String| file.ends_with(NAMES[0]);
        Self::places(project).into_iter().filter(|file| !of_development(file)).collect()
    }

    /// The Procfile of production.
    pub(crate) fn of_production(project: &Project) -> Result<Option<Self>, ProjectError> {
        for file in Self::production_places(project) {
            if let Some(text) = project.read(&file)? {
                return Ok(Some(Self::parse(&file, &text)));
            }
        }
        Ok(None)
    }

    /// The Procfile of a project.
    pub fn find(project: &Project) -> Result<Option<Self>, ProjectError> {
        for file in Self::places(project) {
            if let Some(text) = project.read(&file)? {
                return Ok(Some(Self::parse(&file, &text)));
            }
        }
        Ok(None)
    }

    /// Reads the text of the file `file`, relative to the project.
    pub fn parse(file: &str, text: &str) -> Self {
        let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let lines = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let lines = lines.map(|(number, line)| Line { number, content: content(line) });
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self { file: file.to_owned(), folder: folder.to_owned(), lines: lines.collect() }
    }

    /// Whether a later line has the name of this one.
    pub(crate) fn repeats(&self, line: &Line) -> bool {
        let name = |line: &Line| line.content.as_ref().ok().map(|(name, _)| name.clone());
        let mut later = self.lines.iter().filter(|other| other.number > line.number);
        later.any(|other| name(other) == name(line))
    }
}

fn content(line: &str) -> Result<(String, String), String> {
    let named = line.split_once(':').map(|(name, command)| (name.trim_end(), command.trim_start()));
    let is_name = |name: &str| {
        name.len() <= MAX_NAME
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    named
        .filter(|(name, command)| is_name(name) && !command.is_empty())
        .map(|(name, command)| (name.to_owned(), command.to_owned()))
        .ok_or_else(|| line.chars().take(SHOWN).collect())
}
