//! djship's own side.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::project::Checkout;
use super::proxy::Proxy;
use super::stage::undisturbed;

/// djship, with a home of its own.
#[derive(Debug)]
pub(super) struct Ours {
    binary: PathBuf,
    home: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Ours {
    /// The program, which keeps everything in `home` and fetches through the proxy.
    pub(super) fn new(binary: PathBuf, home: PathBuf, proxy: &Proxy) -> Self {
        let variables = vec![
            ("DJSHIP_DEBIAN_MIRROR", proxy.debian()),
            ("DJSHIP_DEBIAN_SECURITY_MIRROR", proxy.debian_security()),
            ("PIP_INDEX_URL", proxy.index()),
        ];
        Self { binary, home, variables }
    }

    /// The program.
    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    /// The name of the image of this project.
    pub(super) fn image(project: &str) -> String {
        format!("bench-{project}")
    }

    /// djship with these arguments.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        undisturbed(&mut command)
            .args(arguments)
            .env("DJSHIP_HOME", &self.home)
            .envs(self.variables.iter().cloned());
        command
    }

    /// `djship build`.
    pub(super) fn build(&self, checkout: &Checkout, image: &str) -> Command {
        let mut command = self.command(&["build", "--tag", image]);
        command.arg(&checkout.folder);
        command
    }

    /// Removes the databases of earlier measurements.
    pub(super) fn forget_environments(&self) -> Result<()> {
        for name in ["environments", "volumes"] {
            let folder = self.home.join(name);
            if folder.exists() {
                fs_err::remove_dir_all(folder)?;
            }
        }
        Ok(())
    }

    /// Removes everything that djship keeps.
    pub(super) fn forget(&self) -> Result<()> {
        if self.home.exists() {
            fs_err::remove_dir_all(&self.home)?;
        }
        Ok(())
    }
}
