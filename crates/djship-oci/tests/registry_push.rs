//! Pushes to a registry that misbehaves.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod support;

use djship_oci::registry::push::Way;
use djship_oci::registry::{Client, Login, Options, RegistryError, Secret, push};
use djship_store::Digest;
use djship_store::fetch::FetchOptions;
use djship_testkit::registry::{Access, Asked, Behaviour, Mount, Registry};
use support::{Is, client, fetcher, fetcher_with, image, noise, password, reference, store};

const MIB: usize = 1024 * 1024;

/// `METHOD status` of every request that uploads something.
fn uploads(asked: &[Asked]) -> Vec<String> {
    let sends = asked.iter().filter(|asked| asked.path.contains("/blobs/uploads/"));
    sends.map(|asked| format!("{} {}", asked.method, asked.status)).collect()
}

#[test]
fn what_is_there_is_not_sent_again_and_the_manifest_comes_last() {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let (_dir, store) = store();
    let fetcher = fetcher();
    let base = noise(1, 300_000);
    let first = image(&store, &[&base, b"one", b""]);
    let name = reference(&format!("{}/team/shop:1", registry.host()));
    let pushed = push(&client(&fetcher, &()), &first, &name, &store, &()).unwrap();
    assert_eq!((pushed.present, pushed.mounted), (0, 0));
    let asked = registry.asked();
    let last = asked.last().unwrap();
    assert_eq!((last.method.as_str(), last.path.as_str()), ("PUT", "/v2/team/shop/manifests/1"));
    let manifest = registry.manifest("team/shop", "1").unwrap();
    assert_eq!(Digest::of(&manifest), pushed.digest);
    for layer in &pushed.layers {
        let blob = registry.blob("team/shop", &layer.digest).unwrap();
        assert_eq!((blob.len() as u64, layer.way), (layer.size, Way::Sent));
    }
    assert_eq!(registry.blob("team/shop", &first.id).unwrap(), first.config_bytes);

    // The code changes: one small layer, the config and the manifest go.
    let second = image(&store, &[&base, b"two", b""]);
    let pushed = push(&client(&fetcher, &()), &second, &name, &store, &()).unwrap();
    let ways: Vec<_> = pushed.layers.iter().map(|layer| layer.way).collect();
    assert_eq!(ways, [Way::Present, Way::Sent, Way::Present]);
    assert!(pushed.sent < 5_000 && pushed.present > 300_000, "{pushed:?}");
    let sent: u64 = registry.asked().iter().map(|asked| asked.body).sum();
    assert!(sent < 10_000, "{sent}");
}

#[test]
fn layers_of_another_repository_are_mounted_and_refusals_mean_uploads() {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let (_dir, store) = store();
    let fetcher = fetcher();
    let base = noise(2, 200_000);
    let name = |repository: &str| reference(&format!("{}/{repository}:1", registry.host()));
    let push = |repository: &str| {
        let image = image(&store, &[&base, repository.as_bytes()]);
        push(&client(&fetcher, &()), &image, &name(repository), &store, &()).unwrap()
    };
    push("first");
    let pushed = push("second");
    assert!(pushed.mounted > 200_000 && pushed.sent < 5_000, "{pushed:?}");
    assert!(registry.blob("second", &pushed.layers[0].digest).is_some());
    for (index, mount) in [Mount::Uploads, Mount::Refused(401), Mount::Refused(403), Mount::Refused(404)]
        .into_iter()
        .enumerate()
    {
        registry.behave(Behaviour { mount, ..Behaviour::default() });
        let pushed = push(&format!("other{index}"));
        assert_eq!((pushed.layers[0].way, pushed.mounted), (Way::Sent, 0), "{mount:?}");
    }
}

#[test]
fn a_mount_asks_for_both_repositories() {
    let access = Access::Token("me".to_owned(), "cret".to_owned());
    let registry = Registry::start(Behaviour { access, ..Behaviour::default() }).unwrap();
    let (_dir, store) = store();
    let (fetcher, me) = (fetcher(), password("me", "cret"));
    let image = image(&store, &[&noise(3, 100_000)]);
    let push = |repository: &str| {
        let name = reference(&format!("{}/{repository}:1", registry.host()));
        push(&client(&fetcher, &me), &image, &name, &store, &()).unwrap()
    };
    push("first");
    registry.asked();
    assert_eq!(push("second").layers[0].way, Way::Mounted);
    let asked = registry.asked();
    let token = asked.iter().find(|asked| asked.path.contains("first")).unwrap();
    assert!(
        token.path.starts_with("/token?") && token.path.contains("repository:second:pull%2Cpush"),
        "{token:?}"
    );
    // The password goes to the token server alone, the token to the registry alone.
    for asked in &asked {
        let kind = asked.authorization.as_deref().unwrap_or("none").split('-').next().unwrap();
        let expected = if asked.path.starts_with("/token") { "Basic bWU6Y3JldA==" } else { "Bearer token" };
        assert!(kind == expected || kind == "none" && asked.path == "/v2/", "{asked:?}");
    }
    // One token for all blobs, and one for the mount.
    assert_eq!(asked.iter().filter(|asked| asked.path.starts_with("/token")).count(), 2);
}

#[test]
fn large_blobs_survive_relative_addresses_stale_ranges_and_broken_connections() {
    let content = noise(4, 3 * MIB);
    for (behaviour, expected) in [
        (Behaviour { relative: true, ..Behaviour::default() }, vec!["POST 202", "PATCH 202", "PUT 201"]),
        (Behaviour { stale: true, ..Behaviour::default() }, vec!["POST 202", "PATCH 202", "PUT 201"]),
        (
            Behaviour { breaks: 2, relative: true, ..Behaviour::default() },
            vec!["POST 202", "PATCH 0", "GET 204", "PATCH 0", "GET 204", "PATCH 202", "PUT 201"],
        ),
        // What was there is not told, so it begins again.
        (
            Behaviour { breaks: 1, stale: true, ..Behaviour::default() },
            vec!["POST 202", "PATCH 0", "GET 204", "POST 202", "PATCH 202", "PUT 201"],
        ),
    ] {
        let registry = Registry::start(behaviour).unwrap();
        let (_dir, store) = store();
        let (fetcher, image) = (fetcher(), image(&store, &[&content]));
        let name = reference(&format!("{}/shop:1", registry.host()));
        let pushed = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap();
        let blob = registry.blob("shop", &pushed.layers[0].digest).unwrap();
        assert_eq!(Digest::of(&blob), pushed.layers[0].digest);
        let asked = registry.asked();
        let large: Vec<_> = uploads(&asked);
        // The config is small: one POST and one PUT, at any time between.
        let mut rest = large.clone();
        for step in ["POST 202", "PUT 201"] {
            rest.remove(rest.iter().position(|known| known == step).unwrap());
        }
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        assert_eq!(
            sorted(rest),
            sorted(expected.iter().map(|step| (*step).to_owned()).collect()),
            "{asked:?}"
        );
    }
}

#[test]
fn an_upload_that_always_breaks_ends() {
    let registry = Registry::start(Behaviour { breaks: 1000, ..Behaviour::default() }).unwrap();
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[&noise(5, 2 * MIB)]));
    let name = reference(&format!("{}/shop:1", registry.host()));
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    assert!(error.to_string().contains("in the middle of the upload"), "{error}");
    assert!(registry.manifest("shop", "1").is_none());
    assert!(uploads(&registry.asked()).len() < 20);
}

#[test]
fn a_busy_registry_is_waited_for_and_a_full_one_is_not() {
    let registry = Registry::start(Behaviour { busy: 2, ..Behaviour::default() }).unwrap();
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[b"x"]));
    let name = reference(&format!("{}/shop:1", registry.host()));
    push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap();

    let disk = r#"{"errors":[{"code":"UNKNOWN","detail":{"Enclosed":{"Op":"mkdir","Err":28}}}]}"#;
    for (status, body) in [(507, ""), (413, "<html>too large</html>"), (500, disk)] {
        let refuses = Some((status, body.to_owned()));
        registry.behave(Behaviour { refuses, ..Behaviour::default() });
        let name = reference(&format!("{}/full{status}:1", registry.host()));
        let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
        assert!(matches!(&error, RegistryError::Full { status: found, .. } if *found == status), "{error:?}");
    }
}

#[test]
fn a_refusal_comes_before_the_content() {
    let registry = Registry::start(Behaviour { refuses_early: Some(413), ..Behaviour::default() }).unwrap();
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[&noise(8, 2 * MIB)]));
    let name = reference(&format!("{}/shop:1", registry.host()));
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::Full { status: 413, .. }), "{error:?}");
    assert!(registry.asked().iter().map(|asked| asked.body).sum::<u64>() < 10_000);
    // Some do not know how to answer.
    registry.behave(Behaviour { refuses_early: Some(417), ..Behaviour::default() });
    push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap();
}

#[test]
fn who_may_not_push_is_told_why() {
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[b"x"]));
    let basic = || Access::Basic("me".to_owned(), "s3cret".to_owned());
    let token = || Access::Token("me".to_owned(), "s3cret".to_owned());
    let registry = Registry::start(Behaviour::default()).unwrap();
    let push = |credentials: &dyn djship_oci::registry::Credentials, access: Access, repository: &str| {
        registry.behave(Behaviour { access, ..Behaviour::default() });
        let name = reference(&format!("{}/{repository}:1", registry.host()));
        push(&client(&fetcher, credentials), &image, &name, &store, &())
    };
    push(&password("me", "s3cret"), basic(), "a").unwrap();
    push(&password("me", "s3cret"), token(), "b").unwrap();
    let identity = Login {
        user: String::new(),
        secret: Secret::IdentityToken("s3cret&=".to_owned()),
        from: "a helper".to_owned(),
    };
    push(&Is(identity), Access::Identity("s3cret&=".to_owned()), "c").unwrap();

    for access in [basic(), token()] {
        let error = push(&(), access.clone(), "d").unwrap_err();
        assert!(
            matches!(&error, RegistryError::LoginNeeded { repository, .. } if repository == "d"),
            "{error:?}"
        );
        let error = push(&password("me", "wr0ng"), access, "d").unwrap_err();
        let RegistryError::WrongCredentials { user, from, .. } = &error else { panic!("{error:?}") };
        assert_eq!((user.as_str(), from.as_str()), ("me", "/home/me/config.json"));
        assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");
    }
    let error = push(&password("me", "s3cret"), token(), "secret").unwrap_err();
    let RegistryError::Denied { repository, user, .. } = &error else { panic!("{error:?}") };
    assert_eq!((repository.as_str(), user.as_deref()), ("secret", Some("me")));
}

#[test]
fn passwords_go_to_no_token_server_without_tls() {
    let registry = Registry::start(Behaviour::default()).unwrap();
    let (_dir, store) = store();
    let image = image(&store, &[b"x"]);
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // Everything by plain HTTP would come here, whatever its name is.
    let http_proxy = Some(format!("http://{}", elsewhere.local_addr().unwrap()));
    let fetcher = fetcher_with(FetchOptions { http_proxy, retries: 0, ..FetchOptions::default() });
    for realm in ["http://auth.test/token", "http://127.0.0.1.auth.test/token", "file:///etc/passwd", "token"]
    {
        let access = Access::Token("me".to_owned(), "cret".to_owned());
        registry.behave(Behaviour { access, realm: Some(realm.to_owned()), ..Behaviour::default() });
        let name = reference(&format!("{}/shop:1", registry.host()));
        let error = push(&client(&fetcher, &password("me", "cret")), &image, &name, &store, &()).unwrap_err();
        let is_named = match &error {
            RegistryError::PlainTokenServer { host, .. } => realm == format!("http://{host}/token"),
            RegistryError::Protocol { .. } => !realm.starts_with("http"),
            _ => false,
        };
        assert!(is_named, "{realm}: {error:?}");
    }
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err());
}

#[test]
fn a_registry_that_has_another_manifest_is_not_believed() {
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[b"x"]));
    let registry = Registry::start(Behaviour { nameless: true, ..Behaviour::default() }).unwrap();
    let name = reference(&format!("{}/shop:1", registry.host()));
    push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap();
    registry.behave(Behaviour { misnames: true, ..Behaviour::default() });
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest { .. }), "{error:?}");
    let name = reference(&format!("{}/shop@{}", registry.host(), image.id));
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::PushToDigest { .. }), "{error:?}");
}

#[test]
fn only_declared_registries_are_spoken_with_in_plain_words() {
    let registry = Registry::start(Behaviour { relative: true, ..Behaviour::default() }).unwrap();
    let (_dir, store) = store();
    let image = image(&store, &[&noise(6, 2 * MIB)]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // A name that nobody knows but the proxy, which is the registry itself; no TLS gets through.
    let fetcher = fetcher_with(FetchOptions {
        http_proxy: Some(format!("http://{}", registry.host())),
        https_proxy: Some(format!("http://{closed}")),
        ..FetchOptions::default()
    });
    let name = reference("reg.test/shop:1");
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
    assert!(registry.asked().is_empty());
    let options = Options { insecure: vec!["reg.test".to_owned()], ..Options::default() };
    let client = Client { options, ..client(&fetcher, &()) };
    let pushed = push(&client, &image, &name, &store, &()).unwrap();
    assert!(registry.blob("shop", &pushed.layers[0].digest).is_some());
}

#[test]
fn nobody_at_home() {
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[b"x"]));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let name = reference(&format!("127.0.0.1:{port}/shop:1"));
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    let expected = format!("127.0.0.1:{port}");
    assert!(
        matches!(&error, RegistryError::Unreachable { registry, .. } if *registry == expected),
        "{error:?}"
    );
}
