//! A caching proxy on the loopback interface, in front of both sides: what is measured "from nothing" does not depend on the
//! network's mood, and both sides get the same files.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};

use super::upstream::{Answer, Network, Upstream};

/// A running proxy; it ends on drop.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    upstream: Arc<Upstream>,
    is_over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy on a free port, which keeps what it fetched below `kept`.
    pub(super) fn start(kept: &Path) -> Result<Self> {
        Self::of(Upstream::of_this_machine(kept)?)
    }

    fn of(upstream: Upstream) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        let address = listener.local_addr()?;
        let (upstream, is_over) = (Arc::new(upstream), Arc::new(AtomicBool::new(false)));
        let server = std::thread::spawn({
            let (upstream, is_over) = (Arc::clone(&upstream), Arc::clone(&is_over));
            move || accept(&listener, &upstream, &is_over)
        });
        Ok(Self { address, upstream, is_over, server: Some(server) })
    }

    /// The base of Debian's main archive.
    pub(super) fn debian(&self) -> String {
        format!("http://{}/main", self.address)
    }

    /// The base of Debian's security archive.
    pub(super) fn debian_security(&self) -> String {
        format!("http://{}/security", self.address)
    }

    /// The Python package index, as pip takes it.
    pub(super) fn index(&self) -> String {
        format!("http://{}/index/", self.address)
    }

    /// What was fetched over the network since the last call.
    pub(super) fn take_network(&self) -> Network {
        self.upstream.take_network()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn accept(listener: &TcpListener, upstream: &Arc<Upstream>, is_over: &AtomicBool) {
    for stream in listener.incoming() {
        if is_over.load(Ordering::Acquire) {
            return;
        }
        let upstream = Arc::clone(upstream);
        if let Ok(stream) = stream {
            // A client that goes away in the middle is not our business.
            std::thread::spawn(move || converse(stream, &upstream).ok());
        }
    }
}

/// Answers the requests of one connection, until the client closes it. Those that are sent ahead wait their turn.
fn converse(mut stream: TcpStream, upstream: &Upstream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(request) = lines.next().transpose()? {
        // The headers say nothing that matters here: a range is answered with the whole file.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let mut words = request.split(' ');
        let is_head = words.next() == Some("HEAD");
        let path = words.next().unwrap_or_default().trim_start_matches('/').to_owned();
        answer(&mut stream, upstream, &path, is_head)?;
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, upstream: &Upstream, path: &str, is_head: bool) -> Result<()> {
    match upstream.get(path) {
        Ok(Answer::File(file)) => {
            let mut file = fs_err::File::open(file)?;
            head(stream, "200 OK", "application/octet-stream", file.metadata()?.len())?;
            if !is_head {
                std::io::copy(&mut file, stream)?;
            }
        }
        Ok(Answer::Page(page)) => {
            head(stream, "200 OK", "text/html; charset=utf-8", page.len() as u64)?;
            if !is_head {
                stream.write_all(page.as_bytes())?;
            }
        }
        Ok(Answer::Missing) => head(stream, "404 Not Found", "text/plain", 0)?,
        Err(error) => {
            eprintln!("the proxy cannot get {path}: {error:#}");
            head(stream, "502 Bad Gateway", "text/plain", 0)?;
        }
    }
    Ok(())
}

fn head(stream: &mut TcpStream, status: &str, kind: &str, length: u64) -> Result<()> {
    // One write: one packet.
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    Ok(stream.write_all(head.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn requests_sent_ahead_are_answered_in_order() {
        let folder = std::env::temp_dir().join(format!("djship-bench-proxy-{}", std::process::id()));
        fs_err::create_dir_all(folder.join("mirror/main/pool")).unwrap();
        fs_err::write(folder.join("mirror/main/pool/a_1~x.deb"), "content").unwrap();
        let proxy = Proxy::of(Upstream::kept_only(&folder)).unwrap();
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        let ask = |method: &str, path: &str| format!("{method} /{path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let asked = [
            ask("GET", "main/pool/a_1%7ex.deb"),
            ask("HEAD", "main/pool/a_1~x.deb"),
            ask("GET", "main/pool/../../../x"),
        ];
        stream.write_all(asked.concat().as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        let statuses: Vec<&str> = told.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(statuses.len(), 3, "{told}");
        assert!(statuses[0].starts_with("200") && statuses[0].ends_with("\r\n\r\ncontent"), "{told}");
        assert!(statuses[1].contains("Content-Length: 7") && statuses[1].ends_with("\r\n\r\n"), "{told}");
        assert!(statuses[2].starts_with("404"), "{told}");
        assert_eq!(proxy.take_network().requests, 0);
        drop(proxy);
        fs_err::remove_dir_all(folder).unwrap();
    }
}
