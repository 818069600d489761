//! The containers of servers: a read-only root on the host's network, one user, data in one place.

use std::net::IpAddr;
use std::path::PathBuf;

use djship_engine::{Container, Network, RunUser, Stdio, Streams};

use crate::child;

/// The user inside that servers run as.
pub(super) const USER: RunUser = RunUser { uid: 999, gid: 999 };
/// Where the volume is inside.
pub(super) const DATA: &str = "/data";

/// A container for a server that calls itself `account`. `names` are further ones for `/etc/hosts`.
pub(super) fn server(
    root: PathBuf,
    argv: Vec<String>,
    account: &str,
    names: &[(IpAddr, String)],
) -> Container {
    let mut container = Container::new([root], argv);
    container.network = Network::Host;
    container.env("HOME", "/tmp").env("LANG", "C.UTF-8");
    container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped };
    let names: String = names.iter().map(|(address, name)| format!("{address}\t{name}\n")).collect();
    container.file("/etc/hosts", format!("127.0.0.1\tlocalhost\n{names}"));
    inhabit(&mut container, account);
    container
}

/// A container for a step that makes a server's data: nothing of the host but that.
pub(super) fn step(root: PathBuf, argv: Vec<String>, account: &str) -> Container {
    let mut container = child::step([root], argv);
    container.file("/etc/hosts", "127.0.0.1\tlocalhost\n");
    inhabit(&mut container, account);
    container
}

fn inhabit(container: &mut Container, account: &str) {
    container.unix_sockets = true;
    container.user = USER;
    let RunUser { uid, gid } = USER;
    container
        .file("/etc/passwd", format!("root:x:0:0::/root:/bin/sh\n{account}:x:{uid}:{gid}::/tmp:/bin/sh\n"));
    container.file("/etc/group", format!("root:x:0:\n{account}:x:{gid}:\n"));
}
