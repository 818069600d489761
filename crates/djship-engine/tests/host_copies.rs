//! Folders of the host as copies that go with the container.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use djship_engine::{IdMap, IdRange, RunUser, Stdio, Streams};
use support::{Kind, Place, Report, as_each_user, set_mode};

/// Everything about a tree that must not change.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u32, u32, u32, i64, Vec<u8>)> {
    let metadata = folder.symlink_metadata().unwrap();
    let content = if metadata.is_file() { fs_err::read(folder).unwrap() } else { Vec::new() };
    let facts = (metadata.mode(), metadata.uid(), metadata.gid(), metadata.mtime_nsec(), content);
    let mut all = BTreeMap::from([(folder.to_owned(), facts)]);
    if metadata.is_dir() {
        let entries = fs_err::read_dir(folder).unwrap();
        all.extend(entries.flat_map(|entry| snapshot(&entry.unwrap().path())));
    }
    all
}

/// A project that belongs to the containers' owner.
fn project(place: &Place) -> PathBuf {
    let project = place.owned_folder("project");
    for folder in ["app", "static/old"] {
        fs_err::create_dir_all(project.join(folder)).unwrap();
    }
    fs_err::write(project.join("app/views.py"), "original\n").unwrap();
    fs_err::write(project.join("static/old/file"), "old\n").unwrap();
    fs_err::write(project.join("debug.log"), "first\n").unwrap();
    set_mode(&project.join("debug.log"), 0o600);
    symlink("app/views.py", project.join("link")).unwrap();
    let owner = place.owner();
    let all: Vec<PathBuf> = snapshot(&project).into_keys().filter(|path| !path.is_symlink()).collect();
    if djship_testkit::needs::root().is_ok() {
        for path in all {
            chown(path, Some(owner.uid), Some(owner.gid)).unwrap();
        }
    }
    project
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_copy_is_live_and_writable_and_leaves_nothing() {
    as_each_user(|place| {
        let project = project(place);
        set_mode(&project, 0o750);
        let before = snapshot(&project);
        let script = "set -e; cd /app; cat app/views.py link; stat -c '%a %u:%g' . app debug.log;
            echo second >> debug.log; cat debug.log; echo changed > app/views.py; cat link;
            touch new app/new; mkdir deep deep/er; rm -r static; test ! -e static; mkdir static; ls -A static;
            mv app/views.py moved.py; chmod 700 app; ln moved.py hard; rm link; ls";
        let mut container = place.script(script);
        container.throw_away(&project, "/app");
        let expected = "original\noriginal\n750 1000:1000\n755 1000:1000\n600 1000:1000\nfirst\nsecond\nchanged\n\
            app\ndebug.log\ndeep\nhard\nmoved.py\nnew\nstatic\n";
        for old_mount_call in [false, true, false] {
            let wish = serde_json::json!({"container": container, "old_mount_call": old_mount_call});
            let report: Report = place.ask(&["run"], wish);
            assert_eq!(report.stdout, expected, "{report:?}");
        }
        assert_eq!(snapshot(&project), before);
        assert_eq!(fs_err::read_dir(place.path("scratch")).unwrap().count(), 0);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn other_mounts_lie_below_a_copy() {
    as_each_user(|place| {
        let (project, venv) = (project(place), place.owned_folder("venv"));
        fs_err::write(venv.join("python"), "python\n").unwrap();
        let (data, before) = (place.owned_folder("data"), snapshot(&project));
        let script =
            "set -e; cat /app/.cache/venv/python /app/static/hosts /app/debug.log; echo x > /app/app/x;
            echo kept > /app/deep/data/file; touch /app/.cache/venv/x 2>/dev/null || echo fixed;
            touch /app/.cache/mine /app/tmp/x; grep -c ' /app' /proc/self/mountinfo";
        let mut container = place.script(script);
        container
            .throw_away(&project, "/app")
            .bind_read_only(&venv, "/app/.cache/venv")
            .bind(&data, "/app/deep/data")
            .tmpfs("/app/tmp", 0o700, None)
            .file("/app/static/hosts", "hosts\n");
        assert_eq!(place.output(&container), "python\nhosts\nfirst\nfixed\n5\n");
        assert_eq!(fs_err::read_to_string(data.join("file")).unwrap(), "kept\n");
        assert_eq!(snapshot(&project), before);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn each_container_has_copies_of_its_own() {
    as_each_user(|place| {
        let project = project(place);
        let before = snapshot(&project);
        let mut container = place.script("touch /app/mine /other/theirs; echo ready; exec sleep 1000");
        container.throw_away(&project, "/app").throw_away(&project, "/other");
        container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Inherit, stderr: Stdio::Inherit };
        let (mut one, mut other) = (place.hold(&container), place.hold(&container));
        assert_eq!((one.line(), other.line()), ("ready".into(), "ready".into()));
        let script = "echo entered > /app/mine; rm /app/debug.log; ls /app /other";
        let entered = place.exec(&one, &["sh", "-c", script], false);
        let expected = "/app:\napp\nlink\nmine\nstatic\n\n/other:\napp\ndebug.log\nlink\nstatic\ntheirs\n";
        assert_eq!((entered.code, entered.stdout.as_str()), (Some(0), expected), "{entered:?}");
        let entered = place.exec(&other, &["sh", "-c", "cat /app/mine /app/debug.log"], false);
        assert_eq!(entered.stdout, "first\n");
        assert_eq!(snapshot(&project), before);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn files_of_others_can_be_read_and_replaced() {
    as_each_user(|place| {
        if djship_testkit::needs::root().is_err() {
            return;
        }
        let project = project(place);
        for (name, mode) in [("open", 0o644), ("closed", 0o600), ("shared", 0o666)] {
            fs_err::write(project.join(name), "theirs\n").unwrap();
            set_mode(&project.join(name), mode);
            chown(project.join(name), Some(4242), Some(4242)).unwrap();
        }
        let before = snapshot(&project);
        let script = "cd /app; cat open shared; cat closed 2>/dev/null || echo closed; stat -c %u open | grep -v 1000 | wc -l;
            for f in open shared closed; do (echo x >> $f) 2>/dev/null && echo wrote; done; rm -f open && echo mine > open && cat open";
        let mut container = place.script(script);
        container.throw_away(&project, "/app");
        assert_eq!(place.output(&container), "theirs\ntheirs\nclosed\n1\nmine\n");
        assert_eq!(snapshot(&project), before);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn another_user_inside_works_in_a_copy_by_its_modes() {
    as_each_user(|place| {
        if place.kind == Kind::Plain {
            return;
        }
        let project = project(place);
        set_mode(&project, 0o777);
        let script =
            "cd /app; touch new && stat -c %u:%g . new; (echo x >> app/views.py) 2>/dev/null || echo closed";
        let mut container = place.script(script);
        if place.kind == Kind::Root {
            let range = IdRange { first: 1_910_000_000, count: 65_536 };
            let invoker = RunUser { uid: 1000, gid: 1000 };
            container.id_map = IdMap::Range { uids: range, gids: range, invoker };
        }
        container.user = RunUser { uid: 33, gid: 33 };
        container.throw_away(&project, "/app");
        assert_eq!(place.output(&container), "1000:1000\n33:33\nclosed\n");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn what_cannot_be_copied_is_named() {
    as_each_user(|place| {
        let project = project(place);
        let mut container = place.script("true");
        container.throw_away(project.join("debug.log"), "/app");
        let report = place.run(&container);
        assert!(report.error.unwrap().contains("debug.log"));

        let mut container = place.script("true");
        container.throw_away(place.path("missing"), "/app");
        assert!(place.run(&container).error.unwrap().contains("missing"));

        if djship_testkit::needs::root().is_err() {
            return;
        }
        let mut container = place.script("true");
        container.throw_away(&project, "/app");
        let below = project.join("static/old");
        let report = place.run_after(&format!("mount -t tmpfs none {}", below.display()), &container);
        assert_eq!(report.step.as_deref(), Some("CopyFolder"), "{report:?}");
        let error = report.error.unwrap();
        assert!(error.contains(&format!("`{}` is a file system of its own", below.display())), "{error}");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_folder_on_an_overlay_or_in_memory_can_be_copied() {
    as_each_user(|place| {
        if djship_testkit::needs::root().is_err() {
            return;
        }
        let project = project(place);
        let seen = place.owned_folder("seen");
        let owner = place.owner();
        let preparations = [
            format!("mount -t overlay -o lowerdir={0}:{1} none {1}", project.display(), seen.display()),
            format!(
                "mount -t tmpfs none {1}; cp -a {0}/. {1}; chown {2}:{3} {1}",
                project.display(),
                seen.display(),
                owner.uid,
                owner.gid
            ),
        ];
        let script =
            "cd /app; cat app/views.py; echo x >> debug.log; rm -r static; mkdir static; cat debug.log; ls";
        let mut container = place.script(script);
        container.throw_away(&seen, "/app");
        for preparation in preparations {
            let report = place.run_after(&preparation, &container);
            let expected = "original\nfirst\nx\napp\ndebug.log\nlink\nstatic\n";
            assert_eq!(report.stdout, expected, "{preparation}: {report:?}");
        }
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn roots_own_folder_as_a_copy() {
    as_each_user(|place| {
        if place.kind != Kind::Root {
            return;
        }
        let project = project(place);
        for path in snapshot(&project).into_keys() {
            std::os::unix::fs::lchown(path, Some(0), Some(0)).unwrap();
        }
        set_mode(&project, 0o700);
        let before = snapshot(&project);
        let script = "cd /app && cat debug.log; echo x >> debug.log; rm -r static; mkdir static; cat debug.log; ls; stat -c %u:%g . app debug.log";
        let mut container = place.script(script);
        container.throw_away_as_owner(&project, "/app").tmpfs("/app/deep/er", 0o755, None);
        let ids = "1000:1000\n".repeat(3);
        let expected = format!("first\nfirst\nx\napp\ndebug.log\ndeep\nlink\nstatic\n{ids}");
        assert_eq!(place.output(&container), expected);

        // Without the wish, root's are nobody's inside.
        let mut container = place.script("cat /app/app/views.py; cat /app/debug.log 2>&1 || echo closed");
        container.throw_away(&project, "/app");
        set_mode(&project, 0o755);
        assert!(place.output(&container).starts_with("original\ncat: "));
        set_mode(&project, 0o700);
        assert_eq!(snapshot(&project), before);

        let mut container = place.script("true");
        container.throw_away_as_owner(&project, "/app");
        let below = project.join("static/old");
        let report = place.run_after(&format!("mount -t tmpfs none {}", below.display()), &container);
        assert_eq!(report.step.as_deref(), Some("CopyFolder"), "{report:?}");
        assert!(report.error.unwrap().contains("static/old` is a file system of its own"));
    });
}
