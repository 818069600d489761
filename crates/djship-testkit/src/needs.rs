//! What a test needs of the machine. Each function looks, changes nothing, and says what is missing in words that
//! stand in the list of skips; see [`need!`](crate::need).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::user::User;

/// What the machine lacks: "the user djship-plain (`cargo xtask setup` makes it)".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(
    /// The words.
    pub String,
);

fn missing<T>(what: impl Into<String>) -> Result<T, Missing> {
    Err(Missing(what.into()))
}

/// The test runs as root.
pub fn root() -> Result<(), Missing> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { missing("needs root") }
}

/// The test runs as somebody else than root.
pub fn ordinary_user() -> Result<(), Missing> {
    if rustix::process::geteuid().is_root() { missing("needs an ordinary user") } else { Ok(()) }
}

/// A user of the machine, and root to become that user.
pub fn user(name: &str) -> Result<User, Missing> {
    root()?;
    program("setpriv")?;
    match User::named(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => missing(format!("needs the user {name} (`cargo xtask setup` makes it)")),
        Err(error) => missing(format!("needs the user {name}: {error:#}")),
    }
}

/// A program on PATH.
pub fn program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps a user's PATH free of the administrator's folders, where newer tools may lie.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    match folders.map(|folder| folder.join(name)).find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => missing(format!("needs the program {name}")),
    }
}

/// A file or folder of the machine.
pub fn path(path: &str) -> Result<PathBuf, Missing> {
    let path = PathBuf::from(path);
    if path.exists() { Ok(path) } else { missing(format!("needs {}", path.display())) }
}

/// Namespaces of one's own: the kernel allows them and nothing on the host forbids them.
pub fn user_namespaces() -> Result<(), Missing> {
    let unshare = program("unshare")?;
    let status = Command::new(unshare)
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "true"])
        .stderr(Stdio::null())
        .status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { missing("needs user namespaces") }
}

/// A variable that the person who runs the tests sets, such as the folder of a public project.
pub fn variable(name: &str, what: &str) -> Result<String, Missing> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => missing(format!("needs {what} in the variable {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert!(program("sh").is_ok());
        assert_eq!(program("no-such-program"), missing("needs the program no-such-program"));
        assert_eq!(path("/no/such/path"), missing("needs /no/such/path"));
        assert_eq!(
            variable("DJSHIP_NO_SUCH_VARIABLE", "a folder"),
            missing("needs a folder in the variable DJSHIP_NO_SUCH_VARIABLE")
        );
        assert_ne!(root().is_ok(), ordinary_user().is_ok());
    }
}
