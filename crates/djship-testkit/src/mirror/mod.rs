//! A Debian mirror on the loopback interface: it fetches from the mirror that this machine's apt uses, keeps what it
//! fetched in the suite's cache, and can misbehave on demand.
//!
//! With it, a build "from nothing" downloads from the network once for the whole suite, and a test can count requests,
//! cut a download in the middle, or change a byte.

pub(crate) mod upstream;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cache;
use upstream::Upstream;

/// A running mirror; it ends on drop.
#[derive(Debug)]
pub struct DebianMirror {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

/// What goes wrong with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The file is not there.
    NotFound,
    /// The server is overloaded.
    Unavailable,
    /// The connection ends after this many bytes.
    CutAfter(usize),
    /// The byte at this place is another one; the size stays.
    FlipByte(usize),
    /// The first byte comes after this time.
    Late(Duration),
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    is_over: AtomicBool,
    requests: Mutex<Vec<String>>,
    faults: Mutex<Vec<(String, Fault)>>,
}

impl DebianMirror {
    /// Starts a mirror on a free port.
    pub fn start() -> Result<Self> {
        Self::of(Upstream::of_this_machine(cache::cache_dir()?.join("mirror"))?)
    }

    fn of(upstream: Upstream) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            is_over: AtomicBool::new(false),
            requests: Mutex::default(),
            faults: Mutex::default(),
        });
        let server = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, server: Some(server) })
    }

    /// The base of the main archive, for `DJSHIP_DEBIAN_MIRROR`.
    pub fn main(&self) -> String {
        format!("http://{}/main", self.address)
    }

    /// The base of the security archive, for `DJSHIP_DEBIAN_SECURITY_MIRROR`.
    pub fn security(&self) -> String {
        format!("http://{}/security", self.address)
    }

    /// From now on, `fault` happens to every file whose path contains `part`: `InRelease`, `libpq5_`.
    pub fn break_files(&self, part: &str, fault: Fault) {
        lock(&self.shared.faults).push((part.to_owned(), fault));
    }

    /// From now on, everything works.
    pub fn mend(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Takes the paths that were asked for since the last call, in order.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.requests))
    }
}

impl Drop for DebianMirror {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_over.load(Ordering::Acquire) {
            return;
        }
        let shared = Arc::clone(shared);
        if let Ok(stream) = stream {
            // A client that goes away in the middle is not our business.
            std::thread::spawn(move || answer(stream, &shared).ok());
        }
    }
}

/// Answers the one request of a connection.
fn answer(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().context("no request")??;
    // The headers say nothing that matters here.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    lock(&shared.requests).push(path.clone());
    let fault = lock(&shared.faults).iter().find(|(part, _)| path.contains(part)).map(|(_, fault)| *fault);
    let mut content = match fault {
        Some(Fault::NotFound) => return head(&mut stream, "404 Not Found", 0),
        Some(Fault::Unavailable) => return head(&mut stream, "503 Service Unavailable", 0),
        _ => match shared.upstream.get(&path) {
            Ok(Some(content)) => content,
            Ok(None) => return head(&mut stream, "404 Not Found", 0),
            Err(error) => {
                eprintln!("the mirror cannot get {path}: {error:#}");
                return head(&mut stream, "502 Bad Gateway", 0);
            }
        },
    };
    let mut sent = content.len();
    match fault {
        Some(Fault::CutAfter(length)) => sent = sent.min(length),
        Some(Fault::FlipByte(at)) => {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1;
            }
        }
        Some(Fault::Late(time)) => std::thread::sleep(time),
        _ => {}
    }
    head(&mut stream, "200 OK", content.len())?;
    stream.write_all(&content[..sent])?;
    Ok(())
}

fn head(stream: &mut TcpStream, status: &str, length: usize) -> Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;

    /// A mirror whose files are all in its cache already, so that it asks nobody.
    fn mirror(folder: &std::path::Path) -> DebianMirror {
        let pool = folder.join("main/pool/a");
        fs_err::create_dir_all(&pool).unwrap();
        fs_err::write(pool.join("a_1.deb"), "content").unwrap();
        DebianMirror::of(Upstream::kept_only(folder.to_owned())).unwrap()
    }

    #[test]
    fn files_are_served_counted_and_broken_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = mirror(folder.path());
        let url = format!("{}/pool/a/a_1.deb", mirror.main());
        assert_eq!(Request::get(&url).send().unwrap().text(), "content");
        assert_eq!(Request::get(&format!("{}/pool/../../x", mirror.main())).send().unwrap().status, 404);
        assert_eq!(mirror.take_requests(), ["main/pool/a/a_1.deb", "main/pool/../../x"]);
        mirror.break_files("a_1", Fault::FlipByte(0));
        assert_eq!(Request::get(&url).send().unwrap().text(), "bontent");
        mirror.mend();
        mirror.break_files("a_1", Fault::CutAfter(3));
        assert!(Request::get(&url).send().is_err());
        mirror.mend();
        mirror.break_files("a_1", Fault::NotFound);
        assert_eq!(Request::get(&url).send().unwrap().status, 404);
        mirror.mend();
        assert_eq!(Request::get(&url).send().unwrap().status, 200);
    }
}
