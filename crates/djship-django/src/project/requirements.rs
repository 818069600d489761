//! Requirements files as pip reads them: nested files, constraints, continuation lines, comments.
//!
//! Only what a plan needs: which files take part, and the names with their version ranges. The installing is uv's.
//! Format: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>.

use std::collections::BTreeSet;

use super::{Project, ProjectError};

/// A requirement as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Normalised name: lower case, runs of `-`, `_` and `.` as one `-`.
    pub name: String,
    /// The version range as written, without markers; empty for any version.
    pub range: String,
    /// The file, relative to the project.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
}

/// A requirements file and all that it includes.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// Every file that takes part, relative to the project, in the order of reading.
    pub files: Vec<String>,
    /// The requirements by name. Constraints are not among them.
    pub requirements: Vec<Requirement>,
    /// Whether something is installed from the project's own folder (`-e .`, `./lib`).
    pub local: bool,
    /// Further files that the installer is given beside the first one, relative to the project.
    pub also: Vec<String>,
}

/// What is wrong with a requirements file.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// A file that another one includes does not exist.
    #[error("cannot read `{wanted}`: no such file, included by `{file}`, line {line}")]
    NoFile {
        /// The file that is wanted.
        wanted: String,
        /// The file that includes it.
        file: String,
        /// Line, from 1.
        line: usize,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ProjectError),
}

impl Requirements {
    /// Reads `file` and everything that it includes.
    pub fn read(project: &Project, file: &str) -> Result<Self, RequirementsError> {
        Self::read_named(project, file, None)
    }

    /// The same for a file that another one names, in that line.
    pub(crate) fn read_named(
        project: &Project,
        file: &str,
        named: Option<(&str, usize)>,
    ) -> Result<Self, RequirementsError> {
        let mut all = Self::default();
        all.add(project, file, named, true, &mut BTreeSet::new())?;
        Ok(all)
    }

    /// Adds those of other files.
    pub(crate) fn extend(&mut self, other: Self) {
        for file in other.files {
            if !self.files.contains(&file) {
                self.files.push(file);
            }
        }
        self.requirements.extend(other.requirements);
        self.local |= other.local;
    }

    /// The requirements of a list such as `[project.dependencies]`.
    pub(crate) fn of_lines(file: &str, lines: &[String]) -> Self {
        let named = lines.iter().filter_map(|line| match Line::parse(line) {
            Line::Named { name, range } => Some(Requirement { name, range, file: file.to_owned(), line: 0 }),
            _ => None,
        });
        Self { files: vec![file.to_owned()], requirements: named.collect(), ..Self::default() }
    }

    /// The requirement of that (normalised) name.
    pub fn find(&self, name: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| requirement.name == name)
    }

    fn add(
        &mut self,
        project: &Project,
        file: &str,
        from: Option<(&str, usize)>,
        installs: bool,
        seen: &mut BTreeSet<(String, bool)>,
    ) -> Result<(), RequirementsError> {
        // A file may be both: constraints of one file, and requirements of another.
        if !seen.insert((file.to_owned(), installs)) {
            return Ok(());
        }
        let Some(text) = project.read(file)? else {
            let (by, line) = from.unwrap_or((file, 0));
            return Err(RequirementsError::NoFile { wanted: file.to_owned(), file: by.to_owned(), line });
        };
        if !self.files.iter().any(|known| known == file) {
            self.files.push(file.to_owned());
        }
        for (line, content) in logical_lines(&text) {
            match Line::parse(&content) {
                Line::Include { path, installs: also } => {
                    let path = beside(file, &path);
                    self.add(project, &path, Some((file, line)), installs && also, seen)?;
                }
                Line::Named { name, range } if installs => {
                    self.requirements.push(Requirement { name, range, file: file.to_owned(), line });
                }
                Line::Local => self.local = true,
                Line::Named { .. } | Line::Other => {}
            }
        }
        Ok(())
    }
}

/// The path of a file named in another one, both relative to the project.
fn beside(file: &str, named: &str) -> String {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in named.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Lines joined at a closing backslash, without comments, with the number of their first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let (start, mut content) = open.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(part) if !line.trim_start().starts_with('#') => {
                content.push_str(part);
                open = Some((start, content));
                continue;
            }
            _ => content.push_str(line),
        }
        // A comment begins the line or follows white space; `#egg=` in a URL is none.
        let end = content
            .char_indices()
            .find(|(at, c)| *c == '#' && (*at == 0 || content[..*at].ends_with(char::is_whitespace)))
            .map_or(content.len(), |(at, _)| at);
        let content = content[..end].trim();
        if !content.is_empty() {
            lines.push((start, content.to_owned()));
        }
    }
    lines.extend(open);
    lines
}

enum Line {
    Include { path: String, installs: bool },
    Named { name: String, range: String },
    Local,
    Other,
}

impl Line {
    fn parse(line: &str) -> Self {
        for (option, installs) in
            [("-r", true), ("--requirement", true), ("-c", false), ("--constraint", false)]
        {
            if let Some(rest) = line.strip_prefix(option)
                && rest.starts_with([' ', '=', '\t'])
            {
                let path = rest.trim_start_matches(['=', ' ', '\t']).trim().to_owned();
                return Self::Include { path, installs };
            }
        }
        if line.starts_with("-e") || line.starts_with("--editable") {
            return if line.contains("://") { Self::Other } else { Self::Local };
        }
        if line.starts_with('-') {
            return Self::Other;
        }
        let end =
            line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty()
            || name.starts_with('.')
            || rest.starts_with('/')
            || line.contains("://") && !line.contains('@')
        {
            return if line.contains("://") { Self::Other } else { Self::Local };
        }
        let rest = rest.trim_start();
        let rest =
            rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(rest, |(_, rest)| rest);
        let range = rest.split([';', '@']).next().unwrap_or_default();
        let range = range.split(" --").next().unwrap_or_default().trim().trim_matches(['(', ')']);
        Self::Named { name: normalise(name), range: range.to_owned() }
    }
}

/// A distribution's normalised name
/// (<https://packaging.python.org/en/latest/specifications/name-normalization/>).
pub fn normalise(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if clean.ends_with('-') => {}
            '-' | '_' | '.' => clean.push('-'),
            c => clean.push(c.to_ascii_lowercase()),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let project = Project {
            folder: folder.path().to_owned(),
            manage_py: djship_store::TreePath::parse("manage.py").unwrap(),
        };
        (folder, project)
    }

    #[test]
    fn nested_files_constraints_and_every_shape_of_line() {
        let (_keep, project) = project(&[
            (
                "requirements/production.txt",
                "-r common.txt\n-c ../constraints.txt\npsycopg2==2.9.11  # compiled\n\
                 celery[redis]>=5,<6 ; python_version > '3.8'\n--index-url https://index.invalid/simple\n\
                 attrs==23.1.0 \\\n    --hash=sha256:aa\n",
            ),
            (
                "requirements/common.txt",
                "Django~=5.2.0\nzope.interface\ngit+https://host.invalid/x.git#egg=x\n",
            ),
            ("constraints.txt", "urllib3<2\n"),
        ]);
        let all = Requirements::read(&project, "requirements/production.txt").unwrap();
        assert_eq!(all.files, ["requirements/production.txt", "requirements/common.txt", "constraints.txt"]);
        let named: Vec<_> =
            all.requirements.iter().map(|r| (r.name.as_str(), r.range.as_str(), r.line)).collect();
        assert_eq!(
            named,
            [
                ("django", "~=5.2.0", 1),
                ("zope-interface", "", 2),
                ("psycopg2", "==2.9.11", 3),
                ("celery", ">=5,<6", 4),
                ("attrs", "==23.1.0", 6),
            ]
        );
        assert!(!all.local);
    }

    #[test]
    fn constraints_of_one_file_are_requirements_of_another() {
        let (_keep, project) = project(&[
            ("requirements-dev.txt", "-c requirements.txt\n-r requirements.txt\nblack\n"),
            ("requirements.txt", "Django\n-r requirements.txt\n"),
        ]);
        let all = Requirements::read(&project, "requirements-dev.txt").unwrap();
        assert_eq!(all.files, ["requirements-dev.txt", "requirements.txt"]);
        let names: Vec<_> = all.requirements.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["django", "black"]);
    }

    #[test]
    fn local_packages_are_seen() {
        for line in ["-e .", "./lib/thing", "--editable ./x", "."] {
            let (_keep, project) = project(&[("requirements.txt", line)]);
            assert!(Requirements::read(&project, "requirements.txt").unwrap().local, "{line}");
        }
    }

    #[test]
    fn a_missing_include_names_both_files_and_the_line() {
        let (_keep, project) = project(&[("requirements.txt", "Django\n-r base.txt\n")]);
        let error = Requirements::read(&project, "requirements.txt").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read `base.txt`: no such file, included by `requirements.txt`, line 2"
        );
    }
}
