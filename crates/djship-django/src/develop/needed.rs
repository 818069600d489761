//! Which libraries of the system the shared objects of an environment need.

use std::collections::BTreeSet;

use djship_deb::loader;
use djship_store::Beneath;
use djship_store::beneath::BeneathError;

/// Folders in folders that are looked into.
const DEEPEST: usize = 40;
/// More shared objects are not read.
const MOST: usize = 50_000;

/// The names of libraries that the shared objects below the folder `within` need, and that are neither among them nor in
/// `present`. What cannot be read as a shared object needs none.
pub(super) fn unmet(
    environment: &Beneath,
    within: &str,
    present: &BTreeSet<String>,
) -> Result<BTreeSet<String>, BeneathError> {
    let mut found = Objects::default();
    match environment.folder(within) {
        Ok(folder) => found.read(&folder, 0)?,
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    // A wheel that brings a library keeps it under its own name, wherever its search path points.
    found.needed.retain(|name| !present.contains(name) && !found.names.contains(name));
    Ok(found.needed)
}

#[derive(Default)]
struct Objects {
    /// The file names of shared objects.
    names: BTreeSet<String>,
    /// What they need.
    needed: BTreeSet<String>,
}

impl Objects {
    fn read(&mut self, folder: &Beneath, depth: usize) -> Result<(), BeneathError> {
        for entry in folder.entries()? {
            let Some(name) = entry.name.to_str() else { continue };
            if entry.is_folder && depth < DEEPEST {
                // Whatever has taken its place is no folder of an environment.
                if let Ok(folder) = folder.folder(name) {
                    self.read(&folder, depth + 1)?;
                }
            } else if name.contains(".so") && self.names.len() < MOST {
                self.names.insert(name.to_owned());
                if let Ok(file) = folder.file(name)
                    && let Some(library) = loader::read_open_library(file)
                {
                    self.needed.extend(library.needed);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_environment_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("venv/lib/python3.13/site-packages");
        fs_err::create_dir_all(&lib).unwrap();
        // This program, which needs the C library.
        let program = std::env::current_exe().unwrap();
        let unmet = |present: &[&str]| {
            let present = present.iter().map(|&name| name.to_owned()).collect();
            let environment = Beneath::open(&dir.path().join("venv")).unwrap();
            super::unmet(&environment, "lib", &present).unwrap()
        };
        assert!(unmet(&[]).is_empty());
        // Neither what a link leads to, nor a pipe, which would be waited for.
        fs_err::os::unix::fs::symlink(&program, lib.join("linked.so")).unwrap();
        fs_err::os::unix::fs::symlink(program.parent().unwrap(), lib.join("folder")).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, lib.join("pipe.so"), kind, mode, 0).unwrap();
        assert!(unmet(&[]).is_empty());
        fs_err::copy(&program, lib.join("own.so")).unwrap();
        assert!(unmet(&[]).contains("libc.so.6"));
        assert!(!unmet(&["libc.so.6"]).contains("libc.so.6"));
        fs_err::write(lib.join("libc.so.6"), "").unwrap();
        assert!(!unmet(&[]).contains("libc.so.6"));
    }
}
