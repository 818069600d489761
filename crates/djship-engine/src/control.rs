//! The control socket between the front and the processes inside: sends descriptors in, brings events out, and is the
//! lifeline.
//!
//! A `SOCK_SEQPACKET` pair: message boundaries are the kernel's, no framing of our own. The front's end exists in the front
//! alone; its hang-up is how init learns that the front is gone, whatever ended it.

use std::{
    io::{IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Deserialize, Serialize};

use crate::error::{ExitStatus, Fault, NotRunnable};

/// Largest message; an event is a few hundred bytes.
const MESSAGE_LIMIT: usize = 16 * 1024;
/// Most descriptors in one message: three streams and the caller's terminal.
const DESCRIPTOR_LIMIT: usize = 4;

/// What the processes inside tell the front.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// The container's PID 1 (or the joining helper's child) was born; its number as the front sees it.
    Born { pid: i32 },
    /// The program's terminal; its front end comes along as a descriptor.
    Terminal,
    /// The program was executed.
    Started,
    /// A step failed; nothing runs.
    Failed(Fault),
    /// The program (second) cannot be executed; nothing runs.
    NotRunnable(NotRunnable, String),
    /// The program ended.
    Ended(ExitStatus),
}

/// Makes the pair: the front's end and the inside's end, both close-on-exec.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Sends descriptors with a one-byte message, as an empty message would read as end of file.
pub(crate) fn send_descriptors(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    send(socket, b"d", descriptors)
}

/// Receives the descriptors of [`send_descriptors`].
pub(crate) fn receive_descriptors(socket: BorrowedFd<'_>) -> Result<Vec<OwnedFd>, Errno> {
    let mut byte = [0_u8; 1];
    let (length, descriptors) = receive(socket, &mut byte, RecvFlags::empty())?;
    if length == 0 { Err(Errno::PIPE) } else { Ok(descriptors) }
}

/// Sends an event, with the terminal's descriptor where it is [`Event::Terminal`].
pub(crate) fn send_event(
    socket: BorrowedFd<'_>,
    event: &Event,
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut text = serde_json::to_vec(event).map_err(|_| Errno::INVAL)?;
    text.truncate(MESSAGE_LIMIT);
    send(socket, &text, descriptor.as_slice())
}

/// Receives the next event; `None` when every process inside has closed its end, or, with `wait` off, when there is none.
pub(crate) fn receive_event(
    socket: BorrowedFd<'_>,
    wait: bool,
) -> Result<Option<(Event, Option<OwnedFd>)>, Errno> {
    let mut buffer = vec![0_u8; MESSAGE_LIMIT];
    let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let mut received = receive(socket, &mut buffer, flags);
    if matches!(received, Err(Errno::CONNRESET)) {
        // The other side closed without having read all of ours. Reported once, and before what it has sent.
        received = receive(socket, &mut buffer, flags);
    }
    let (length, mut descriptors) = match received {
        Ok(received) => received,
        Err(Errno::AGAIN | Errno::CONNRESET) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    if length == 0 {
        return Ok(None);
    }
    let event = serde_json::from_slice(&buffer[..length]).map_err(|_| Errno::BADMSG)?;
    Ok(Some((event, descriptors.pop())))
}

fn send(socket: BorrowedFd<'_>, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    retry_on_intr(|| sendmsg(socket, &[IoSlice::new(text)], &mut ancillary, SendFlags::NOSIGNAL)).map(drop)
}

fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = retry_on_intr(|| {
        let mut slices = [IoSliceMut::new(buffer)];
        recvmsg(socket.as_fd(), &mut slices, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    Ok((message.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_descriptors_cross() {
        let (ours, theirs) = pair().unwrap();
        send_descriptors(ours.as_fd(), &[ours.as_fd(), theirs.as_fd()]).unwrap();
        assert_eq!(receive_descriptors(theirs.as_fd()).unwrap().len(), 2);
        send_event(theirs.as_fd(), &Event::Ended(ExitStatus::Code(7)), None).unwrap();
        let (event, descriptor) = receive_event(ours.as_fd(), false).unwrap().unwrap();
        assert!(matches!(event, Event::Ended(ExitStatus::Code(7))) && descriptor.is_none());
        assert!(receive_event(ours.as_fd(), false).unwrap().is_none(), "nothing more yet");
        drop(theirs);
        assert!(receive_event(ours.as_fd(), true).unwrap().is_none(), "the end");
    }

    #[test]
    fn last_words_are_heard_when_ours_were_not() {
        let (ours, theirs) = pair().unwrap();
        send_descriptors(ours.as_fd(), &[]).unwrap();
        send_event(theirs.as_fd(), &Event::Started, None).unwrap();
        drop(theirs);
        assert!(matches!(receive_event(ours.as_fd(), true), Ok(Some((Event::Started, None)))));
        assert!(matches!(receive_event(ours.as_fd(), true), Ok(None)));
    }
}
