//! Variables that the project's code names.
//!
//! The settings are watched while they are read, but a view or a task reads its variable later. What the developer exported
//! reaches the project when its code has the name as a string; a shell exports much else.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// More code than this is not looked through: bytes in one file, and files.
const MOST_BYTES: u64 = 1 << 20;
const MOST_FILES: usize = 20_000;

/// Those of `names` that a Python file of the project has between quotes. What git ignores is not the project's code.
pub(super) fn mentioned<'n>(project: &Path, names: impl Iterator<Item = &'n String>) -> BTreeSet<String> {
    let mut missing: Vec<&String> = names.collect();
    let mut found = BTreeSet::new();
    let mut walk = ignore::WalkBuilder::new(project);
    walk.ignore(false).git_global(false).require_git(false).follow_links(false);
    walk.filter_entry(|entry| entry.depth() == 0 || !is_foreign(entry.path()));
    let is_python = |path: &Path| path.extension().is_some_and(|extension| extension == "py");
    let entries = walk.build().filter_map(Result::ok).filter(|entry| is_python(entry.path()));
    for entry in entries.take(MOST_FILES) {
        if missing.is_empty() {
            break;
        }
        let Some(code) = read(entry.path()) else { continue };
        missing.retain(|name| {
            let is_there = has(&code, name);
            if is_there {
                found.insert((*name).clone());
            }
            !is_there
        });
    }
    found
}

/// Folders in which other people's code is.
fn is_foreign(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "node_modules") || path.join("pyvenv.cfg").exists()
}

/// A file, if it is one: somebody else may have put a pipe or a link in its place.
fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let metadata =
        file.metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() <= MOST_BYTES)?;
    let mut code = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    file.take(MOST_BYTES).read_to_end(&mut code).ok()?;
    Some(code)
}

fn has(code: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    let quoted = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| code.get(before));
        matches!(before, Some(b'"' | b'\'')) && code.get(at + name.len()) == before
    };
    !name.is_empty() && code.windows(name.len()).enumerate().any(|(at, window)| window == name && quoted(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_quotes_in_the_projects_own_code() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("shop/views.py", "import os\nkey = os.environ['MAP_KEY']\n# SPOKEN of\nx = \"OTHER_KEY_2\"\n");
        write("node_modules/x/y.py", "'BOWER'");
        write("env/pyvenv.cfg", "");
        write("env/lib/z.py", "'VENV'");
        write("notes.txt", "'NOTED'");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("pipe.py"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let names = ["MAP_KEY", "SPOKEN", "OTHER_KEY", "OTHER_KEY_2", "BOWER", "VENV", "NOTED", ""]
            .map(str::to_owned);
        let found = mentioned(folder.path(), names.iter());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["MAP_KEY", "OTHER_KEY_2"]);
    }
}
