//! The Compose of today. The release that the tests run on may have the first one only, so Debian's newer package is taken as well:
//! it is one program that needs a C library, and is kept in the cache of the tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::images::{CODENAME, KEYRING};
use super::{Docker, output_of};
use crate::cache::cache_dir;
use crate::mirror::upstream;

impl Docker {
    /// The program `docker-compose`, version 2, verified as Debian's packages are.
    pub fn compose_2() -> Result<PathBuf> {
        let folder = cache_dir()?.join("docker");
        fs_err::create_dir_all(&folder)?;
        let file = folder.join(format!("compose-2-{CODENAME}"));
        if file.is_file() {
            return Ok(file);
        }
        let place = tempfile::Builder::new().prefix("djship-compose-").tempdir_in(&folder)?;
        let root = place.path().join("root");
        let (main, _) = upstream::bases();
        let mut command = Command::new("mmdebstrap");
        // Unpacked, not installed.
        command.args(["--quiet", "--variant=extract", "--include=docker-compose"]);
        command.arg(format!("--keyring={KEYRING}")).arg(CODENAME).arg(&root);
        output_of(command.arg(format!("deb {main} {CODENAME} main")))?;
        fs_err::rename(root.join("usr/libexec/docker/cli-plugins/docker-compose"), &file)?;
        Ok(file)
    }
}
