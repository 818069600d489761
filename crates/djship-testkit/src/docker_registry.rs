//! Debian's `docker-registry`, a real registry, with a configuration and a folder of its own, stopped with its test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::running::Running;

/// How it is set up.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Lines of `htpasswd`: who may do anything. Nobody is asked without.
    pub htpasswd: Option<String>,
    /// Certificate and key, in PEM form. Plain HTTP without.
    pub tls: Option<(String, String)>,
    /// Where it keeps everything; a folder of its own without.
    pub storage: Option<PathBuf>,
    /// It only serves what it has.
    pub read_only: bool,
    /// Its disk has so many bytes; needs root.
    pub disk: Option<u64>,
}

/// A running registry.
#[derive(Debug)]
pub struct DockerRegistry {
    port: u16,
    // Ended before its folder goes.
    running: Running,
    _folder: TempDir,
}

/// The line of `htpasswd` for the user `me` with the password `s3cret`.
pub const ME: &str = "me:$2b$05$bg3ao.5evGUC58PP.UbC0e6e7bOEaoqYFTCYyfIFgmAlmQ4K/jr1q\n";

impl DockerRegistry {
    /// Starts one, and waits until it listens.
    pub fn start(setup: &Setup) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let storage = setup.storage.clone().unwrap_or_else(|| path("storage"));
        fs_err::create_dir_all(&storage)?;
        // Free a moment ago. Who takes it in between makes the test fail, not pass.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let maintenance = if setup.read_only { ", maintenance: {readonly: {enabled: true}}" } else { "" };
        let mut lines = vec![
            "version: 0.1".to_owned(),
            "log: {level: info}".to_owned(),
            format!("storage: {{filesystem: {{rootdirectory: {}}}{maintenance}}}", storage.display()),
            format!("http:\n  addr: 127.0.0.1:{port}"),
        ];
        if let Some((certificate, key)) = &setup.tls {
            fs_err::write(path("tls.crt"), certificate)?;
            fs_err::write(path("tls.key"), key)?;
            let (certificate, key) = (path("tls.crt"), path("tls.key"));
            lines.push(format!(
                "  tls:\n    certificate: {}\n    key: {}",
                certificate.display(),
                key.display()
            ));
        }
        if let Some(htpasswd) = &setup.htpasswd {
            fs_err::write(path("htpasswd"), htpasswd)?;
            let file = path("htpasswd");
            lines.push(format!("auth: {{htpasswd: {{realm: test, path: {}}}}}", file.display()));
        }
        let config = path("config.yml");
        fs_err::write(&config, lines.join("\n") + "\n")?;
        let mut command = match setup.disk {
            None => Command::new("docker-registry"),
            Some(bytes) => {
                let mut command = Command::new("unshare");
                let script =
                    "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && shift 2 && exec docker-registry \"$@\"";
                command.args(["--mount", "sh", "-c", script, "sh", &bytes.to_string()]).arg(&storage);
                command
            }
        };
        let mut running = Running::start(command.arg("serve").arg(&config))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if running.has_ended()? || Instant::now() > deadline {
                bail!("the registry does not listen\n{}", running.text());
            }
            // It does not tell when it begins to listen.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { port, running, _folder: folder })
    }

    /// Host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it said.
    pub fn text(&self) -> String {
        self.running.text()
    }

    /// Ends it; what it said.
    pub fn stop(self) -> Result<String> {
        let Self { running, _folder, .. } = self;
        Ok(running.kill().context("cannot stop the registry")?.stderr)
    }
}
