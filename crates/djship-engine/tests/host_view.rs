//! What a program sees in its container: root, mounts, files, identity, network.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::os::unix::fs::MetadataExt as _;

use djship_engine::{IdMap, IdRange, Network, RunUser, Upper};
use support::{Kind, Place, as_each_user};

#[test]
#[ignore = "needs root and user namespaces"]
fn streams_and_exit_codes_come_out() {
    as_each_user(|place| {
        let report = place.run(&place.script("echo out; echo err >&2; exit 42"));
        assert_eq!(
            (report.code, report.stdout.as_str(), report.stderr.as_str()),
            (Some(42), "out\n", "err\n")
        );
        let killed = place.run(&place.script("kill -9 $$"));
        assert_eq!(killed.code, Some(137));
        assert_eq!(killed.status, Some(djship_engine::ExitStatus::Signal(9)));
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn programs_that_cannot_run_are_told_apart() {
    as_each_user(|place| {
        let not_found = place.run(&place.container(["no-such-program"]));
        assert_eq!(not_found.exit_code, Some(127), "{not_found:?}");
        let script = place.root().join("srv/script");
        fs_err::write(&script, "#!/no/interpreter\n").unwrap();
        support::set_mode(&script, 0o644);
        let not_executable = place.run(&place.container(["/srv/script"]));
        assert_eq!(not_executable.exit_code, Some(126), "{not_executable:?}");
        support::set_mode(&script, 0o755);
        let no_interpreter = place.run(&place.container(["/srv/script"]));
        assert_eq!(no_interpreter.exit_code, Some(126), "{no_interpreter:?}");
        assert!(no_interpreter.error.unwrap().contains("interpreter"));
        // Found through the container's PATH, not the caller's.
        let mut by_name = place.container(["only-here"]);
        fs_err::write(place.root().join("srv/only-here"), "#!/bin/sh\necho here\n").unwrap();
        support::set_mode(&place.root().join("srv/only-here"), 0o755);
        by_name.env("PATH", "/nowhere:/srv");
        assert_eq!(place.output(&by_name), "here\n");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn the_root_is_read_only_and_the_usual_places_are_not() {
    as_each_user(|place| {
        let script =
            "cat /etc/marker; for f in / /etc /usr /srv; do touch $f/x 2>/dev/null && echo wrote $f; done;
            for f in /tmp /run /dev/shm /var/run; do touch $f/x || echo failed $f; done;
            stat -c %a /tmp /run; ls /dev; echo x > /dev/null; head -c 1 /dev/urandom | wc -c;
            readlink /dev/fd; test -w /dev/pts/ptmx || echo no ptmx; hostname; pwd";
        let output = place.output(&place.script(script));
        let expected = "from the layer\n1777\n755\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\n\
            tty\nurandom\nzero\n1\n/proc/self/fd\ndjship\n/\n";
        assert_eq!(output, expected);
        assert!(!place.root().join("proc").exists(), "mount points are made elsewhere");
        let left = fs_err::read_dir(place.path("scratch")).unwrap().count();
        assert_eq!(left, 0, "the work space is removed");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn an_upper_takes_the_changes() {
    as_each_user(|place| {
        for (name, volatile) in [("upper", false), ("volatile", true)] {
            let upper = place.owned_folder(name);
            let work = place.owned_folder(&format!("{name}-work"));
            let mut container =
                place.script("echo new > /srv/data/file && rm /etc/marker && cat /srv/data/file");
            container.upper = Some(Upper { upper: upper.clone(), work: work.clone(), volatile });
            assert_eq!(place.output(&container), "new\n");
            let written = upper.join("srv/data/file").metadata().unwrap();
            assert_eq!((written.uid(), written.gid()), (place.owner().uid, place.owner().gid));
            container.argv[2] = "cat /srv/data/file; test -e /etc/marker || echo gone".to_owned();
            assert_eq!(place.output(&container), "new\ngone\n", "the changes are there the next time");
            assert_eq!(
                fs_err::read_dir(&work).unwrap().count(),
                0,
                "the work folder can be removed by anybody"
            );
            assert!(place.root().join("etc/marker").exists(), "the layer below is untouched");
            assert!(!upper.join("proc").exists() && !upper.join("tmp").exists());
        }
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn binds_files_and_tmpfs() {
    as_each_user(|place| {
        let (writable, fixed) = (place.owned_folder("writable"), place.owned_folder("fixed"));
        fs_err::write(fixed.join("file"), "fixed\n").unwrap();
        let script = "echo mine > /app/new && cat /data/deep/file /one/file /etc/hosts;
            touch /data/deep/x 2>/dev/null && echo wrote; echo x 2>/dev/null >> /etc/hosts && echo wrote;
            head -c 100000 /dev/zero > /small/f 2>/dev/null || echo full; stat -c %a /small; stat -c %u:%g /app/new /small";
        let mut container = place.script(script);
        container
            .bind(&writable, "/app")
            .bind_read_only(&fixed, "/data/deep")
            .bind_read_only(fixed.join("file"), "/one/file")
            .file("/etc/hosts", "127.0.0.1 db\n")
            .tmpfs("/small", 0o700, Some(65_536));
        let output = place.output(&container);
        assert_eq!(output, "fixed\nfixed\n127.0.0.1 db\nfull\n700\n1000:1000\n1000:1000\n");
        let written = writable.join("new").metadata().unwrap();
        assert_eq!((written.uid(), written.gid()), (place.owner().uid, place.owner().gid));
        assert!(!place.root().join("data").exists() && !place.root().join("etc/hosts").exists());
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn run_users_and_what_stands_behind_them() {
    as_each_user(|place| {
        for (uid, gid) in [(1000, 1000), (12345, 0), (0, 0), (70, 70)] {
            let mut container = place.script("id -u; id -g; id -G");
            container.user = RunUser { uid, gid };
            let output = place.output(&container);
            let mut lines = output.lines();
            assert_eq!(lines.next(), Some(uid.to_string().as_str()));
            assert_eq!(lines.next(), Some(gid.to_string().as_str()));
            if place.kind != Kind::Plain {
                assert_eq!(lines.next(), Some(gid.to_string().as_str()), "no other group");
            }
        }
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_network_of_its_own_has_only_loopback() {
    as_each_user(|place| {
        let mut container =
            place.script("tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/if_inet6 | wc -l");
        container.network = Network::None;
        let output = place.output(&container);
        assert_eq!(output.split_whitespace().next(), Some("lo"), "{output}");
        assert_eq!(output.lines().count(), 2, "{output}");
        container.argv[2] = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start".into();
        assert_eq!(place.output(&container), "0\n");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn the_way_of_older_kernels_gives_the_same_root() {
    as_each_user(|place| {
        let container = place.script("cat /etc/marker; touch /etc/x 2>/dev/null || echo fixed");
        let report: support::Report =
            place.ask(&["run"], serde_json::json!({"container": container, "old_mount_call": true}));
        assert_eq!(report.stdout, "from the layer\nfixed\n", "{report:?}");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn failures_name_step_and_path() {
    as_each_user(|place| {
        let mut container = place.script("true");
        container.lowers.push(place.path("missing"));
        let report = place.run(&container);
        assert!(report.error.as_ref().unwrap().contains("missing"), "{report:?}");
        assert_eq!(report.exit_code, None);

        let mut container = place.script("true");
        container.cwd = "/no/such/folder".into();
        let report = place.run(&container);
        assert_eq!(report.step.as_deref(), Some("EnterFolder"), "{report:?}");
        assert!(report.error.unwrap().contains("`/no/such/folder`: No such file"));

        // An upper on another file system than its work folder: the kernel gives a bare number.
        let upper = place.owned_folder("upper");
        let mut container = place.script("true");
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        support::set_mode(elsewhere.path(), 0o777);
        fs_err::create_dir(elsewhere.path().join("work")).unwrap();
        container.upper = Some(Upper { upper, work: elsewhere.path().into(), volatile: false });
        let report = place.run(&container);
        assert_eq!(report.step.as_deref(), Some("MountRoot"), "{report:?}");
        assert!(report.error.as_ref().unwrap().contains("not on the same file system"), "{report:?}");
        assert!(elsewhere.path().join("work").exists(), "nothing of a wrong folder is removed");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_planted_link_does_not_lead_root_to_its_own_folders() {
    as_each_user(|place| {
        if place.kind != Kind::Root {
            return;
        }
        let secret = place.path("secret");
        fs_err::create_dir(&secret).unwrap();
        fs_err::write(secret.join("file"), "secret").unwrap();
        let project = place.owned_folder("project");
        std::os::unix::fs::symlink(&secret, project.join("cache")).unwrap();
        let mut container = place.script("cat /cache/file");
        container.bind(project.join("cache"), "/cache");
        let report = place.run(&container);
        assert_eq!(report.step.as_deref(), Some("OpenSource"), "{report:?}");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn many_layers_and_odd_paths() {
    as_each_user(|place: &Place| {
        let mut container = place.script("cat /layer/*");
        let long = "x".repeat(200);
        for number in 0..60 {
            let layer = place.path(&format!("{long} {number}:,\\"));
            fs_err::create_dir_all(layer.join("layer")).unwrap();
            fs_err::write(layer.join("layer/top"), format!("{number}\n")).unwrap();
            place.user.own(&layer).unwrap();
            container.lowers.push(layer);
        }
        assert_eq!(place.output(&container), "0\n", "the first one is topmost");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn root_gives_out_ranges_itself() {
    as_each_user(|place| {
        if place.kind != Kind::Root {
            return;
        }
        let range = IdRange { first: 1_910_000_000, count: 65_536 };
        let invoker = RunUser { uid: 0, gid: 0 };
        let (upper, work) = (place.owned_folder("upper"), place.owned_folder("work"));
        // The invoker takes no id of the range, so those behind it move up by one.
        for (uid, host) in [(0, place.owner().uid), (999, range.first + 998)] {
            let mut container =
                place.script("id -u; stat -c %u /etc/marker; touch /tmp/x; touch /open/$(id -u)");
            container.id_map = IdMap::Range { uids: range, gids: range, invoker };
            container.user = RunUser { uid, gid: uid };
            let open = place.root().join("open");
            fs_err::create_dir_all(&open).unwrap();
            support::set_mode(&open, 0o777);
            container.upper = Some(Upper { upper: upper.clone(), work: work.clone(), volatile: true });
            assert_eq!(place.output(&container), format!("{uid}\n0\n"), "the layer is the invoker's");
            assert_eq!(upper.join(format!("open/{uid}")).metadata().unwrap().uid(), host);
        }
    });
}
