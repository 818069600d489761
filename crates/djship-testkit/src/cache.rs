//! Where the whole suite keeps what it downloaded.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Names the folder; `cargo xtask test` sets it.
pub const VARIABLE: &str = "DJSHIP_TEST_CACHE";

/// The folder that all tests share, made if it is not there. What is in it may be there from an earlier run: name
/// files after their content, or write them to a temporary name and rename.
pub fn cache_dir() -> Result<PathBuf> {
    let folder = match std::env::var_os(VARIABLE) {
        Some(folder) => PathBuf::from(folder),
        None => target_dir()?.join("test-cache"),
    };
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}

/// Cargo's target folder, found from the running test binary at `target/PROFILE/deps/NAME-HASH`.
pub fn target_dir() -> Result<PathBuf> {
    let folder = profile_dir()?;
    folder.parent().map(PathBuf::from).with_context(|| format!("{} has no parent", folder.display()))
}

/// The folder of this build's binaries, `target/PROFILE`.
pub(crate) fn profile_dir() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot find the running test binary")?;
    let deps = executable.ancestors().find(|folder| folder.ends_with("deps"));
    let profile = deps.and_then(|deps| deps.parent());
    profile.map(PathBuf::from).with_context(|| format!("{} is not in a folder `deps`", executable.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_binary_lies_below_the_target_folder() {
        let target = target_dir().unwrap();
        assert!(std::env::current_exe().unwrap().starts_with(&target));
        assert!(cache_dir().unwrap().is_dir());
    }
}
