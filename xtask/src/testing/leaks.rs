//! What the tests must not leave behind: mounts, network namespaces, processes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is on the machine at one moment.
#[derive(Debug, Default)]
pub(super) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Looks at the machine; what cannot be read is not there.
    pub(super) fn take() -> Self {
        let mut seen = BTreeSet::new();
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        seen.extend(mounts.lines().filter_map(mount_point).map(|point| format!("mount {point}")));
        seen.extend(names_in("/run/netns").into_iter().map(|name| format!("network namespace {name}")));
        let own_namespace = fs_err::read_link("/proc/self/ns/pid").ok();
        for pid in names_in("/proc").into_iter().filter(|name| name.parse::<u32>().is_ok()) {
            let folder = Path::new("/proc").join(&pid);
            let executable = fs_err::read_link(folder.join("exe")).unwrap_or_default();
            let namespace = fs_err::read_link(folder.join("ns/pid")).ok();
            let is_inside = namespace.is_some() && namespace != own_namespace;
            if is_inside || is_djship(&executable) {
                seen.insert(format!("process {pid} ({})", executable.display()));
            }
        }
        Self(seen)
    }

    /// What is there now and was not at the time of this look. What is just ending gets a moment to end.
    pub(super) fn what_stays(&self) -> Vec<String> {
        const MOMENT: Duration = Duration::from_secs(5);
        let deadline = Instant::now() + MOMENT;
        loop {
            let new = self.what_is_new(&Self::take());
            if new.is_empty() || Instant::now() >= deadline {
                return new;
            }
            // Processes that are not our children do not tell when they end.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a later look found and this one did not.
    fn what_is_new(&self, later: &Snapshot) -> Vec<String> {
        later.0.difference(&self.0).cloned().collect()
    }
}

/// The fifth field of a line of mountinfo.
fn mount_point(line: &str) -> Option<&str> {
    line.split(' ').nth(4)
}

/// Whether this is a djship binary, also one that was deleted while it ran.
fn is_djship(executable: &Path) -> bool {
    let name = executable.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(" (deleted)") == "djship"
}

fn names_in(folder: &str) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_counts() {
        let before = Snapshot(["mount /proc".to_owned(), "process 1 (x)".to_owned()].into());
        let after = Snapshot(["mount /proc".to_owned(), "mount /tmp/a".to_owned()].into());
        assert_eq!(before.what_is_new(&after), ["mount /tmp/a"]);
        assert_eq!(mount_point("36 35 98:0 / /mnt rw - ext4 /dev/x rw"), Some("/mnt"));
        assert!(is_djship(Path::new("/tmp/x/djship (deleted)")));
        assert!(!is_djship(Path::new("/usr/bin/djshipd")));
        assert!(Snapshot::take().0.contains("mount /proc"));
    }
}
