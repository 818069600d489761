//! Descriptors of the caller's that a container's program holds, such as that of a locked file.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use rustix::{
    fs::{FileType, fstat},
    io::Errno,
};

use crate::{control, error::StartError};

/// Refuses what would lead the program out of its container.
pub(crate) fn check(held: &[BorrowedFd<'_>]) -> Result<(), StartError> {
    for descriptor in held {
        let stat = fstat(descriptor).map_err(|errno| StartError::Spawn {
            verb: "look at a descriptor to hold",
            source: io::Error::from(errno),
        })?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(StartError::HeldFolder { number: descriptor.as_raw_fd() });
        }
    }
    Ok(())
}

/// Sends the program's streams, and then what it is to hold, each in a message of its own, so that any number fits.
pub(crate) fn hand_over(
    socket: BorrowedFd<'_>,
    streams: &[BorrowedFd<'_>],
    held: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let sent = control::send_descriptors(socket, streams).and_then(|()| {
        held.iter().try_for_each(|descriptor| control::send_descriptors(socket, &[*descriptor]))
    });
    match sent {
        // Who is already gone at the other end has said why.
        Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::AsFd as _};

    use super::*;

    #[test]
    fn folders_are_not_held() {
        let folder = File::open("/").unwrap();
        let file = tempfile::tempfile().unwrap();
        check(&[file.as_fd()]).unwrap();
        let refused = check(&[file.as_fd(), folder.as_fd()]).unwrap_err();
        assert!(matches!(refused, StartError::HeldFolder { number } if number == folder.as_raw_fd()));
    }

    #[test]
    fn each_comes_in_a_message_of_its_own() {
        let (ours, theirs) = control::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        hand_over(ours.as_fd(), &[file.as_fd(); 3], &[file.as_fd(); 40]).unwrap();
        assert_eq!(control::receive_descriptors(theirs.as_fd()).unwrap().len(), 3);
        for _ in 0..40 {
            assert_eq!(control::receive_descriptors(theirs.as_fd()).unwrap().len(), 1);
        }
        drop(theirs);
        hand_over(ours.as_fd(), &[file.as_fd(); 3], &[file.as_fd()]).unwrap();
    }
}
