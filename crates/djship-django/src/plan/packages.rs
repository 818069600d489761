//! Debian packages that the project asks for: `packages` of the configuration, and an `Aptfile`.

use super::{Origin, Sourced};
use crate::project::config::Config;
use crate::project::{Project, ProjectError};

/// Heroku's file: one package a line.
pub const APTFILE: &str = "Aptfile";

/// The most packages that are asked for.
const MOST: usize = 200;

/// Debian packages that the project asks for, each with where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    /// There when distributions are compiled.
    pub build: Vec<Sourced<String>>,
    /// In the image.
    pub run: Vec<Sourced<String>>,
}

/// What is wrong with an `Aptfile`.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// A line that is no package of Debian's.
    #[error("cannot use `{file}`, line {line}: `{text}` is {kind}")]
    Line {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What stands there.
        text: String,
        /// What that is, in words.
        kind: &'static str,
    },
    /// More than anybody needs.
    #[error("cannot use `{file}`: it names more than {MOST} packages")]
    TooMany {
        /// The file, relative to the project.
        file: String,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

impl Packages {
    /// Reads what the project says.
    pub(super) fn find(project: &Project, config: &Config) -> Result<Self, PackagesError> {
        let mut found = Self::default();
        let said = &config.ship.packages;
        for (list, all) in [(&mut found.build, &said.build), (&mut found.run, &said.run)] {
            if let Some(said) = all {
                let sourced = |value: &String| Sourced { value: value.clone(), origin: said.origin.clone() };
                list.extend(said.value.iter().map(sourced));
            }
        }
        for folder in project.folders() {
            let file = if folder.is_empty() { APTFILE.to_owned() } else { format!("{folder}/{APTFILE}") };
            if let Some(text) = project.read(&file)? {
                let packages = parse(&file, &text)?;
                found.build.extend(packages.iter().cloned());
                found.run.extend(packages);
                break;
            }
        }
        for list in [&mut found.build, &mut found.run] {
            let mut seen = std::collections::BTreeSet::new();
            list.retain(|package| seen.insert(package.value.clone()));
        }
        Ok(found)
    }

    /// The names of what is in the image, sorted.
    pub fn run_names(&self) -> Vec<String> {
        sorted(&self.run)
    }

    /// The names of what compiles, sorted.
    pub fn build_names(&self) -> Vec<String> {
        sorted(&self.build)
    }
}

fn sorted(list: &[Sourced<String>]) -> Vec<String> {
    let mut names: Vec<_> = list.iter().map(|package| package.value.clone()).collect();
    names.sort();
    names
}

/// Reads an `Aptfile`: names, and `#` for comments
/// (<https://elements.heroku.com/buildpacks/heroku/heroku-buildpack-apt>).
fn parse(file: &str, text: &str) -> Result<Vec<Sourced<String>>, PackagesError> {
    let mut packages = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default();
        // What is in one line is given to apt as it is.
        for word in content.split_whitespace() {
            let fails = |text: &str, kind| PackagesError::Line {
                file: file.to_owned(),
                line: index + 1,
                text: text.to_owned(),
                kind,
            };
            if word.starts_with(":repo:") {
                return Err(fails(
                    content.trim(),
                    "another archive; djship takes packages from Debian alone",
                ));
            }
            if word.contains("://") {
                return Err(fails(word, "an address; djship takes packages from Debian alone"));
            }
            if word.contains(['=', '/', ':']) {
                return Err(fails(word, "more than a name; Debian's release decides the version"));
            }
            if !crate::project::config::is_package(word) {
                return Err(fails(word, "no name of a Debian package"));
            }
            packages.push(Sourced {
                value: word.to_owned(),
                origin: Origin::File(file.to_owned(), Some(index + 1)),
            });
        }
        if packages.len() > MOST {
            return Err(PackagesError::TooMany { file: file.to_owned() });
        }
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aptfile_as_heroku_reads_it() {
        let names = |text: &str| -> Vec<String> {
            parse(APTFILE, text).unwrap().into_iter().map(|package| package.value).collect()
        };
        assert_eq!(
            names("# tools\r\nffmpeg\r\n\nlibmagic1  # by name\npoppler-utils ghostscript\n"),
            ["ffmpeg", "libmagic1", "poppler-utils", "ghostscript"]
        );
        let found = parse("site/Aptfile", "\nffmpeg\n").unwrap();
        assert_eq!(found[0].origin, Origin::File("site/Aptfile".into(), Some(2)));
    }

    #[test]
    fn what_is_no_package_of_debians_is_named() {
        for (text, part) in [
            (
                "a2ps\n:repo:deb https://cli.example.com/deb stable main",
                "line 2: `:repo:deb https://cli.example.com/deb stable main`",
            ),
            ("https://example.com/x.deb", "`https://example.com/x.deb` is an address"),
            ("libpq5=17.0", "`libpq5=17.0` is more than a name"),
            ("libpq5:armhf", "is more than a name"),
            ("-o", "`-o` is no name"),
        ] {
            let error = parse(APTFILE, text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(matches!(parse(APTFILE, &"aa\n".repeat(300)), Err(PackagesError::TooMany { .. })));
    }
}
