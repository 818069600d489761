//! Whether a port is free, and who holds it when it is not.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use super::RunError;

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name, as the kernel has it.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Whether a server can listen on `address`.
pub fn check_free(address: SocketAddr) -> Result<(), RunError> {
    let first = fs_err::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first = first.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    if address.port() < first {
        return Err(RunError::Privileged { address, first });
    }
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(RunError::PortInUse { address, holder: holder(address.port()) })
        }
        Err(source) => Err(RunError::Address { address, source }),
    }
}

/// Who listens on a port of this host, as far as this user may see: `/proc/net/tcp` has the socket's inode, the
/// processes' descriptors lead to it (proc(5)).
fn holder(port: u16) -> Option<Holder> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs_err::read_to_string(file).unwrap_or_default());
    let inodes: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| listener(line, port))
        .collect();
    for process in fs_err::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(descriptors) = fs_err::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors
            .flatten()
            .filter_map(|descriptor| fs_err::read_link(descriptor.path()).ok())
            .any(|link| {
                let link = link.to_string_lossy();
                link.strip_prefix("socket:[")
                    .and_then(|rest| rest.strip_suffix(']'))
                    .is_some_and(|inode| inodes.iter().any(|own| own == inode))
            });
        if holds {
            let name = fs_err::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder { pid, name: name.trim().to_owned() });
        }
    }
    None
}

/// The inode of a listening socket (state 0A) on that port.
fn listener(line: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let matches = u16::from_str_radix(local, 16) == Ok(port) && fields.get(3) == Some(&"0A");
    matches.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Err(RunError::PortInUse { holder: Some(holder), .. }) = check_free(address) else { panic!() };
        assert_eq!(holder.pid, std::process::id());
        drop(listener);
        assert!(check_free(address).is_ok());
    }
}
