//! The kernel: its version, and what an administrator has switched off.

use std::path::Path;

use super::{Check, Finding, Severity, read_setting};

/// Mounts in user namespaces as we need them.
const OLDEST: (u32, u32) = (5, 12);
/// Layers named one by one.
const NEWER_OVERLAY: (u32, u32) = (6, 5);

pub(super) fn version() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    judge_version(&release)
}

fn judge_version(release: &str) -> Finding {
    let what = format!("Linux {release}");
    match parse_version(release) {
        None => Finding::new(Check::Kernel, Severity::Warning, what, "The version cannot be read from this."),
        Some(version) if version < OLDEST => Finding::new(
            Check::Kernel,
            Severity::Blocking,
            what,
            "Containers without root need Linux 5.12 or newer.",
        )
        .mend("Upgrade the distribution, or use `--engine docker`."),
        Some(version) if version < NEWER_OVERLAY => Finding::new(
            Check::Kernel,
            Severity::Good,
            what,
            "Older than 6.5: roots are mounted with the older call, which takes about 200 layers.",
        ),
        Some(_) => Finding::good(Check::Kernel, what),
    }
}

/// "6.1.0-18-amd64" is (6, 1).
fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|sign: char| !sign.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What the settings say; whether a namespace can really be made is for the trial container.
pub(super) fn user_namespaces(binary: &Path) -> Finding {
    judge_user_namespaces(
        rustix::process::geteuid().is_root(),
        read_setting("/proc/sys/user/max_user_namespaces").as_deref(),
        read_setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref(),
        read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref(),
        binary,
    )
}

fn judge_user_namespaces(
    root: bool,
    most: Option<&str>,
    unprivileged: Option<&str>,
    apparmor: Option<&str>,
    binary: &Path,
) -> Finding {
    let finding = |severity, what: &str, why: &str| Finding::new(Check::UserNamespaces, severity, what, why);
    if most.is_none() {
        return finding(
            Severity::Blocking,
            "the kernel has no user namespaces",
            "Containers are built on them, also when djship is started by root.",
        )
        .mend("Use a kernel with CONFIG_USER_NS, or `--engine docker`.");
    }
    if most == Some("0") {
        return finding(
            Severity::Blocking,
            "user namespaces are switched off (user.max_user_namespaces = 0)",
            "Containers are built on them, also when djship is started by root.",
        )
        .mend("sudo sysctl -w user.max_user_namespaces=15000");
    }
    if !root && unprivileged == Some("0") {
        return finding(
            Severity::Blocking,
            "user namespaces are for root only (kernel.unprivileged_userns_clone = 0)",
            "Ordinary users cannot start containers.",
        )
        .mend("sudo sysctl -w kernel.unprivileged_userns_clone=1");
    }
    if !root && apparmor == Some("1") {
        return finding(
            Severity::Warning,
            "AppArmor allows user namespaces only to programs with a profile \
             (kernel.apparmor_restrict_unprivileged_userns = 1)",
            "Without a profile for djship, ordinary users cannot start containers; the trial container below tells.",
        )
        .mend(format!(
            "Write this to /etc/apparmor.d/djship, then run `sudo apparmor_parser -r /etc/apparmor.d/djship`:\n{}",
            apparmor_profile(binary)
        ));
    }
    Finding::good(Check::UserNamespaces, "user namespaces are allowed")
}

/// A profile that allows user namespaces to the binary at that path and restricts it in nothing.
pub fn apparmor_profile(binary: &Path) -> String {
    format!(
        "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile djship \"{}\" flags=(unconfined) {{\n  userns,\n  \
         include if exists <local/djship>\n}}\n",
        binary.display()
    )
}

pub(super) fn filter() -> Finding {
    match read_setting("/proc/sys/kernel/seccomp/actions_avail") {
        Some(actions) if ["errno", "kill_process"].iter().all(|action| actions.contains(action)) => {
            Finding::good(Check::SystemCallFilter, "system calls can be filtered")
        }
        _ => Finding::new(
            Check::SystemCallFilter,
            Severity::Blocking,
            "the kernel cannot filter system calls (seccomp)",
            "Containers run programs of strangers; djship starts none without a filter.",
        )
        .mend("Use a kernel with CONFIG_SECCOMP_FILTER, or `--engine docker`."),
    }
}

pub(super) fn abstract_sockets() -> Finding {
    if super::can_confine_abstract_sockets() {
        return Finding::good(
            Check::AbstractSockets,
            "abstract sockets of the host can be kept from containers",
        );
    }
    Finding::new(
        Check::AbstractSockets,
        Severity::Notice,
        "abstract sockets of the host cannot be kept from containers (Landlock of Linux 6.12)",
        "Builds get no local sockets at all; services and the development server on the host's network could reach \
         abstract sockets of this machine.",
    )
}

pub(super) fn control_groups() -> Finding {
    let mounts = read_setting("/proc/self/mountinfo").unwrap_or_default();
    let what = match control_group_kinds(&mounts) {
        (true, false) => "control groups of version 2",
        (false, true) => "control groups of version 1",
        (true, true) => "control groups of both versions",
        (false, false) => "no control groups are mounted",
    };
    // Nothing of ours depends on them.
    Finding::good(Check::ControlGroups, what)
}

/// Whether version 2 and version 1 are mounted.
fn control_group_kinds(mountinfo: &str) -> (bool, bool) {
    let has = |kind: &str| {
        mountinfo
            .lines()
            .any(|line| line.split_once(" - ").is_some_and(|(_, rest)| rest.split(' ').next() == Some(kind)))
    };
    (has("cgroup2"), has("cgroup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(parse_version("5.15.153.1-microsoft-standard-WSL2"), Some((5, 15)));
        assert_eq!(parse_version("unknown"), None);
        assert_eq!(judge_version("5.10.0").severity, Severity::Blocking);
        assert_eq!(judge_version("6.18.1").severity, Severity::Good);
    }

    #[test]
    fn settings_that_forbid_namespaces() {
        let judge = |root, most, unprivileged, apparmor| {
            judge_user_namespaces(root, most, unprivileged, apparmor, Path::new("/usr/bin/djship"))
        };
        assert_eq!(judge(false, Some("100"), None, None).severity, Severity::Good);
        assert_eq!(judge(true, Some("0"), None, None).severity, Severity::Blocking);
        assert_eq!(judge(false, None, None, None).severity, Severity::Blocking);
        assert_eq!(judge(false, Some("100"), Some("0"), None).severity, Severity::Blocking);
        assert_eq!(judge(true, Some("100"), Some("0"), Some("1")).severity, Severity::Good);
        let apparmor = judge(false, Some("100"), Some("1"), Some("1"));
        assert!(apparmor.mend.unwrap().contains("profile djship \"/usr/bin/djship\""));
    }

    #[test]
    fn control_groups_of_mountinfo() {
        let line = |kind| format!("30 20 0:26 / /sys/fs/cgroup rw - {kind} cgroup rw\n");
        assert_eq!(control_group_kinds(&line("cgroup2")), (true, false));
        assert_eq!(control_group_kinds(&(line("cgroup2") + &line("cgroup"))), (true, true));
        assert_eq!(control_group_kinds("20 1 8:1 / / rw - ext4 /dev/cgroup rw\n"), (false, false));
    }
}
