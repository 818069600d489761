//! The other services of a development environment, for real: started, used by a client of their own, killed, started again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use djship_testkit::{need, needs};
use serde_json::json;
use support::amqp::Client;
use support::{Lines, Project, RELEASES, Said, Trial, free_port};

/// A client of MariaDB on TCP, on the shop's database.
struct Shop {
    host: String,
    port: u16,
    user: &'static str,
    password: &'static str,
}

impl Shop {
    fn said(&self, trial: &mut Trial, statements: &str) -> Said {
        let (host, port) = (format!("--host={}", self.host), format!("--port={}", self.port));
        let user = format!("--user={}", self.user);
        let charset = "--default-character-set=utf8mb4";
        // Told so, newer clients do not insist on a certificate that they could check only with a password.
        let argv = ["mariadb", "--protocol=tcp", &host, &port, &user, charset, "-N", "-B", "shop"];
        trial.exec(&argv, &[("MYSQL_PWD", self.password)], statements)
    }

    fn run(&self, trial: &mut Trial, statements: &str) -> String {
        let said = self.said(trial, statements);
        assert_eq!(said.code, 0, "{statements}: {said:?}");
        said.stdout.trim().to_owned()
    }

    /// Asserts that the server lets nobody in.
    fn assert_refused(&self, trial: &mut Trial) {
        let said = self.said(trial, "select 1");
        assert!(said.code != 0 && said.stderr.contains("Access denied"), "{}: {said:?}", self.user);
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn mariadb_serves_and_keeps_what_it_was_given() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let port = free_port();
        let wanted = |password: &str| {
            let names = ["shop", "archive"];
            let more = json!({"host": "localhost", "user": "shop", "password": password, "name": "shop", "names": names});
            [project.wanted("mysql", port, more)]
        };
        let shop =
            Shop { host: project.address.to_string(), port, user: "shop", password: "it's a \\ secret" };
        let mut trial = project.prepare(&wanted(shop.password));
        trial.prepared();
        assert_eq!(trial.start(), ["NewVolume"]);
        let durable = shop.run(&mut trial, "select @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite");
        assert!(durable.starts_with("1\t") && !durable.ends_with("OFF"), "{durable}");
        shop.run(&mut trial, "create table poll (question text); insert into poll values ('🦀 kept?');");
        // Django's lookups by date convert between time zones, and its tests have databases of their own.
        let zone = "select convert_tz('2020-01-01', 'UTC', 'Europe/Madrid')";
        assert_eq!(shop.run(&mut trial, zone), "2020-01-01 01:00:00");
        shop.run(
            &mut trial,
            "create database test_shop; create database test_archive; drop database test_shop",
        );
        for (user, password) in [("shop", "wrong"), ("root", ""), ("mysql", "")] {
            Shop { host: shop.host.clone(), port, user, password }.assert_refused(&mut trial);
        }
        trial.stop();
        trial.start();
        let local = Shop { host: "127.0.0.1".to_owned(), ..shop };
        local.run(&mut trial, "insert into poll values ('also now')");
        trial.kill_and_start();
        assert_eq!(local.run(&mut trial, "select * from poll"), "🦀 kept?\nalso now");
        let dump = project.file("shop.sql");
        assert_eq!(trial.task("dump", "shop", None, Some(&dump)).code, 0);
        local.run(&mut trial, "delete from poll; create table later (a int)");
        // Somebody who is in the middle of something.
        let argv = [
            "sh",
            "-c",
            "mariadb --no-defaults --socket=/tmp/mariadb.sock --user=mysql shop >/dev/null 2>&1 \
                    -e 'begin; select count(*) from poll; select sleep(600)' &",
        ];
        trial.output(&argv, &[], "");
        let asleep =
            "select count(*) from information_schema.processlist where info like 'select sleep(600)'";
        while local.run(&mut trial, asleep) == "0" {
            std::thread::yield_now();
        }
        let said = trial.task("restore", "shop", Some(&dump), None);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        assert_eq!(local.run(&mut trial, "select count(*) from poll"), "2");
        assert_eq!(local.run(&mut trial, "show tables"), "poll", "it was not replaced");
        // What cannot be read changes nothing.
        let wrong = project.file("wrong.sql");
        fs_err::write(&wrong, "drop table if exists poll; create table poll (a int); no such statement;")
            .unwrap();
        assert_ne!(trial.task("restore", "shop", Some(&wrong), None).code, 0);
        assert_eq!(local.run(&mut trial, "select count(*) from poll"), "2");
        assert!(!local.run(&mut trial, "show databases").contains("djship"));
        drop(trial);
        let mut trial = project.prepare(&wanted("changed"));
        trial.prepared();
        assert_eq!(trial.start(), ["PasswordChanged { user: \"shop\" }"]);
        let changed = Shop { password: "changed", ..local };
        assert_eq!(changed.run(&mut trial, "select count(*) from poll"), "2");
        drop(trial);
        // Settings with root and no password.
        let root = project.wanted("mysql", port, json!({"user": "root", "name": "shop"}));
        let mut trial = project.start(&[root]);
        let root = Shop { host: project.address.to_string(), port, user: "root", password: "" };
        assert_eq!(root.run(&mut trial, "select count(*) from poll"), "2");
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn redis_keeps_what_must_last_and_nothing_else() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let port = free_port();
        let cache = project.wanted("redis", port, json!({"host": "localhost"}));
        let mut trial = project.prepare(std::slice::from_ref(&cache));
        assert!(trial.prepared()["volume"].is_null());
        trial.start();
        assert_eq!(Lines::with(project.at(port)).ask("SET a 1\r\n"), "+OK");
        assert_eq!(Lines::with(([127, 0, 0, 1], port).into()).ask("INCR a\r\n"), ":2");
        trial.kill_and_start();
        assert_eq!(Lines::with(project.at(port)).ask("GET a\r\n"), "$-1");
        assert_eq!(trial.task("shell", "0", None, None).code, 0);
        drop(trial);

        let more = json!({"password": "s p\"c", "lasting": true});
        let wanted = [project.wanted("redis", 6379, more)];
        let mut trial = project.start(&wanted);
        assert!(Lines::with(project.at(6379)).ask("GET a\r\n").starts_with("-NOAUTH"));
        let mut client = Lines::with(project.at(6379));
        assert!(client.ask("AUTH wrong\r\n").starts_with("-WRONGPASS"));
        assert_eq!(client.ask("AUTH \"s p\\\"c\"\r\n"), "+OK");
        assert_eq!(client.ask("SET a kept\r\n"), "+OK");
        trial.kill_and_start();
        let url = trial.url.clone();
        assert_eq!(trial.output(&["redis-cli", "-u", &url, "get", "a"], &[], ""), "kept");
        trial.stop();
        drop(trial);
        let mut trial = project.start(&wanted);
        assert_eq!(trial.output(&["redis-cli", "-u", &url, "get", "a"], &[], ""), "kept");
        let refused = project.prepare(&[project.wanted("redis", 6380, json!({"lasting": true}))]).refused();
        assert!(refused.0.starts_with("Volume(InUse {"), "{refused:?}");
        drop(trial);

        let mut trial =
            project.start(&[project.wanted("redis", 6379, json!({"user": "ada", "password": "x"}))]);
        let url = trial.url.clone();
        assert!(url.starts_with("redis://ada:x@"), "{url}");
        assert_eq!(trial.output(&["redis-cli", "-u", &url, "acl", "whoami"], &[], ""), "ada");
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn rabbitmq_keeps_what_is_in_a_lasting_queue() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let port = free_port();
        let wanted = |password: &str| {
            let account =
                json!({"host": "localhost", "user": "shop", "password": password, "virtual_host": "sho p"});
            [project.wanted("amqp", port, account)]
        };
        let mut trial = project.start(&wanted("it's # a \"secret\""));
        let connect = |password: &str, vhost: &str| {
            Client::connect(([127, 0, 0, 1], port).into(), "shop", password, vhost)
        };
        let mut client = connect("it's # a \"secret\"", "sho p").unwrap();
        client.declare("polls");
        client.publish("polls", "first");
        assert!(connect("wrong", "sho p").is_none());
        assert!(Client::connect(project.at(port), "shop", "it's # a \"secret\"", "sho p").is_some());
        // Another project's server beside it.
        let other = Project::new(release);
        let mut beside = other.start(&[other.wanted("amqp", 5672, json!({}))]);
        assert!(Client::connect(other.at(5672), "guest", "guest", "/").is_some());
        beside.stop();
        trial.kill_and_start();
        let mut client = connect("it's # a \"secret\"", "sho p").unwrap();
        client.publish("polls", "second");
        assert_eq!(client.get("polls").as_deref(), Some("first"));
        let queues = trial.output(
            &["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "list_queues", "--vhost", "sho p", "name"],
            &[],
            "",
        );
        assert!(queues.lines().any(|line| line == "polls"), "{queues}");
        trial.stop();
        drop(trial);
        let mut trial = project.start(&wanted("changed"));
        let mut client = connect("changed", "sho p").unwrap();
        assert_eq!(client.get("polls").as_deref(), Some("second"));
        assert_eq!(client.get("polls"), None);
        assert!(connect("it's # a \"secret\"", "sho p").is_none());
        trial.stop();
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn memcached_serves() {
    need!(needs::user_namespaces());
    for release in RELEASES {
        let project = Project::new(release);
        let port = free_port();
        let mut trial = project.start(&[project.wanted("memcached", port, json!({"host": "localhost"}))]);
        let mut client = Lines::with(([127, 0, 0, 1], port).into());
        assert_eq!(client.ask("set a 0 0 5\r\nhello\r\n"), "STORED");
        assert_eq!(client.ask("get a\r\n"), "VALUE a 0 5");
        trial.stop();
    }
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn mail_is_caught() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let mut trial = project.start(&[project.wanted("smtp", 1025, json!({}))]);
    assert!(Lines::with(project.at(1025)).hear().starts_with("220"));
    assert!(Lines::with(project.at(8025)).ask("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").contains(" 200 "));
    assert_eq!(trial.url, format!("http://{}/", project.at(8025)));
    trial.stop();
}

#[test]
#[ignore = "needs user namespaces and Debian packages"]
fn a_service_of_the_projects_own() {
    need!(needs::user_namespaces());
    let project = Project::new("trixie");
    let own = |health: serde_json::Value| {
        json!({
            "own": {
                "name": "files",
                "packages": ["python3"],
                "command": ["python3", "-m", "http.server", "--bind", "{address}", "--directory", "{data}", "{port}"],
                "port": 8123,
                "health": health,
                "data": "/srv/files",
                "environment": {"WHERE": "{address}:{port}"},
            },
            "names": [["127.70.1.2", "db"]],
        })
    };
    let mut trial = project.trial(own(json!(null)));
    trial.prepared();
    assert_eq!(trial.start(), ["NewVolume"]);
    assert!(trial.title.starts_with("files 3."), "{}", trial.title);
    let where_ =
        trial.output(&["sh", "-c", "echo kept >/srv/files/a; getent hosts db; echo $WHERE"], &[], "");
    assert!(where_.starts_with("127.70.1.2") && where_.ends_with(&project.at(8123).to_string()), "{where_}");
    trial.kill_and_start();
    let mut client = Lines::with(project.at(8123));
    assert!(client.ask("GET /a HTTP/1.0\r\n\r\n").contains("200"));
    drop(trial);
    // A check that looks at what only the container has.
    let mut trial = project.trial(own(json!(["sh", "-c", "test -e {data}/a"])));
    trial.prepared();
    trial.start();
    assert_eq!(trial.ask(&json!({"do": "look"}))["serves"], true);
    trial.output(&["rm", "/srv/files/a"], &[], "");
    assert_eq!(trial.ask(&json!({"do": "look"}))["serves"], false);
    drop(trial);
    let mut wish = own(json!(null));
    wish["own"]["name"] = json!("../files");
    let (debug, _) = project.trial(wish).refused();
    assert!(debug.starts_with("Unspeakable {"), "{debug}");
    let mut wish = own(json!(null));
    wish["own"]["packages"] = json!(["no-such-package"]);
    let (debug, _) = project.trial(wish).refused();
    assert!(debug.starts_with("Base(Closure(Missing {"), "{debug}");
    // What ends at once is shown with what it said.
    let mut wish = own(json!(null));
    wish["own"]["command"] = json!(["sh", "-c", "echo no such option >&2; exit 3"]);
    let mut trial = project.trial(wish);
    trial.prepared();
    let answer = trial.ask(&json!({"do": "start"}));
    assert_eq!((&answer["ended"], &answer["lines"]), (&json!(3), &json!(["no such option"])), "{answer}");
}
