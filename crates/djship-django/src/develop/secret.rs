//! The environment's own password: for databases whose password the settings leave open.

use std::fs::Permissions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use djship_store::atomic;
use djship_store::temp::TempFile;

/// Its file in the environment's folder, which is nobody else's.
const FILE: &str = "password";
/// Random bytes of it.
const BYTES: usize = 24;

/// The password of the environment whose folder is `state`, made at random the first time. It needs no quotes anywhere.
pub(super) fn of(state: &Path) -> io::Result<String> {
    let file = state.join(FILE);
    if let Some(known) = read(&file) {
        return Ok(known);
    }
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let new = TempFile::beside(&file)?;
    new.file().set_permissions(Permissions::from_mode(0o600))?;
    new.file().write_all(password.as_bytes())?;
    new.file().sync_all()?;
    new.rename_to(&file)?;
    atomic::sync_folder(state)?;
    Ok(password)
}

/// What is there, if it is what was written.
fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    fs_err::File::open(file).ok()?.take(1 << 10).read_to_string(&mut text).ok()?;
    let whole = text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let first = of(folder.path()).unwrap();
        assert_eq!(first.len(), 48);
        assert_eq!(of(folder.path()).unwrap(), first);
        let file = folder.path().join(FILE);
        assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(of(other.path()).unwrap(), first);
        // What is damaged is made anew.
        fs_err::write(&file, "short").unwrap();
        assert_ne!(of(folder.path()).unwrap(), "short");
    }
}
