//! djship's own side.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::project::Checkout;
use super::proxy::Proxy;
use super::stage::undisturbed;
use crate::workspace::{self, cargo, run};

/// The release build, with a home of its own.
#[derive(Debug)]
pub(super) struct Ours {
    binary: PathBuf,
    home: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Ours {
    /// Builds djship.
    pub(super) fn build_binary(home: PathBuf, proxy: &Proxy) -> Result<Self> {
        let mut build = cargo(&["build", "--release", "--package", "djship-cli"]);
        // What cargo told this process about itself would make ring's build script, and all that stands on it, run again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        run(&mut build)?;
        let variables = vec![
            ("DJSHIP_DEBIAN_MIRROR", proxy.debian()),
            ("DJSHIP_DEBIAN_SECURITY_MIRROR", proxy.debian_security()),
            ("PIP_INDEX_URL", proxy.index()),
        ];
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace::root().join("target"), PathBuf::from);
        Ok(Self { binary: target.join("release/djship"), home, variables })
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

    /// Removes everything that djship keeps.
    pub(super) fn forget(&self) -> Result<()> {
        if self.home.exists() {
            fs_err::remove_dir_all(&self.home)?;
        }
        Ok(())
    }
}
