//! A registry for both sides: Debian's, on the loopback interface, empty at its start.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Debian's server.
pub(super) const PROGRAM: &str = "/usr/bin/docker-registry";

/// A running registry; it ends on drop.
#[derive(Debug)]
pub(super) struct Registry {
    port: u16,
    server: Child,
}

impl Registry {
    /// Starts it, with nothing in it. What it keeps lies in `folder`.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        const PATIENCE: Duration = Duration::from_secs(30);
        if folder.exists() {
            fs_err::remove_dir_all(folder)?;
        }
        let storage = folder.join("storage");
        fs_err::create_dir_all(&storage)?;
        // Free a moment ago. Who takes it in between ends the measurement, and does not distort it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (settings, log) = (folder.join("config.yml"), folder.join("log"));
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: 127.0.0.1:{port}}}\n",
            storage.display()
        );
        fs_err::write(&settings, text)?;
        let output = fs_err::File::create(&log)?.into_parts().0;
        // Whatever becomes of us, it is asked to end.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", PROGRAM, "serve"]).arg(&settings);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let server = command.spawn().context("cannot start docker-registry")?;
        let mut registry = Self { port, server };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if registry.server.try_wait()?.is_some() || since.elapsed() > PATIENCE {
                bail!("docker-registry does not start; it said:\n{}", fs_err::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    /// A name in it.
    pub(super) fn name(&self, repository: &str) -> String {
        format!("127.0.0.1:{}/{repository}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.server), Signal::TERM);
        let _ = self.server.wait();
    }
}
