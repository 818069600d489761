//! The terminals of programs, and who is attached to them.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::{Winsize, tcsetwinsize};

/// The terminals by the name of their program. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Terminals(Arc<Mutex<HashMap<String, Arc<Terminal>>>>);

/// The controlling end of a program's terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    end: OwnedFd,
    attached: Mutex<Vec<UnixStream>>,
}

impl Terminals {
    /// A program has a terminal from now on, a new one after a restart. Who was attached to the old one stays attached.
    pub(super) fn open(&self, program: &str, end: OwnedFd) -> Arc<Terminal> {
        let mut all = lock(&self.0);
        let attached = all.remove(program).map(|old| std::mem::take(&mut *lock(&old.attached)));
        let terminal = Arc::new(Terminal { end, attached: Mutex::new(attached.unwrap_or_default()) });
        all.insert(program.to_owned(), Arc::clone(&terminal));
        terminal
    }

    /// The terminal of a program.
    pub(super) fn find(&self, program: &str) -> Option<Arc<Terminal>> {
        lock(&self.0).get(program).cloned()
    }

    /// A program is not kept any more: whoever is attached is told by the end of the stream.
    pub(super) fn close(&self, program: &str) {
        if let Some(terminal) = lock(&self.0).remove(program) {
            for client in lock(&terminal.attached).drain(..) {
                let _ = client.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

impl Terminal {
    /// The descriptor, to be read from by one thread.
    pub(super) fn end(&self) -> &OwnedFd {
        &self.end
    }

    /// What the program prints goes to `client` as well.
    pub(super) fn attach(&self, client: UnixStream) {
        lock(&self.attached).push(client);
    }

    /// Shows bytes to everybody who is attached. Who does not read is let go: a program never waits for them.
    pub(super) fn show(&self, bytes: &[u8]) {
        lock(&self.attached).retain_mut(|client| {
            let taken = client.write_all(bytes).is_ok();
            if !taken {
                // Another end of it is still read from.
                let _ = client.shutdown(std::net::Shutdown::Both);
            }
            taken
        });
    }

    /// Types into the program's terminal.
    pub(super) fn type_in(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match rustix::io::write(&self.end, bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(rustix::io::Errno::INTR) => {}
                // Its program has ended.
                Err(_) => return,
            }
        }
    }

    /// Gives the terminal a size.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let _ = tcsetwinsize(&self.end, size);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
