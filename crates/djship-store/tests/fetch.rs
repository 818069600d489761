//! Downloads from a scripted server on the loopback.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use djship_store::fetch::{FetchError, FetchOptions, Fetcher, Progress};
use djship_store::{Bucket, Digest, Store};

/// Answers one connection after the other; a connection stays open as long as its answers allow it. What is asked beyond
/// the script gets no answer.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Plain HTTP. An empty answer closes the connection without one.
    fn new(answers: Vec<String>) -> Self {
        Self::with_wrapper(answers, Box::new)
    }

    fn with_wrapper<S: Read + Write>(
        answers: Vec<String>,
        wrap: impl Fn(TcpStream) -> Box<S> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, opened) = (requests.clone(), connections.clone());
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                opened.fetch_add(1, Ordering::Relaxed);
                let mut stream = BufReader::new(wrap(stream.unwrap()));
                while let Some(request) = read_request(&mut stream) {
                    seen.lock().unwrap().push(request);
                    let answer = answers.next().unwrap_or_default();
                    if stream.get_mut().write_all(answer.as_bytes()).is_err()
                        || stream.get_mut().flush().is_err()
                        || answer.is_empty()
                        || answer.contains("Connection: close")
                    {
                        break;
                    }
                }
            }
        });
        Self { port, requests, connections }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut impl std::io::BufRead) -> Option<String> {
    let mut request = String::new();
    loop {
        let before = request.len();
        if stream.read_line(&mut request).ok()? == 0 {
            return None;
        }
        if request[before..].trim().is_empty() {
            return Some(request);
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
}

/// Promises 7 bytes and sends fewer.
fn broken(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{body}")
}

fn options() -> FetchOptions {
    FetchOptions { pause: Duration::ZERO, ..FetchOptions::default() }
}

fn fetcher() -> Fetcher {
    Fetcher::new(options()).unwrap()
}

#[derive(Default)]
struct Count(AtomicI64);

impl Progress for Count {
    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    fn take_back(&self, bytes: u64) {
        self.0.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
    }
}

#[test]
fn bodies_come_over_one_connection() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n".to_owned();
    let server = Server::new(vec![ok("one"), chunked]);
    let fetcher = fetcher();
    assert_eq!(fetcher.get(&server.url("a"), 3).unwrap(), b"one");
    assert_eq!(fetcher.get(&server.url("b"), 3).unwrap(), b"two");
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
    assert!(server.requests()[0].contains("djship/"), "{:?}", server.requests());
}

#[test]
fn limits_hold_with_and_without_a_promised_length() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n".to_owned();
    let server = Server::new(vec![ok("one"), chunked]);
    for path in ["a", "b"] {
        let error = fetcher().get(&server.url(path), 2).unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { limit: 2, .. }), "{error}");
    }
}

#[test]
fn what_passes_is_tried_again_and_what_stays_is_not() {
    let slow_down = "HTTP/1.1 429 Slow down\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_owned();
    let server = Server::new(vec![status("503 Busy"), slow_down, String::new(), ok("there")]);
    assert_eq!(fetcher().get(&server.url("a"), 9).unwrap(), b"there");
    assert_eq!(server.requests().len(), 4);

    let server = Server::new(vec![status("404 Not found"), ok("never asked for")]);
    let error = fetcher().get(&server.url("a"), 99).unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 404, .. }), "{error}");
    assert_eq!(server.requests().len(), 1);

    let server = Server::new(vec![status("500 No"), status("500 No"), status("500 No"), ok("too late")]);
    let fetcher = Fetcher::new(FetchOptions { retries: 2, ..options() }).unwrap();
    let error = fetcher.get(&server.url("a"), 99).unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 500, .. }), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_blob_survives_a_broken_connection_and_is_asked_for_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let server = Server::new(vec![broken("con"), ok("content")]);
    let (digest, count) = (Digest::of(b"content"), Count::default());
    let fetcher = fetcher();
    for _ in 0..2 {
        let path = fetcher.get_blob(&server.url("a"), &digest, 7, &store, &count).unwrap();
        assert_eq!(fs_err::read(path).unwrap(), b"content");
    }
    assert_eq!(server.requests().len(), 2);
    assert_eq!(count.0.into_inner(), 14);
}

#[test]
fn a_wrong_blob_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let server = Server::new(vec![ok("hostile"), ok("longer content"), ok("short"), ok("short")]);
    let digest = Digest::of(b"content");
    let fetcher = Fetcher::new(FetchOptions { retries: 1, ..options() }).unwrap();
    let get = || fetcher.get_blob(&server.url("a"), &digest, 7, &store, &()).unwrap_err();
    assert!(matches!(get(), FetchError::WrongDigest { .. }));
    assert!(matches!(get(), FetchError::TooLarge { .. }));
    assert!(matches!(get(), FetchError::WrongSize { expected: 7, found: 5, .. }));
    assert_eq!(server.requests().len(), 4);
    assert_eq!(store.find(Bucket::Blobs, &digest), None);
    assert_eq!(fs_err::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn offline_asks_nobody_but_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let server = Server::new(vec![ok("x")]);
    let fetcher = Fetcher::new(FetchOptions { offline: true, ..options() }).unwrap();
    assert!(matches!(fetcher.get(&server.url("a"), 9), Err(FetchError::Offline { .. })));
    let (digest, path) = store.put_blob(b"here").unwrap();
    assert_eq!(fetcher.get_blob(&server.url("a"), &digest, 4, &store, &()).unwrap(), path);
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

#[test]
fn credentials_reach_the_server_and_no_message() {
    let server = Server::new(vec![status("401 Who?")]);
    let url = format!("http://me:s3cret@127.0.0.1:{}/x?token=s3cret", server.port);
    let error = fetcher().get(&url, 9).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    let request = server.requests().concat().to_lowercase();
    assert!(request.contains("authorization: basic bwu6cznjcmv0"), "{request}");
    assert!(request.starts_with("get /x?token=s3cret http/1.1"), "{request}");
    // Nobody listens on a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fetcher().get(&format!("http://me:s3cret@127.0.0.1:{port}/"), 9).unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn a_proxy_is_asked_for_what_it_should_be() {
    let (proxy, direct) = (Server::new(vec![ok("by proxy"), ok("again")]), Server::new(vec![ok("direct")]));
    let fetcher = Fetcher::new(FetchOptions {
        http_proxy: Some(format!("http://me:s3cret@127.0.0.1:{}", proxy.port)),
        no_proxy: vec!["127.0.0.1".to_owned()],
        ..options()
    })
    .unwrap();
    assert!(!format!("{fetcher:?}").contains("s3cret"));
    assert_eq!(fetcher.get("http://mirror.test/file?x", 99).unwrap(), b"by proxy");
    assert_eq!(fetcher.get("http://mirror.test/more", 99).unwrap(), b"again");
    assert_eq!(fetcher.get(&direct.url("file"), 99).unwrap(), b"direct");
    let requests = proxy.requests();
    assert!(requests[0].starts_with("GET http://mirror.test/file?x HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[1].starts_with("GET http://mirror.test/more HTTP/1.1\r\n"), "{requests:?}");
    for request in &requests {
        let request = request.to_lowercase();
        assert!(request.contains("proxy-authorization: basic bwu6cznjcmv0\r\n"), "{request}");
        assert!(request.contains("host: mirror.test\r\n"), "{request}");
    }
    assert_eq!(proxy.connections.load(Ordering::Relaxed), 1);
    assert!(!direct.requests().concat().to_lowercase().contains("proxy"));

    // What is encrypted goes through a tunnel.
    let proxy = Server::new(vec![status("403 No")]);
    let options = FetchOptions { https_proxy: Some(proxy.url("")), retries: 0, ..options() };
    Fetcher::new(options).unwrap().get("https://mirror.test/file", 99).unwrap_err();
    assert!(proxy.requests()[0].starts_with("CONNECT mirror.test:443 "), "{:?}", proxy.requests());
}

#[test]
fn redirects_are_followed_without_the_credentials() {
    let target = Server::new(vec![ok("there")]);
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", target.url("b"));
    let server = Server::new(vec![answer]);
    let url = format!("http://me:s3cret@127.0.0.1:{}/a", server.port);
    assert_eq!(fetcher().get(&url, 99).unwrap(), b"there");
    assert!(!target.requests().concat().to_lowercase().contains("authorization"));
}

#[test]
fn https_trusts_the_given_authority_and_nobody_unknown() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let server = Server::with_wrapper(vec![ok("over TLS")], move |stream| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    });
    let url = format!("https://localhost:{}/", server.port);
    let error = fetcher().get(&url, 99).unwrap_err();
    assert!(matches!(error, FetchError::Network { .. }), "{error}");
    assert_eq!(server.connections.load(Ordering::Relaxed), 1, "an unknown authority is final: {error}");

    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    fs_err::write(&bundle, cert.pem()).unwrap();
    let fetcher = Fetcher::new(FetchOptions { ca_bundle: Some(bundle.clone()), ..options() }).unwrap();
    assert_eq!(fetcher.get(&url, 99).unwrap(), b"over TLS");

    fs_err::write(&bundle, "nothing").unwrap();
    let error = Fetcher::new(FetchOptions { ca_bundle: Some(bundle), ..options() }).unwrap_err();
    assert!(matches!(error, FetchError::NoCertificates { .. }), "{error}");
}
