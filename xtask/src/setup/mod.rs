//! Sets up what the tests need on a fresh machine. Everything here can be done again without harm, and nothing here
//! starts a process that stays.

mod packages;
mod users;

use anyhow::{Result, bail};

use crate::phases::Phases;
use crate::testing::python;
use crate::workspace::{self, cargo, run};

/// Installs and makes what is missing.
pub(crate) fn prepare() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "setting up installs packages and makes users, which needs root; without --setup the tests need neither"
        );
    }
    let mut phases = Phases::default();
    phases.run("Debian packages", packages::install);
    phases.run("users", users::make);
    phases.run("Python environment", python::make_environment);
    phases.run("cargo-nextest", install_nextest);
    phases.print_times();
    phases.verdict()
}

fn install_nextest() -> Result<()> {
    if workspace::has_cargo_command("nextest") {
        println!("cargo-nextest is here");
        return Ok(());
    }
    run(&mut cargo(&["install", "cargo-nextest", "--locked"]))
}
