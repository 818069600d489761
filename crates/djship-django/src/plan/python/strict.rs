//! Where a wish for a Python is more than a wish.

use pep440_rs::Version;

use super::{HardRange, PythonError, Wish, allows};
use crate::plan::Sourced;
use crate::project::config::Config;

/// Fails when the project insists on a wish that is not met.
pub(in crate::plan) fn insist(config: &Config, unmet: Option<&Sourced<String>>) -> Result<(), PythonError> {
    match (&config.ship.python_strict, unmet) {
        (Some(strict), Some(wish)) if strict.value => Err(PythonError::Strict {
            wanted: wish.value.clone(),
            wish: wish.origin.clone(),
            strict: strict.origin.clone(),
        }),
        _ => Ok(()),
    }
}

/// Fails when the project's own ranges exclude the version that it wishes for: one of the two is a mistake.
pub(in crate::plan) fn compare(wish: &Sourced<Wish>, hard: &[HardRange]) -> Result<(), PythonError> {
    let (wanted, version) = &wish.value;
    // What Django supports is no word of the project's.
    for range in hard.iter().filter(|range| range.django.is_none()) {
        if !allows_some(range, *version)? {
            let (wanted, wish) = (wanted.clone(), wish.origin.clone());
            return Err(PythonError::Contradiction { wanted, wish, range: range.clone() });
        }
    }
    Ok(())
}

/// Whether a range allows any patch level of that version.
fn allows_some(range: &HardRange, (major, minor): (u64, u64)) -> Result<bool, PythonError> {
    for patch in 0..40 {
        if allows(range, &Version::new([major, minor, patch]))? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use crate::plan::python::{PythonError, Release};
    use crate::plan::{Origin, Plan, PlanError};
    use crate::project::Project;

    fn plan(files: &[(&str, &str)]) -> Result<Plan, PlanError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            fs_err::write(folder.path().join(path), text).unwrap();
        }
        let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
        Plan::for_project(&Project { folder: folder.path().to_owned(), manage_py })
    }

    #[test]
    fn a_wish_that_cannot_be_met_is_an_error_where_the_project_insists() {
        let files = [
            ("requirements.txt", "Django==5.2"),
            (".python-version", "3.12\n"),
            ("djship.toml", "\npython-strict = true\n"),
        ];
        let error = plan(&files).unwrap_err();
        let PlanError::Python(PythonError::Strict { wanted, wish, strict }) = error else {
            panic!("{error}")
        };
        assert_eq!((wanted.as_str(), wish), ("3.12", Origin::File(".python-version".into(), Some(1))));
        assert_eq!(strict, Origin::File("djship.toml".into(), Some(2)));
        assert!(plan(&[("requirements.txt", "Django==5.2"), files[2]]).is_ok());
    }

    #[test]
    fn wishes_against_the_projects_own_range_and_unreadable_ones_are_errors() {
        let range = ("pyproject.toml", "[project]\nname='x'\nrequires-python='>=3.12'\n");
        let error = plan(&[("requirements.txt", "Django"), range, (".python-version", "3.11")]).unwrap_err();
        let PlanError::Python(PythonError::Contradiction { wanted, range, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!((wanted.as_str(), range.range.as_str()), ("3.11", ">=3.12"));
        let error =
            plan(&[("requirements.txt", "Django"), ("runtime.txt", "python-3.12.x\r\n")]).unwrap_err();
        assert!(error.to_string().contains("\"3.12.x\""), "{error}");
        let marked = plan(&[("requirements.txt", "Django==5.2"), (".python-version", "\u{feff}3.11\r\n")]);
        assert_eq!(marked.unwrap().foundation.release(), Some(Release::Bookworm));
    }
}
