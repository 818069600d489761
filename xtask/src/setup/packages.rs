//! The Debian packages that the tests need, each with the reason.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::workspace::{output_of, run};

/// Package, and what needs it.
const PACKAGES: [(&str, &str); 20] = [
    ("busybox-static", "a root file system of one file, for the engine's tests"),
    ("ca-certificates", "the CA bundle that djship trusts and hands to the builder"),
    ("curl", "a second opinion on what the production image serves"),
    ("debian-archive-keyring", "apt's own keys, to compare closures with apt's"),
    ("docker-compose", "runs the files that djship ejects"),
    (
        "docker-registry",
        "the registry that images are pushed to and pulled from; its own service is not started",
    ),
    ("docker.io", "builds and runs what djship hands over; the tests start daemons of their own"),
    ("git", "git's ignore rule, which selection is compared with"),
    ("mmdebstrap", "makes the images that ejected files begin with"),
    ("openssl", "certificates of registries, as people make them"),
    ("postgresql", "the database that a site's votes outlast a restart in; its own cluster is not started"),
    ("podman", "runs the OCI layout that djship wrote"),
    ("python3-venv", "the tests of the probe, under Debian's own Python"),
    ("runc", "podman's runtime in those tests; its default one refuses hybrid cgroups"),
    ("shellcheck", "judges our shell scripts"),
    ("skopeo", "reads the OCI layout, the archive and the registry that djship wrote to"),
    ("slirp4netns", "the way out of the network that a test's Docker has for itself"),
    ("uidmap", "newuidmap and newgidmap, for users with subordinate ids"),
    ("umoci", "unpacks the OCI layout that djship wrote"),
    ("util-linux", "setpriv and unshare: tests as other users"),
];

/// Installs the ones that are missing; asks no server when none is.
pub(super) fn install() -> Result<()> {
    let missing = missing(&installed()?);
    if missing.is_empty() {
        println!("all {} packages are here", PACKAGES.len());
        return Ok(());
    }
    for (name, reason) in &missing {
        println!("{name}: {reason}");
    }
    if missing.iter().any(|(name, _)| *name == "postgresql") {
        keep_postgresql_quiet()?;
    }
    if missing.iter().any(|(name, _)| *name == "docker-registry") {
        keep_registry_quiet()?;
    }
    run(&mut apt_get(&["update"]))?;
    let mut install = apt_get(&["install", "--yes", "--no-install-recommends"]);
    run(install.args(missing.iter().map(|(name, _)| name)))
}

/// Debian's package makes and starts a cluster when it is installed, unless it is told not to: the tests start their own.
fn keep_postgresql_quiet() -> Result<()> {
    let folder = Path::new("/etc/postgresql-common");
    let file = folder.join("createcluster.conf");
    if !file.exists() {
        fs_err::create_dir_all(folder)?;
        fs_err::write(file, "create_main_cluster = false\n")?;
    }
    Ok(())
}

/// Debian's package starts a registry when it is installed, unless its service is masked: the tests start their own.
fn keep_registry_quiet() -> Result<()> {
    let folder = Path::new("/etc/systemd/system");
    let unit = folder.join("docker-registry.service");
    if unit.symlink_metadata().is_err() {
        fs_err::create_dir_all(folder)?;
        fs_err::os::unix::fs::symlink("/dev/null", unit)?;
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    // No question is asked, and one failed connection is no failed run.
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "Acquire::Retries=3"]).args(arguments);
    command
}

fn missing(installed: &str) -> Vec<(&'static str, &'static str)> {
    PACKAGES
        .into_iter()
        .filter(|(name, _)| !installed.lines().any(|line| line.strip_suffix(" installed") == Some(name)))
        .collect()
}

/// One line for each package: its name and its status.
fn installed() -> Result<String> {
    output_of(Command::new("dpkg-query").args([
        "--show",
        "--showformat",
        "${Package} ${db:Status-Status}\\n",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let mut listing = PACKAGES.map(|(name, _)| format!("{name} installed\n")).concat();
        assert!(missing(&listing).is_empty());
        listing = listing.replace("runc installed", "runc config-files");
        assert_eq!(missing(&listing).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["runc"]);
    }
}
