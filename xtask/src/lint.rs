//! Everything that is judged without running the product.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::phases::Phases;
use crate::workspace::{self, cargo, run};
use crate::{laws, testing};

/// Runs every check, also after one failed, and ends with the list of those that did.
pub(crate) fn lint() -> Result<()> {
    let mut phases = Phases::default();
    phases.run("laws", laws::check);
    phases.run("rustfmt", || run(&mut cargo(&["fmt", "--all", "--check"])));
    phases.run("clippy", || {
        run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
    });
    phases.run("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
        run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    phases.run("shell scripts", check_shell_scripts);
    phases.run("Python syntax", testing::python::compile_all);
    phases.run("dependencies", check_dependencies);
    phases.print_times();
    phases.verdict()
}

/// Licences, sources and bans by `deny.toml`; without the network, so advisories are not looked up.
fn check_dependencies() -> Result<()> {
    if !workspace::has_cargo_command("deny") {
        println!("cargo-deny is not installed: licences and sources of dependencies are not checked");
        return Ok(());
    }
    run(&mut cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]))
}

fn check_shell_scripts() -> Result<()> {
    let Some(shellcheck) = workspace::find_program("shellcheck") else {
        println!("shellcheck is not installed: shell scripts are not checked");
        return Ok(());
    };
    let scripts = shell_scripts()?;
    println!("{}", scripts.join(" "));
    if scripts.is_empty() {
        return Ok(());
    }
    run(Command::new(shellcheck).args(&scripts).current_dir(workspace::root()))
}

/// Tracked files that say in their first line that a shell reads them. A template is none yet: what it becomes is tracked in `examples`.
fn shell_scripts() -> Result<Vec<String>> {
    let root = workspace::root();
    let mut scripts = workspace::tracked_files()?;
    scripts.retain(|path| {
        let bytes = fs_err::read(root.join(path)).unwrap_or_default();
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first);
        first.starts_with("#!")
            && first.trim_end().ends_with("sh")
            && Path::new(path).extension().is_none_or(|extension| extension != "j2")
    });
    Ok(scripts)
}
