use super::*;
use djship_store::TreePath;

const SCHEDULE: &str = "/app/.cache/celerybeat-schedule";

/// A project with these files, its Celery, and what `djship.toml` has.
struct Case<'a> {
    manage_py: &'a str,
    files: &'a [(&'a str, &'a str)],
    celery: Option<(bool, bool)>,
    config: &'a str,
}

const PLAIN: Case<'_> = Case { manage_py: "manage.py", files: &[], celery: None, config: "" };

impl Case<'_> {
    fn decide(&self) -> Result<Processes, ProcessesError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in self.files {
            let file = folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let manage_py = TreePath::parse(self.manage_py).unwrap();
        let project = Project { folder: folder.path().to_owned(), manage_py };
        let celery = self.celery.map(|(worker, beat)| Celery { app: "config".into(), worker, beat });
        let config = Config::parse("djship.toml", self.config).unwrap().unwrap_or_default();
        Processes::decide(&project, celery.as_ref(), &config, SCHEDULE)
    }

    /// Name, command and kind of what runs.
    fn run(&self) -> Vec<(String, String, ProcessKind)> {
        let run = self.decide().unwrap().run.into_iter();
        run.map(|process| {
            let command = match process.command {
                CommandLine::Words(words) => words.join(" "),
                CommandLine::Shell(script) => format!("sh: {script}"),
            };
            (process.name, command, process.kind)
        })
        .collect()
    }

    fn left_out(&self) -> Vec<(String, Why)> {
        self.decide().unwrap().left_out.into_iter().map(|left| (left.name, left.why)).collect()
    }
}

fn worker(name: &str, command: &str) -> (String, String, ProcessKind) {
    (name.to_owned(), command.to_owned(), ProcessKind::Worker)
}

fn watcher(name: &str, command: &str) -> (String, String, ProcessKind) {
    (name.to_owned(), command.to_owned(), ProcessKind::Watcher)
}

const OUR_BEAT: &str =
    "celery -A config beat --loglevel INFO --pidfile= --schedule /app/.cache/celerybeat-schedule";

#[test]
fn celery_without_a_procfile() {
    assert_eq!(PLAIN.run(), []);
    let both = Case { celery: Some((true, true)), manage_py: "src/manage.py", ..PLAIN };
    let ours = worker("worker", "celery -A config worker --loglevel INFO");
    assert_eq!(both.run(), [ours.clone(), worker("beat", OUR_BEAT)]);
    let found = both.decide().unwrap();
    assert_eq!((found.run[0].folder.as_str(), &found.run[0].origin), ("src", &ProcessOrigin::Celery));
    assert_eq!(Case { celery: Some((true, false)), ..PLAIN }.run(), [ours]);
    assert_eq!(Case { celery: Some((false, false)), ..PLAIN }.run(), []);
}

#[test]
fn a_procfile_is_read_as_heroku_reads_it() {
    let text = "# comment\r\nrelease: python manage.py migrate\r\nweb: gunicorn x --bind 0.0.0.0:$PORT\r\n\r\n\
                queue : exec python manage.py qcluster -n ${N:-2}\r\nnot a process\r\n\
                a/b: c\r\nempty:\r\nqueue: python manage.py qcluster\r\nclock: python clock.py # ticks\r\n";
    let case = Case { files: &[("Procfile", text)], ..PLAIN };
    assert_eq!(
        case.run(),
        [worker("queue", "python manage.py qcluster"), worker("clock", "python clock.py")]
    );
    let left = [
        ("release", Why::Deployment),
        ("web", Why::DevelopmentServer),
        ("queue", Why::Repeated),
        ("not a process", Why::Unreadable),
        ("a/b: c", Why::Unreadable),
        ("empty:", Why::Unreadable),
    ];
    assert_eq!(case.left_out(), left.map(|(name, why)| (name.to_owned(), why)));
    let found = case.decide().unwrap();
    assert_eq!(found.run[0].origin, ProcessOrigin::File("Procfile".into(), 9));
    assert_eq!(found.left_out[0].origin, ProcessOrigin::File("Procfile".into(), 2));
}

#[test]
fn a_procfile_for_development_wins_and_runs_in_its_folder() {
    let files = [
        ("Procfile", "a: one"),
        ("src/Procfile", "a: two"),
        (
            "Procfile.dev",
            "a: three\nweb: python manage.py runserver\nserver: cd x && ./manage.py runserver_plus $PORT\n\
          css: npm run watch\njs: cd frontend && NODE_ENV=x exec npx vite\ntw: python manage.py tailwind start\n\
          redis: redis-server --port 6379\ndb: docker compose up db\nmail: env A=b /usr/local/bin/mailpit\n",
        ),
    ];
    let case = Case { files: &files, manage_py: "src/manage.py", ..PLAIN };
    assert_eq!(
        case.run(),
        [
            worker("a", "three"),
            watcher("css", "npm run watch"),
            watcher("js", "sh: cd frontend && NODE_ENV=x exec npx vite"),
            watcher("tw", "python manage.py tailwind start"),
        ]
    );
    let left = [
        ("web", Why::DevelopmentServer),
        ("server", Why::DevelopmentServer),
        ("redis", Why::Service),
        ("db", Why::Service),
        ("mail", Why::Service),
    ];
    assert_eq!(case.left_out(), left.map(|(name, why)| (name.to_owned(), why)));
    assert_eq!(case.decide().unwrap().run[0].folder, "");
    let case = Case { files: &files[..2], ..case };
    assert_eq!(case.run(), [worker("a", "two")]);
    assert_eq!(case.decide().unwrap().run[0].folder, "src");
}

#[test]
fn celery_of_the_procfile_replaces_ours() {
    let celery = Some((true, true));
    let names = |procfile: &str| {
        let files = [("Procfile", procfile)];
        let names: Vec<String> =
            Case { files: &files, celery, ..PLAIN }.run().into_iter().map(|(name, ..)| name).collect();
        names.join(" ")
    };
    assert_eq!(names("web: gunicorn x"), "worker beat");
    assert_eq!(names("jobs: celery -A x.y worker -l info"), "jobs beat");
    assert_eq!(names("jobs: celery -A x worker -B"), "jobs");
    assert_eq!(names("a: celery worker --app=x\nb: python -m celery --app x beat"), "a b");
    assert_eq!(names("a: cd x && C=1 exec celery -A $APP worker --beat"), "a");
    assert_eq!(names("a: watchfiles 'celery -A worker beat'"), "a worker");
    assert_eq!(names("a: newrelic-admin run-program celery --workdir beat -A x worker"), "a beat");
    assert_eq!(names("flower: celery -A x flower"), "flower worker beat");
    assert_eq!(names("a: python worker.py celery"), "a worker beat");
    // A script may be what starts Celery; two of that name cannot be.
    let script = Case { files: &[("Procfile", "worker: bin/worker.sh")], celery, ..PLAIN };
    assert_eq!(script.run(), [worker("worker", "bin/worker.sh"), worker("beat", OUR_BEAT)]);
    assert_eq!(script.left_out(), [("worker".to_owned(), Why::NameTaken)]);
}

#[test]
fn the_configuration_adds_replaces_and_switches_off() {
    let files = [("Procfile", "queue: python q.py\ncss: make css\nclock: python c.py"), ("frontend/x", "")];
    let config = "[processes]\nqueue = false\nbeat = false\nnone = false\n\
        css = { kind = 'watcher', packages = ['npm'], folder = 'frontend' }\n\
        clock = { command = 'python clock.py' }\n\
        more = { command = ['yarn', 'dev'] }\n";
    let case = Case { files: &files, config, celery: Some((true, true)), manage_py: "app/manage.py" };
    assert_eq!(
        case.run(),
        [
            watcher("css", "make css"),
            worker("clock", "python clock.py"),
            worker("worker", "celery -A config worker --loglevel INFO"),
            watcher("more", "yarn dev"),
        ]
    );
    let left = [("beat", Why::SwitchedOff), ("none", Why::NothingToSwitchOff), ("queue", Why::SwitchedOff)];
    assert_eq!(case.left_out(), left.map(|(name, why)| (name.to_owned(), why)));
    let found = case.decide().unwrap();
    let css = &found.run[0];
    assert_eq!((css.folder.as_str(), &css.packages[..]), ("frontend", &["npm".to_owned()][..]));
    assert_eq!(css.origin, ProcessOrigin::File("Procfile".into(), 2));
    let clock = &found.run[1];
    assert_eq!(
        (clock.folder.as_str(), &clock.origin),
        ("app", &ProcessOrigin::File("djship.toml".into(), 6))
    );
    assert_eq!(found.left_out[1].origin, ProcessOrigin::File("djship.toml".into(), 4));
    // A worker that is switched off does not come back as ours.
    let off = Case { files: &[("Procfile", "q: celery -A x worker")], config: "processes.q = false", ..case };
    assert_eq!(off.run(), [worker("beat", OUR_BEAT)]);
    let own = Case { files: &[], config: "processes.q.command = 'celery -A x worker -B'", ..off };
    assert_eq!(own.run(), [worker("q", "celery -A x worker -B")]);
}

#[test]
fn what_cannot_be_started_is_named() {
    let error = |files: &[(&str, &str)], config: &str| {
        Case { files, config, ..PLAIN }.decide().unwrap_err().to_string()
    };
    assert_eq!(
        error(&[("Procfile", "\na: b 'c")], ""),
        "cannot use `Procfile`, line 2: the command of `a` cannot be read"
    );
    assert_eq!(
        error(&[], "\nprocesses.a.kind = 'worker'"),
        "cannot start the process `a`: it has no command in `djship.toml`, line 2"
    );
    assert_eq!(
        error(&[], "processes.a = { command = 'b', folder = 'c/d' }"),
        "cannot start the process `a`: there is no folder `c/d`, named in `djship.toml`, line 1"
    );
    let many: String = (0..=MAX_PROCESSES).map(|number| format!("p{number}: a\n")).collect();
    assert_eq!(error(&[("Procfile", &many)], ""), "cannot start 51 processes: 50 are allowed");
}

#[test]
fn a_process_called_like_a_service_gets_another_name() {
    let process = |name: &str| Process {
        name: name.to_owned(),
        command: CommandLine::Words(vec!["true".to_owned()]),
        kind: ProcessKind::Worker,
        folder: String::new(),
        packages: Vec::new(),
        origin: ProcessOrigin::Celery,
    };
    let run = ["mail", "mail-process", "worker"].map(process).to_vec();
    let mut processes = Processes { run, ..Processes::default() };
    processes.keep_apart(&["mail", "postgres"].map(str::to_owned).into());
    let names: Vec<_> = processes.run.iter().map(|process| process.name.as_str()).collect();
    assert_eq!(names, ["mail-process-2", "mail-process", "worker"]);
    let renamed = Renamed { from: "mail".to_owned(), to: "mail-process-2".to_owned() };
    assert_eq!(processes.renamed, [renamed]);
}
