//! Python decides the Debian release.
//!
//! Hard ranges (`requires-python`, the lock's range, what the Django version supports) must allow it. Wishes
//! (`.python-version`, `runtime.txt`, Pipfile's `[requires]`) are met where Debian can.

mod explain;
mod strict;

use std::fmt;

use pep440_rs::{Version, VersionSpecifiers};

use super::dependencies::{Dependencies, parse};
use super::locks::poetry::constraint::Constraint;
use super::locks::{PythonRange, Scope};
use super::{Origin, PlanError, Sourced};
use crate::project::Project;
pub(super) use explain::explain;
pub(super) use strict::{compare, insist};

/// A Debian release that images can be made from, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// Debian 13 with Python 3.13.
    Trixie,
    /// Debian 12 with Python 3.11.
    Bookworm,
}

impl Release {
    /// All releases in order of preference.
    pub const ALL: [Self; 2] = [Self::Trixie, Self::Bookworm];

    /// Debian's name for it.
    pub fn codename(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Bookworm => "bookworm",
        }
    }

    /// Major and minor version of its Python.
    pub fn python(self) -> (u64, u64) {
        match self {
            Self::Trixie => (3, 13),
            Self::Bookworm => (3, 11),
        }
    }

    /// The version that ranges are compared with: the patch level that the release came out with.
    pub(super) fn version(self) -> Version {
        match self {
            Self::Trixie => Version::new([3, 13, 5]),
            Self::Bookworm => Version::new([3, 11, 2]),
        }
    }
}

impl From<Release> for Version {
    fn from(release: Release) -> Self {
        release.version()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.codename())
    }
}

/// How a range is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// <https://packaging.python.org/en/latest/specifications/version-specifiers/>
    Pep440,
    /// Poetry's: also `^3.11`, `~3.11` and `||`.
    Poetry,
}

/// A range that Python must be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardRange {
    /// As it is written, or as Django documents it.
    pub range: String,
    /// How it is written.
    pub syntax: Syntax,
    /// Who says so.
    pub origin: Origin,
    /// The Django series whose documentation says so, when it is Django.
    pub django: Option<String>,
}

/// Why no release fits.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// The base image has a Python that the hard ranges exclude.
    #[error("cannot build on `{image}`: its Python {version} is not allowed")]
    BaseImage {
        /// The image, as the project names it.
        image: String,
        /// The version of its Python.
        version: String,
        /// The ranges that take part.
        ranges: Vec<HardRange>,
    },
    /// The hard ranges exclude everything on offer.
    #[error("cannot choose a Python: none of 3.13 (trixie) and 3.11 (bookworm) is allowed")]
    NoneFits {
        /// The ranges that take part.
        ranges: Vec<HardRange>,
    },
    /// A wish cannot be met, and the project insists.
    #[error("cannot use Python {wanted}: Debian has 3.13 (trixie) and 3.11 (bookworm)")]
    Strict {
        /// The version that is wished for.
        wanted: String,
        /// Where.
        wish: Origin,
        /// Where the project says that it insists.
        strict: Origin,
    },
    /// The base image does not meet a wish, and the project insists.
    #[error("cannot build on `{image}`: its Python is {version}, and the project insists on {wanted}")]
    StrictImage {
        /// The image, as the project names it.
        image: String,
        /// The version of its Python.
        version: String,
        /// The version that is wished for.
        wanted: String,
        /// Where.
        wish: Origin,
        /// Where the project says that it insists.
        strict: Origin,
    },
    /// A wish that the project's own range excludes.
    #[error("cannot choose a Python: {wanted} is wished for, and `{}` excludes it", range.range)]
    Contradiction {
        /// The version that is wished for.
        wanted: String,
        /// Where.
        wish: Origin,
        /// The range.
        range: HardRange,
    },
    /// A text that names no version.
    #[error("cannot read the Python version {text:?}")]
    Version {
        /// As it is written.
        text: String,
        /// Where it stands.
        origin: Origin,
    },
    /// A range that cannot be read.
    #[error("cannot read the version range `{range}`: {reason}")]
    Range {
        /// The range.
        range: String,
        /// Where it stands.
        origin: Origin,
        /// The parser's words.
        reason: String,
    },
}

/// Chooses the release; the second value is a wish that is not met.
pub(super) fn choose(
    project: &Project,
    dependencies: &Dependencies,
) -> Result<(Sourced<Release>, Option<Sourced<String>>), PlanError> {
    let hard = hard_ranges(project, dependencies)?;
    let mut allowed = Vec::new();
    for release in Release::ALL {
        let mut fits = true;
        for range in &hard {
            fits &= allows(range, &release.version())?;
        }
        if fits {
            allowed.push(release);
        }
    }
    let Some(&first) = allowed.first() else { return Err(PythonError::NoneFits { ranges: hard }.into()) };
    if let Some(wish) = wish(project)? {
        let (wanted, version) = &wish.value;
        compare(&wish, &hard)?;
        if let Some(&release) = allowed.iter().find(|release| release.python() == *version) {
            return Ok((Sourced { value: release, origin: wish.origin }, None));
        }
        let nearest = allowed.iter().min_by_key(|release| release.python().1.abs_diff(version.1));
        let unmet = Sourced { value: wanted.clone(), origin: wish.origin.clone() };
        return Ok((Sourced { value: nearest.copied().unwrap_or(first), origin: wish.origin }, Some(unmet)));
    }
    // A range that leaves only one release is where the choice comes from.
    let deciding =
        hard.into_iter().find(|range| !matches!(allows(range, &Release::ALL[0].version()), Ok(true)));
    let origin = deciding.map_or(Origin::Default, |range| range.origin);
    Ok((Sourced { value: first, origin }, None))
}

pub(super) fn hard_ranges(
    project: &Project,
    dependencies: &Dependencies,
) -> Result<Vec<HardRange>, PlanError> {
    let mut ranges = Vec::new();
    for folder in project.folders() {
        let file =
            if folder.is_empty() { "pyproject.toml".to_owned() } else { format!("{folder}/pyproject.toml") };
        let Some(text) = project.read(&file)? else { continue };
        let table: PyProject = parse(&file, &text)?;
        let standard = table.project.and_then(|project| project.requires_python);
        let poetry = table.tool.and_then(|tool| tool.poetry?.dependencies?.python);
        let (range, key) = match standard {
            Some(range) => (Some((range, Syntax::Pep440)), "requires-python"),
            None => (poetry.map(|range| (range, Syntax::Poetry)), "python"),
        };
        if let Some((range, syntax)) = range {
            let line = text.lines().position(|line| {
                line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
            });
            let origin = Origin::File(file, line.map(|index| index + 1));
            ranges.push(HardRange { range, syntax, origin, django: None });
        }
        break;
    }
    match dependencies {
        Dependencies::UvLock { folder, requires_python, django, .. } => {
            let file = if folder.is_empty() { "uv.lock".to_owned() } else { format!("{folder}/uv.lock") };
            if let Some(range) = requires_python.clone() {
                let origin = Origin::File(file.clone(), None);
                ranges.push(HardRange { range, syntax: Syntax::Pep440, origin, django: None });
            }
            if let Some(version) = django {
                ranges.push(django_range(&format!("=={version}"), Origin::File(file, None))?);
            }
        }
        Dependencies::Lock(locked) => {
            for PythonRange { range, syntax, file } in locked.lock.python.clone() {
                ranges.push(HardRange { range, syntax, origin: Origin::File(file, None), django: None });
            }
            if let Some(version) = locked.lock.django(Scope::Production) {
                let origin = Origin::File(locked.lock.file.clone(), None);
                ranges.push(django_range(&format!("=={version}"), origin)?);
            }
        }
        other => {
            if let Some(found) = other.requirement("django") {
                let origin = Origin::File(found.file.clone(), Some(found.line));
                ranges.push(django_range(&found.range, origin)?);
            }
        }
    }
    Ok(ranges)
}

/// Django's series with the Pythons that its documentation lists
/// (<https://docs.djangoproject.com/en/dev/faq/install/#what-python-version-can-i-use-with-django>).
const DJANGO: &[(&str, u64, u64)] = &[
    ("6.1", 12, 14),
    ("6.0", 12, 14),
    ("5.2", 10, 14),
    ("5.1", 10, 13),
    ("5.0", 10, 12),
    ("4.2", 8, 12),
    ("4.1", 8, 11),
    ("4.0", 8, 10),
    ("3.2", 6, 10),
    ("3.1", 6, 9),
    ("3.0", 6, 9),
    ("2.2", 5, 9),
    ("1.11", 4, 7),
];

/// The Pythons of all Django series that `range` allows, as one range.
fn django_range(range: &str, origin: Origin) -> Result<HardRange, PythonError> {
    let specifiers = read_range(range, &origin)?;
    let series_allowed = |series: &str| {
        // A series is allowed when some patch release of it is.
        (0..40).any(|patch| {
            format!("{series}.{patch}").parse().is_ok_and(|version: Version| specifiers.contains(&version))
        }) || series.parse().is_ok_and(|version: Version| specifiers.contains(&version))
    };
    let fitting: Vec<_> = DJANGO.iter().filter(|(series, ..)| series_allowed(series)).collect();
    let lowest = fitting.iter().map(|(_, low, _)| *low).min();
    let highest = fitting.iter().map(|(.., high)| *high).max();
    Ok(match (lowest, highest) {
        (Some(low), Some(high)) => HardRange {
            range: format!(">=3.{low},<3.{}", high + 1),
            syntax: Syntax::Pep440,
            origin,
            django: fitting.first().map(|(series, ..)| (*series).to_owned()),
        },
        // Older than the table: no Python on offer runs it. Newer: nothing is known, so nothing is ruled out.
        _ if specifiers.contains(&Version::new([99])) || range_is_newer(&specifiers) => {
            HardRange { range: String::new(), syntax: Syntax::Pep440, origin, django: None }
        }
        _ => HardRange {
            range: "<3.8".to_owned(),
            syntax: Syntax::Pep440,
            origin,
            django: Some(range.trim_start_matches('=').to_owned()),
        },
    })
}

fn range_is_newer(specifiers: &VersionSpecifiers) -> bool {
    specifiers.iter().any(|specifier| specifier.version() > &Version::new([6, 1, 99]))
}

fn read_range(range: &str, origin: &Origin) -> Result<VersionSpecifiers, PythonError> {
    range.parse().map_err(|error: pep440_rs::VersionSpecifiersParseError| PythonError::Range {
        range: range.to_owned(),
        origin: origin.clone(),
        reason: error.to_string(),
    })
}

/// Whether the range allows this version of Python.
pub(super) fn allows(range: &HardRange, version: &Version) -> Result<bool, PythonError> {
    if range.syntax == Syntax::Poetry {
        let constraint = Constraint::parse(&range.range).map_err(|error| PythonError::Range {
            range: range.range.clone(),
            origin: range.origin.clone(),
            reason: error.to_string(),
        })?;
        return Ok(constraint.allows(version));
    }
    Ok(read_range(&range.range, &range.origin)?.contains(version))
}

/// Files that wish for a Python, best first.
const PYTHON_FILES: [&str; 3] = [".python-version", "runtime.txt", "Pipfile"];

/// A version as it is written, and its major and minor number.
pub(super) type Wish = (String, (u64, u64));

/// The Python that a file wishes for.
pub(super) fn wish(project: &Project) -> Result<Option<Sourced<Wish>>, PlanError> {
    for folder in project.folders() {
        for name in PYTHON_FILES {
            let file = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let Some(text) = project.read(&file)? else { continue };
            for (index, line) in text.lines().enumerate() {
                let line = line.trim().trim_start_matches("python-").trim_start_matches("cpython-");
                let line = match name {
                    "Pipfile" if line.starts_with("python_") => {
                        line.split(['"', '\'']).nth(1).unwrap_or_default()
                    }
                    "Pipfile" => continue,
                    _ => line,
                };
                let mut parts = line.split('.').map_while(|part| part.parse::<u64>().ok());
                if let (Some(major), Some(minor)) = (parts.next(), parts.next()) {
                    let origin = Origin::File(file, Some(index + 1));
                    let patch = line.split('.').nth(2);
                    if patch.is_some_and(|patch| !patch.starts_with(|c: char| c.is_ascii_digit())) {
                        return Err(PythonError::Version { text: line.to_owned(), origin }.into());
                    }
                    return Ok(Some(Sourced { value: (line.to_owned(), (major, minor)), origin }));
                }
            }
        }
    }
    Ok(None)
}

#[derive(serde::Deserialize)]
struct PyProject {
    project: Option<ProjectTable>,
    tool: Option<ToolTable>,
}

#[derive(serde::Deserialize)]
struct ToolTable {
    poetry: Option<PoetryTable>,
}

#[derive(serde::Deserialize)]
struct PoetryTable {
    dependencies: Option<PoetryDependencies>,
}

#[derive(serde::Deserialize)]
struct PoetryDependencies {
    python: Option<String>,
}

#[derive(serde::Deserialize)]
struct ProjectTable {
    #[serde(rename = "requires-python")]
    requires_python: Option<String>,
}

#[cfg(test)]
mod tests;
