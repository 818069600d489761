//! What the end-to-end tests share: djship behind one loopback mirror, images as others read them, processes, PostgreSQL.

#![allow(dead_code, unused_imports, reason = "every test binary uses another part")]

pub(crate) mod clean;
pub(crate) mod developing;
pub(crate) mod docker;
pub(crate) mod environment;
pub(crate) mod layout;
pub(crate) mod lock_tools;
pub(crate) mod postgres;
pub(crate) mod processes;
pub(crate) mod secrets;
pub(crate) mod serving;
pub(crate) mod ship_project;
pub(crate) mod store;
pub(crate) mod web_socket;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User};

/// Longer than anything waits that is going to happen.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// What the production settings of `examples/polls` need besides a database.
pub(crate) const SECRET_KEY: &str =
    "DJANGO_SECRET_KEY=a-key-for-the-tests-that-is-long-enough-0123456789-abcdefghij";

/// djship for a user, with an empty store, on this mirror.
pub(crate) fn djship(user: &User, mirror: &DebianMirror) -> Result<Djship> {
    Ok(Djship::with_binary(Path::new(env!("CARGO_BIN_EXE_djship")), user)?
        .env("DJSHIP_DEBIAN_MIRROR", mirror.main())
        .env("DJSHIP_DEBIAN_SECURITY_MIRROR", mirror.security()))
}

/// djship for the user that runs the tests, with the store that all tests share.
pub(crate) fn sharing(mirror: &DebianMirror) -> Result<Djship> {
    djship(&User::current()?, mirror)?.sharing_home()
}

/// `examples/polls` of this workspace.
pub(crate) fn polls() -> PathBuf {
    workspace().join("examples/polls")
}

/// A project in `fixtures` of this workspace.
pub(crate) fn fixture(name: &str) -> PathBuf {
    workspace().join("fixtures").join(name)
}

/// A project of the user that runs the tests, always in the same place: what is installed for a project is found again
/// by its folder, so a second build takes a moment. Tests on this machine run one at a time.
pub(crate) fn in_place(project: &TempProject, name: &str) -> Result<PathBuf> {
    let user = User::current()?;
    let folder = std::env::temp_dir().join(format!("djship-test-projects-{}", user.uid)).join(name);
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    fs_err::create_dir_all(folder.parent().context("a folder lies in a folder")?)?;
    copy(project.path(), &folder)?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs_err::create_dir(to)?;
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else {
            fs_err::copy(&source, &target)?;
        }
    }
    Ok(())
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Does something, and prints how long it took.
pub(crate) fn timed<T>(what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    let outcome = action();
    eprintln!("{what}: {:.1} s", since.elapsed().as_secs_f64());
    outcome
}

/// Tries until something is there; `None` when the time is over.
pub(crate) fn await_some<T>(limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Some(found) => return Some(found),
            None if Instant::now() >= deadline => return None,
            // What is waited for here does not tell.
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
