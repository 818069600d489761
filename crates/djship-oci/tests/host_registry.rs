//! Pushes to a real registry and pulls from it, with another program as the witness.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use djship_oci::registry::push::Way;
use djship_oci::registry::{DockerConfig, Place, RegistryError, pull, push};
use djship_oci::{Compression, Platform, write_layout};
use djship_store::fetch::FetchOptions;
use djship_store::{Digest, Store};
use djship_testkit::docker_registry::{DockerRegistry, ME, Setup};
use djship_testkit::{need, needs};
use support::{Is, client, fetcher, fetcher_with, image, noise, password, reference, store};

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[ignore = "needs docker-registry and skopeo"]
fn skopeo_reads_what_was_pushed_and_we_read_what_skopeo_pushed() {
    need!(needs::program("docker-registry"));
    need!(needs::program("skopeo"));
    let registry = DockerRegistry::start(&Setup::default()).unwrap();
    let (dir, store) = store();
    let fetcher = fetcher();
    let image = image(&store, &[&noise(1, 3_000_000), b"code", b""]);
    let name = reference(&format!("{}/team/shop:1", registry.host()));
    let pushed = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap();

    let remote = format!("docker://{name}");
    let shown = skopeo(&["inspect", "--tls-verify=false", &remote]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["Digest"], pushed.digest.to_string());
    let config = skopeo(&["inspect", "--tls-verify=false", "--config", "--raw", &remote]);
    assert_eq!(Digest::of(config.as_bytes()), image.id);
    // Copying reads and checks every layer.
    let copy = dir.path().join("copy");
    skopeo(&["copy", "--src-tls-verify=false", &remote, &format!("dir:{}", text(&copy))]);

    // The same image by the other way.
    let layout = dir.path().join("layout");
    let names = ["shop:2".parse().unwrap()];
    write_layout(&image, &layout, &names, Compression::Gzip, &store).unwrap();
    let other = format!("docker://{}/theirs:2", registry.host());
    skopeo(&["copy", "--dest-tls-verify=false", &format!("oci:{}:2", text(&layout)), &other]);
    let (_dir, empty) = self::store();
    let name = reference(&format!("{}/theirs:2", registry.host()));
    let pulled = pull(&client(&fetcher, &()), &name, &Platform::linux("amd64"), &empty, &()).unwrap();
    assert_eq!((pulled.digest, Digest::of(&pulled.config_bytes)), (pushed.digest, image.id));
    for (layer, ours) in pulled.layers.iter().zip(&image.layers) {
        assert_eq!((layer.content.diff_id, layer.content.tree.digest()), (ours.diff_id, ours.tree.digest()));
    }
    // Docker's own kind of manifest has another digest and the same content.
    let docker = format!("docker://{}/docker:1", registry.host());
    let (from, to) = ("--src-tls-verify=false", "--dest-tls-verify=false");
    skopeo(&["copy", "--format", "v2s2", from, to, &remote, &docker]);
    let name = reference(&format!("{}/docker:1", registry.host()));
    let pulled = pull(&client(&fetcher, &()), &name, &Platform::linux("amd64"), &empty, &()).unwrap();
    assert_ne!(pulled.digest, pushed.digest);
    assert_eq!(pulled.layers[1].content.tree.digest(), image.layers[1].tree.digest());
    registry.stop().unwrap();
}

#[test]
#[ignore = "needs docker-registry"]
fn a_change_is_small_and_other_repositories_share() {
    need!(needs::program("docker-registry"));
    let registry = DockerRegistry::start(&Setup::default()).unwrap();
    let (_dir, store) = store();
    let fetcher = fetcher();
    let base = noise(2, 2_000_000);
    let push = |repository: &str, code: &[u8]| {
        let name = reference(&format!("{}/{repository}:1", registry.host()));
        push(&client(&fetcher, &()), &image(&store, &[&base, code]), &name, &store, &()).unwrap()
    };
    assert!(push("shop", b"one").sent > 2_000_000);
    let second = push("shop", b"two");
    assert!(second.sent < 5_000 && second.present > 2_000_000, "{second:?}");
    let third = push("blog", b"three");
    assert_eq!(third.layers[0].way, Way::Mounted);
    assert!(third.sent < 5_000 && third.mounted > 2_000_000, "{third:?}");
    assert_eq!(push("blog", b"three").sent, 0);
}

#[test]
#[ignore = "needs docker-registry"]
fn passwords_open_the_registry() {
    need!(needs::program("docker-registry"));
    let setup = Setup { htpasswd: Some(ME.to_owned()), ..Setup::default() };
    let registry = DockerRegistry::start(&setup).unwrap();
    let (_dir, store) = store();
    let (fetcher, image) = (fetcher(), image(&store, &[b"x"]));
    let name = reference(&format!("{}/shop:1", registry.host()));
    let error = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::LoginNeeded { .. }), "{error:?}");
    let error = push(&client(&fetcher, &password("me", "wrong")), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::WrongCredentials { .. }), "{error:?}");
    // As `docker login` writes it.
    let config = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6czNjcmV0"}}}}}}"#, registry.host());
    let config = DockerConfig::parse(config.as_bytes(), Path::new("config.json")).unwrap();
    let places = config.places(name.registry(), name.repository());
    let [Place::Here(login)] = places.as_slice() else { panic!("{places:?}") };
    let me = Is(login.clone());
    let pushed = push(&client(&fetcher, &me), &image, &name, &store, &()).unwrap();
    let (_dir, empty) = self::store();
    let pulled = pull(&client(&fetcher, &me), &name, &Platform::linux("amd64"), &empty, &()).unwrap();
    assert_eq!(pulled.digest, pushed.digest);
    // As it is, and as a header has it.
    assert!(!["s3cret", "bWU6czNjcmV0"].iter().any(|word| registry.text().contains(word)));
}

#[test]
#[ignore = "needs docker-registry"]
fn only_known_certificates_are_trusted() {
    need!(needs::program("docker-registry"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let tls = Some((certificate.clone(), made.signing_key.serialize_pem()));
    let registry = DockerRegistry::start(&Setup { tls, ..Setup::default() }).unwrap();
    let (dir, store) = store();
    let image = image(&store, &[b"x"]);
    let name = reference(&format!("{}/shop:1", registry.host()));
    let error = push(&client(&fetcher(), &()), &image, &name, &store, &()).unwrap_err();
    assert!(matches!(error, RegistryError::Certificate { .. }), "{error:?}");
    let bundle = dir.path().join("ca.crt");
    fs_err::write(&bundle, certificate).unwrap();
    let knowing = fetcher_with(FetchOptions { ca_bundle: Some(bundle), ..FetchOptions::default() });
    push(&client(&knowing, &()), &image, &name, &store, &()).unwrap();
}

/// Forwards connections to `port`; breaks the first `breaks` that carry more than `limit` bytes there.
fn breaking(port: u16, breaks: usize, limit: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let left = Arc::new(AtomicUsize::new(breaks));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, left) = (client.unwrap(), Arc::clone(&left));
            let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || {
                let (mut buffer, mut carried) = (vec![0; 16 * 1024], 0);
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    carried += read;
                    let one_less = |left: usize| left.checked_sub(1);
                    if carried > limit
                        && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
                    {
                        break;
                    }
                    if server.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                let _ = (server.shutdown(Shutdown::Both), client.shutdown(Shutdown::Both));
            });
        }
    });
    own
}

#[test]
#[ignore = "needs docker-registry"]
fn a_broken_upload_arrives_whole() {
    need!(needs::program("docker-registry"));
    let registry = DockerRegistry::start(&Setup::default()).unwrap();
    let (_dir, store) = store();
    let fetcher = fetcher();
    let image = image(&store, &[&noise(3, 8_000_000)]);
    let port = breaking(registry.port(), 2, 3_000_000);
    let name = reference(&format!("127.0.0.1:{port}/shop:1"));
    let pushed = push(&client(&fetcher, &()), &image, &name, &store, &()).unwrap();
    let (_dir, empty) = self::store();
    let name = reference(&format!("{}/shop:1", registry.host()));
    let pulled = pull(&client(&fetcher, &()), &name, &Platform::linux("amd64"), &empty, &()).unwrap();
    assert_eq!(pulled.digest, pushed.digest);
    // This registry's address of an upload does not outlive a break, so each begins again.
    let began = registry.text().matches("\"PATCH /v2/shop/").count();
    assert!(began >= 3, "{began}");
}

#[test]
#[ignore = "needs docker-registry and root"]
fn a_full_registry_says_so() {
    need!(needs::root());
    need!(needs::program("docker-registry"));
    let registry = DockerRegistry::start(&Setup { disk: Some(1_000_000), ..Setup::default() }).unwrap();
    let (_dir, store) = store();
    let image = image(&store, &[&noise(4, 4_000_000)]);
    let name = reference(&format!("{}/shop:1", registry.host()));
    let error = push_once(&store, &image, &name);
    assert!(matches!(error, RegistryError::Full { .. }), "{error:?}\n{}", registry.text());
}

fn push_once(
    store: &Store,
    image: &djship_oci::Image,
    name: &djship_oci::registry::Reference,
) -> RegistryError {
    push(&client(&fetcher(), &()), image, name, store, &()).unwrap_err()
}
