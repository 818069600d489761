//! Folders of root's own, in which the container's owner stands for root.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    collections::BTreeMap,
    os::unix::fs::{MetadataExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use djship_engine::{Bind, IdMap, IdRange, RunUser, Stdio, Streams};
use support::{Kind, Place, as_each_user, set_mode};

fn as_root(test: impl Fn(&Place)) {
    as_each_user(|place| {
        if place.kind == Kind::Root {
            test(place);
        }
    });
}

/// A folder of root's that is closed to everybody else, with a closed file in it.
fn closed_folder(place: &Place) -> PathBuf {
    let folder = place.path("roots");
    fs_err::create_dir(&folder).unwrap();
    set_mode(&folder, 0o700);
    fs_err::write(folder.join("secret"), "secret\n").unwrap();
    set_mode(&folder.join("secret"), 0o600);
    folder
}

fn ids(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().unwrap();
    (metadata.uid(), metadata.gid())
}

#[test]
#[ignore = "needs root and user namespaces"]
fn the_owner_writes_as_root() {
    as_root(|place| {
        let folder = closed_folder(place);
        fs_err::create_dir(folder.join("data")).unwrap();
        for (name, uid, gid, mode) in
            [("group", 0, 4242, 0o640), ("other", 4242, 4242, 0o600), ("shared", 4242, 4242, 0o666)]
        {
            fs_err::write(folder.join(name), "before\n").unwrap();
            set_mode(&folder.join(name), mode);
            chown(folder.join(name), Some(uid), Some(gid)).unwrap();
        }
        let script = "cd /app; cat secret; echo more >> secret; echo new > new; mkdir -p deep/er; ln -s new link; mkfifo pipe;
            rm -r data; stat -c '%n %u:%g' . secret new deep/er link; echo x >> group && cat group;
            cat other 2>/dev/null || echo closed; echo x >> shared && echo wrote; chown 1000:1000 new && mv new newer;
            touch -d 2020-01-01 newer; chmod 640 newer";
        let mut container = place.script(script);
        container.bind_as_owner(&folder, "/app");
        let all_mine =
            [".", "secret", "new", "deep/er", "link"].map(|name| format!("{name} 1000:1000\n")).concat();
        let expected = format!("secret\n{all_mine}before\nx\nclosed\nwrote\n");
        assert_eq!(place.output(&container), expected);
        for name in ["secret", "newer", "deep", "deep/er", "link", "pipe"] {
            assert_eq!(ids(&folder.join(name)), (0, 0), "{name}");
        }
        assert_eq!(ids(&folder.join("group")), (0, 4242));
        assert_eq!(fs_err::read_to_string(folder.join("secret")).unwrap(), "secret\nmore\n");
        assert_eq!(folder.join("newer").metadata().unwrap().mode() & 0o7777, 0o640);
        assert!(!folder.join("data").exists());
        assert_eq!(fs_err::read_dir(place.path("scratch")).unwrap().count(), 0);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn files_fixed_folders_and_what_lies_below() {
    as_root(|place| {
        let folder = closed_folder(place);
        for name in ["data", "memory"] {
            fs_err::create_dir(folder.join(name)).unwrap();
        }
        let (file, data) = (folder.join("secret"), place.owned_folder("data"));
        let script = "cat /file /fixed/secret; echo file >> /file; (echo x >> /fixed/secret) 2>/dev/null || echo fixed;
            echo data > /app/data/file; touch /app/memory/x; tail -n 1 /app/secret; stat -c %u:%g /app/data/file";
        let mut container = place.script(script);
        container
            .bind_as_owner(&file, "/file")
            .bind_as_owner(&folder, "/app")
            .bind(&data, "/app/data")
            .tmpfs("/app/memory", 0o700, None);
        container.binds.push(Bind {
            source: folder.clone(),
            target: "/fixed".into(),
            read_only: true,
            as_owner: true,
            cache: false,
        });
        assert_eq!(place.output(&container), "secret\nsecret\nfixed\nfile\n1000:1000\n");
        let owner = place.owner();
        assert_eq!(ids(&data.join("file")), (owner.uid, owner.gid));
        assert_eq!(fs_err::read_dir(folder.join("memory")).unwrap().count(), 0);

        // What the host has mounted below is shown in the same way.
        let below = folder.join("memory");
        let preparation =
            format!("mount -t tmpfs -o mode=700 none {0}; echo below > {0}/file", below.display());
        container.argv[2] = "cat /app/memory/file; echo x >> /app/memory/file && cat /app/memory/file".into();
        container.tmpfs.retain(|tmpfs| tmpfs.target != Path::new("/app/memory"));
        let report = place.run_after(&preparation, &container);
        assert_eq!(report.stdout, "below\nbelow\nx\n", "{report:?}");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn the_wish_is_without_effect_elsewhere() {
    as_each_user(|place| {
        let folder = place.owned_folder("own");
        let mut container =
            place.script("echo new > /app/new; stat -c %u:%g /app/new; touch /app/s; chmod u+s /app/s");
        container.bind_as_owner(&folder, "/app");
        assert_eq!(place.output(&container), "1000:1000\n");
        let owner = place.owner();
        assert_eq!(ids(&folder.join("new")), (owner.uid, owner.gid));
        assert_eq!(folder.join("s").metadata().unwrap().mode() & 0o7000, 0o4000);
    });
    as_root(|place| {
        let folder = closed_folder(place);
        let mut container =
            place.script("ls /app 2>/dev/null || echo closed; (echo x > /app/x) 2>/dev/null || echo fixed");
        container.bind(&folder, "/app");
        assert_eq!(place.output(&container), "closed\nfixed\n");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn subordinate_ids_stay_themselves() {
    as_root(|place| {
        let folder = closed_folder(place);
        set_mode(&folder, 0o777);
        let range = IdRange { first: 1_910_000_000, count: 65_536 };
        let invoker = RunUser { uid: 0, gid: 0 };
        for (uid, host) in [(0, 0), (999, range.first + 998)] {
            let mut container = place.script("stat -c %u:%g /app; touch /app/$(id -u)");
            container.id_map = IdMap::Range { uids: range, gids: range, invoker };
            container.user = RunUser { uid, gid: uid };
            container.bind_as_owner(&folder, "/app");
            assert_eq!(place.output(&container), "0:0\n");
            assert_eq!(ids(&folder.join(uid.to_string())), (host, host));
        }
    });
}

/// Attempts of `engine-trial probe-set-ids`.
fn judge(attempts: &BTreeMap<String, i32>, refused: bool) {
    assert!(attempts.len() > 30, "{attempts:?}");
    for (name, errno) in attempts {
        let expected = match name.as_str() {
            name if name.starts_with("openat2") && refused => libc::ENOSYS,
            // The kernel takes the bits out.
            name if name.starts_with("mkdirat") => 0,
            name if refused && (name.ends_with(" user") || name.ends_with(" group")) => libc::EPERM,
            _ => 0,
        };
        assert_eq!(*errno, expected, "{name}");
    }
}

/// Files and folders with such a bit.
fn with_set_ids(folder: &Path) -> usize {
    let entries = fs_err::read_dir(folder).unwrap().flatten();
    entries.filter(|entry| entry.path().symlink_metadata().unwrap().mode() & 0o6000 != 0).count()
}

#[test]
#[ignore = "needs root and user namespaces"]
fn nothing_of_roots_becomes_a_set_user_id_program() {
    as_root(|place| {
        let folder = closed_folder(place);
        let mut container = place.container(["/probe", "probe-set-ids", "/app"]);
        container.bind_read_only(place.binary(), "/probe").bind_as_owner(&folder, "/app");
        judge(&serde_json::from_str(&place.output(&container)).unwrap(), true);
        assert_eq!(with_set_ids(&folder), 0);
        assert!(fs_err::read_dir(&folder).unwrap().count() > 10);

        // Nor by who enters later.
        let again = folder.join("again");
        fs_err::create_dir(&again).unwrap();
        container.argv = ["sh", "-c", "echo ready; exec sleep 1000"].map(str::to_owned).into();
        container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Inherit, stderr: Stdio::Inherit };
        let mut held = place.hold(&container);
        assert_eq!(held.line(), "ready");
        let entered = place.exec(&held, &["/probe", "probe-set-ids", "/app/again"], false);
        judge(&serde_json::from_str(&entered.stdout).unwrap_or_else(|_| panic!("{entered:?}")), true);
        assert_eq!(with_set_ids(&again), 0);
        assert_eq!(ids(&again.join("openat-none")), (0, 0), "it writes as root, too");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn own_files_may_have_the_bits() {
    as_each_user(|place| {
        let folder = place.owned_folder("own");
        let mut container = place.container(["/probe", "probe-set-ids", "/app"]);
        container.bind_read_only(place.binary(), "/probe").bind(&folder, "/app");
        judge(&serde_json::from_str(&place.output(&container)).unwrap(), false);
        assert!(with_set_ids(&folder) > 10);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn what_cannot_be_mapped_is_named() {
    as_root(|place| {
        let folder = closed_folder(place);
        fs_err::create_dir(folder.join("below")).unwrap();
        let mut container = place.script("true");
        container.bind_as_owner(&folder, "/app");
        let lower = place.path("etc");
        fs_err::create_dir(&lower).unwrap();
        let overlay = |on: &Path| {
            format!(
                "mount -t overlay -o lowerdir={}:{} none {}",
                place.root().display(),
                lower.display(),
                on.display()
            )
        };
        let report = place.run_after(&overlay(&folder), &container);
        assert_eq!(report.step.as_deref(), Some("MapOwner"), "{report:?}");
        let error = report.error.unwrap();
        assert!(error.contains(folder.to_str().unwrap()) && error.contains("overlay"), "{error}");
        let report = place.run_after(&overlay(&folder.join("below")), &container);
        assert_eq!(report.step.as_deref(), Some("MapOwner"), "{report:?}");
        let before = fs_err::read_dir(place.path("scratch")).unwrap().count();
        assert_eq!(before, 0);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_planted_link_does_not_open_another_folder_of_roots() {
    as_root(|place| {
        let folder = closed_folder(place);
        let project = place.owned_folder("project");
        symlink(&folder, project.join("cache")).unwrap();
        for through in [project.join("cache"), project.join("cache/secret")] {
            let mut container = place.script("cat /cache/secret /cache");
            container.bind_as_owner(&through, "/cache");
            let report = place.run(&container);
            assert_eq!(report.step.as_deref(), Some("OpenSource"), "{report:?}");
        }
        let mut container = place.script("cat /cache/secret");
        container.throw_away_as_owner(project.join("cache"), "/cache");
        assert_eq!(place.run(&container).step.as_deref(), Some("OpenSource"));
    });
}
