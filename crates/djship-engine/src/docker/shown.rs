//! Folders of the host in containers as they are, for what must be on the disk while it is written: databases, volumes, the
//! project of a developer. The daemon must be on this machine.
//!
//! Docker maps no ids, as the embedded engine does. So the program runs as the owner of these folders, and the files with
//! the names of users say so.

use std::path::{Path, PathBuf};

use rustix::fs::stat;
use serde_json::{Value, json};

use super::{client::Client, error::DockerError, init};
use crate::{
    container::{Container, InlineFile, RunUser},
    error::StartError,
    scratch::ScratchFolder,
};

/// Files that give users and groups names; the fields of user and group in their lines.
const NAMES: [(&str, [Option<usize>; 2]); 2] =
    [("/etc/passwd", [Some(2), Some(3)]), ("/etc/group", [None, Some(2)])];

/// A folder or file of the host that appears inside.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

impl Shown {
    /// In the API's words.
    pub(crate) fn mount(&self) -> Value {
        json!({
            "Type": "bind",
            "Source": self.source.to_string_lossy(),
            "Target": self.target.to_string_lossy(),
            "ReadOnly": self.read_only,
        })
    }
}

/// Takes everything out of a description that can be shown; what stays is copied in.
pub(crate) fn take(
    container: &mut Container,
    scratch: &ScratchFolder,
    owner: (u32, u32),
) -> Result<Vec<Shown>, StartError> {
    let mut shown = Vec::new();
    for bind in std::mem::take(&mut container.binds) {
        if super::contents::is_daemons(&bind.target) {
            continue;
        }
        let source = super::canonical(&bind.source)?;
        if bind.as_owner && owner.0 != 0 && belongs_to_root(&source) {
            return Err(DockerError::Unsupported { what: "a project of root's own" }.into());
        }
        shown.push(Shown { source, target: bind.target, read_only: bind.read_only });
    }
    let before = container.user;
    // Files that are only read are everybody's.
    if shown.iter().any(|shown| !shown.read_only) {
        container.user = RunUser { uid: owner.0, gid: owner.1 };
    }
    let (daemons, own): (Vec<_>, Vec<_>) = std::mem::take(&mut container.files)
        .into_iter()
        .partition(|file| super::contents::is_daemons(&file.target));
    container.files = daemons;
    for (number, InlineFile { target, content }) in own.into_iter().enumerate() {
        let names = NAMES.iter().find(|(path, _)| target == Path::new(path));
        let content = match names {
            Some((_, fields)) => renumbered(&content, *fields, before, container.user),
            None => content,
        };
        let source = super::canonical(&scratch.write_file(number, &content)?)?;
        shown.push(Shown { source, target, read_only: true });
    }
    Ok(shown)
}

fn belongs_to_root(path: &Path) -> bool {
    // One that is gone fails with a better reason.
    stat(path).is_ok_and(|stat| stat.st_uid == 0)
}

/// Lines of names with other numbers.
fn renumbered(content: &[u8], fields: [Option<usize>; 2], before: RunUser, after: RunUser) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let line = |line: &str| {
        let mut words: Vec<String> = line.split(':').map(str::to_owned).collect();
        let ids = [(before.uid, after.uid), (before.gid, after.gid)];
        for (field, (before, after)) in fields.iter().zip(ids) {
            if let Some(word) = field.and_then(|field| words.get_mut(field))
                && *word == before.to_string()
            {
                *word = after.to_string();
            }
        }
        format!("{}\n", words.join(":"))
    };
    text.lines().map(line).collect::<String>().into_bytes()
}

/// The process of this machine that is a container's first one: found by its control group, as the daemon may count in a
/// namespace of its own; where there is no such group, it is the one that the daemon names, if that is one of ours.
pub(crate) fn first_process(client: &Client, id: &str) -> Option<i32> {
    let processes = fs_err::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_inside = |pid: i32| {
        fs_err::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(id))
    };
    ids.find(|pid| is_inside(*pid) && is_first(*pid)).or_else(|| {
        let path = format!("/containers/{id}/json");
        let found: Value = client.document("look at a container", "GET", &path, None).ok()?;
        let pid = i32::try_from(found["State"]["Pid"].as_i64()?).ok()?;
        let command = fs_err::read(format!("/proc/{pid}/cmdline")).ok()?;
        (command.starts_with(init::PATH.as_bytes()) && is_first(pid)).then_some(pid)
    })
}

/// Whether the number of a process in its own namespace is one.
fn is_first(pid: i32) -> bool {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.and_then(|numbers| numbers.split_whitespace().next_back()) == Some("1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_names_follow_the_user() {
        let place = tempfile::tempdir().unwrap();
        let scratch = ScratchFolder::new(place.path()).unwrap();
        let mut container = Container::new(["/"], ["true"]);
        container.user = RunUser { uid: 999, gid: 998 };
        container.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\npostgres:x:999:998::/tmp:/bin/sh\n");
        container.file("/etc/group", "root:x:0:\npostgres:x:998:\n").file("/etc/hosts", "1.1.1.1 x\n");
        container.bind(place.path(), "/data").bind_read_only("/etc/hostname", "/etc/resolv.conf");
        let shown = take(&mut container, &scratch, (1001, 1002)).unwrap();
        assert_eq!(container.user, RunUser { uid: 1001, gid: 1002 });
        let targets: Vec<_> =
            shown.iter().map(|shown| (shown.target.to_str().unwrap(), shown.read_only)).collect();
        assert_eq!(targets, [("/data", false), ("/etc/passwd", true), ("/etc/group", true)]);
        let text = |index: usize| fs_err::read_to_string(&shown[index].source).unwrap();
        assert_eq!(text(1), "root:x:0:0::/root:/bin/sh\npostgres:x:1001:1002::/tmp:/bin/sh\n");
        assert_eq!(text(2), "root:x:0:\npostgres:x:1002:\n");
        assert_eq!(container.files.len(), 1, "the daemon makes this one");
    }
}
