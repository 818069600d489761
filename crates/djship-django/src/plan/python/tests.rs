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

#[test]
fn django_decides_when_nothing_else_does() {
    let cases = [
        ("Django", Release::Trixie),
        ("Django==5.2.8", Release::Trixie),
        ("django>=4.2,<5", Release::Bookworm),
        ("Django==4.1.7", Release::Bookworm),
        ("Django~=6.0", Release::Trixie),
        ("Django>=7", Release::Trixie),
    ];
    for (line, release) in cases {
        let found = plan(&[("requirements.txt", line)]).unwrap().foundation.release();
        assert_eq!(found, Some(release), "{line}");
    }
}

#[test]
fn hard_ranges_that_exclude_everything_are_named() {
    for line in ["Django==1.10.5", "Django==3.2.1"] {
        let error = plan(&[("requirements.txt", line)]).unwrap_err();
        let PlanError::Python(PythonError::NoneFits { ranges }) = error else { panic!("{error}") };
        assert_eq!(ranges[0].origin, Origin::File("requirements.txt".into(), Some(1)));
    }
    let table = ("pyproject.toml", "[project]\nname='x'\nrequires-python='>=3.14'\n");
    assert!(plan(&[("requirements.txt", "Django"), table]).is_err());
}

#[test]
fn ranges_of_poetry_are_hard() {
    let release = |python: &str| {
        let table = format!("[tool.poetry.dependencies]\npython = \"{python}\"\n");
        let files = [("requirements.txt", "Django==5.2"), ("pyproject.toml", table.as_str())];
        plan(&files).map(|plan| plan.foundation.release().unwrap())
    };
    assert_eq!(release("^3.11").unwrap(), Release::Trixie);
    assert_eq!(release("~3.11").unwrap(), Release::Bookworm);
    assert_eq!(release(">=3.10 <3.13 || ^2.7").unwrap(), Release::Bookworm);
    let table = ("pyproject.toml", "[tool.poetry.dependencies]\npython = \"^3.11\"\n");
    let wish = (".python-version", "3.11\n");
    let found = plan(&[("requirements.txt", "Django==5.2"), table, wish]).unwrap();
    assert_eq!(found.foundation.release(), Some(Release::Bookworm));
    assert!(matches!(release("~3.12"), Err(PlanError::Python(PythonError::NoneFits { .. }))));
    assert!(matches!(release("new"), Err(PlanError::Python(PythonError::Range { .. }))));
}

#[test]
fn wishes_are_met_or_said_to_be_unmet() {
    let met = plan(&[("requirements.txt", "Django==5.2"), (".python-version", "3.11.4\n")]).unwrap();
    assert_eq!((met.foundation.release(), met.foundation.unmet_wish()), (Some(Release::Bookworm), None));
    let unmet = plan(&[("requirements.txt", "Django==6.0"), (".python-version", "3.14\n")]).unwrap();
    assert_eq!(unmet.foundation.release(), Some(Release::Trixie));
    assert_eq!(unmet.foundation.unmet_wish().unwrap().value, "3.14");
    let heroku = plan(&[("requirements.txt", "Django==5.2"), ("runtime.txt", "python-3.11.9\r\n")]).unwrap();
    assert_eq!(heroku.foundation.release(), Some(Release::Bookworm));
}
