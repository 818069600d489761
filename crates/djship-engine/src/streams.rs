//! The three standard streams of a program: which descriptors go in, which ends stay with the caller.

use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use crate::{
    container::{Stdio, Streams},
    error::StartError,
};

/// Both ends of everything.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Input, output, error: the program's.
    pub(crate) theirs: [OwnedFd; 3],
    /// The caller's ends of pipes.
    pub(crate) ours: Ours,
}

/// The caller's ends of pipes.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

/// Opens what the description asks for.
pub(crate) fn prepare(streams: Streams) -> Result<Prepared, StartError> {
    open(streams).map_err(|source| StartError::Spawn { verb: "open its standard streams", source })
}

fn open(streams: Streams) -> io::Result<Prepared> {
    let mut ours = Ours::default();
    let stdin = match streams.stdin {
        Stdio::Inherit => inherit(io::stdin().as_fd())?,
        Stdio::Null => null()?,
        Stdio::Piped => {
            let (reader, writer) = io::pipe()?;
            ours.stdin = Some(writer);
            reader.into()
        }
    };
    let output = |how, own: BorrowedFd<'_>, keep: &mut Option<PipeReader>| match how {
        Stdio::Inherit => inherit(own),
        Stdio::Null => null(),
        Stdio::Piped => {
            let (reader, writer) = io::pipe()?;
            *keep = Some(reader);
            Ok(writer.into())
        }
    };
    let stdout = output(streams.stdout, io::stdout().as_fd(), &mut ours.stdout)?;
    let stderr = output(streams.stderr, io::stderr().as_fd(), &mut ours.stderr)?;
    Ok(Prepared { theirs: [stdin, stdout, stderr], ours })
}

fn null() -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open("/dev/null")?.into())
}

/// A copy of an own stream; a closed one is like an empty one.
fn inherit(own: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match own.try_clone_to_owned() {
        Err(error) if error.raw_os_error() == Some(libc::EBADF) => null(),
        other => other,
    }
}
