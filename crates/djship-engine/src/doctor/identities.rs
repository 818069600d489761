//! Subordinate ids: who has them, and the tools that put them to use.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{Check, Finding, Severity};
use crate::container::IdRange;

/// As many as [`crate::IdMap::Range`] needs.
const ENOUGH: u32 = 65_535;

/// A user's ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubordinateRanges {
    /// From `/etc/subuid`.
    pub uids: IdRange,
    /// From `/etc/subgid`.
    pub gids: IdRange,
}

/// The first long enough ranges of a user in the texts of `/etc/subuid` and `/etc/subgid`. `name` is the login name; lines with
/// the number count, too.
pub fn subordinate_ranges(
    subuid: &str,
    subgid: &str,
    name: Option<&str>,
    uid: u32,
) -> Option<SubordinateRanges> {
    let number = uid.to_string();
    let find = |text: &str| {
        text.lines().find_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let range = IdRange { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
            let own = Some(owner) == name || owner == number;
            (own && range.count >= ENOUGH && range.first > 0).then_some(range)
        })
    };
    Some(SubordinateRanges { uids: find(subuid)?, gids: find(subgid)? })
}

pub(super) fn subordinate_ids(tool_path: &[PathBuf]) -> Finding {
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        return Finding::good(Check::SubordinateIds, "root needs no subordinate ids");
    }
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let passwd = read("/etc/passwd");
    let name = login_name(&passwd, uid.as_raw());
    let ranges = subordinate_ranges(&read("/etc/subuid"), &read("/etc/subgid"), name, uid.as_raw());
    let missing: Vec<_> =
        ["newuidmap", "newgidmap"].into_iter().filter(|tool| !is_usable_tool(tool_path, tool)).collect();
    let why = "Everything in containers belongs to you. Programs that need several users inside do not run.";
    if ranges.is_none() {
        let user = name.map_or_else(|| uid.as_raw().to_string(), str::to_owned);
        return Finding::new(Check::SubordinateIds, Severity::Notice, "you have no subordinate ids", why)
            .mend(format!("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"));
    }
    if !missing.is_empty() {
        let what = format!("{} missing or without their rights", missing.join(" and "));
        return Finding::new(Check::SubordinateIds, Severity::Notice, what, why)
            .mend("sudo apt-get install uidmap");
    }
    Finding::good(Check::SubordinateIds, "you have subordinate ids and the tools for them")
}

fn login_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0])
    })
}

/// Set-uid, or with file capabilities, as some distributions have it.
fn is_usable_tool(tool_path: &[PathBuf], tool: &str) -> bool {
    find_tool(tool_path, tool).is_some_and(|path| {
        let set_uid = path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o4000 != 0);
        set_uid || rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64][..]).is_ok()
    })
}

/// The first file of that name in the folders.
pub(super) fn find_tool(tool_path: &[PathBuf], tool: &str) -> Option<PathBuf> {
    tool_path.iter().map(|folder| folder.join(tool)).find(|path| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_by_name_or_number() {
        let text = "# comment\nother:1:70000\nme:100000:100\nme:200000:65536\n1005:300000:65536\n";
        let find = |name, uid| subordinate_ranges(text, text, name, uid).map(|ranges| ranges.uids.first);
        assert_eq!(find(Some("me"), 7), Some(200_000), "the first one is too short");
        assert_eq!(find(None, 1005), Some(300_000));
        assert_eq!(find(Some("nobody"), 7), None);
        assert_eq!(subordinate_ranges(text, "", Some("me"), 7), None, "groups are needed, too");
    }

    #[test]
    fn names_by_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nme:x:1001:1001::/home/me:/bin/sh\nbroken\n";
        assert_eq!(login_name(passwd, 1001), Some("me"));
        assert_eq!(login_name(passwd, 5), None);
    }
}
