//! What an image stands on, as far as the files decide it: a Debian release, or an image that the project names.

use djship_oci::registry::Reference;
use pep440_rs::Version;

use super::dependencies::Dependencies;
use super::python::{self, HardRange, PythonError, Release, Wish};
use super::{Origin, PlanError, Sourced};
use crate::project::Project;
use crate::project::config::Config;

/// What the system and Python come from.
#[derive(Debug, Clone)]
pub enum Foundation {
    /// Packages of a Debian release, which decides Python.
    Debian {
        /// The release.
        release: Sourced<Release>,
        /// A wish for another Python that cannot be met.
        unmet_wish: Option<Sourced<String>>,
    },
    /// An image that the project names. It brings its Python.
    Image(BaseImage),
}

/// An image that takes the place of Debian's packages.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// As the project writes it, such as `python:3.12-slim`.
    pub name: Sourced<String>,
    /// Where short names are, when the project says so.
    pub registry: Option<String>,
    /// The ranges that its Python must be in.
    pub ranges: Vec<HardRange>,
    wish: Option<Sourced<Wish>>,
    /// Where the project says that its wish is more than one.
    strict: Option<Origin>,
}

impl Foundation {
    pub(super) fn choose(
        project: &Project,
        config: &Config,
        dependencies: &Dependencies,
    ) -> Result<Self, PlanError> {
        let Some(name) = config.base.clone() else {
            let (release, unmet_wish) = python::choose(project, dependencies)?;
            python::insist(config, unmet_wish.as_ref())?;
            return Ok(Self::Debian { release, unmet_wish });
        };
        // Where short names are may be known to the host alone; that it is a name can be told here.
        if let Err(source) = Reference::parse(&name.value, Some("localhost")) {
            return Err(PlanError::Base { origin: name.origin, source });
        }
        let (ranges, wish) = (python::hard_ranges(project, dependencies)?, python::wish(project)?);
        if let Some(wish) = &wish {
            python::compare(wish, &ranges)?;
        }
        let strict = config.ship.python_strict.as_ref().filter(|strict| strict.value);
        Ok(Self::Image(BaseImage {
            name,
            registry: config.registry.as_ref().map(|registry| registry.value.clone()),
            ranges,
            wish,
            strict: strict.map(|strict| strict.origin.clone()),
        }))
    }

    /// The Debian release, when it is known from the files.
    pub fn release(&self) -> Option<Release> {
        match self {
            Self::Debian { release, .. } => Some(release.value),
            Self::Image(_) => None,
        }
    }

    /// A wish for another Python that Debian cannot meet.
    pub fn unmet_wish(&self) -> Option<&Sourced<String>> {
        match self {
            Self::Debian { unmet_wish, .. } => unmet_wish.as_ref(),
            Self::Image(_) => None,
        }
    }

    /// The image that it is, when it is one.
    pub fn image(&self) -> Option<&BaseImage> {
        match self {
            Self::Debian { .. } => None,
            Self::Image(image) => Some(image),
        }
    }

    /// Where it is said.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Debian { release, .. } => &release.origin,
            Self::Image(image) => &image.name.origin,
        }
    }
}

impl BaseImage {
    /// Whether the Python that it brings is allowed; the value is a wish that it does not meet.
    pub fn check(&self, version: &Version) -> Result<Option<Sourced<String>>, PythonError> {
        let mut ranges = Vec::new();
        for range in &self.ranges {
            if !python::allows(range, version)? {
                ranges.push(range.clone());
            }
        }
        if !ranges.is_empty() {
            let (image, version) = (self.name.value.clone(), version.to_string());
            return Err(PythonError::BaseImage { image, version, ranges });
        }
        let release = version.release();
        let found = (release.first().copied().unwrap_or(0), release.get(1).copied().unwrap_or(0));
        let unmet = self.wish.as_ref().filter(|wish| wish.value.1 != found);
        if let (Some(wish), Some(strict)) = (unmet, &self.strict) {
            return Err(PythonError::StrictImage {
                image: self.name.value.clone(),
                version: version.to_string(),
                wanted: wish.value.0.clone(),
                wish: wish.origin.clone(),
                strict: strict.clone(),
            });
        }
        Ok(unmet.map(|wish| Sourced { value: wish.value.0.clone(), origin: wish.origin.clone() }))
    }
}

impl PythonError {
    /// The newest minor version of Python 3 that all ranges allow, when some base image may have one.
    pub fn possible(ranges: &[HardRange]) -> Option<String> {
        let fits = |minor: &u64| {
            let version = Version::new([3, *minor, 9]);
            ranges.iter().all(|range| python::allows(range, &version).unwrap_or(false))
        };
        (9..=14).rev().find(fits).map(|minor| format!("3.{minor}"))
    }
}

#[cfg(test)]
mod tests {
    use djship_oci::registry::ReferenceError;

    use super::*;
    use crate::plan::Plan;

    fn plan(files: &[(&str, &str)]) -> Result<Plan, PlanError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            fs_err::write(folder.path().join(path), text).unwrap();
        }
        let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
        Plan::for_project(&Project { folder: folder.path().to_owned(), manage_py })
    }

    fn image(files: &[(&str, &str)]) -> BaseImage {
        let Foundation::Image(image) = plan(files).unwrap().foundation else { panic!("no image") };
        image
    }

    #[test]
    fn a_base_image_takes_the_place_of_debian() {
        let own = ("djship.toml", "registry = 'reg.test:5000/mirror'\nbase = 'python:3.12-slim'\n");
        // Nothing of Debian's would do.
        let range = ("pyproject.toml", "[project]\nname = 'x'\nrequires-python = '==3.12.*'\n");
        let wish = (".python-version", "3.12\n");
        let found = image(&[own, range, wish, ("requirements.txt", "Django==4.2.1")]);
        assert_eq!(found.name.value, "python:3.12-slim");
        assert_eq!(found.name.origin, Origin::File("djship.toml".into(), Some(2)));
        assert_eq!(found.registry.as_deref(), Some("reg.test:5000/mirror"));
        assert_eq!(found.check(&Version::new([3, 12, 7])).unwrap(), None);
        let error = found.check(&Version::new([3, 13, 1])).unwrap_err();
        let PythonError::BaseImage { ranges, .. } = error else { panic!("{error}") };
        let origins: Vec<_> = ranges.into_iter().map(|range| range.origin).collect();
        let expected = [("pyproject.toml", Some(3)), ("requirements.txt", Some(1))];
        assert_eq!(origins, expected.map(|(file, line)| Origin::File(file.into(), line)));
    }

    #[test]
    fn a_wish_for_another_python_is_told() {
        let own = ("djship.toml", "base = 'reg.test/python:3'");
        let found = image(&[own, ("requirements.txt", "Django"), (".python-version", "3.11.4\n")]);
        let unmet = found.check(&Version::new([3, 12, 7])).unwrap().unwrap();
        assert_eq!(
            (unmet.value.as_str(), unmet.origin),
            ("3.11.4", Origin::File(".python-version".into(), Some(1)))
        );
    }

    #[test]
    fn a_wish_that_an_image_does_not_meet_is_an_error_where_the_project_insists() {
        let own = ("djship.toml", "base = 'reg.test/python:3'\npython-strict = true\n");
        let found = image(&[own, ("requirements.txt", "Django"), (".python-version", "3.11\n")]);
        assert_eq!(found.check(&Version::new([3, 11, 9])).unwrap(), None);
        let error = found.check(&Version::new([3, 12, 7])).unwrap_err();
        let PythonError::StrictImage { wanted, version, strict, .. } = error else { panic!("{error}") };
        assert_eq!((wanted.as_str(), version.as_str()), ("3.11", "3.12.7"));
        assert_eq!(strict, Origin::File("djship.toml".into(), Some(2)));
        let range = ("pyproject.toml", "[project]\nname='x'\nrequires-python='>=3.12'\n");
        let error =
            plan(&[own, range, ("requirements.txt", "Django"), (".python-version", "3.11\n")]).unwrap_err();
        assert!(matches!(error, PlanError::Python(PythonError::Contradiction { .. })), "{error}");
    }

    #[test]
    fn a_lock_is_settled_when_the_python_of_the_image_is_known() {
        let package = |name: &str, marker: &str| {
            let hash = "0a".repeat(32);
            format!(
                "[[packages]]\nname = '{name}'\nversion = '5.2'\nmarker = \"{marker}\"\nsdist = {{hashes = {{sha256 = '{hash}'}}}}\n"
            )
        };
        let always = package("django", "python_version >= '3'");
        let lock = format!("lock-version = '1.0'\n{always}{}", package("only", "python_version == '3.12'"));
        let own = ("djship.toml", "base = 'reg.test/python:3'\n");
        let mut found = plan(&[own, ("pylock.toml", &lock)]).unwrap();
        assert!(found.dependencies.value.names().is_empty());
        for (minor, names) in [(12, &["django", "only"][..]), (13, &["django"])] {
            found.settle(&Version::new([3, minor, 1])).unwrap();
            assert_eq!(found.dependencies.value.names(), names);
        }
        // Debian's is known from the files.
        let mut found = plan(&[("pylock.toml", &lock)]).unwrap();
        found.settle(&Version::new([3, 12, 1])).unwrap();
        assert_eq!(found.dependencies.value.names(), ["django"]);
    }

    #[test]
    fn a_malformed_name_is_told_with_its_place() {
        let own = ("djship.toml", "base = 'python:3.12 slim'");
        let error = plan(&[own, ("requirements.txt", "Django")]).unwrap_err();
        let PlanError::Base { origin, source } = error else { panic!("{error}") };
        assert_eq!(origin, Origin::File("djship.toml".into(), Some(1)));
        assert!(matches!(source, ReferenceError::Name(_)), "{source}");
    }

    #[test]
    fn what_another_image_could_have_is_known() {
        let error = plan(&[("requirements.txt", "Django==3.2.1")]).unwrap_err();
        let PlanError::Python(PythonError::NoneFits { ranges }) = error else { panic!("{error}") };
        assert_eq!(PythonError::possible(&ranges).as_deref(), Some("3.10"));
    }
}
