//! The file system under the store.

use std::path::Path;

use rustix::fs::{XattrFlags, lsetxattr, statfs, statvfs};

use super::{Check, Finding, Severity};
use crate::file_systems::name_of;

/// A build with a compiler takes about one gigabyte; with less than this a first build is at risk.
const COMFORTABLE: u64 = 3 << 30;

pub(super) fn examine(store: &Path) -> Vec<Finding> {
    vec![file_system(store), space(store)]
}

fn file_system(store: &Path) -> Finding {
    let check = Check::StoreFileSystem;
    let Some(kind) = statfs(store).ok().and_then(|facts| u64::try_from(facts.f_type).ok()) else {
        return Finding::new(check, Severity::Warning, format!("cannot look at `{}`", store.display()), "");
    };
    let name = name_of(kind);
    let what = format!("the store `{}` is on {name}", store.display());
    let mend = "Set DJSHIP_HOME to a folder on a local disk.";
    match name {
        "NFS" | "CIFS" | "FUSE" => Finding::new(
            check,
            Severity::Warning,
            what,
            "Network file systems are slow with many small files, and most cannot hold writable layers.",
        )
        .mend(mend),
        "overlay" => Finding::new(
            check,
            Severity::Warning,
            what,
            "djship seems to run inside a container. Layers in an overlay cannot be written to by another overlay.",
        )
        .mend("Set DJSHIP_HOME to a volume of the outer container."),
        "tmpfs" => Finding::new(check, Severity::Notice, what, "It is in memory, and gone after a restart.").mend(mend),
        _ if !keeps_attributes(store) => Finding::new(
            check,
            Severity::Warning,
            what,
            "It keeps no extended attributes of users, which writable layers need for deleted folders.",
        )
        .mend(mend),
        _ => Finding::good(check, what),
    }
}

fn keeps_attributes(store: &Path) -> bool {
    let file = store.join(format!("doctor-{}", std::process::id()));
    if fs_err::write(&file, b"").is_err() {
        return true;
    }
    let kept = lsetxattr(&file, "user.djship", b"y", XattrFlags::empty()).is_ok();
    let _ = fs_err::remove_file(&file);
    kept
}

fn space(store: &Path) -> Finding {
    let check = Check::StoreSpace;
    let Ok(facts) = statvfs(store) else {
        return Finding::new(check, Severity::Warning, format!("cannot look at `{}`", store.display()), "");
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let what = format!("{:.1} GB free for the store", giga(free));
    if free >= COMFORTABLE {
        return Finding::good(check, what);
    }
    Finding::new(
        check,
        Severity::Warning,
        what,
        "A first build with a compiler needs about 1 GB, a database more.",
    )
    .mend("Free some space (`djship cache`), or set DJSHIP_HOME to a folder on a larger disk.")
}

#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
fn giga(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_folder_is_examined() {
        let dir = tempfile::tempdir().unwrap();
        let findings = examine(dir.path());
        assert!(findings.iter().all(|finding| finding.severity < Severity::Blocking), "{findings:?}");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        let missing = examine(&dir.path().join("missing"));
        assert!(missing.iter().all(|finding| finding.severity == Severity::Warning), "{missing:?}");
    }
}
