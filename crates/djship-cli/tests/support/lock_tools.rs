//! The tools that write lock files, real ones: installed once for the whole suite, from whatever index pip is set up for.
//!
//! Lock files name the host of an index, so none is kept with the tests: each is made when it is needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};
use djship_testkit::cache::cache_dir;

/// A tool in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockTool {
    /// Poetry that knows no `[project]` table.
    Poetry1,
    Poetry2,
    Pipenv,
    Pdm,
    Uv,
}

use LockTool::{Pdm, Pipenv, Poetry1, Poetry2, Uv};

impl LockTool {
    fn pins(self) -> &'static [&'static str] {
        match self {
            Poetry1 => &["poetry==1.8.5"],
            Poetry2 => &["poetry==2.5.1"],
            Pipenv => &["pipenv==2026.10.3"],
            Pdm => &["pdm==2.29.4", "hishel>=1.4,<2"],
            Uv => &["uv==0.13.9"],
        }
    }

    /// The program, installed when it is not there yet.
    fn program(self) -> Result<PathBuf> {
        let (name, version) = self.pins()[0].split_once("==").context("a pin")?;
        let folder = cache_dir()?.join("lock-tools").join(format!("{name}-{version}"));
        let program = folder.join("bin").join(name);
        if folder.join("complete").exists() {
            return Ok(program);
        }
        if folder.exists() {
            fs_err::remove_dir_all(&folder)?;
        }
        let python = folder.join("bin/python");
        said(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        if self == Uv {
            said(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(self.pins()))?;
        } else {
            let mut install = Command::new(Uv.program()?);
            said(install.args(["pip", "install", "--quiet", "--python"]).arg(&python).args(self.pins()))?;
        }
        fs_err::write(folder.join("complete"), "")?;
        Ok(program)
    }

    /// Runs it in a folder.
    pub(crate) fn run(self, folder: &Path, arguments: &[&str]) -> Result<Output> {
        let program = self.program()?;
        let interpreter = program.with_file_name("python");
        let place = cache_dir()?.join("lock-tools/home");
        fs_err::create_dir_all(&place)?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("HOME", &place).env_remove("VIRTUAL_ENV");
        command
            .env("PIPENV_IGNORE_VIRTUALENVS", "1")
            .env("PIPENV_DEFAULT_PYTHON_VERSION", interpreter.clone());
        command
            .env("UV_PYTHON_DOWNLOADS", "never")
            .env("PIPENV_NOSPIN", "1")
            .env("PDM_CHECK_UPDATE", "0")
            .env("PDM_PYTHON", interpreter);
        // Where a tool can make an environment for the project, it is not in the project.
        command.env("WORKON_HOME", place.join("environments")).env("PDM_IGNORE_ACTIVE_VENV", "1");
        Ok(command.output()?)
    }

    /// Writes the lock of a folder.
    pub(crate) fn lock(self, folder: &Path) -> Result<()> {
        let arguments: &[&str] = match self {
            Poetry1 => &["lock", "--no-interaction"],
            Poetry2 => &["lock", "--no-interaction", "--regenerate"],
            Pipenv | Uv => &["lock"],
            Pdm => &["lock", "-d", "-G", ":all"],
        };
        success(&self.run(folder, arguments)?)
    }

    /// Whether it finds its own lock current.
    pub(crate) fn finds_current(self, folder: &Path) -> Result<bool> {
        let arguments: &[&str] = match self {
            Poetry1 | Poetry2 => &["check", "--lock"],
            Pipenv => &["verify"],
            Pdm | Uv => &["lock", "--check"],
        };
        let output = self.run(folder, arguments)?;
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // It says more than one thing about a manifest.
        let about_lock = [
            "poetry.lock",
            "out of date",
            "out-of-date",
            "needs to be updated",
            "isn't up to date",
            "hash",
            "doesn't satisfy",
        ];
        ensure!(
            output.status.success() || about_lock.iter().any(|words| text.contains(words)),
            "{self:?} said: {text}"
        );
        Ok(output.status.success())
    }
}

/// The index that pip asks on this machine.
pub(crate) fn index() -> Result<String> {
    let python = Uv.program()?.with_file_name("python");
    let script = "from pip._internal.cli.main_parser import create_main_parser as p\n\
                  from pip._internal.commands import create_command\n\
                  print(create_command('install').parser.get_default_values().index_url)";
    let output = Command::new(python).args(["-c", script]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn said(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    success(&output)
}

fn success(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
