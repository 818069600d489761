use super::*;
use crate::plan::Origin;

fn own(text: &str) -> Config {
    Config::parse(OWN, text).unwrap().unwrap()
}

fn error(text: &str) -> ConfigError {
    Config::parse(OWN, text).unwrap_err()
}

fn words(line: &str) -> CommandLine {
    CommandLine::Words(line.split(' ').map(str::to_owned).collect())
}

#[test]
fn everything_that_can_be_said() {
    let config = own(r#"
        cache = "reg.test/team/cache"
        [services]
        redis = false
        [services.search]
        packages = ["qdrant", "libstdc++6"]
        command = "qdrant --port 6333"
        port = 6_333
        health = ["curl", "-f", "http://localhost:6333/a b"]
        data = "/var/lib//search/"
        environment = { QUIET = "yes", DEPTH = 3 }
        [processes]
        beat = false
        [processes.css]
        command = "npm run watch && echo"
        kind = "watcher"
        packages = ["npm"]
        folder = "front/./end/"
        [processes.worker]
        folder = "."
        [develop]
        packages = ["gettext"]
        settings = "config.settings.local"
        requirements = ["requirements/x.txt"]
        port = 0x1F90
        environment = { A_1 = "" }
        migrate = false
        "#);
    assert_eq!(config.file.as_deref(), Some("djship.toml"));
    assert_eq!(config.services["redis"].value, Entry::Off);
    assert_eq!(config.services["redis"].origin, Origin::File("djship.toml".into(), Some(4)));
    assert_eq!(config.cache.as_ref().unwrap().value, "reg.test/team/cache");
    let Entry::On(search) = &config.services["search"].value else { panic!() };
    assert_eq!(search.packages, ["qdrant", "libstdc++6"]);
    assert_eq!((&search.command, search.port), (&words("qdrant --port 6333"), Some(6333)));
    assert_eq!(search.health.as_ref().unwrap().argv()[2], "http://localhost:6333/a b");
    assert_eq!(search.data.as_deref(), Some("/var/lib/search"));
    assert_eq!((&*search.environment["QUIET"], &*search.environment["DEPTH"]), ("yes", "3"));
    assert_eq!(config.processes["beat"].value, Entry::Off);
    let Entry::On(css) = &config.processes["css"].value else { panic!() };
    assert_eq!(css.command, Some(CommandLine::Shell("npm run watch && exec echo".into())));
    assert_eq!((css.kind, css.folder.as_deref()), (Some(ProcessKind::Watcher), Some("front/end")));
    let Entry::On(worker) = &config.processes["worker"].value else { panic!() };
    assert_eq!((&worker.command, worker.kind, worker.folder.as_deref()), (&None, None, Some("")));
    let develop = config.develop;
    assert_eq!(develop.settings.unwrap().value, "config.settings.local");
    let requirements = develop.requirements.unwrap();
    assert_eq!(requirements.value, ["requirements/x.txt"]);
    assert_eq!(requirements.origin, Origin::File("djship.toml".into(), Some(24)));
    assert_eq!((develop.port.unwrap().value, develop.migrate.unwrap().value), (8080, false));
    assert_eq!(develop.environment.unwrap().value["A_1"], "");
    assert_eq!(develop.packages.unwrap().value, ["gettext"]);
}

#[test]
fn other_tools_tables_are_theirs() {
    let text = "[project]\nname = 'x'\n[tool.black]\nline-length = 1\n[other]\na = 1\n";
    assert_eq!(Config::parse(SHARED, text).unwrap(), None);
    assert_eq!(Config::parse(SHARED, "tool = 3").unwrap(), None);
    let text = format!("{text}[tool.djship.develop]\nport = 9000\n");
    let config = Config::parse(SHARED, &text).unwrap().unwrap();
    let port = config.develop.port.unwrap();
    assert_eq!((port.value, port.origin), (9000, Origin::File("pyproject.toml".into(), Some(8))));
    let text = "[tool.djship.develop]\nprot = 9000\n";
    assert_eq!(
        Config::parse(SHARED, text).unwrap_err().to_string(),
        "cannot use `pyproject.toml`, line 2: there is no key `tool.djship.develop.prot`"
    );
}

#[test]
fn unknown_keys_are_named_with_what_was_probably_meant() {
    let nearest = |text: &str| match error(text) {
        ConfigError::UnknownKey { line, key, nearest, .. } => (line, key, nearest),
        other => panic!("{other}"),
    };
    assert_eq!(nearest("\n[servces.x]\n"), (2, "servces".into(), Some("services")));
    assert_eq!(
        nearest("[services.x]\nport = 1\nenv = {}"),
        (3, "services.x.env".into(), Some("environment"))
    );
    assert_eq!(
        nearest("[processes]\na = { Comand = 'b' }"),
        (2, "processes.a.Comand".into(), Some("command"))
    );
    assert_eq!(nearest("develop.watch = true"), (1, "develop.watch".into(), None));
    assert_eq!(nearest("[tool.djship]"), (1, "tool".into(), None));
}

#[test]
fn wrong_values_say_what_belongs_there() {
    let cases = [
        ("develop = 3", "`develop` must be a table"),
        ("develop.port = 0", "`develop.port` must be a port from 1 to 65535"),
        ("develop.port = 70000", "`develop.port` must be a port"),
        ("develop.port = '8000'", "`develop.port` must be a port"),
        ("develop.migrate = 'no'", "`develop.migrate` must be `true` or `false`"),
        ("develop.settings = 'a-b.c'", "must be the dotted name of a Python module"),
        ("develop.settings = 'a..c'", "must be the dotted name of a Python module"),
        ("develop.requirements = []", "must be a list of requirements files in the project"),
        ("develop.requirements = ['../x.txt']", "must be a list of requirements files in the project"),
        ("develop.requirements = ['/etc/x.txt']", "must be a list of requirements files in the project"),
        ("develop.requirements = ['pyproject.toml']", "must be a list of requirements files in the project"),
        ("develop.requirements = 'x.txt'", "must be a list of texts"),
        ("develop.packages = ['Foo']", "must be a list of names of Debian packages"),
        ("develop.packages = ['-o=x']", "must be a list of names of Debian packages"),
        ("develop.packages = ['a:amd64']", "must be a list of names of Debian packages"),
        ("develop.environment = { A = true }", "`develop.environment.A` must be a text or a whole number"),
        ("develop.environment = { A = \"b\\u0000\" }", "must be a text or a whole number"),
        ("develop.environment = { 'A B' = '' }", "`develop.environment.A B` is not a name"),
        ("services.x = true", "`services.x` must be `false` or a table"),
        ("services.x = 'redis'", "`services.x` must be a table"),
        ("services.x = { command = 'a' }", "`services.x` needs the key `packages`"),
        ("services.x = { packages = ['aa'] }", "`services.x` needs the key `command`"),
        ("services.x = { packages = ['aa'], command = 3 }", "must be a text or a list of texts"),
        ("services.x = { packages = ['aa'], command = 'b \"' }", "`services.x.command` is no command"),
        ("services.x = { packages = ['aa'], command = [] }", "`services.x.command` is no command"),
        ("services.web = false", "`services.web` must be another name"),
        ("services.'a b' = false", "`services.a b` is not a name"),
        ("services.'../a' = false", "`services.../a` is not a name"),
        ("services.-a = false", "`services.-a` is not a name"),
        ("processes.x = {}", "`processes.x` must be `false`, or a table with a command"),
        ("processes.x.kind = 'cron'", "`processes.x.kind` must be `worker` or `watcher`"),
        ("processes.x.folder = '../y'", "`processes.x.folder` must be a folder in the project"),
        ("processes.x.folder = '/y'", "`processes.x.folder` must be a folder in the project"),
    ];
    for (text, expected) in cases {
        let found = error(text).to_string();
        assert!(found.contains(expected), "{text}: {found}");
        assert!(found.starts_with("cannot use `djship.toml`, line 1: "), "{text}: {found}");
    }
    for data in ["", "/", "data", "/../x", "/proc/x", "/usr", "/etc/", "/a/../b", "/dev/shm"] {
        let found = error(&format!("services.x = {{ packages = ['aa'], command = 'b', data = '{data}' }}"));
        assert!(matches!(found, ConfigError::Value { .. }), "{data}: {found}");
    }
}

#[test]
fn sizes_are_limited() {
    let many: String = (0..101).map(|number| format!("processes.p{number} = false\n")).collect();
    assert!(matches!(error(&many), ConfigError::TooMany { limit: 100, .. }));
    let long = format!("services.{} = false", "a".repeat(keys::MAX_NAME + 1));
    assert!(matches!(error(&long), ConfigError::Name { .. }));
    let long = format!("develop.environment.A = '{}'", "a".repeat(20_000));
    assert!(matches!(error(&long), ConfigError::Value { .. }));
    let deep = format!("develop = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(error(&deep), ConfigError::Syntax { .. }));
}

#[test]
fn one_file_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let manage_py = djship_store::TreePath::parse("site/manage.py").unwrap();
    let project = Project { folder: folder.path().to_owned(), manage_py };
    let write = |file: &str, text: &str| fs_err::write(folder.path().join(file), text).unwrap();
    assert_eq!(Config::read(&project).unwrap(), Config::default());
    write(SHARED, "[project]\nname = 'x'\n");
    write(OWN, "develop.port = 1\n");
    assert_eq!(Config::read(&project).unwrap().file.as_deref(), Some(OWN));
    write(SHARED, "[tool.djship]\ndevelop.port = 2\n");
    assert!(matches!(Config::read(&project), Err(ConfigError::Both { .. })));
    write(OWN, "# nothing\n");
    let config = Config::read(&project).unwrap();
    assert_eq!((config.file.as_deref(), config.develop.port.unwrap().value), (Some(SHARED), 2));
    write(SHARED, "[project]\nname = \"x\n");
    let error = Config::read(&project).unwrap_err();
    assert!(matches!(error, ConfigError::Syntax { line: 2, .. }), "{error}");
}

#[test]
fn everything_about_the_image() {
    let config = own(r#"
        settings = "shop.settings.production"
        requirements = ["requirements/a.txt", "b.txt"]
        python-strict = true
        include = ["front/dist", "*.env"]
        static = "none"
        packages = ["ffmpeg"]
        [build-env]
        CDN = "https://cdn.example.com/"
        DEPTH = 3
        [commands]
        web = "gunicorn shop.wsgi --bind 0.0.0.0:$PORT"
        worker = ["celery", "-A", "shop", "worker"]
        beat = false
        "#);
    let ship = config.ship;
    assert_eq!(ship.settings.as_ref().unwrap().value, "shop.settings.production");
    assert_eq!(ship.settings.unwrap().origin, Origin::File("djship.toml".into(), Some(2)));
    assert_eq!(ship.requirements.unwrap().value, ["requirements/a.txt", "b.txt"]);
    assert!(ship.python_strict.unwrap().value);
    assert!(ship.include.unwrap().value.has("front/dist/x.js"));
    assert_eq!(ship.static_files.unwrap().value, StaticChoice::None);
    assert_eq!(ship.packages.build, ship.packages.run);
    assert_eq!(ship.packages.run.unwrap().value, ["ffmpeg"]);
    let given = ship.build_env.unwrap().value;
    assert_eq!((&*given["CDN"], &*given["DEPTH"]), ("https://cdn.example.com/", "3"));
    let worker = ship.commands["worker"].value.clone().unwrap();
    assert_eq!(worker, words("celery -A shop worker"));
    assert_eq!(ship.commands["beat"].value, None);
    let packages = own("packages.build = [\"libxml2-dev\"]\n").ship.packages;
    assert_eq!((packages.build.is_some(), packages.run), (true, None));
}

#[test]
fn wrong_values_about_the_image_say_what_belongs_there() {
    let cases = [
        ("settings = 'a-b'", "`settings` must be the dotted name of a Python module"),
        ("requirements = ['../a.txt']", "`requirements` must be a list of requirements files"),
        ("python-strict = 'yes'", "`python-strict` must be `true` or `false`"),
        ("include = ['/etc']", "`include` must be a list of paths or patterns"),
        ("static = false", "`static` must be a text"),
        ("static = 'some'", "`static` must be `none`"),
        ("packages = ['Foo']", "`packages` must be a list of names of Debian packages"),
        ("packages.runs = ['foo']", "there is no key `packages.runs`"),
        ("build-env = { A = true }", "`build-env.A` must be a text or a whole number"),
        ("commands.web = false", "`commands.web` must be a command"),
        ("commands.worker = true", "`commands.worker` must be `false` or a command"),
        ("commands.migrate = 'x'", "`commands.migrate` must be another name"),
        ("commands.'a/b' = 'x'", "`commands.a/b` is not a name"),
        ("commands.a = \"x\\ny\"", "`commands.a` must be a command in one line"),
        ("comands.a = 'x'", "there is no key `comands`"),
    ];
    for (text, expected) in cases {
        let found = error(text).to_string();
        assert!(found.contains(expected), "{text}: {found}");
    }
    let ConfigError::UnknownKey { known, nearest, .. } = error("buildenv = {}") else { panic!() };
    assert_eq!((known, nearest), (KEYS, Some("build-env")));
}
