use djship_store::{Digest, Entry, FileTree, TreePath};

use super::*;
use crate::application::layer::Serving;
use crate::application::serving;
use crate::builder::Distribution;
use crate::plan::Plan;
use crate::project::Project;

/// A project on disk, as it ships, and an image with these programs of its own.
struct Site {
    folder: tempfile::TempDir,
    facts: Facts,
    distributions: Vec<Distribution>,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manage = "from django.core.management import execute_from_command_line\n";
        let mut facts: Facts =
            serde_json::from_str(include_str!("../../../python/probe/sample-polls.json")).unwrap();
        facts.wsgi = Some("shop.wsgi:application".to_owned());
        facts.asgi = Some("shop.asgi:application".to_owned());
        facts.static_files.served_by = Some("whitenoise".to_owned());
        let found =
            |name: &str| Distribution { name: name.to_owned(), version: "1".to_owned(), compiled: false };
        let distributions = ["gunicorn", "celery", "daphne"].map(found).to_vec();
        let site = Self { folder, facts, distributions };
        for (path, text) in [("manage.py", manage), ("requirements.txt", "Django==5.2\n")].iter().chain(files)
        {
            let file = site.folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        site
    }

    fn serving(&self) -> Result<Serving, CommandsError> {
        let plan = Plan::for_project(&Project::open(self.folder.path()).unwrap()).unwrap();
        let program = |path: &str| {
            (TreePath::parse(path).unwrap(), Entry::file(Digest::of(b""), 0, "").with_mode(0o755))
        };
        let names =
            ["venv/bin/gunicorn", "venv/bin/celery", "venv/bin/daphne", "venv/bin/python", "usr/bin/sh"];
        let layers: FileTree = names.map(program).into_iter().collect();
        let mut project = FileTree::new();
        for name in ["manage.py", "bin/run.sh", "bin/loose.sh", "clock.py"] {
            let file = self.folder.path().join(name);
            if let Ok(text) = fs_err::read(&file) {
                let mode = if name == "bin/loose.sh" { 0o644 } else { 0o755 };
                let entry = Entry::file(Digest::of(&text), text.len() as u64, &file).with_mode(mode);
                project.insert(TreePath::parse(name).unwrap(), entry);
            }
        }
        let inside = Inside::new([&layers], &project);
        serving::choose(&plan, &self.facts, &self.distributions, true, &inside)
    }

    fn commands(&self) -> Vec<(String, Vec<String>)> {
        let serving = self.serving().unwrap();
        serving.commands.iter().map(|command| (command.name.clone(), command.argv(""))).collect()
    }
}

fn web(line: &str) -> Vec<String> {
    Site::new(&[("Procfile", &format!("web: {line}\n"))]).serving().unwrap().web
}

fn default_web() -> Vec<String> {
    Site::new(&[]).serving().unwrap().web
}

#[test]
fn where_a_procfile_listens_gives_way_to_the_port() {
    let plain = ["gunicorn", "shop.wsgi", "--workers", "3"];
    for bind in [
        "--bind 0.0.0.0:$PORT",
        "--bind=0.0.0.0:${PORT:-8000}",
        "-b :$PORT",
        "-b0.0.0.0:8000",
        "--bind \"[::]:$PORT\"",
        "--bind 127.0.0.1:8001",
        "",
    ] {
        assert_eq!(web(&format!("gunicorn shop.wsgi {bind} --workers 3")), plain, "{bind}");
    }
    // What is no place of ours stays.
    assert_eq!(web("gunicorn shop.wsgi -b unix:/tmp/s"), ["gunicorn", "shop.wsgi", "-b", "unix:/tmp/s"]);
    let daphne = web("daphne -b 0.0.0.0 -p $PORT shop.asgi:application");
    assert_eq!(daphne, ["/bin/sh", "-c", "exec daphne -b $DJSHIP_BIND -p $PORT shop.asgi:application"]);
}

#[test]
fn a_shell_runs_what_only_a_shell_can() {
    let run =
        web("python manage.py collectstatic --noinput && gunicorn shop.wsgi -b 0.0.0.0:$PORT --log-file -");
    let line = "python manage.py collectstatic --noinput && exec gunicorn shop.wsgi --log-file -";
    assert_eq!(run, ["/bin/sh", "-c", line]);
    // There is no program echo, and no shell keeps signals from the server.
    assert_eq!(web("true && echo $A"), ["/bin/sh", "-c", "true && echo $A"]);
    assert_eq!(web("echo a"), ["/bin/sh", "-c", "echo a"]);
    assert_eq!(web("A=\"b c\" gunicorn shop.wsgi")[2], "A=\"b c\" exec gunicorn shop.wsgi");
}

#[test]
fn what_the_image_lacks_is_named_and_the_default_serves() {
    let site = Site::new(&[
        ("bin/loose.sh", "#!/bin/sh\n"),
        ("bin/run.sh", "#!/bin/sh\n"),
        ("clock.py", ""),
        (
            "Procfile",
            "web: bin/start.sh\r\nworker: bin/loose.sh\na: npm start\nb: bash bin/run.sh\nc: python clock2.py\n\
             d: honcho start\ne: python manage.py runserver\nclock: python clock.py\nf: cd bin && ./run.sh\n\
             migrate: python manage.py migrate\nb: python clock.py\nnonsense\n",
        ),
    ]);
    let serving = site.serving().unwrap();
    assert_eq!(serving.web, default_web());
    let left: Vec<_> = serving.left_out.iter().map(|left| (left.name.as_str(), left.why.clone())).collect();
    let program = |name: &str| Why::NoProgram(name.to_owned());
    assert_eq!(
        left,
        [
            ("web", Why::NoFile("bin/start.sh".to_owned())),
            ("worker", Why::NotExecutable("bin/loose.sh".to_owned())),
            ("a", program("npm")),
            ("b", Why::Repeated),
            ("c", Why::NoFile("clock2.py".to_owned())),
            ("d", program("honcho")),
            ("e", Why::DevelopmentServer),
            ("migrate", Why::Reserved),
            ("nonsense", Why::Unreadable),
        ]
    );
    assert_eq!(serving.left_out[0].origin, CommandOrigin::Procfile("Procfile".into(), 1));
    let names: Vec<_> = serving.commands.iter().map(|command| command.name.as_str()).collect();
    assert_eq!(names, ["web", "clock", "f", "b"]);
}

#[test]
fn windows_line_endings_are_an_error_before_there_is_an_image() {
    let site = Site::new(&[("bin/run.sh", "#!/bin/sh\r\nexec x\r\n"), ("Procfile", "worker: bin/run.sh\n")]);
    let error = site.serving().unwrap_err().to_string();
    assert!(error.contains("`bin/run.sh`") && error.contains("`worker`"), "{error}");
}

#[test]
fn celery_has_its_processes_without_a_procfile() {
    let celery = Celery { app: "shop".to_owned(), worker: true, beat: true };
    let mut site = Site::new(&[]);
    site.facts.celery = Some(celery.clone());
    let commands = site.commands();
    assert_eq!(commands[1].1, ["celery", "-A", "shop", "worker", "--loglevel", "INFO"]);
    assert_eq!(commands[2].1[3..], ["beat", "--loglevel", "INFO", "--schedule", SCHEDULE]);
    // One that the project starts is not started again, and has its schedule where it can be written.
    let mut site = Site::new(&[("Procfile", "tasks: celery -A shop worker -B -l info\n")]);
    site.facts.celery = Some(celery.clone());
    let commands = site.commands();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(commands[1].1[3..], ["worker", "-B", "-l", "info", "--schedule", SCHEDULE]);
    // And one that it does not want is none.
    let mut site = Site::new(&[("djship.toml", "commands.beat = false\n")]);
    site.facts.celery = Some(celery);
    assert_eq!(site.commands().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["web", "worker"]);
}

#[test]
fn the_configuration_decides() {
    let site = Site::new(&[
        (
            "Procfile",
            "web: gunicorn shop.wsgi\nworker: celery -A shop worker\nrelease: python manage.py migrate\n",
        ),
        (
            "djship.toml",
            "[commands]\nweb = [\"gunicorn\", \"shop.wsgi\", \"--threads\", \"8\"]\nworker = false\n",
        ),
    ]);
    let serving = site.serving().unwrap();
    assert_eq!(serving.web, ["gunicorn", "shop.wsgi", "--threads", "8"]);
    assert_eq!(serving.commands[0].origin, CommandOrigin::Config("djship.toml".into(), 2));
    assert!(serving.left_out.iter().all(|left| left.why == Why::Overruled), "{:?}", serving.left_out);
    assert_eq!(serving.commands.len(), 2);
}

#[test]
fn static_files_are_served_around_the_projects_own_server() {
    let mut site =
        Site::new(&[("Procfile", "web: gunicorn shop.wsgi:application -w 2 --bind 0.0.0.0:$PORT\n")]);
    site.facts.static_files.served_by = None;
    let serving = site.serving().unwrap();
    let words =
        ["/venv/bin/python", "/opt/djship/launch.py", "gunicorn", "djship_serve.wsgi:application", "-w", "2"];
    assert_eq!(serving.web, words);
    assert!(serving.whitenoise && !serving.unserved);
    assert_eq!(serving.supplied.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["whitenoise"]);
    // An application that cannot be told: the default serves, and says so.
    fs_err::write(site.folder.path().join("Procfile"), "web: gunicorn other:app\n").unwrap();
    let serving = site.serving().unwrap();
    assert_eq!(serving.left_out[0].why, Why::StaticFiles);
    assert!(serving.whitenoise && serving.web.contains(&"gunicorn".to_owned()));
    // The configuration insists.
    fs_err::write(site.folder.path().join("djship.toml"), "commands.web = 'gunicorn other:app'\n").unwrap();
    let serving = site.serving().unwrap();
    assert!(serving.unserved && !serving.whitenoise);
    assert_eq!(serving.web, ["gunicorn", "other:app"]);
}

#[test]
fn a_procfile_above_manage_py_runs_in_its_own_folder() {
    let command = Command {
        name: "clock".to_owned(),
        line: CommandLine::Words(vec!["python".to_owned(), "clock.py".to_owned()]),
        folder: String::new(),
        origin: CommandOrigin::Default,
    };
    assert_eq!(command.argv("")[0], "python");
    assert_eq!(command.argv("site")[2..], ["cd \"$0\" && exec \"$@\"", "/app", "python", "clock.py"]);
}
