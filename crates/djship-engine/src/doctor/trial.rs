//! Starts containers to see whether they start: settings tell what should work, this tells what does.

use std::path::Path;

use super::{Check, Finding, Severity, Subject, apparmor_profile};
use crate::{
    container::{Container, HostOwner, Upper},
    engine::Engine,
    error::{Fault, NotRunnable, StartError, Step},
};

/// A program that is not there: everything up to its execution is done, and then nothing runs.
const NO_PROGRAM: &str = "/nothing";

pub(super) fn containers(subject: &Subject) -> Vec<Finding> {
    let folder = subject.store.join(format!("doctor-{}", std::process::id()));
    let findings = match make_folders(&folder) {
        Ok(()) => try_both(&folder, subject),
        Err(error) => vec![
            Finding::new(
                Check::Container,
                Severity::Blocking,
                format!("cannot write to the store: {error}"),
                "Containers need a work space there.",
            )
            .mend("Set DJSHIP_HOME to a folder of your own."),
        ],
    };
    let _ = fs_err::remove_dir_all(&folder);
    findings
}

fn make_folders(folder: &Path) -> std::io::Result<()> {
    for name in ["scratch", "root", "upper", "work"] {
        let path = folder.join(name);
        fs_err::create_dir_all(&path)?;
        if rustix::process::geteuid().is_root() && matches!(name, "upper" | "work") {
            // Where root may not give files away there is a finding anyway.
            let owner = HostOwner::NOBODY_ELSE;
            let _ = std::os::unix::fs::chown(&path, Some(owner.uid), Some(owner.gid));
        }
    }
    Ok(())
}

fn try_both(folder: &Path, subject: &Subject) -> Vec<Finding> {
    let engine = Engine::new(folder.join("scratch")).with_host_owner(HostOwner::NOBODY_ELSE);
    let mut container = Container::new([folder.join("root")], [NO_PROGRAM]);
    container.stdio = crate::container::Streams::NULL;
    let plain = judge(Check::Container, start(&engine, &container), subject);
    if plain.severity == Severity::Blocking {
        return vec![plain];
    }
    container.upper = Some(Upper { upper: folder.join("upper"), work: folder.join("work"), volatile: false });
    let mut writable = judge(Check::WritableRoot, start(&engine, &container), subject);
    writable.severity = writable.severity.min(Severity::Warning);
    vec![plain, writable]
}

/// Whether a container starts here, in a few thousandths of a second; the reason when not. `folder` is for work space.
pub(super) fn one(engine: &Engine, folder: &Path) -> Result<(), StartError> {
    let root = folder.join("trial");
    let made = fs_err::create_dir_all(&root);
    made.map_err(|source| StartError::Scratch { path: root.clone(), source })?;
    let mut container = Container::new([&root], [NO_PROGRAM]);
    container.stdio = crate::container::Streams::NULL;
    let started = start(engine, &container);
    let _ = fs_err::remove_dir(&root);
    started
}

/// `Ok` when everything worked up to the program.
fn start(engine: &Engine, container: &Container) -> Result<(), StartError> {
    match engine.start(container) {
        Ok(_) | Err(StartError::Program { reason: NotRunnable::NotFound, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn judge(check: Check, outcome: Result<(), StartError>, subject: &Subject) -> Finding {
    let error = match outcome {
        Ok(()) if check == Check::Container => return Finding::good(check, "containers start"),
        Ok(()) => return Finding::good(check, "containers with a writable root start"),
        Err(error) => error,
    };
    let finding =
        Finding::new(check, Severity::Blocking, error.to_string(), "No container of djship's runs here.");
    match &error {
        StartError::Setup(fault) => explain(finding, fault, subject),
        _ => finding,
    }
}

fn explain(mut finding: Finding, fault: &Fault, subject: &Subject) -> Finding {
    let (why, mend) = match fault.step {
        Step::CreateUserNamespace | Step::MapIds | Step::CreateNamespaces => (
            "The kernel or a security module forbids user namespaces to djship, or an outer container does.",
            format!(
                "See the finding on user namespaces. In a container, allow them there (Docker: `--security-opt \
                 seccomp=unconfined`). On Ubuntu, install this AppArmor profile:\n{}",
                apparmor_profile(&subject.binary)
            ),
        ),
        Step::MountProc => (
            "The host's /proc is partly hidden, as in a container; the kernel then allows no fresh one inside.",
            "Start the outer container with an unmasked /proc (Docker: `--security-opt systempaths=unconfined`).".to_owned(),
        ),
        Step::MountRoot if finding.check == Check::WritableRoot => (
            "Roots that programs may change cannot be kept in the store's file system.",
            "Set DJSHIP_HOME to a folder on a local disk (ext4, XFS, btrfs).".to_owned(),
        ),
        Step::MountRoot => (
            "Overlays cannot be mounted in user namespaces here.",
            "Load the module (`sudo modprobe overlay`), or use a newer kernel.".to_owned(),
        ),
        _ => return finding,
    };
    why.clone_into(&mut finding.why);
    finding.mend(mend)
}
