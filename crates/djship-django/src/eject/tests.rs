//! The files of whole projects, from their folders and from what the probe said.

use super::*;
use crate::application::layer::Serving;
use crate::builder::Distribution;
use crate::facts::Facts;
use djship_store::FileTree;

fn polls() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/polls")
}

fn distribution(name: &str, compiled: bool) -> Distribution {
    Distribution { name: name.to_owned(), version: "1".to_owned(), compiled }
}

/// The files for a project whose settings are those of polls.
fn files_of(
    folder: &Path,
    distributions: &[Distribution],
    change: impl FnOnce(&mut Facts),
) -> Vec<EjectedFile> {
    let project = Project::open(folder).unwrap();
    let plan = Plan::for_project(&project).unwrap();
    let development = DevelopmentPlan::for_project(&project, &Config::read(&project).unwrap()).unwrap();
    let mut facts: Facts =
        serde_json::from_str(include_str!("../../python/probe/sample-polls.json")).unwrap();
    change(&mut facts);
    let serving: Serving =
        serving::choose(&plan, &facts, distributions, true, &Inside::new([], &FileTree::new())).unwrap();
    let libraries = vec!["libpq5".to_owned()];
    let description = Description::of(&plan, &development, &facts, distributions, &serving, libraries);
    render::files(&description).unwrap()
}

fn text<'a>(files: &'a [EjectedFile], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap().text
}

#[test]
fn polls_has_its_files() {
    for file in files_of(&polls(), &[distribution("psycopg2", true)], |_| ()) {
        let found = fs_err::read_to_string(polls().join(file.path)).unwrap();
        assert_eq!(found, file.text, "{} is stale: djship eject --force examples/polls", file.path);
    }
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manage = "import sys\nfrom django.core.management import execute_from_command_line\n\
                  execute_from_command_line(sys.argv)\n";
    for (path, text) in files.iter().chain(&[("site/manage.py", manage)]) {
        let file = folder.path().join(path);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    folder
}

#[test]
fn a_lock_is_read_by_uv_and_manage_py_may_lie_deeper() {
    let lock =
        "version = 1\nrequires-python = \">=3.12\"\n[[package]]\nname = \"django\"\nversion = \"5.2\"\n";
    let folder = project(&[("uv.lock", lock), ("pyproject.toml", "[project]\nname = \"x\"\n")]);
    let files = files_of(folder.path(), &[distribution("gunicorn", false)], |facts| {
        facts.static_files.served_by = Some("whitenoise".to_owned());
        facts.writable =
            vec![crate::facts::Writable { path: "/app/two words".to_owned(), why: String::new() }];
        facts.switches[0].value = "a $HOME \"b\" 'c'".to_owned();
    });
    let dev = text(&files, "docker/Dockerfile-dev");
    assert!(
        dev.contains("uv sync --frozen --no-install-project")
            && dev.contains("COPY pyproject.toml uv.lock /requirements/\n"),
        "{dev}"
    );
    assert!(!dev.contains("build-essential"), "nothing is compiled\n{dev}");
    let builder = text(&files, "docker/builder.sh");
    assert!(
        builder.contains("uv sync --quiet --frozen --no-dev") && builder.contains("\ncd /app/site\n"),
        "{builder}"
    );
    assert!(
        !builder.contains("whitenoise") && !builder.contains("gunicorn=="),
        "both are the project's\n{builder}"
    );
    assert!(builder.contains(r#"export ENVIRONMENT='a $HOME "b" '"'c'""#), "{builder}");
    let prod = text(&files, "docker/Dockerfile-prod");
    assert!(
        prod.contains("VOLUME [\"/app/two words\"]") && prod.contains("--mode=2775 '/app/two words'"),
        "{prod}"
    );
    assert!(prod.contains("ENV ENVIRONMENT=\"a \\$HOME \\\"b\\\" 'c'\""), "{prod}");
    assert!(prod.contains("\"pollsite.wsgi:application\"]"), "{prod}");
}

#[test]
fn other_locks_are_read_by_their_own_tools() {
    let hash = "0".repeat(64);
    let pdm = format!(
        "[metadata]\nlock_version = \"4.5.0\"\n[[package]]\nname = \"django\"\nversion = \"5.2\"\n\
         groups = [\"default\"]\nfiles = [{{file = \"d.whl\", hash = \"sha256:{hash}\"}}]\n"
    );
    let folder = project(&[("pdm.lock", &pdm), ("pyproject.toml", "[project]\nname = \"x\"\n")]);
    let files = files_of(folder.path(), &[], |_| ());
    let dev = text(&files, "docker/Dockerfile-dev");
    let tool =
        "\n\n# PDM, which reads pdm.lock.\nRUN python3 -m venv /opt/pdm \\\n    && /opt/pdm/bin/pip install";
    assert!(
        dev.contains(tool)
            && dev
                .contains("COPY pdm.lock pyproject.toml /requirements/\nRUN python3 -m venv --without-pip ")
            && dev.contains(
                "cd /requirements && VIRTUAL_ENV=/opt/development /opt/pdm/bin/pdm sync --no-self --dev\n"
            ),
        "{dev}"
    );
    assert!(!dev.contains("uv"), "{dev}");
    let builder = text(&files, "docker/builder.sh");
    assert!(
        builder.contains("\n(cd /app && VIRTUAL_ENV=/venv /opt/pdm/bin/pdm sync --no-self --prod)\n"),
        "{builder}"
    );

    let pylock = format!(
        "lock-version = \"1.0\"\n[[packages]]\nname = \"django\"\nversion = \"5.2\"\n\
         wheels = [{{url = \"https://example.org/django-5.2-py3-none-any.whl\", name = \"django-5.2-py3-none-any.whl\", hashes = {{sha256 = \"{hash}\"}}}}]\n"
    );
    let folder = project(&[("pylock.toml", &pylock)]);
    let files = files_of(folder.path(), &[], |_| ());
    let dev = text(&files, "docker/Dockerfile-dev");
    assert!(
        dev.contains("/opt/uv/bin/pip install") && dev.contains("COPY pylock.toml /requirements/"),
        "{dev}"
    );
    let builder = text(&files, "docker/builder.sh");
    let install = "(cd /app && /opt/uv/bin/uv pip install --no-cache --python /venv/bin/python --requirement pylock.toml)";
    assert!(builder.contains(install), "{builder}");
}

#[test]
fn files_without_a_server_have_no_volumes() {
    let folder = project(&[("requirements.txt", "Django\n")]);
    let files = files_of(folder.path(), &[], |facts| {
        facts.databases.clear();
        facts.required.clear();
        facts.read.clear();
    });
    let compose = text(&files, "docker-compose.yml");
    assert!(!compose.contains("depends_on") && !compose.contains("\nvolumes:"), "{compose}");
    assert!(compose.ends_with('\n') && !compose.ends_with("\n\n"), "{compose:?}");
}
