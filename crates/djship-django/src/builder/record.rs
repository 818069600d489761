//! What an environment holds, written beside its tree, and which one a project had last.

use std::path::Path;

use super::{BuilderError, Distribution};
use djship_store::Digest;

/// Beside the tree of an installed environment: what is in it.
const RECORD: &str = "installed.json";

/// Notes what this project's dependencies were the last time.
pub(super) fn note_last(file: &Path, key: &Digest) -> Result<(), std::io::Error> {
    if let Some(folder) = file.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(file, key.hex())
}

pub(super) fn write_record(folder: &Path, distributions: &Vec<Distribution>) -> std::io::Result<()> {
    let text = serde_json::to_vec(distributions).map_err(std::io::Error::other)?;
    fs_err::write(folder.join(RECORD), text)
}

pub(super) fn read_record(folder: &Path) -> Result<Vec<Distribution>, BuilderError> {
    let text = fs_err::read(folder.join(RECORD))?;
    Ok(serde_json::from_slice(&text).map_err(std::io::Error::other)?)
}
