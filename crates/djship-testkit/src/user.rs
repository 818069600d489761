//! The kinds of user that djship is tested as: root, `djship-sub` with subordinate ids and `djship-plain` without.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Has ranges in /etc/subuid and /etc/subgid.
pub const WITH_SUBORDINATE_IDS: &str = "djship-sub";

/// Has no such range.
pub const WITHOUT_SUBORDINATE_IDS: &str = "djship-plain";

/// What goes from the test's environment to a command, which gets nothing else of it: how to reach the network.
const PASSED_ON: [&str; 16] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "DJSHIP_DEBIAN_MIRROR",
    "DJSHIP_DEBIAN_SECURITY_MIRROR",
    "RUST_BACKTRACE",
];

/// All variables of these programs are passed on: indexes, certificates, time limits.
const PASSED_ON_PREFIXES: [&str; 2] = ["PIP_", "UV_"];

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name in /etc/passwd.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
    /// Numeric id of the first group.
    pub gid: u32,
    /// The home folder.
    pub home: PathBuf,
}

impl User {
    /// The user of that name, if there is one.
    pub fn named(name: &str) -> Result<Option<Self>> {
        let passwd = fs_err::read_to_string("/etc/passwd")?;
        find(&passwd, |user| user.name == name)
    }

    /// The user that runs the test.
    pub fn current() -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let passwd = fs_err::read_to_string("/etc/passwd")?;
        find(&passwd, |user| user.uid == uid)?.with_context(|| format!("the uid {uid} is not in /etc/passwd"))
    }

    /// Whether the test itself runs as this user.
    pub fn is_current(&self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid
    }

    /// A command that runs as this user, with an environment of its own: HOME, PATH and what it takes to reach the
    /// network. As somebody else than the test's own user this needs root; the process id is the command's own.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let mut command = if self.is_current() {
            Command::new(program)
        } else {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.gid));
            command.args(["--init-groups", "--inh-caps=-all", "--"]).arg(program);
            command
        };
        command.env_clear().env("HOME", &self.home).env("PATH", PATH).env("LANG", "C.UTF-8");
        command.env("USER", &self.name).env("LOGNAME", &self.name).env("NO_COLOR", "1");
        for (name, value) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if PASSED_ON.contains(&&*text) || PASSED_ON_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            {
                command.env(&name, value);
            }
        }
        // The test's own folder may be closed to this user.
        command.current_dir("/");
        command
    }

    /// Makes this user the owner of `path`, and of everything below it if it is a folder.
    pub fn own(&self, path: &Path) -> Result<()> {
        if !self.is_current() {
            own_all(path, self.uid, self.gid)?;
        }
        Ok(())
    }
}

fn own_all(path: &Path, uid: u32, gid: u32) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))
        .with_context(|| format!("cannot change the owner of {}", path.display()))?;
    if fs_err::symlink_metadata(path)?.is_dir() {
        for entry in fs_err::read_dir(path)? {
            own_all(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// Reads lines of /etc/passwd: `name:x:uid:gid:comment:home:shell`.
fn find(passwd: &str, wanted: impl Fn(&User) -> bool) -> Result<Option<User>> {
    for line in passwd.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, _] = fields.as_slice() else { continue };
        let user = User {
            name: (*name).to_owned(),
            uid: uid.parse()?,
            gid: gid.parse()?,
            home: PathBuf::from(home),
        };
        if wanted(&user) {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbad line\nme:x:1001:1002:,,,:/home/me:/bin/sh\n";
        let user = find(passwd, |user| user.name == "me").unwrap().unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_path()), (1001, 1002, Path::new("/home/me")));
        assert_eq!(find(passwd, |user| user.uid == 7).unwrap(), None);
    }

    #[test]
    fn a_command_has_an_environment_of_its_own() {
        let output = User::current().unwrap().command("env").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("LANG=C.UTF-8\n") && text.contains("HOME="), "{text}");
        // Cargo sets this one for tests.
        assert!(!text.contains("CARGO_MANIFEST_DIR"), "{text}");
    }
}
