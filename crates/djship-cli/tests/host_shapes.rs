//! Projects as they are out there, with nothing added: two shapes of ours, and the public projects that have them when
//! `DJSHIP_TEST_PROJECTS` names a folder that holds them.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, need, needs};
use support::postgres::{self, Postgres};
use support::serving::Serving;
use support::{fixture, in_place, sharing, timed};

/// Holds `python-getting-started` and `django-on-docker`.
const PROJECTS: &str = "DJSHIP_TEST_PROJECTS";

fn build(djship: &Djship, project: &Path, name: &str) -> Result<String> {
    let folder = project.to_str().context("a path in UTF-8")?;
    let output = timed(&format!("build of {name}"), || djship.run(["build", folder, "-t", name])?.success())?;
    Ok(output.to_string())
}

/// A public project, left as it is.
fn public(name: &str) -> Result<PathBuf, needs::Missing> {
    let folder = needs::variable(PROJECTS, "a folder with public projects")?;
    needs::path(&format!("{folder}/{name}"))
}

/// Runs `djship run NAME ARGUMENTS`, with a container name of its own so that the volumes are new.
struct Container<'a> {
    djship: &'a Djship,
    image: &'a str,
    name: String,
    environment: Vec<String>,
}

impl<'a> Container<'a> {
    fn new(djship: &'a Djship, image: &'a str, environment: &[String]) -> Self {
        let name = format!("{image}-{}", std::process::id());
        let environment = environment.iter().flat_map(|pair| ["-e".to_owned(), pair.clone()]).collect();
        Self { djship, image, name, environment }
    }

    fn arguments<'b>(&'b self, further: &[&'b str]) -> Vec<&'b str> {
        let environment = self.environment.iter().map(String::as_str);
        [self.image, "--name", &self.name]
            .into_iter()
            .chain(environment)
            .chain(further.iter().copied())
            .collect()
    }

    fn run(&self, command: &[&str]) -> Result<String> {
        let arguments = [&["run"], &self.arguments(&["--"])[..], command].concat();
        Ok(self.djship.run(arguments)?.success()?.stdout)
    }

    fn serve(&self) -> Result<Serving> {
        timed(&format!("start of {}", self.image), || Serving::start(self.djship, &self.arguments(&[])))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let arguments = [&["run"], &self.arguments(&["--rm", "--", "python", "-c", "pass"])[..]].concat();
        let _ = self.djship.run(arguments);
    }
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn sqlite_beside_manage_py_with_a_server_of_its_own() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("beside-manage"))?, "beside-manage")?;
    let said = build(&djship, &project, "beside")?;
    ensure!(said.contains("3.14") && said.contains(".python-version"), "the wish is not mentioned\n{said}");
    ensure!(!said.contains("Supplied gunicorn") && !said.contains("Supplied whitenoise"), "{said}");
    let container = Container::new(&djship, "beside", &[]);
    container.run(&["migrate"])?;
    let left = "import os; print(sorted(name for name in os.listdir('/app') if name.startswith('.env')))";
    ensure!(container.run(&["python", "-c", left])?.trim() == "[]", "the .env file ships");
    let serving = container.serve()?;
    ensure!(serving.page("/")?.text().contains("hello hello hello"), "the .env file was read");
    serving.style_sheet("/", "/static/welcome.")?;
    ensure!(serving.page("/visit/")?.text() == "visits: 1", "no visit was counted");
    let text = serving.stop()?.to_string();
    ensure!(text.contains("the project's own gunicorn.conf.py"), "another server was started\n{text}");
    // SQLite's file is in a volume.
    let serving = container.serve()?;
    ensure!(serving.page("/visit/")?.text() == "visits: 2", "the first visit is gone");
    serving.stop()?;
    Ok(())
}

/// The documented variables, with a real database.
fn variables(postgres: &Postgres) -> Vec<String> {
    let port = format!("SQL_PORT={}", postgres.port());
    let fixed = [
        "DEBUG=0",
        "SECRET_KEY=change_me",
        "DJANGO_ALLOWED_HOSTS=localhost 127.0.0.1 [::1]",
        "SQL_ENGINE=django.db.backends.postgresql",
        "SQL_DATABASE=polls",
        "SQL_USER=polls",
        "SQL_PASSWORD=any",
        "SQL_HOST=127.0.0.1",
        "DATABASE=postgres",
    ];
    fixed.into_iter().chain([port.as_str()]).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs user namespaces, the network and Debian's postgresql"]
fn a_site_in_app_with_variables_for_everything() -> Result<()> {
    let server = need!(postgres::server());
    let postgres = Postgres::start(&server)?;
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("in-app-folder"))?, "in-app-folder")?;
    let said = build(&djship, &project, "in-app")?;
    ensure!(said.contains("Supplied whitenoise") && !said.contains("Supplied gunicorn"), "{said}");
    let container = Container::new(&djship, "in-app", &variables(&postgres));
    container.run(&["migrate"])?;
    let serving = container.serve()?;
    serving.page("/admin/login/")?;
    serving.style_sheet("/admin/login/", "/static/admin/css/base")?;
    serving.style_sheet("/", "/static/cabinet")?;
    let stored = Request::post_form(&serving.url("/"), &[("text", "keep this")]).send()?;
    ensure!(stored.text() == "stored note.txt, 1 in all", "{stored:?}");
    serving.stop()?;
    let find = "import pathlib; print(*[path.read_text() for path in pathlib.Path('/app').rglob('mediafiles/note.txt')])";
    ensure!(container.run(&["python", "-c", find])?.trim() == "keep this", "the upload is gone");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network and the folder of public projects"]
fn public_python_getting_started() -> Result<()> {
    let project = need!(public("python-getting-started"));
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    build(&djship, &project, "getting-started")?;
    let container = Container::new(&djship, "getting-started", &[]);
    container.run(&["migrate"])?;
    let serving = container.serve()?;
    let page = serving.page("/")?.text();
    let picture =
        page.split('"').find(|text| text.contains("/static/")).context("the page has no static file")?;
    serving.page(picture)?;
    serving.page("/db/")?;
    serving.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces, the network, Debian's postgresql and the folder of public projects"]
fn public_django_on_docker() -> Result<()> {
    let project = need!(public("django-on-docker"));
    let server = need!(postgres::server());
    let postgres = Postgres::start(&server)?;
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    build(&djship, &project, "on-docker")?;
    let container = Container::new(&djship, "on-docker", &variables(&postgres));
    container.run(&["migrate"])?;
    let serving = container.serve()?;
    serving.page("/")?;
    serving.page("/admin/login/")?;
    serving.style_sheet("/admin/login/", "/static/admin/css/base")?;
    serving.stop()?;
    Ok(())
}
