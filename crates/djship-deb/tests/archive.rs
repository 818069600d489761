//! Archives that are signed and served by the test: what is accepted, and every way to be refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use djship_deb::keyring::SignatureError;
use djship_deb::{Arch, Archive, ArchiveError, ClosureRules, Codename, Freshness, fetch_packages};
use djship_store::{Bucket, Digest, Store};
use pgp::composed::{ArmorOptions, CleartextSignedMessage, SignedPublicKey};
use support::{NOW, TestArchive, always, deb, fetcher, keyring_of, new_key, sign, stanza, store};

/// Number of files in the bucket of indexes.
fn kept_indexes(store: &Store) -> usize {
    let Ok(folders) = fs_err::read_dir(store.root().join(Bucket::Indexes.dir_name())) else { return 0 };
    folders.map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir()).count()
}

const LIST: &str = "debian/dists/trixie/InRelease";

fn replaced(from: &str, to: &str) -> impl FnOnce(Vec<u8>) -> Vec<u8> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(&from), "{text}");
        text.replace(&from, &to).into_bytes()
    }
}

#[test]
fn a_good_archive_is_read_once() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    archive.packages.insert("trixie", stanza("a", b"x", "Depends: b\n") + "\n" + &stanza("b", b"y", ""));
    archive.publish();
    let day = Freshness { max_age: Duration::from_hours(24), ..always() };
    let opened = archive.open(&store, day).unwrap();
    let index = opened.index(&store).unwrap();
    assert_eq!(index.closure(&["a"], &ClosureRules::default()).unwrap().len(), 2);
    let asked = archive.server.take_requests();
    assert_eq!(asked.len(), 6, "{asked:?}");

    // Within a day nobody is asked, and offline works.
    let again = archive.open(&store, Freshness { now: NOW + 80_000, ..day }).unwrap();
    assert_eq!(again.identity(), opened.identity());
    let keyring = keyring_of(&archive.key);
    let offline =
        archive.open_with(&store, Freshness { now: NOW + 200_000, ..day }, &fetcher(true), &keyring).unwrap();
    assert_eq!(offline.index(&store).unwrap().len(), 2);
    assert!(archive.server.take_requests().is_empty());

    // After a day only the lists are fetched again, because the indexes are the same.
    archive.open(&store, Freshness { now: NOW + 90_000, ..day }).unwrap();
    let asked = archive.server.take_requests();
    assert!(asked.len() == 3 && asked.iter().all(|path| path.ends_with("InRelease")), "{asked:?}");
}

#[test]
fn a_changed_text_is_a_bad_signature() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    for (from, to) in [
        ("Origin: Debian", "Origin: Debiam"),
        ("Codename: trixie", "Codename: trixia"),
        (" main contrib", " main"),
    ] {
        archive.publish();
        archive.server.change(LIST, replaced(from, to));
        let error = archive.open(&store, always()).unwrap_err();
        assert!(
            matches!(&error, ArchiveError::Signature { source: SignatureError::BadSignature { .. }, url } if url.ends_with(LIST)),
            "{error}"
        );
    }
}

#[test]
fn text_outside_of_the_signature_is_refused() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    for front in [true, false] {
        archive.publish();
        archive.server.change(LIST, |bytes| {
            let extra = b"Codename: trixie\nSuite: stable\n\n".to_vec();
            if front { [extra, bytes].concat() } else { [bytes, extra].concat() }
        });
        let error = archive.open(&store, always()).unwrap_err();
        assert!(
            matches!(error, ArchiveError::Signature { source: SignatureError::NotSigned { .. }, .. }),
            "{error}"
        );
    }
    archive.server.put(LIST, "Codename: trixie\n");
    assert!(matches!(archive.open(&store, always()), Err(ArchiveError::Signature { .. })));
    archive.server.put(LIST, vec![0xff, 0xfe]);
    assert!(matches!(archive.open(&store, always()), Err(ArchiveError::NotUtf8 { .. })));
}

#[test]
fn another_key_is_unknown() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    archive.publish();
    let other = keyring_of(&new_key());
    let error = archive.open_with(&store, always(), &fetcher(false), &other).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Signature { source: SignatureError::UnknownKey { .. }, .. }),
        "{error}"
    );
    let debian = djship_deb::Keyring::debian().unwrap();
    let error = archive.open_with(&store, always(), &fetcher(false), &debian).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Signature { source: SignatureError::UnknownKey { .. }, .. }),
        "{error}"
    );
    assert_eq!(kept_indexes(&store), 0);
}

#[test]
fn the_list_of_another_suite_is_refused() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    archive.publish();
    // Properly signed, and served in the wrong place.
    let text = "Origin: Debian\nSuite: stable-updates\nCodename: trixie-updates\nDate: Tue, 24 Nov 2026 10:00:00 UTC\n\
                Architectures: amd64\nComponents: main\nSHA256:\n";
    archive.server.put(LIST, sign(text, &archive.key));
    let error = archive.open(&store, always()).unwrap_err();
    assert!(matches!(error, ArchiveError::InRelease { .. }), "{error}");
    assert!(error.to_string().contains("its `Codename` is `trixie-updates`, expected `trixie`"), "{error}");
}

#[test]
fn dates_never_go_back() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    archive.publish();
    let first = archive.open(&store, always()).unwrap();
    archive.date = "Mon, 23 Nov 2026 10:00:00 UTC";
    archive.packages.insert("trixie", stanza("old", b"x", ""));
    archive.publish();
    let error = archive.open(&store, always()).unwrap_err();
    assert!(
        matches!(error, ArchiveError::OlderThanSeen { date, seen, .. } if seen - date == 86_400),
        "{error}"
    );
    archive.date = "Tue, 24 Nov 2026 10:00:01 UTC";
    archive.publish();
    let second = archive.open(&store, always()).unwrap();
    assert_ne!(first.identity(), second.identity());
}

#[test]
fn expired_lists_need_permission() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    archive.valid_until = Some("Tue, 24 Nov 2026 23:59:59 UTC");
    archive.publish();
    let error = archive.open(&store, always()).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Expired { valid_until, now, .. } if now - valid_until == 1),
        "{error}"
    );
    assert!(archive.open(&store, Freshness { accept_expired: true, ..always() }).is_ok());
    // What was accepted then does not count without the permission, online or offline.
    let keyring = keyring_of(&archive.key);
    let error = archive.open_with(&store, always(), &fetcher(true), &keyring).unwrap_err();
    assert!(matches!(error, ArchiveError::Expired { .. }), "{error}");
    archive.valid_until = None;
    archive.publish();
    assert!(archive.open(&store, always()).is_ok());
}

#[test]
fn a_changed_index_is_a_wrong_hash() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    archive.packages.insert("trixie", stanza("a", b"x", ""));
    archive.publish();
    archive.open(&store, always()).unwrap();
    let is_index = |path: &String| path.contains("debian/dists/trixie/") && path.contains("by-hash");
    let index = archive.server.take_requests().into_iter().find(is_index).unwrap();
    let (_other, store) = support::store();
    archive.server.change(&index, |mut bytes| {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes
    });
    let error = archive.open(&store, always()).unwrap_err();
    assert!(
        matches!(error, ArchiveError::WrongHash { found_size, size, .. } if found_size == size),
        "{error}"
    );
    archive.server.change(&index, |bytes| [bytes, b"more".to_vec()].concat());
    assert!(matches!(archive.open(&store, always()), Err(ArchiveError::Fetch { .. })));
    let state = store.root().join("indexes-v1");
    let states =
        fs_err::read_dir(state).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(states, 0, "nothing is remembered of a failure");
}

#[test]
fn an_index_that_swells_is_stopped() {
    let (_dir, store) = store();
    let mut archive = TestArchive::new();
    archive.packages.insert("trixie", "\n".repeat(1_000_000));
    archive.publish();
    // A properly signed list that promises less than comes out.
    let packed = support::xz("\n".repeat(1_000_000).as_bytes());
    let text = format!(
        "Suite: stable\nCodename: trixie\nDate: Tue, 24 Nov 2026 10:00:00 UTC\nAcquire-By-Hash: yes\nArchitectures: amd64\n\
         Components: main\nSHA256:\n {} 1000 main/binary-amd64/Packages\n {} {} main/binary-amd64/Packages.xz\n",
        "0".repeat(64),
        Digest::of(&packed).hex(),
        packed.len()
    );
    archive.server.put(LIST, sign(&text, &archive.key));
    let error = archive.open(&store, always()).unwrap_err();
    assert!(matches!(error, ArchiveError::WrongUnpackedSize { size: 1000, .. }), "{error}");
}

#[test]
fn an_unreachable_archive_serves_from_memory_until_it_expires() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    let keyring = keyring_of(&archive.key);
    let error = archive.open_with(&store, always(), &fetcher(true), &keyring).unwrap_err();
    assert!(matches!(error, ArchiveError::NotKnown { codename: Codename::Trixie, .. }), "{error}");
    archive.publish();
    let opened = archive.open(&store, always()).unwrap();
    assert!(opened.unreached().is_none());

    // A port that nobody listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = vec![djship_deb::MirrorUrl::parse(&format!("http://{dead}/debian")).unwrap()];
    let mirrors = djship_deb::Mirrors { main: url.clone(), security: url };
    let ask = |now| {
        let freshness = Freshness { now, ..always() };
        let options = djship_deb::ArchiveOptions {
            codename: Codename::Trixie,
            arch: Arch::Amd64,
            mirrors: &mirrors,
            keyring: &keyring,
            freshness,
        };
        Archive::open(&options, &store, &fetcher(false))
    };
    let known = ask(NOW + 1).unwrap();
    assert_eq!(known.identity(), opened.identity());
    assert!(known.unreached().is_some_and(ArchiveError::is_unreached));
    assert!(ask(NOW + 30 * 86_400).is_err());
}

#[test]
fn the_next_mirror_is_tried() {
    let (_dir, store) = store();
    let (stranger, mut archive) = (TestArchive::new(), TestArchive::new());
    let package = deb("a", "./usr/bin/a", b"a", "");
    stranger.publish();
    archive.packages.insert("trixie", stanza("a", &package, ""));
    archive.server.put("debian/pool/a.deb", package);
    archive.publish();
    let keyring = keyring_of(&archive.key);
    let mut mirrors = stranger.server.mirrors();
    mirrors.main.extend(archive.server.mirrors().main);
    mirrors.security.extend(archive.server.mirrors().security);
    let options = djship_deb::ArchiveOptions {
        codename: Codename::Trixie,
        arch: Arch::Amd64,
        mirrors: &mirrors,
        keyring: &keyring,
        freshness: always(),
    };
    let opened = Archive::open(&options, &store, &fetcher(false)).unwrap();
    assert_eq!(opened.mirrors().main[0], archive.server.mirrors().main[0]);
    stranger.server.take_requests();
    let packages = opened.index(&store).unwrap().closure(&["a"], &ClosureRules::default()).unwrap();
    fetch_packages(&packages, opened.mirrors(), &store, &fetcher(false), &()).unwrap();
    assert!(
        stranger.server.take_requests().is_empty(),
        "the mirror that did not serve the list is not asked for packages"
    );
}

#[test]
fn one_good_signature_among_strange_ones_is_enough() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    archive.publish();
    archive.server.change(LIST, |bytes| {
        let own = String::from_utf8(bytes).unwrap();
        let (own, _) = CleartextSignedMessage::from_string(&own).unwrap();
        let text = own.signed_text().replace("\r\n", "\n");
        let (strange, _) = CleartextSignedMessage::from_string(&sign(&text, &new_key())).unwrap();
        let both = [strange.signatures(), own.signatures()].concat();
        let message = CleartextSignedMessage::new_many(&text, |_| Ok(both)).unwrap();
        message.to_armored_bytes(ArmorOptions::default()).unwrap()
    });
    archive.open(&store, always()).unwrap();
}

#[test]
fn a_subkey_that_is_not_bound_to_its_key_may_not_sign() {
    let (_dir, store) = store();
    let archive = TestArchive::new();
    archive.publish();
    // A trusted key that somebody put a stranger's subkey under.
    let mut grafted = SignedPublicKey::from(new_key());
    grafted.public_subkeys = SignedPublicKey::from(archive.key.clone()).public_subkeys;
    let mut keyring = djship_deb::Keyring::empty();
    keyring.add("grafted", &grafted.to_armored_bytes(ArmorOptions::default()).unwrap()).unwrap();
    let error = archive.open_with(&store, always(), &fetcher(false), &keyring).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Signature { source: SignatureError::KeyNotValid { .. }, .. }),
        "{error}"
    );
}
