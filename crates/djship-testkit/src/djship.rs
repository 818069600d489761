//! The djship binary as a command: as any user, with a home of its own, never outliving its test.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::cache;
use crate::running::Running;
use crate::user::User;

/// How long a command may run: longer than any build, shorter than the limit of the test itself.
const LONGEST: Duration = Duration::from_mins(15);

/// A djship installation for one test: the binary and a `DJSHIP_HOME`, both where its user can read them.
#[derive(Debug)]
pub struct Djship {
    user: User,
    binary: PathBuf,
    home: PathBuf,
    folder: PathBuf,
    variables: Vec<(OsString, OsString)>,
    /// Holds the binary and, unless it is shared, the home. Removed on drop.
    _place: TempDir,
}

/// How a command ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Djship {
    /// For the user that runs the test, with an empty home.
    pub fn new() -> Result<Self> {
        Self::as_user(&User::current()?)
    }

    /// For another user, with an empty home. Needs root; see [`needs::user`](crate::needs::user).
    pub fn as_user(user: &User) -> Result<Self> {
        Self::with_binary(&built_binary()?, user)
    }

    /// With a binary of the caller's, who may know it as `env!("CARGO_BIN_EXE_djship")`.
    pub fn with_binary(built: &Path, user: &User) -> Result<Self> {
        // The target folder may lie below a home folder that this user cannot enter.
        let place = tempfile::Builder::new().prefix("djship-test-").tempdir()?;
        fs_err::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755))?;
        let binary = place.path().join("djship");
        if fs_err::hard_link(built, &binary).is_err() {
            fs_err::copy(built, &binary)?;
        }
        let home = place.path().join("home");
        fs_err::create_dir(&home)?;
        user.own(&home)?;
        let folder = user.home.clone();
        Ok(Self { user: user.clone(), binary, home, folder, variables: Vec::new(), _place: place })
    }

    /// With the home that all tests of this user share, kept between runs: for tests that are not about an empty
    /// store, as they need not download everything again.
    pub fn sharing_home(mut self) -> Result<Self> {
        self.home = if self.user.is_current() {
            cache::cache_dir()?.join("home")
        } else {
            // The cache may be closed to this user as the target folder is.
            self.user.home.join("djship-test-home")
        };
        fs_err::create_dir_all(&self.home)?;
        if !self.user.is_current() {
            // Only the folder: what is inside belongs to the ids of its containers.
            std::os::unix::fs::lchown(&self.home, Some(self.user.uid), Some(self.user.gid))?;
        }
        Ok(self)
    }

    /// With a home of the caller's.
    #[must_use]
    pub fn home_at(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = home.into();
        self
    }

    /// With one more variable in the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Started in this folder; by default the user's home folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// `DJSHIP_HOME`.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The user that djship runs as.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The command itself, for a test that starts it in a way of its own.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.user.command(&self.binary);
        command.args(arguments).env("DJSHIP_HOME", &self.home).current_dir(&self.folder);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs it to its end, whatever that is.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Output> {
        self.start(arguments)?.wait(LONGEST)
    }

    /// Starts it, to be killed on drop.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Running> {
        Running::start(&mut self.command(arguments))
    }
}

impl Output {
    /// This, if the command ended well; otherwise an error with all it said.
    pub fn success(self) -> Result<Self> {
        if !self.status.success() {
            bail!("the command failed\n{self}");
        }
        Ok(self)
    }

    /// This, if the command ended with `code`; otherwise an error with all it said.
    pub fn exit_code(self, code: i32) -> Result<Self> {
        if self.status.code() != Some(code) {
            bail!("the command did not end with the exit code {code}\n{self}");
        }
        Ok(self)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(f, "{status}\n----- stdout -----\n{stdout}\n----- stderr -----\n{stderr}")
    }
}

/// The djship binary of this build.
pub fn built_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CARGO_BIN_EXE_djship") {
        return Ok(path.into());
    }
    let path = cache::profile_dir()?.join("djship");
    if !path.is_file() {
        bail!(
            "{} is not built: run the tests of the whole workspace, or `cargo build` first",
            path.display()
        );
    }
    path.canonicalize().with_context(|| format!("cannot resolve {}", path.display()))
}
