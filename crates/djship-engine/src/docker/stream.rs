//! A connection to the daemon: one descriptor, whatever lies behind it.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use rustix::net::{SendFlags, Shutdown, send, shutdown};

/// Both directions of a connection. Clones share it.
#[derive(Debug)]
pub(crate) struct Stream(OwnedFd);

impl Stream {
    pub(crate) fn unix(socket: &Path) -> io::Result<Self> {
        UnixStream::connect(socket).map(|stream| Self(stream.into()))
    }

    pub(crate) fn of(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Ends both directions, also for clones that wait.
    pub(crate) fn hang_up(&self) {
        // Whoever hung up before did the same.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
