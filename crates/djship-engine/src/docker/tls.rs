//! Connections with TLS: a thread stands between the network and a pair of sockets, so that everybody else has one descriptor
//! for both directions, as with every other connection.

use std::{
    fs::File,
    io::{self, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

use super::{error::DockerError, stream::Stream};

/// Most plain bytes that wait for either side.
const WAITING: usize = 256 << 10;

/// Names of the files, as the `docker` command has them.
const AUTHORITY: &str = "ca.pem";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// Connects to `authority` (`host:port`) with the certificates in a folder: the daemon's must be of `ca.pem`, and ours is
/// `cert.pem`, if it is there.
pub(crate) fn connect(authority: &str, folder: &Path) -> Result<Result<Stream, io::Error>, DockerError> {
    let config = configuration(folder)?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| DockerError::Address { address: format!("tcp://{authority}") })?;
    Ok(begin(authority, config, name))
}

fn begin(authority: &str, config: ClientConfig, name: ServerName<'static>) -> io::Result<Stream> {
    let mut network = TcpStream::connect(authority)?;
    network.set_nodelay(true)?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut network)?;
    }
    network.set_nonblocking(true)?;
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    thread::spawn(move || {
        // Whoever uses the connection sees its end.
        let _ = Between { tls, network, plain: theirs, inward: Vec::new(), ended: false }.run();
    });
    Ok(Stream::of(ours.into()))
}

fn configuration(folder: &Path) -> Result<ClientConfig, DockerError> {
    let failed = |name: &str| {
        let path = folder.join(name);
        move |error: &dyn std::fmt::Display| DockerError::Certificate { path, reason: error.to_string() }
    };
    let open = |name: &str| fs_err::File::open(folder.join(name)).map_err(|error| failed(name)(&error));
    let certificates = |name: &str, file: File| {
        CertificateDer::pem_reader_iter(BufReader::new(file))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| failed(name)(&error))
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(AUTHORITY, open(AUTHORITY)?.into_parts().0)? {
        roots.add(certificate).map_err(|error| failed(AUTHORITY)(&error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(AUTHORITY)(&error))?
        .with_root_certificates(roots);
    if !folder.join(CERTIFICATE).exists() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(CERTIFICATE, open(CERTIFICATE)?.into_parts().0)?;
    let key =
        PrivateKeyDer::from_pem_reader(BufReader::new(open(KEY)?)).map_err(|error| failed(KEY)(&error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| failed(CERTIFICATE)(&error))
}

/// Copies between the network and the plain side until either ends.
struct Between {
    tls: ClientConnection,
    network: TcpStream,
    plain: UnixStream,
    /// Decrypted, and not yet taken.
    inward: Vec<u8>,
    /// The network's side says no more.
    ended: bool,
}

impl Between {
    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            while self.tls.wants_write() && again(self.tls.write_tls(&mut self.network))?.is_some() {}
            self.deliver()?;
            if self.ended && self.inward.is_empty() {
                return Ok(());
            }
            let (network, plain) = (self.network_events(), self.plain_events());
            let mut watched = [PollFd::new(&self.network, network), PollFd::new(&self.plain, plain)];
            match poll(&mut watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let [from_network, from_plain] = [0, 1].map(|index| watched[index].revents());
            if !from_network.is_empty() && network.contains(PollFlags::IN) {
                self.receive(&mut buffer)?;
            }
            if !from_plain.is_empty() && plain.contains(PollFlags::IN) {
                match again(self.plain.read(&mut buffer))? {
                    Some(0) => return self.part(),
                    Some(read) => self.tls.writer().write_all(&buffer[..read])?,
                    None => {}
                }
            } else if from_plain.intersects(PollFlags::HUP | PollFlags::ERR) {
                return self.part();
            }
        }
    }

    fn network_events(&self) -> PollFlags {
        let reads = !self.ended && self.inward.len() < WAITING;
        let mut events = if reads { PollFlags::IN } else { PollFlags::empty() };
        if self.tls.wants_write() {
            events |= PollFlags::OUT;
        }
        events
    }

    fn plain_events(&self) -> PollFlags {
        // What is encrypted and not sent yet holds up what comes after it.
        let mut events = if self.tls.wants_write() { PollFlags::empty() } else { PollFlags::IN };
        if !self.inward.is_empty() {
            events |= PollFlags::OUT;
        }
        events
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match again(self.tls.read_tls(&mut self.network))? {
            Some(0) => self.ended = true,
            Some(_) => {
                self.tls.process_new_packets().map_err(io::Error::other)?;
            }
            None => return Ok(()),
        }
        loop {
            match self.tls.reader().read(buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(read) => self.inward.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // An end without a farewell: the HTTP above knows whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.ended = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn deliver(&mut self) -> io::Result<()> {
        while !self.inward.is_empty() {
            match again(self.plain.write(&self.inward))? {
                Some(written) => drop(self.inward.drain(..written)),
                None => break,
            }
        }
        Ok(())
    }

    /// Our side has ended: says so, and closes the connection.
    fn part(mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.network.set_nonblocking(false)?;
        self.network.set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.network)?;
        }
        Ok(())
    }
}

/// `None` when it has to be tried again.
fn again(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(length) => Ok(Some(length)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
