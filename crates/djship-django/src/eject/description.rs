//! Everything that the ejected files say, decided: no template thinks.

use std::collections::BTreeSet;

use super::services::{self, Service};
use super::{installing, left_out, variables};
use crate::application::layer::{Serving, writable};
use crate::builder::Distribution;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::plan::development::DevelopmentPlan;
use crate::plan::python::Release;
use crate::project::requirements::normalise;
use crate::python;

/// The name of the module that the builder writes around an application whose settings serve no static files.
const WRAPPER: &str = "with_static_files";

/// A variable with its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it is for, where that is not plain.
    pub why: Option<&'static str>,
}

impl Variable {
    pub(super) fn new(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), why: None }
    }
}

/// Files that one `COPY` brings to one place.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Copy {
    /// Relative to the project.
    pub files: Vec<String>,
    /// A folder, with a closing slash.
    pub target: String,
}

/// A tool that reads its own lock.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LockTool {
    /// What people call it.
    pub name: &'static str,
    /// Its command, and its name in the index.
    pub command: &'static str,
    /// Its lock.
    pub lock: &'static str,
}

/// What serves in production.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Server {
    /// The command.
    pub command: Vec<String>,
    /// What it needs beside the project's own requirements, pinned.
    pub requirements: Vec<String>,
    /// The module that serves static files around the application, if one is needed.
    pub wrapper: Option<&'static str>,
    /// The application's module.
    pub module: String,
    /// The application in it.
    pub attribute: String,
}

/// What the files say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// `3.13`.
    pub python: String,
    /// Debian's code name.
    pub codename: &'static str,
    /// The folder of `manage.py` in a container.
    pub django_folder: String,
    /// What Compose starts.
    pub start: &'static str,
    /// Whether something of production's was compiled.
    pub compiles: bool,
    /// Debian packages of the development image.
    pub development_packages: Vec<String>,
    /// Debian packages of the production image.
    pub production_packages: Vec<String>,
    /// uv's version, where the project's files are read by uv.
    pub uv: Option<String>,
    /// Another tool that the project's lock needs.
    pub lock_tool: Option<LockTool>,
    /// What the requirements of development stand in.
    pub copies: Vec<Copy>,
    /// The shell line that installs development's requirements.
    pub install_development: String,
    /// The shell line that installs production's requirements.
    pub install_production: String,
    /// Servers beside Django.
    pub services: Vec<Service>,
    /// Variables of the development server.
    pub environment: Vec<Variable>,
    /// Variables of the step that collects static files.
    pub build_environment: Vec<Variable>,
    /// Variables of the production image.
    pub image_environment: Vec<Variable>,
    /// Variables that production cannot do without.
    pub required: Vec<String>,
    /// Whether static files are collected.
    pub collects: bool,
    /// `STATIC_ROOT`.
    pub static_root: String,
    /// `STATIC_URL` as a path without slashes around it.
    pub static_url: String,
    /// Folders that the site writes to.
    pub writable: Vec<String>,
    /// What serves.
    pub serving: Server,
    /// Lines of `.dockerignore`.
    pub ignored: Vec<String>,
    /// Further lines, from `.gitignore`.
    pub git_ignored: Vec<String>,
    /// Patterns for tar.
    pub left_out: Vec<String>,
}

impl Description {
    /// Decides what the files say. `libraries` are the Debian packages that the installed distributions use when they run.
    pub fn of(
        plan: &Plan,
        development: &DevelopmentPlan,
        facts: &Facts,
        distributions: &[Distribution],
        serving: &Serving,
        libraries: Vec<String>,
    ) -> Self {
        let has = |name: &str| distributions.iter().any(|found| normalise(&found.name) == name);
        let (services, leading) = services::find(facts, has("redis"));
        let packages = installing::build_packages(development, distributions);
        // A project on an image of its own has been refused.
        let release = plan.foundation.release().unwrap_or(Release::Trixie);
        let (major, minor) = release.python();
        let folder = format!("/app/{}", plan.project.django_folder()).trim_end_matches('/').to_owned();
        let ignored = left_out::for_docker(facts);
        let git = plan.project.read(".gitignore").ok().flatten().unwrap_or_default();
        let git_ignored = left_out::from_git(&git, &ignored);
        let production: BTreeSet<String> = ["ca-certificates", "python3", "tzdata"]
            .map(str::to_owned)
            .into_iter()
            .chain(libraries)
            .collect();
        let mut devel = production.clone();
        devel.extend(["python3-pip", "python3-venv"].map(str::to_owned));
        devel.extend(packages.iter().cloned());
        let static_files = &facts.static_files;
        Self {
            python: format!("{major}.{minor}"),
            codename: release.codename(),
            start: if facts.has_migrations {
                "python manage.py migrate && exec python manage.py runserver 0.0.0.0:8000"
            } else {
                "exec python manage.py runserver 0.0.0.0:8000"
            },
            compiles: !packages.is_empty(),
            development_packages: devel.into_iter().collect(),
            production_packages: production.into_iter().collect(),
            uv: installing::needs_uv(plan, development)
                .then(|| python::pinned_version(python::UV, "uv").unwrap_or_default()),
            lock_tool: installing::lock_tool(plan, development),
            copies: installing::copies(development),
            install_development: installing::install_development(development),
            install_production: installing::install_production(plan),
            services,
            environment: variables::development(facts, leading),
            build_environment: variables::build(facts),
            image_environment: variables::image(facts),
            required: facts.required.iter().map(|variable| variable.name.clone()).collect(),
            collects: static_files.app
                && static_files.file_system != Some(false)
                && static_files.root.is_some(),
            static_root: static_files.root.clone().unwrap_or_default(),
            static_url: static_files.url.clone().unwrap_or_default().trim_matches('/').to_owned(),
            writable: writable(plan, facts).into_iter().map(|folder| folder.path).collect(),
            serving: server(facts, serving, &has),
            left_out: left_out::for_tar(facts, &git_ignored),
            ignored,
            git_ignored,
            django_folder: folder,
        }
    }
}

/// The project's own command without the variables of djship's entry point.
fn on_port_8000(web: &[String]) -> Vec<String> {
    let fixed = |word: &String| {
        let word = word.replace("$DJSHIP_BIND", "0.0.0.0");
        word.replace("${PORT}", "8000").replace("$PORT", "8000")
    };
    let mut command: Vec<String> = web.iter().map(fixed).collect();
    let starts =
        |program: &str| command.first().is_some_and(|first| first.rsplit('/').next() == Some(program));
    let place = match () {
        () if starts("gunicorn")
            && !command.iter().any(|word| word.starts_with("-b") || word.starts_with("--bind")) =>
        {
            &["--bind", "0.0.0.0:8000"][..]
        }
        () if starts("uvicorn") && !command.iter().any(|word| word.starts_with("--host")) => {
            &["--host", "0.0.0.0", "--port", "8000"][..]
        }
        () => &[],
    };
    command.extend(place.iter().map(|&word| word.to_owned()));
    command
}

fn server(facts: &Facts, serving: &Serving, has: &dyn Fn(&str) -> bool) -> Server {
    let supplied: Vec<&str> = serving.supplied.iter().map(|(name, _)| *name).collect();
    let own = serving.web.first().is_some_and(|program| program != "/venv/bin/python");
    let asynchronous = serving.web.iter().any(|word| word == "uvicorn");
    let application = if asynchronous { &facts.asgi } else { &facts.wsgi };
    let application = application.clone().unwrap_or_default();
    let (module, attribute) = application.split_once(':').unwrap_or((&application, "application"));
    // WhiteNoise is around WSGI only.
    let wrapper =
        (serving.whitenoise && !asynchronous && facts.static_files.root.is_some()).then_some(WRAPPER);
    let served = wrapper.map_or_else(|| application.clone(), |wrapper| format!("{wrapper}:application"));
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let command = if own {
        on_port_8000(&serving.web)
    } else if asynchronous {
        words(&["uvicorn", "--host", "0.0.0.0", "--port", "8000", &served])
    } else {
        let mut command = words(&[
            "gunicorn",
            "--bind",
            "0.0.0.0:8000",
            "--worker-tmp-dir",
            "/dev/shm",
            "--access-logfile",
            "-",
        ]);
        if supplied.contains(&"gunicorn") {
            // It would be written to a home folder that is read-only; an older one of the project's has no such option.
            command.push("--no-control-socket".to_owned());
        }
        command.push(served);
        command
    };
    let pins = if asynchronous { python::SUPPLIED_ASGI } else { python::SUPPLIED_WSGI };
    let wanted = supplied
        .into_iter()
        .filter(|name| *name != "whitenoise" || (wrapper.is_some() && !has("whitenoise")));
    let requirements =
        wanted.filter_map(|name| Some(format!("{name}=={}", python::pinned_version(pins, name)?))).collect();
    Server { command, requirements, wrapper, module: module.to_owned(), attribute: attribute.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_command_listens_where_docker_looks() {
        let fixed = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            on_port_8000(&words).join(" ")
        };
        assert_eq!(
            fixed(&["gunicorn", "shop.wsgi", "-w", "2"]),
            "gunicorn shop.wsgi -w 2 --bind 0.0.0.0:8000"
        );
        assert_eq!(fixed(&["gunicorn", "shop.wsgi", "-b", "unix:/s"]), "gunicorn shop.wsgi -b unix:/s");
        assert_eq!(fixed(&["uvicorn", "shop.asgi:app"]), "uvicorn shop.asgi:app --host 0.0.0.0 --port 8000");
        let shell = fixed(&["/bin/sh", "-c", "exec daphne -b $DJSHIP_BIND -p ${PORT} shop.asgi:application"]);
        assert_eq!(shell, "/bin/sh -c exec daphne -b 0.0.0.0 -p 8000 shop.asgi:application");
    }
}
