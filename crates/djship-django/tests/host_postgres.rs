//! The PostgreSQL of a development environment, for real: started, used by its own clients, killed, started again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::net::TcpListener;

use djship_testkit::{need, needs, user};
use serde_json::{Value, json};
use support::{Project, RELEASES, Trial};

/// Runs statements as a client on TCP would, with the address for the desktop.
fn psql(trial: &mut Trial, statements: &str) -> String {
    let url = trial.url.clone();
    trial.output(&["psql", "-X", "-q", "-A", "-t", "--set=ON_ERROR_STOP=1", "-f", "-", &url], &[], statements)
}

/// What the settings of a shop want.
fn shop(project: &Project, password: &str) -> [Value; 1] {
    [project.wanted(
        "postgres",
        5432,
        json!({"user": "shop", "password": password, "name": "shop", "lasting": true}),
    )]
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn postgres_serves_and_keeps_what_it_was_given() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let wanted = project.wanted(
            "postgres",
            5432,
            json!({"user": "shop", "password": "it's a \\ \"secret\"", "name": "shop", "names": ["shop", "Archive-2"]}),
        );
        let mut trial = project.prepare(&[wanted]);
        trial.prepared();
        assert_eq!(trial.start(), ["NewVolume"]);
        assert_eq!(trial.title, if release == "trixie" { "PostgreSQL 17" } else { "PostgreSQL 15" });
        let settings = "show fsync; show full_page_writes; show synchronous_commit;";
        assert_eq!(psql(&mut trial, settings), "on\non\non");
        assert_eq!(psql(&mut trial, "select current_user, current_database()"), "shop|shop");
        psql(&mut trial, "create table poll (question text); insert into poll values ('Is it kept?');");
        trial.stop();
        assert_eq!(trial.start(), [""; 0]);
        assert_eq!(psql(&mut trial, "select question from poll"), "Is it kept?");
        psql(&mut trial, "insert into poll values ('Also now?')");
        trial.kill_and_start();
        assert_eq!(psql(&mut trial, "select count(*) from poll"), "2");
        // A query that the compiler for queries would take up is run without it.
        assert_eq!(
            psql(&mut trial, "select sum(a * b) from generate_series(1, 2000) a, generate_series(1, 2000) b"),
            "4004001000000"
        );
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn postgres_lets_a_project_do_what_projects_do() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let mut trial = project.start(&shop(&project, "secret"));
    // What `manage test` and migrations do.
    psql(
        &mut trial,
        "create database test_shop;\n\\c test_shop\ncreate extension citext; create extension pg_trgm;\n\
         create extension earthdistance cascade; create extension postgres_fdw; create extension pg_stat_statements;",
    );
    // And no more than that.
    let role = "select rolsuper, rolcreatedb, rolcanlogin from pg_roles where rolname = current_user";
    assert_eq!(psql(&mut trial, role), "f|t|t");
    psql(&mut trial, "drop database test_shop");
    // Whoever enters is the superuser, on the project's database.
    let inside =
        trial.output(&["psql", "-X", "-A", "-t", "-c", "select current_user, current_database()"], &[], "");
    assert_eq!(inside, "postgres|shop");
    // Over TCP, nobody gets in without the password.
    let host = project.address.to_string();
    for (user, password) in [("shop", "wrong"), ("shop", ""), ("postgres", "")] {
        let env = [("PGHOST", host.as_str()), ("PGUSER", user), ("PGPASSWORD", password)];
        let said = trial.exec(&["psql", "-X", "-w", "-c", "select 1"], &env, "");
        assert_ne!(said.code, 0, "{user}");
        assert!(said.stderr.contains("password"), "{}", said.stderr);
    }
    // A dump holds everything, and restoring it takes back what came after.
    psql(&mut trial, "create table poll (question text); insert into poll values ('a'), ('b');");
    let dump = project.file("shop.dump");
    assert_eq!(trial.task("dump", "shop", None, Some(&dump)).code, 0);
    psql(&mut trial, "delete from poll where question = 'a'");
    let said = trial.task("restore", "shop", Some(&dump), None);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(psql(&mut trial, "select count(*) from poll"), "2");
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn a_changed_password_is_mended_and_said() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let mut trial = project.start(&shop(&project, "first"));
    psql(&mut trial, "create table poll (question text)");
    trial.stop();
    drop(trial);
    let mut trial = project.prepare(&shop(&project, "second"));
    trial.prepared();
    assert_eq!(trial.start(), ["PasswordChanged { user: \"shop\" }"]);
    assert_eq!(psql(&mut trial, "select count(*) from poll"), "0");
    drop(trial);
    // Settings without a password: the environment has one.
    let mut trial =
        project.prepare(&[project.wanted("postgres", 5432, json!({"user": "shop", "name": "shop"}))]);
    trial.prepared();
    assert_eq!(trial.start(), ["PasswordChanged { user: \"shop\" }"]);
    let password = support::PASSWORD.replace(' ', "%20");
    assert!(trial.url.starts_with(&format!("postgres://shop:{password}@127.")), "{}", trial.url);
    assert_eq!(psql(&mut trial, "select count(*) from poll"), "0");
    drop(trial);
    // Another account and another database beside them.
    let other = json!({"user": "o\"dd'", "password": "p", "name": "A b"});
    let mut trial = project.prepare(&[project.wanted("postgres", 5432, other)]);
    trial.prepared();
    assert_eq!(trial.start(), ["NewDatabase { name: \"A b\" }"]);
    assert_eq!(psql(&mut trial, "select current_user, current_database()"), "o\"dd'|A b");
    drop(trial);
    // Another account on the database that is there.
    let other = json!({"user": "o\"dd'", "password": "p", "name": "shop"});
    let mut trial = project.prepare(&[project.wanted("postgres", 5432, other)]);
    trial.prepared();
    assert_eq!(trial.start(), [""; 0]);
    psql(&mut trial, "alter table poll add column asked date; drop table poll; create table poll (a int);");
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn a_volume_of_an_older_djship_goes_on_working() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let mut trial = project.start(&shop(&project, "shop"));
    psql(&mut trial, "create table poll (question text); create extension citext;");
    // As it was: a superuser, who made what is in the server's own database as well.
    let as_it_was = "alter role shop superuser nocreatedb; alter database shop owner to postgres;\n\
                     \\c postgres\nset role shop; create table older (a int);";
    let argv = ["psql", "-X", "-q", "--set=ON_ERROR_STOP=1", "-f", "-"];
    trial.output(&argv, &[], as_it_was);
    drop(trial);
    let names = json!({"user": "shop", "name": "shop", "names": ["shop", "postgres"]});
    let mut trial = project.prepare(&[project.wanted("postgres", 5432, names)]);
    trial.prepared();
    assert_eq!(trial.start(), ["PasswordChanged { user: \"shop\" }"]);
    let roles = "select rolsuper, rolcreatedb from pg_roles where rolname = current_user";
    assert_eq!(psql(&mut trial, roles), "f|t");
    psql(&mut trial, "alter table poll add column asked date; create table another (a int);");
    psql(&mut trial, "\\c postgres\nalter table older add column b int; create table newer (a int);");
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn a_database_is_replaced_as_a_whole_or_not_at_all() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let mut trial = project.start(&shop(&project, "secret"));
        psql(
            &mut trial,
            "create extension earthdistance cascade; create table poll (question text); insert into poll values ('a');",
        );
        let dump = project.file("shop.dump");
        assert_eq!(trial.task("dump", "shop", None, Some(&dump)).code, 0);
        let plain = project.file("shop.sql");
        let text = trial.output(&["pg_dump", "--no-owner"], &[], "");
        fs_err::write(&plain, text).unwrap();
        for (task, file) in [("restore", &dump), ("script", &plain)] {
            psql(&mut trial, "create table later (a int); insert into poll values ('b');");
            // Somebody who is in the database, and in a transaction.
            let hold = "begin; select count(*) from poll; select pg_sleep(600)";
            let url = trial.url.clone();
            let held = trial.output(
                &["sh", "-c", "psql -X -q \"$0\" -c \"$1\" >/dev/null 2>&1 & echo $!", &url, hold],
                &[],
                "",
            );
            assert!(held.parse::<u32>().is_ok(), "{held}");
            let asleep = "select count(*) from pg_stat_activity where query like '%pg_sleep(600)' and wait_event = 'PgSleep'";
            while psql(&mut trial, asleep) == "0" {
                std::thread::yield_now();
            }
            let said = trial.task(task, "shop", Some(file), None);
            assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{task}");
            assert_eq!(psql(&mut trial, "select count(*) from poll"), "1", "{task}");
            assert_eq!(
                psql(&mut trial, "select to_regclass('later') is null"),
                "t",
                "{task}: it was not replaced"
            );
            // Everything in it is the project's.
            psql(&mut trial, "alter table poll add column asked date; alter table poll drop column asked;");
            assert_eq!(psql(&mut trial, "alter extension earthdistance update; select 1"), "1");
            let owner = "select pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate from pg_database where datname = 'shop'";
            assert_eq!(psql(&mut trial, owner), "shop|UTF8|C.UTF-8");
        }
        // What fails, fails before anything is lost, and leaves nothing.
        let cut = project.file("cut.dump");
        let whole = fs_err::read(&dump).unwrap();
        fs_err::write(&cut, &whole[..whole.len() - 200]).unwrap();
        let wrong = project.file("wrong.sql");
        fs_err::write(&wrong, "create table poll (question text);\nselect * from no_such_table;\n").unwrap();
        for (task, file) in [("restore", &cut), ("script", &wrong)] {
            assert_ne!(trial.task(task, "shop", Some(file), None).code, 0, "{task}");
            assert_eq!(psql(&mut trial, "select count(*) from poll"), "1", "{task}");
        }
        let left = "select count(*) from (select datname from pg_database union all select rolname from pg_roles) as names \
                    where datname like 'djship%'";
        assert_eq!(psql(&mut trial, left), "0");
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn a_volume_serves_one_server_at_a_time() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let mut trial = project.start(&shop(&project, "secret"));
    psql(&mut trial, "create table poll (question text)");
    // At another port, so that it is the volume that is in the way.
    let other =
        [project.wanted("postgres", 5433, json!({"user": "shop", "password": "secret", "name": "shop"}))];
    let (debug, error) = project.prepare(&other).refused();
    assert!(debug.starts_with("Volume(InUse {"), "{debug}");
    assert!(error.ends_with(&format!("it is in use by process {}", trial.pid())), "{error}");
    // Its holder is killed without a warning, and the next one comes at once.
    for round in 0..5 {
        psql(&mut trial, "insert into poll values ('kept')");
        trial.kill_supervisor();
        trial = project.start(&shop(&project, "secret"));
        assert_eq!(psql(&mut trial, "select count(*) from poll"), (round + 1).to_string());
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn what_another_version_made_is_left_alone() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    fs_err::create_dir_all(project.volumes().join("postgres-16/data")).unwrap();
    let (debug, error) = project.prepare(&shop(&project, "secret")).refused();
    assert!(debug.starts_with("Volume(OtherMajor {"), "{debug}");
    assert_eq!(error, "cannot use the data of postgres 16 with postgres 17");
    assert!(!project.volumes().join("postgres-17").exists());
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn of_two_who_begin_at_once_one_makes_the_data() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    // The root is there before, so that both begin with the volume.
    drop(project.start(&[project.wanted("postgres", 5432, json!({"user": "a"}))]));
    fs_err::remove_dir_all(project.volumes().join("postgres-17")).unwrap();
    let mut trials = [5432, 5433].map(|port| {
        project.prepare(&[project.wanted(
            "postgres",
            port,
            json!({"user": "shop", "password": "secret", "name": "shop"}),
        )])
    });
    let answers = trials.each_mut().map(Trial::answer);
    let winner = answers.iter().position(|answer| answer["prepared"].is_u64()).unwrap();
    let loser = &answers[1 - winner];
    assert!(loser["debug"].as_str().unwrap_or_default().starts_with("Volume(InUse {"), "{loser}");
    trials[winner].start();
    assert_eq!(psql(&mut trials[winner], "select 1"), "1");
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn half_made_data_is_made_again() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let new = project.volumes().join("postgres-17/data.new");
    let trial = project.prepare(&shop(&project, "secret"));
    // Killed in the middle of it, which is when there is something and not yet everything.
    while !new.join("base").exists() {
        assert!(!project.volumes().join("postgres-17/data").exists(), "too late");
        std::thread::yield_now();
    }
    trial.kill_supervisor();
    assert!(!project.volumes().join("postgres-17/data").exists());
    let mut trial = project.start(&shop(&project, "secret"));
    assert_eq!(psql(&mut trial, "select 1"), "1");
    assert!(!new.exists());
}

#[test]
#[ignore = "needs root, user namespaces and Debian packages"]
fn a_full_disk_is_named() {
    need!(needs::root());
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let disk = support::SmallDisk::on(&project.volumes(), "12m");
    let (debug, error) = project.prepare(&shop(&project, "secret")).refused();
    assert!(debug.starts_with("NoSpace {"), "{debug}");
    assert!(error.contains("no space is left"), "{error}");
    drop(disk);
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn settings_that_say_localhost_are_served_there_or_told_who_is_in_the_way() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut wanted =
        project.wanted("postgres", port, json!({"user": "shop", "password": "secret", "name": "shop"}));
    wanted["host"] = json!("localhost");
    let (debug, error) = project.prepare(std::slice::from_ref(&wanted)).refused();
    assert!(debug.starts_with("PortInUse {"), "{debug}");
    assert!(error.contains(&format!("on 127.0.0.1:{port}: the port is in use by")), "{error}");
    assert!(error.ends_with(&format!("(process {})", std::process::id())), "{error}");
    drop(listener);
    let mut trial = project.start(&[wanted]);
    let url = trial.url.replace(&project.address.to_string(), "127.0.0.1");
    for url in [trial.url.clone(), url] {
        assert_eq!(trial.output(&["psql", "-X", "-A", "-t", "-c", "select 1", &url], &[], ""), "1", "{url}");
    }
    // The project's own address is taken by somebody else.
    let other = Project::new("trixie");
    let holder = TcpListener::bind(other.at(5432)).unwrap();
    let (debug, _) = other.prepare(&shop(&other, "secret")).refused();
    assert!(debug.starts_with("PortInUse {"), "{debug}");
    drop(holder);
    let (debug, _) = other.prepare(&[other.wanted("postgres", 543, json!({}))]).refused();
    assert!(debug.starts_with("Privileged {"), "{debug}");
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn postgis_is_there_for_the_project_and_its_tests() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let wanted = json!({"user": "maps", "password": "secret", "name": "maps"});
        let mut trial = project.start(&[project.wanted("postgis", 5432, wanted)]);
        assert!(trial.title.ends_with(" with PostGIS"), "{}", trial.title);
        let area = "select round(st_area(st_transform(st_makeenvelope(0, 0, 1, 1, 4326), 3857)) / 1e9)";
        assert_eq!(psql(&mut trial, area), "12");
        psql(
            &mut trial,
            "create database test_maps;\n\\c test_maps\ncreate extension postgis; create extension postgis_raster;",
        );
        trial.stop();
    }
}

#[test]
#[ignore = "needs root, the user djship-plain, user namespaces and Debian packages"]
fn an_ordinary_user_has_the_same() {
    let user = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let project = Project::of(&user, "trixie");
    let mut trial = project.start(&shop(&project, "secret"));
    psql(&mut trial, "create table poll (question text)");
    trial.kill_supervisor();
    let mut trial = project.start(&shop(&project, "secret"));
    assert_eq!(psql(&mut trial, "select count(*) from poll"), "0");
    let metadata = fs_err::metadata(project.volumes().join("postgres-17/data")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&metadata), user.uid);
}

#[test]
#[ignore = "needs root, user namespaces and Debian packages"]
fn a_volume_goes_along_when_the_project_changes_hands() {
    need!(needs::root());
    need!(needs::user_namespaces());
    let mut project = Project::new("trixie");
    let mut trial = project.start(&shop(&project, "secret"));
    psql(&mut trial, "create table poll (question text)");
    drop(trial);
    project.owner.uid += 1;
    let mut trial = project.start(&shop(&project, "secret"));
    assert_eq!(psql(&mut trial, "select count(*) from poll"), "0");
}
