//! What a project says about its image and cannot be done, in words.

use djship_deb::closure::ClosureError;
use djship_django::application::commands::CommandsError;
use djship_django::base::AskedError;
use djship_django::plan::packages::PackagesError;
use djship_django::plan::python::PythonError;

use super::{Kind, Report};
use crate::ui::origin;

/// A command of the image that cannot be.
pub(super) fn commands(error: &CommandsError) -> Report {
    match error {
        CommandsError::WindowsLines { script, .. } => Report::new(Kind::User, error.to_string())
            .line("The kernel would look for an interpreter whose name ends in a carriage return.")
            .hint(format!(
                "sed -i 's/\\r$//' {script}; and `*.sh text eol=lf` in .gitattributes keeps it so"
            )),
        CommandsError::Project(error) => super::build::project(error, "build"),
    }
}

/// A list of Debian packages that cannot be used.
pub(super) fn packages(error: &PackagesError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        PackagesError::Project(error) => super::build::project(error, "build"),
        PackagesError::Line { .. } => report.hint(
            "Write names of Debian packages, one a line; a program from elsewhere can lie in the project",
        ),
        PackagesError::TooMany { .. } => report,
    }
}

/// A Debian package that the project asks for and that cannot be had.
pub(super) fn asked(error: &AskedError) -> Report {
    let report =
        Report::new(Kind::User, error.to_string()).line(format!("{} asks for it.", origin(&error.origin)));
    match &error.source {
        ClosureError::Missing { similar, .. } if !similar.is_empty() => {
            report.hint(format!("Debian {} has: {}", error.codename, similar.join(", ")))
        }
        ClosureError::Missing { .. } => {
            report.hint(format!("No package of Debian {} has a name like it", error.codename))
        }
        source => report.line(source.to_string()),
    }
}

/// A wish for a Python that is more than a wish.
pub(super) fn python(error: &PythonError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        PythonError::Strict { wish, strict, .. } => report
            .line(format!(
                "{} wishes for it, and {} says `python-strict = true`.",
                origin(wish),
                origin(strict)
            ))
            .hint("Wish for one of these, or take python-strict out to get the nearest that is allowed"),
        PythonError::Contradiction { wanted, wish, range } => report
            .line(format!("{} wishes for Python {wanted}", origin(wish)))
            .line(format!("{} asks for Python {}", origin(&range.origin), range.range))
            .hint("Change one of the two files"),
        PythonError::Version { origin: place, .. } => {
            report.line(format!("{} has it.", origin(place))).hint("Write a version such as 3.13 or 3.13.5")
        }
        _ => report,
    }
}
