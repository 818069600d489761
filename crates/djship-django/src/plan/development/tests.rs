use super::*;
use crate::plan::dependencies::DependenciesError;
use crate::plan::python::Release;
use crate::project::requirements::RequirementsError;

struct Tree {
    _folder: tempfile::TempDir,
    project: Project,
}

fn tree(manage_py: &str, files: &[(&str, &str)]) -> Tree {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = folder.path().join(path);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    let manage_py = djship_store::TreePath::parse(manage_py).unwrap();
    Tree { project: Project { folder: folder.path().to_owned(), manage_py }, _folder: folder }
}

fn find(manage_py: &str, files: &[(&str, &str)]) -> Sourced<DevelopmentDependencies> {
    DevelopmentDependencies::find(&tree(manage_py, files).project, &Config::default()).unwrap()
}

/// The files that the installer is given.
fn given(files: &[(&str, &str)]) -> Vec<String> {
    match find("manage.py", files).value.install {
        Install::Files { files, .. } => files,
        Install::Lock { .. } | Install::List(_) => panic!("a lock"),
    }
}

fn configured(text: &str) -> Config {
    Config::parse("djship.toml", text).unwrap().unwrap()
}

#[test]
fn files_for_development_come_first() {
    for name in DEVELOPMENT {
        let files = [("requirements.txt", "Django"), (name, "Django\nblack")];
        let found = find("manage.py", &files);
        assert_eq!(found.origin, Origin::File((*name).to_owned(), None));
        assert_eq!(
            found.value.install,
            Install::Files { files: vec![(*name).to_owned()], groups: vec![], extras: vec![] }
        );
        assert_eq!(found.value.names(), ["django", "black"]);
    }
    let nested = [
        ("requirements-dev.txt", "Django"),
        ("app/requirements/local.txt", "Django"),
        ("app/requirements.txt", ""),
    ];
    assert_eq!(
        find("app/site/manage.py", &nested).origin,
        Origin::File("app/requirements/local.txt".into(), None)
    );
}

#[test]
fn files_of_tools_only_are_installed_beside_productions() {
    let plain = [("requirements.txt", "Django"), ("requirements-dev.txt", "black\n")];
    assert_eq!(given(&plain), ["requirements.txt", "requirements-dev.txt"]);
    let found = find("manage.py", &plain).value;
    assert_eq!((found.files(), found.names()), (&given(&plain)[..], vec!["django".into(), "black".into()]));
    // Constraints install nothing.
    let constrained =
        [("requirements.txt", "Django"), ("dev-requirements.txt", "-c requirements.txt\nblack\n")];
    assert_eq!(given(&constrained), ["requirements.txt", "dev-requirements.txt"]);
    let parts = [
        ("requirements/base.txt", "Django"),
        ("requirements/production.txt", "-r base.txt\ngunicorn"),
        ("requirements/dev.txt", "black"),
    ];
    assert_eq!(given(&parts), ["requirements/base.txt", "requirements/dev.txt"]);
    let table =
        [("pyproject.toml", "[project]\ndependencies = ['Django']"), ("requirements-dev.txt", "black")];
    assert_eq!(given(&table), ["pyproject.toml", "requirements-dev.txt"]);
    // The development file is at the top, the application has its own.
    let found =
        find("app/manage.py", &[("app/requirements.txt", "Django"), ("requirements-dev.txt", "black")]);
    assert_eq!(found.value.files(), ["app/requirements.txt", "requirements-dev.txt"]);
}

#[test]
fn files_that_include_productions_are_enough() {
    let parts = [
        ("requirements/base.txt", "wagtail"),
        ("requirements.txt", "-r requirements/production.txt"),
        ("requirements/production.txt", "-r base.txt\ngunicorn"),
        ("requirements/development.txt", "-r base.txt\nblack"),
    ];
    assert_eq!(given(&parts), ["requirements/development.txt"]);
    let found = find("manage.py", &parts).value;
    assert_eq!(found.files(), ["requirements/development.txt", "requirements/base.txt"]);
    assert_eq!(given(&[("requirements_dev.txt", "Django\n-e .")]), ["requirements_dev.txt"]);
    assert!(find("manage.py", &[("requirements_dev.txt", "Django\n-e .")]).value.local());
}

#[test]
fn without_one_the_file_for_all_wins_over_productions() {
    let both = [("requirements.txt", "Django"), ("requirements/production.txt", "Django\ngunicorn")];
    assert_eq!(given(&both), ["requirements.txt"]);
    let parts = [("requirements/base.txt", "Django"), ("requirements/production.txt", "-r base.txt")];
    assert_eq!(given(&parts), ["requirements/production.txt"]);
    assert_eq!(given(&parts[..1]), ["requirements/base.txt"]);
}

const TABLE: &str = r#"
[project]
name = "x"
dependencies = ["Django>=5"]
[project.optional-dependencies]
Dev = ["ruff"]
docs = ["sphinx"]
[dependency-groups]
dev = ["pytest", {include-group = "typed"}]
typed = ["mypy", {include-group = "dev"}]
lint = ["black"]
"#;

#[test]
fn groups_and_extras_of_a_project_table() {
    let found = find("manage.py", &[("pyproject.toml", TABLE)]).value;
    assert_eq!(
        found.install,
        Install::Files {
            files: vec!["pyproject.toml".into()],
            groups: vec!["dev".into()],
            extras: vec!["Dev".into()]
        }
    );
    assert_eq!(found.names(), ["django", "pytest", "mypy", "ruff"]);
    assert_eq!(found.files(), ["pyproject.toml"]);
    let groups = |defaults: &str| {
        let text = format!("{TABLE}[tool.uv]\ndefault-groups = {defaults}\n");
        match find("manage.py", &[("pyproject.toml", &text)]).value.install {
            Install::Files { groups, .. } => groups,
            Install::Lock { .. } | Install::List(_) => panic!("a lock"),
        }
    };
    assert_eq!(groups("['lint']"), ["lint"]);
    assert_eq!(groups("'all'"), ["dev", "lint", "typed"]);
    assert!(groups("[]").is_empty());
}

#[test]
fn a_lock_has_everything() {
    let lock = "version = 1\n[[package]]\nname = 'django'\nversion = '5.2'\n[[package]]\nname = 'pytest'\n";
    let files = [("uv.lock", lock), ("pyproject.toml", TABLE), ("requirements-dev.txt", "black")];
    let found = find("src/manage.py", &files);
    assert_eq!(found.origin, Origin::File("uv.lock".into(), None));
    assert_eq!(
        found.value.install,
        Install::Lock { folder: String::new(), extras: vec!["Dev".into()], apart: Apart::default() }
    );
    assert_eq!(found.value.names(), ["django", "pytest"]);
    assert_eq!(found.value.files(), ["uv.lock", "pyproject.toml"]);
}

#[test]
fn the_configuration_decides() {
    let config = configured("[develop]\nrequirements = ['a.txt', 'b.txt']\n");
    let files = [
        ("a.txt", "Django"),
        ("b.txt", "black\n-r c.txt"),
        ("c.txt", "ruff"),
        ("requirements-dev.txt", ""),
        ("poetry.lock", ""),
    ];
    let tree_with = tree("manage.py", &files);
    let plan = DevelopmentPlan::for_project(&tree_with.project, &config).unwrap();
    assert_eq!(plan.dependencies.origin, Origin::File("djship.toml".into(), Some(2)));
    assert_eq!(plan.dependencies.value.files(), ["a.txt", "b.txt", "c.txt"]);
    let error = DevelopmentDependencies::find(&tree("manage.py", &files[..1]).project, &config).unwrap_err();
    let DependenciesError::Requirements(error @ RequirementsError::NoFile { line: 2, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(error.to_string(), "cannot read `b.txt`: no such file, included by `djship.toml`, line 2");
}

#[test]
fn production_decides_the_release() {
    let plan = |files: &[(&str, &str)]| {
        DevelopmentPlan::for_project(&tree("manage.py", files).project, &Config::default())
    };
    let both = [("requirements.txt", "Django==4.2.1"), ("requirements-dev.txt", "Django==5.2")];
    assert_eq!(plan(&both).unwrap().foundation.release(), Some(Release::Bookworm));
    let only = [("requirements/dev.txt", "Django==4.2.1")];
    let found = plan(&only).unwrap();
    assert_eq!(found.foundation.release(), Some(Release::Bookworm));
    assert_eq!(found.dependencies.value.files(), ["requirements/dev.txt"]);
    let broken = [("poetry.lock", ""), ("requirements-dev.txt", "black")];
    assert!(matches!(plan(&broken), Err(PlanError::Dependencies(DependenciesError::Lock(_)))));
    // A manifest without its lock keeps nobody from working with other files.
    let other = [("Pipfile", ""), ("requirements-dev.txt", "Django")];
    assert!(plan(&other).is_err());
    assert!(matches!(plan(&[]), Err(PlanError::Dependencies(DependenciesError::None { .. }))));
}

#[test]
fn locks_are_translated_with_what_is_for_development() {
    let hex = "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899";
    let package = |name: &str, marker: &str| {
        format!(
            "[[packages]]\nname = \"{name}\"\nversion = \"5.2\"\nmarker = \"{marker}\"\nsdist = {{name = \"x\", hashes = {{sha256 = \"{hex}\"}}}}\n"
        )
    };
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"x\"\ndependency-groups = [\"dev\"]\n{}{}",
        package("django", "python_version > '3'"),
        package("pytest", "'dev' in dependency_groups")
    );
    let tree = tree("manage.py", &[("pylock.toml", &lock), ("requirements.txt", "Django")]);
    let plan = DevelopmentPlan::for_project(&tree.project, &Config::default()).unwrap();
    assert_eq!(plan.dependencies.value.names(), ["django", "pytest"]);
    assert_eq!(plan.passed_over, ["requirements.txt"]);
    assert!(plan.dependencies.value.list().unwrap().hashed.contains("pytest==5.2 \\\n"));
    let production = crate::plan::Plan::for_project(&tree.project).unwrap();
    assert_eq!(production.dependencies.value.names(), ["django"]);
}

#[test]
fn setuptools_alone() {
    let settings = "[options]\ninstall_requires =\n    Django\n[options.extras_require]\ndev = pytest\n";
    let found = find("manage.py", &[("setup.cfg", settings)]).value;
    assert_eq!(
        found.install,
        Install::Files { files: vec!["setup.cfg".into()], groups: vec![], extras: vec!["dev".into()] }
    );
    assert!(found.local());
}
