//! Connections through `ssh`, as the `docker` command makes them: its own helper on the other machine passes them on.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    thread,
};

use super::stream::Stream;

/// Connects to the daemon of `destination` (`host` or `user@host`).
pub(crate) fn connect(destination: &str, port: Option<u16>) -> io::Result<Stream> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new("ssh");
    // Nobody sits there to be asked for each of many connections.
    command.args(["-o", "BatchMode=yes"]);
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", destination, "docker", "system", "dial-stdio"]);
    command.stdin(OwnedFd::from(theirs.try_clone()?)).stdout(OwnedFd::from(theirs)).stderr(Stdio::inherit());
    let mut ssh = command.spawn()?;
    // It has copies of that end; nobody else must.
    drop(command);
    thread::spawn(move || {
        // It ends with the connection.
        let _ = ssh.wait();
    });
    Ok(Stream::of(ours.into()))
}
