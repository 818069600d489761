//! An archive in memory: signed by a key made for the test, served on the loopback interface.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "every test binary uses another part")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use djship_deb::{
    Arch, Archive, ArchiveError, ArchiveOptions, Codename, Freshness, Keyring, MirrorUrl, Mirrors,
};
use djship_store::fetch::{FetchOptions, Fetcher};
use djship_store::{Digest, Store};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::types::Password;
use rand::thread_rng;

/// 2026-11-25T00:00:00Z: when the tests' archives are asked.
pub(crate) const NOW: u64 = 1_795_564_800;

/// A server of some files. Ends with the process.
#[derive(Clone)]
pub(crate) struct Server {
    address: String,
    files: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, files: Arc::default(), requests: Arc::default() };
        let for_thread = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = for_thread.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut request = String::new();
            reader.read_line(&mut request).ok().filter(|read| *read > 0)?;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok()?;
                if header.trim().is_empty() {
                    break;
                }
            }
            let path = request.split(' ').nth(1)?.trim_start_matches('/').to_owned();
            self.requests.lock().unwrap().push(path.clone());
            let body = self.files.lock().unwrap().get(&path).cloned();
            let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
            let body = body.unwrap_or_default();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).ok()?;
            stream.write_all(&body).ok()?;
        }
    }

    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(path.to_owned(), bytes.into());
    }

    /// Changes a file that is there.
    pub(crate) fn change(&self, path: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let mut files = self.files.lock().unwrap();
        let bytes = files.remove(path).unwrap_or_else(|| panic!("{path}"));
        files.insert(path.to_owned(), change(bytes));
    }

    /// The paths that were asked for since the last call.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    pub(crate) fn mirrors(&self) -> Mirrors {
        let url = |path: &str| vec![MirrorUrl::parse(&format!("{}/{path}", self.address)).unwrap()];
        Mirrors { main: url("debian"), security: url("security") }
    }
}

/// A key with a subkey that signs, as Debian's have.
pub(crate) fn new_key() -> SignedSecretKey {
    let subkey = SubkeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .build()
        .unwrap();
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .subkeys(vec![subkey])
        .build()
        .unwrap()
        .generate(thread_rng())
        .unwrap()
}

pub(crate) fn keyring_of(key: &SignedSecretKey) -> Keyring {
    let armored = SignedPublicKey::from(key.clone()).to_armored_bytes(ArmorOptions::default()).unwrap();
    let mut keyring = Keyring::empty();
    keyring.add("test", &armored).unwrap();
    keyring
}

pub(crate) fn sign(text: &str, key: &SignedSecretKey) -> String {
    CleartextSignedMessage::sign(thread_rng(), text, &key.secret_subkeys[0].key, &Password::empty())
        .unwrap()
        .to_armored_string(ArmorOptions::default())
        .unwrap()
}

/// What an archive serves; every field may be spoilt by a test.
pub(crate) struct TestArchive {
    pub(crate) server: Server,
    pub(crate) key: SignedSecretKey,
    pub(crate) date: &'static str,
    pub(crate) valid_until: Option<&'static str>,
    /// The text of `Packages`, by the folder below `dists/`.
    pub(crate) packages: HashMap<&'static str, String>,
}

pub(crate) const SUITES: [(&str, &str, &str, &str); 3] = [
    ("debian", "trixie", "stable", "main contrib"),
    ("debian", "trixie-updates", "stable-updates", "main contrib"),
    ("security", "trixie-security", "stable-security", "updates/main updates/contrib"),
];

impl TestArchive {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::start(),
            key: new_key(),
            date: "Tue, 24 Nov 2026 10:00:00 UTC",
            valid_until: Some("Tue, 01 Dec 2026 10:00:00 UTC"),
            packages: HashMap::new(),
        }
    }

    /// Puts lists and indexes of all suites on the server.
    pub(crate) fn publish(&self) {
        for (base, dist, suite, components) in SUITES {
            let plain = self.packages.get(dist).cloned().unwrap_or_default();
            let packed = xz(plain.as_bytes());
            let path = format!("{base}/dists/{dist}/main/binary-amd64");
            let digest = Digest::of(&packed).hex();
            let until = self.valid_until.map(|date| format!("Valid-Until: {date}\n")).unwrap_or_default();
            let text = format!(
                "Origin: Debian\nSuite: {suite}\nCodename: {dist}\nDate: {}\n{until}Acquire-By-Hash: yes\n\
                 Architectures: all amd64\nComponents: {components}\nSHA256:\n {} {} main/binary-amd64/Packages\n \
                 {digest} {} main/binary-amd64/Packages.xz\n",
                self.date,
                Digest::of(plain.as_bytes()).hex(),
                plain.len(),
                packed.len()
            );
            self.server.put(&format!("{path}/by-hash/SHA256/{digest}"), packed);
            self.server.put(&format!("{base}/dists/{dist}/InRelease"), sign(&text, &self.key));
        }
    }

    pub(crate) fn open(&self, store: &Store, freshness: Freshness) -> Result<Archive, ArchiveError> {
        let fetcher = fetcher(false);
        self.open_with(store, freshness, &fetcher, &keyring_of(&self.key))
    }

    pub(crate) fn open_with(
        &self,
        store: &Store,
        freshness: Freshness,
        fetcher: &Fetcher,
        keyring: &Keyring,
    ) -> Result<Archive, ArchiveError> {
        let mirrors = self.server.mirrors();
        let options = ArchiveOptions {
            codename: Codename::Trixie,
            arch: Arch::Amd64,
            mirrors: &mirrors,
            keyring,
            freshness,
        };
        Archive::open(&options, store, fetcher)
    }
}

pub(crate) fn fetcher(offline: bool) -> Fetcher {
    let options = FetchOptions { offline, retries: 0, ..FetchOptions::default() };
    Fetcher::new(options).unwrap()
}

/// Ask every time.
pub(crate) fn always() -> Freshness {
    Freshness { now: NOW, max_age: std::time::Duration::ZERO, accept_expired: false }
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A package with a control part and one executable file.
pub(crate) fn deb(name: &str, path: &str, content: &[u8], postinst: &str) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: amd64\nDescription: test\n");
    let tar = |files: &[(&str, &[u8])]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o6755);
            header.set_uid(3);
            header.set_gid(3);
            header.set_mtime(1_000_000_000);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    };
    let control = xz(&tar(&[("./control", control.as_bytes()), ("./postinst", postinst.as_bytes())]));
    let data = xz(&tar(&[(path, content)]));
    let mut bytes = b"!<arch>\n".to_vec();
    let members: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.xz", &data)];
    for (member, content) in members {
        let size = content.len();
        bytes.extend(format!("{member:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, "100644").bytes());
        bytes.extend(content);
        if size % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// The paragraph of a package in an index.
pub(crate) fn stanza(name: &str, deb: &[u8], more: &str) -> String {
    format!(
        "Package: {name}\nVersion: 1\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: {}\nSHA256: {}\n{more}\n",
        deb.len(),
        Digest::of(deb).hex()
    )
}

/// A store of the test's own.
pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}
