//! Who the developer is inside the containers: themselves.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use djship_engine::{Container, HostOwner, RunUser};

use crate::tools::Tools;

/// The developer, as seen inside.
///
/// The uid outside is the uid inside, so files and `whoami` mean the same on both sides. The one exception is a project of
/// root's: no container runs as root, so its files are shown as belonging to an ordinary user, and what that user
/// writes belongs to root on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Developer {
    /// Ids inside.
    pub user: RunUser,
    /// Name inside.
    pub name: String,
    /// The project belongs to root, and djship was started by root.
    pub root: bool,
}

/// Who stands for root inside.
const STAND_IN: RunUser = RunUser { uid: 1000, gid: 1000 };

impl Developer {
    /// The developer of the project in `folder`.
    pub fn of(tools: &Tools<'_>, folder: &Path) -> Self {
        match tools.host.owner {
            Some(HostOwner::NOBODY_ELSE) => {
                let owned_by_root = fs_err::metadata(folder).is_ok_and(|metadata| metadata.uid() == 0);
                Self { user: STAND_IN, name: "developer".to_owned(), root: owned_by_root }
            }
            Some(HostOwner { uid, gid }) => Self::with(uid, gid),
            None => Self::with(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
        }
    }

    fn with(uid: u32, gid: u32) -> Self {
        let passwd = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
        let name = name_of(uid, &passwd).unwrap_or_else(|| "developer".to_owned());
        Self { user: RunUser { uid, gid }, name, root: false }
    }

    /// The home folder inside.
    pub fn home(&self) -> PathBuf {
        PathBuf::from(format!("/home/{}", self.name))
    }

    /// Makes a container theirs: user, names of users and groups, home.
    pub(super) fn enter(&self, container: &mut Container) {
        let RunUser { uid, gid } = self.user;
        let (name, home) = (&self.name, self.home());
        container.user = self.user;
        let root = if uid == 0 { "" } else { "root:x:0:0:root:/root:/bin/sh\n" };
        let passwd = format!("{root}{name}:x:{uid}:{gid}::{}:/bin/bash\n", home.display());
        let root = if gid == 0 { "" } else { "root:x:0:\n" };
        container.file("/etc/passwd", passwd);
        container.file("/etc/group", format!("{root}{name}:x:{gid}:\n"));
        container.env("HOME", home.display().to_string()).env("USER", name).env("LOGNAME", name);
    }
}

/// The name of a user, when it can be one inside as well: no sign that a file or a shell would misread.
fn name_of(uid: u32, passwd: &str) -> Option<String> {
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.get(2).and_then(|text| text.parse().ok()) == Some(uid))?;
    let name = *fields.first()?;
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_host_when_they_are_harmless() {
        let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1001:1001::/home/ada:/bin/zsh\n../x:x:7:7::/:/x\n";
        assert_eq!(name_of(1001, passwd).as_deref(), Some("ada"));
        assert_eq!(name_of(7, passwd), None);
        assert_eq!(name_of(9, passwd), None);
    }
}
