//! A few words with a server over TCP, each with a limit: enough to know that it serves.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server on this machine may take for one word.
const PATIENCE: Duration = Duration::from_millis(800);

/// A connection.
#[derive(Debug)]
pub(super) struct Talk(TcpStream);

impl Talk {
    /// Connects; `None` when nobody answers.
    pub(super) fn with(address: SocketAddr) -> Option<Self> {
        Self::open(address).ok()
    }

    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Says something.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.0.write_all(bytes).ok()
    }

    /// Hears exactly `length` bytes.
    pub(super) fn hear(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Hears one line, without its end; at most 512 bytes.
    pub(super) fn hear_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while line.len() < 512 {
            match self.hear(1)?[0] {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        Some(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
    }
}

/// Whether somebody listens there.
pub(super) fn listens(address: SocketAddr) -> bool {
    Talk::with(address).is_some()
}
