//! PostgreSQL from Debian's package, without its wrapper scripts.

mod accounts;
mod extensions;
mod lasting;
mod replace;
mod sql;
mod throw_away;

use std::net::SocketAddr;
use std::path::PathBuf;

use djship_deb::Codename;

pub(super) use lasting::prepare;
pub use throw_away::{Account, Postgres, PostgresError};

use super::listen;

/// The port, the one that settings have when they do not say.
pub const PORT: u16 = 5432;
/// The name of the server's user inside.
const USER: &str = "postgres";
/// Where its socket is inside.
const SOCKETS: &str = "/tmp";

/// An unpacked server.
#[derive(Debug, Clone)]
struct Programs {
    root: PathBuf,
    folder: String,
}

impl Programs {
    fn new(root: PathBuf, codename: Codename) -> Self {
        Self { root, folder: djship_deb::sets::postgres_bin(codename) }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// The command line that makes a data folder for a superuser. Everybody in the container gets in through the socket.
    fn initdb(&self, superuser: &str, further: &[&str]) -> Vec<String> {
        let initdb = self.path("initdb");
        let arguments = [
            initdb.as_str(),
            "-D",
            super::container::DATA,
            "-U",
            superuser,
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        ];
        arguments.iter().chain(further).map(|word| (*word).to_owned()).collect()
    }

    /// The command line of the server, with further settings.
    fn postgres(&self, addresses: &[SocketAddr], further: &[&str]) -> Vec<String> {
        let settings = [
            format!("listen_addresses={}", listen::joined(addresses, ",")),
            format!("port={}", addresses[0].port()),
            format!("unix_socket_directories={SOCKETS}"),
            // The compiler for queries is 120 MB of LLVM, and left out.
            "jit=off".to_owned(),
        ];
        let settings = settings.into_iter().chain(further.iter().map(|setting| (*setting).to_owned()));
        let program = [self.path("postgres"), "-D".to_owned(), super::container::DATA.to_owned()];
        program.into_iter().chain(settings.flat_map(|setting| ["-c".to_owned(), setting])).collect()
    }
}
