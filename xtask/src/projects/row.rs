//! What was seen of one project: a row of the JSON file, from which the page is made.

use std::path::Path;

use anyhow::{Context as _, Result};

/// One project, tried once.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Owner and repository, or the folder's name.
    pub(super) project: String,
    /// Its commit, where that is known.
    pub(super) commit: Option<String>,
    /// The day.
    pub(super) date: String,
    /// The commit of djship.
    pub(super) djship: String,
    /// From `djship up -d` to the first answer, with everything fetched and installed.
    pub(super) seconds: Option<f64>,
    pub(super) page: Option<Answer>,
    /// A file that a page links to.
    pub(super) static_file: Option<Answer>,
    /// What runs for it, such as `PostgreSQL 17`.
    pub(super) services: Vec<String>,
    /// What runs of it, such as `web` and `worker`.
    pub(super) programs: Vec<String>,
    /// Its settings module.
    pub(super) settings: Option<String>,
    pub(super) django: Option<String>,
    pub(super) python: Option<String>,
    /// What was done by its documentation: `.env` from an example, commands.
    pub(super) documented: Vec<String>,
    /// Names of the variables that djship supplied.
    pub(super) supplied: Vec<String>,
    /// New files in the project's folder, outside of `.cache`; a few of them.
    pub(super) new_files: Vec<String>,
    /// What went wrong.
    pub(super) error: Option<String>,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) path: String,
    pub(super) status: u16,
}

impl Row {
    /// The rows in a file; none when there is no such file.
    pub(super) fn read_all(file: &Path) -> Result<Vec<Self>> {
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = fs_err::read_to_string(file)?;
        serde_json::from_str(&text).with_context(|| format!("no rows in {}", file.display()))
    }

    /// Writes rows into a file.
    pub(super) fn write_all(rows: &[Self], file: &Path) -> Result<()> {
        Ok(fs_err::write(file, serde_json::to_string_pretty(rows)? + "\n")?)
    }

    /// The rows with newer ones in the place of those of the same projects, by name.
    pub(super) fn merge(rows: Vec<Self>, newer: &[Self]) -> Vec<Self> {
        let is_older = |row: &Self| newer.iter().any(|new| new.project == row.project);
        let mut merged: Vec<Self> = rows.into_iter().filter(|row| !is_older(row)).collect();
        merged.extend(newer.iter().cloned());
        merged.sort_by_key(|row| row.project.to_lowercase());
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_rows_replace_older_ones() {
        let row = |project: &str, date: &str| Row {
            project: project.to_owned(),
            date: date.to_owned(),
            ..Row::default()
        };
        let merged = Row::merge(vec![row("b/x", "1"), row("a/y", "1")], &[row("C/z", "2"), row("b/x", "2")]);
        let told: Vec<(&str, &str)> =
            merged.iter().map(|row| (row.project.as_str(), row.date.as_str())).collect();
        assert_eq!(told, [("a/y", "1"), ("b/x", "2"), ("C/z", "2")]);
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let file = std::env::temp_dir().join(format!("djship-projects-rows-{}.json", std::process::id()));
        assert_eq!(Row::read_all(&file).unwrap(), []);
        let row = Row {
            project: "a/b".to_owned(),
            seconds: Some(1.5),
            page: Some(Answer { path: "/".to_owned(), status: 200 }),
            ..Row::default()
        };
        Row::write_all(std::slice::from_ref(&row), &file).unwrap();
        assert_eq!(Row::read_all(&file).unwrap(), [row]);
        fs_err::write(&file, "{}").unwrap();
        assert!(Row::read_all(&file).is_err());
        fs_err::remove_file(file).unwrap();
    }
}
