//! djship, as somebody at a terminal runs it: with its words kept, and an end to patience.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// Lines of what it said that are kept of a failure.
const LINES: usize = 15;

/// The program, with a home of its own.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) binary: PathBuf,
    pub(super) home: PathBuf,
    /// For what it says.
    pub(super) place: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// It ended well, and in time.
    pub(super) is_well: bool,
    pub(super) time: Duration,
    pub(super) stdout: String,
    /// That, and then standard error.
    said: String,
}

impl Program {
    /// Runs it in a project's folder until it ends, or is too long in doing so.
    pub(super) fn run(&self, project: &Path, arguments: &[&str], patience: Duration) -> Result<Ended> {
        let (stdout, said) = (self.place.join("stdout"), self.place.join("said"));
        // Files, for what stays in the background may have them open for long.
        let file = |path: &Path| -> Result<_> { Ok(fs_err::File::create(path)?.into_parts().0) };
        let mut command = Command::new(&self.binary);
        command.arg("-C").arg(project).args(arguments);
        command.env("DJSHIP_HOME", &self.home).env_remove("DJANGO_SETTINGS_MODULE");
        command.stdin(Stdio::null()).stdout(file(&stdout)?).stderr(file(&said)?);
        let since = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        let is_well = wait(&mut child, patience)?;
        let read =
            |path: &Path| -> Result<_> { Ok(String::from_utf8_lossy(&fs_err::read(path)?).into_owned()) };
        let stdout = read(&stdout)?;
        Ok(Ended { is_well, time: since.elapsed(), said: stdout.clone() + &read(&said)?, stdout })
    }

    /// The last lines of what it said when it failed, without names of folders that only this run has.
    pub(super) fn complaint(&self, arguments: &[&str], ended: &Ended, project: &Path) -> String {
        let lines: Vec<&str> = ended.said.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        let text =
            format!("djship {} failed after {:.0} s:\n{last}", arguments.join(" "), ended.time.as_secs_f64());
        self.without_folders(&text, project)
    }

    /// The text with a project's folder and the home as anybody has them.
    pub(super) fn without_folders(&self, text: &str, project: &Path) -> String {
        let name =
            |path: &Path| path.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned();
        text.replace(&*project.to_string_lossy(), &name(project))
            .replace(&*self.home.to_string_lossy(), "DJSHIP_HOME")
    }
}

/// Whether it ended with success before patience did.
fn wait(child: &mut Child, patience: Duration) -> Result<bool> {
    /// From being asked to end to being made to.
    const GRACE: Duration = Duration::from_secs(30);
    let since = Instant::now();
    let mut is_asked = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success() && !is_asked);
        }
        if !is_asked && since.elapsed() > patience {
            is_asked = true;
            kill_process(Pid::from_child(child), Signal::TERM)?;
        }
        if since.elapsed() > patience + GRACE {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_it_says_is_kept_and_its_end_is_awaited() {
        let place = std::env::temp_dir().join(format!("djship-projects-program-{}", std::process::id()));
        fs_err::create_dir_all(&place).unwrap();
        let binary = place.join("djship");
        let script = "#!/bin/sh\n[ \"$3\" != wait ] || exec sleep 600\n\
                      echo \"in $2, home $DJSHIP_HOME\"\necho error: no >&2\nexit \"$3\"\n";
        fs_err::write(&binary, script).unwrap();
        fs_err::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        let home = place.join("home");
        let program = Program { binary, home, place: place.clone() };
        let project = place.join("shop");
        let run = |argument: &str, patience| program.run(&project, &[argument], patience).unwrap();
        let well = run("0", Duration::from_mins(1));
        assert!(well.is_well && well.stdout.ends_with("home\n"), "{well:?}");
        let failed = run("3", Duration::from_mins(1));
        assert!(!failed.is_well);
        let complaint = program.complaint(&["up"], &failed, &project);
        assert!(complaint.ends_with("s:\nin shop, home DJSHIP_HOME\nerror: no"), "{complaint}");
        let waited = run("wait", Duration::from_millis(50));
        assert!(!waited.is_well && waited.time < Duration::from_secs(30), "{waited:?}");
        fs_err::remove_dir_all(place).unwrap();
    }
}
