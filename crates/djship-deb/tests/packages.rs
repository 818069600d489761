//! Packages that the test makes and serves: fetched, unpacked, put together, and every way to be refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use djship_deb::{
    Arch, ClosureRules, Codename, ComposeError, FetchPackagesError, Package, RootOptions, Trim,
    UnpackedPackage, User, compose, fetch_packages, missing_bytes,
};
use djship_store::{Bucket, Node, Store};
use support::{TestArchive, always, deb, fetcher, stanza, store};

/// Publishes packages, resolves them all, and fetches them.
fn fetch(
    archive: &mut TestArchive,
    debs: &[(&str, Vec<u8>)],
    store: &Store,
) -> Result<Vec<UnpackedPackage>, FetchPackagesError> {
    let index: String = debs.iter().map(|(name, deb)| stanza(name, deb, "") + "\n").collect();
    archive.packages.insert("trixie", index);
    archive.publish();
    for (name, deb) in debs {
        archive.server.put(&format!("debian/pool/{name}.deb"), deb.clone());
    }
    let packages = packages(archive, debs, store);
    fetch_packages(&packages, &archive.server.mirrors(), store, &fetcher(false), &())
}

fn packages(archive: &TestArchive, debs: &[(&str, Vec<u8>)], store: &Store) -> Vec<Package> {
    let names: Vec<&str> = debs.iter().map(|(name, _)| *name).collect();
    let index = archive.open(store, always()).unwrap().index(store).unwrap();
    index.closure(&names, &ClosureRules::default()).unwrap()
}

fn options() -> RootOptions {
    let users = vec![User::new("web", 1000, "/app")];
    RootOptions { codename: Codename::Trixie, arch: Arch::Amd64, trim: Trim::Production, users }
}

#[test]
fn packages_become_a_root() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    let debs = [
        (
            "mawk",
            deb(
                "mawk",
                "./usr/bin/mawk",
                b"mawk",
                "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n",
            ),
        ),
        (
            "base-passwd",
            deb(
                "base-passwd",
                "./usr/share/base-passwd/passwd.master",
                b"root:*:0:0:root:/root:/bin/sh\n",
                "",
            ),
        ),
        ("tool", deb("tool", "./bin/tool", b"tool", "")),
    ];
    let unpacked = fetch(&mut archive, &debs, &store).unwrap();
    let root = compose(&unpacked, &options(), &store).unwrap();
    let target = |path: &str| match &root.get(path).unwrap().node {
        Node::Symlink { target } => target.clone(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(
        (target("bin").as_str(), target("usr/bin/awk").as_str()),
        ("usr/bin", "/etc/alternatives/awk")
    );
    let tool = root.get("usr/bin/tool").unwrap();
    assert_eq!(
        (tool.mode, tool.uid, tool.gid, tool.mtime),
        (0o755, 0, 0, 1_000_000_000),
        "bits and owners are squashed"
    );
    let text = |path: &str| match &root.get(path).unwrap().node {
        Node::File { at, .. } => fs_err::read_to_string(at).unwrap(),
        other => panic!("{path}: {other:?}"),
    };
    assert!(text("etc/passwd").ends_with("web:*:1000:1000::/app:/bin/sh\n"));
    assert!(text("var/lib/dpkg/status.d/tool").contains("\nStatus: install ok installed\n"));
    assert_eq!(root.get("tmp").unwrap().mode, 0o1777);
    for path in ["proc", "sys", "dev", "run", "var/tmp", "etc/hosts", "etc/resolv.conf", "etc/ld.so.cache"] {
        assert!(root.get(path).is_some(), "{path}");
    }

    // The same packages in another order and from another store make the same root, and nothing is fetched twice.
    assert_eq!(missing_bytes(&packages(&archive, &debs, &store), &store), 0);
    archive.server.take_requests();
    let mut again = fetch(&mut archive, &debs, &store).unwrap();
    assert!(!archive.server.take_requests().iter().any(|path| path.contains("pool")));
    again.reverse();
    assert_eq!(compose(&again, &options(), &store).unwrap().digest(), root.digest());
    let (_other_dir, other) = support::store();
    let elsewhere = fetch(&mut archive, &debs, &other).unwrap();
    assert_eq!(compose(&elsewhere, &options(), &other).unwrap().digest(), root.digest());
}

#[test]
fn packages_that_clash_are_refused() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    // The same place by two names, under merged /usr.
    let debs = [("a", deb("a", "./bin/tool", b"one", "")), ("b", deb("b", "./usr/bin/tool", b"two", ""))];
    let unpacked = fetch(&mut archive, &debs, &store).unwrap();
    let error = compose(&unpacked, &options(), &store).unwrap_err();
    assert!(
        matches!(&error, ComposeError::Clash { first, second, .. } if first == "a" && second == "b"),
        "{error}"
    );
}

#[test]
fn a_package_that_is_not_the_signed_one_is_never_unpacked() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    let debs = [("a", deb("a", "./usr/bin/a", b"good", ""))];
    archive.packages.insert("trixie", stanza("a", &debs[0].1, ""));
    archive.publish();
    let packages = packages(&archive, &debs, &store);
    let evil = deb("a", "./usr/bin/a", b"evil", "");
    let fetch = |bytes: Vec<u8>| {
        archive.server.put("debian/pool/a.deb", bytes);
        fetch_packages(&packages, &archive.server.mirrors(), &store, &fetcher(false), &())
    };
    let mut flipped = debs[0].1.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for bytes in [flipped, evil, debs[0].1[..100].to_vec()] {
        let error = fetch(bytes).unwrap_err();
        assert!(
            matches!(error, FetchPackagesError::WrongHash { .. } | FetchPackagesError::Fetch { .. }),
            "{error}"
        );
        assert!(store.find(Bucket::Packages, &packages[0].sha256).is_none());
    }
    assert_eq!(fetch(debs[0].1.clone()).unwrap().len(), 1);
}
