//! A base image that does not serve, in words.

use djship_django::base::BaseImageError;
use djship_django::plan::python::{HardRange, PythonError};
use djship_oci::registry::ReferenceError;

use super::{Kind, Report, child, registry, storage};
use crate::env;
use crate::ui::origin;

pub(super) fn base_image(error: &BaseImageError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        BaseImageError::Reference(error) => reference(error),
        BaseImageError::Registry(error) => registry(error),
        BaseImageError::Flatten(_) => report.causes(error).hint("The image is damaged: name another one"),
        BaseImageError::NotDebian { .. } => report
            .line("Debian's packages and wheels for glibc do not go with it.")
            .hint("Choose a Debian based one, such as base = \"python:3.12-slim\""),
        BaseImageError::Release { .. } => report
            .hint("Choose one of Debian 12 (bookworm) or 13 (trixie), such as base = \"python:3.12-slim\""),
        BaseImageError::Incomplete { .. } => {
            report.hint("Choose a whole Debian, such as base = \"python:3.12-slim\"")
        }
        BaseImageError::NoPython { .. } => report
            .line("It was looked for as /usr/local/bin/python3 and /usr/bin/python3.")
            .hint("Choose an image with Python, such as base = \"python:3.12-slim\"")
            .hint("Without `base`, djship takes the Python of Debian"),
        BaseImageError::Broken { output, .. } => report
            .tail(output)
            .hint("Choose another image; this one was made for another machine, or is damaged"),
        BaseImageError::Implementation { .. } => {
            report.hint("Choose one with CPython, such as base = \"python:3.12-slim\"")
        }
        BaseImageError::NoHeaders { .. } => report
            .line("Something has no wheel for this Python, and is to be compiled.")
            .hint("Choose an image whose Python has its headers, or versions that have wheels"),
        BaseImageError::Python(error) => python(error),
        BaseImageError::Child(error) => child(error),
        BaseImageError::Keep(_) | BaseImageError::Store(_) | BaseImageError::Io(_) => storage(error),
    }
}

/// A name that does not say where the image is.
pub(super) fn reference(error: &ReferenceError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    let registry = format!(
        "Say where images with short names are: {}=HOST[:PORT][/PATH], or registry = \"HOST[:PORT][/PATH]\" beside `base`",
        env::REGISTRY
    );
    match error {
        ReferenceError::Name(_) => report
            .hint("Write an image's name: base = \"python:3.12-slim\", or \"REGISTRY/NAME:TAG@sha256:...\""),
        ReferenceError::NoHost { text } => {
            let short = text.split_once('/').map_or(text.as_str(), |(_, short)| short);
            report
                .hint(format!("Write the short name: base = \"{}\"", short.trim_start_matches("library/")))
                .hint(registry)
        }
        ReferenceError::NoRegistry { .. } | ReferenceError::Default { .. } => report.hint(registry),
    }
}

/// A Python that is not allowed.
pub(super) fn python(error: &PythonError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        PythonError::BaseImage { ranges, .. } => {
            let report = asked(report, ranges);
            match PythonError::possible(ranges) {
                Some(version) => report
                    .hint(format!("Choose an image with another Python: base = \"python:{version}-slim\"")),
                None => report.hint("Change the range in one of these files"),
            }
        }
        PythonError::NoneFits { ranges } => {
            let report = asked(report, ranges).hint(
                "Change the range in one of these files, or move to a Django that supports Python 3.11 or 3.13",
            );
            match PythonError::possible(ranges) {
                Some(version) => report.hint(format!(
                    "Or build on an image with another Python: base = \"python:{version}-slim\" in [tool.djship] ({} says where such names are)",
                    env::REGISTRY
                )),
                None => report,
            }
        }
        PythonError::StrictImage { wish, strict, .. } => report
            .line(format!(
                "{} wishes for it, and {} says `python-strict = true`.",
                origin(wish),
                origin(strict)
            ))
            .hint("Choose an image with that Python, or take python-strict out"),
        PythonError::Strict { .. } | PythonError::Contradiction { .. } | PythonError::Version { .. } => {
            super::ship::python(error)
        }
        PythonError::Range { .. } => report.hint("Write a version range such as >=3.11,<4"),
    }
}

fn asked(report: Report, ranges: &[HardRange]) -> Report {
    ranges.iter().fold(report, |report, range| {
        let django = range.django.as_ref();
        let who =
            django.map_or_else(String::new, |series| format!(", which is what Django {series} supports"));
        report.line(format!("{} asks for Python {}{who}", origin(&range.origin), range.range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_says_how_to_tell_where_it_is() {
        for text in ["python:3.12-slim", "docker.io/library/python:3.12-slim"] {
            let error = djship_oci::registry::Reference::parse(text, None).unwrap_err();
            let report = reference(&error);
            assert!(report.hints.iter().any(|hint| hint.contains("DJSHIP_REGISTRY=")), "{report:?}");
        }
        let error = djship_oci::registry::Reference::parse("docker.io/library/python:3.12-slim", None);
        let report = reference(&error.unwrap_err());
        assert_eq!(report.hints[0], "Write the short name: base = \"python:3.12-slim\"");
    }
}
