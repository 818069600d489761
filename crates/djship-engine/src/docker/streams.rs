//! Standard streams of a container, between the connection to the daemon and descriptors of this process.

use std::{
    io::{self, BufReader, Read, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, mpsc},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    io::Errno,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr},
};

use super::{
    init::{self, Record, Records},
    stream::Stream,
};

/// How often the size of a terminal is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The way to the container's first process. Clones share it; one frame at a time.
#[derive(Debug, Clone)]
pub(crate) struct ToInit(Arc<Mutex<Stream>>);

impl ToInit {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    pub(crate) fn send(&self, kind: u8, content: &[u8]) -> io::Result<()> {
        let frame = init::frame(kind, content);
        match self.0.lock() {
            Ok(mut stream) => stream.write_all(&frame),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Where the program's output goes.
pub(crate) struct Outputs {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Copies what the daemon sends to where it belongs, until it ends: pieces, each with a head of eight bytes that says from
/// which stream it is and how long. Records of the first process go to `records`.
pub(crate) fn copy_output(mut from: BufReader<Stream>, to: Outputs, records: &mpsc::Sender<Record>) {
    let (mut stdout, mut stderr) = (Some(to.stdout), Some(to.stderr));
    let mut taken = Records::default();
    let mut head = [0; 8];
    let mut buffer = vec![0; 32 << 10];
    while from.read_exact(&mut head).is_ok() {
        let [kind, _, _, _, length @ ..] = head;
        let mut left = u32::from_be_bytes(length) as usize;
        while left > 0 {
            let room = left.min(buffer.len());
            let Ok(read @ 1..) = from.read(&mut buffer[..room]) else { return };
            left -= read;
            if kind == 2 {
                let (plain, found) = taken.take(&buffer[..read]);
                write_or_drop(&mut stderr, &plain);
                for record in found {
                    // Nobody waits any more: it is known how it ended.
                    let _ = records.send(record);
                }
            } else {
                write_or_drop(&mut stdout, &buffer[..read]);
            }
        }
    }
}

/// What nobody reads any more is read from the program nevertheless.
fn write_or_drop(to: &mut Option<OwnedFd>, mut bytes: &[u8]) {
    while let Some(descriptor) = to
        && !bytes.is_empty()
    {
        match rustix::io::write(&*descriptor, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(descriptor, PollFlags::OUT)], None);
            }
            Err(_) => *to = None,
        }
    }
}

/// Copies `from` to the program until it ends or `ended` is readable. A terminal's size is told, too.
pub(crate) fn copy_input(from: &OwnedFd, ended: &OwnedFd, to: &ToInit, terminal: bool) {
    let mut buffer = [0; 16 << 10];
    let mut size = None;
    loop {
        if terminal && let Ok(now) = tcgetwinsize(from) {
            let now = (now.ws_row, now.ws_col);
            if size.replace(now) != Some(now) {
                let [[a, b], [c, d]] = [now.0.to_be_bytes(), now.1.to_be_bytes()];
                let _ = to.send(b'w', &[a, b, c, d]);
            }
        }
        let mut watched = [PollFd::new(from, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        match poll(&mut watched, terminal.then_some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !watched[1].revents().is_empty() {
            return;
        }
        if watched[0].revents().is_empty() {
            continue;
        }
        match rustix::io::read(from, &mut buffer) {
            Ok(0) | Err(Errno::IO) => {
                let _ = to.send(b'e', &[]);
                return;
            }
            Ok(read) => {
                if to.send(b'd', &buffer[..read]).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

/// A terminal on this side: the controlling end for the caller, and the other one, on which bytes are passed as they are. The
/// program's own terminal is inside.
pub(crate) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let other = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    let mut settings = tcgetattr(&other)?;
    settings.make_raw();
    tcsetattr(&other, OptionalActions::Now, &settings)?;
    Ok((master, other))
}

/// Whether something became readable.
pub(crate) fn is_readable(descriptor: impl AsFd, limit: Option<&Timespec>) -> Result<bool, Errno> {
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], limit).map(|ready| ready > 0)
}
