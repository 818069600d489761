//! Variables that the project's code names.
//!
//! The settings are watched while they are read, but a view or a task reads its variable later. What the developer exported
//! reaches the project when its code has the name as a string; a shell exports much else.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::project::{Folder, GitIgnore, ProjectError};

/// More code than this is not looked through: bytes in one file, and files.
const MOST_BYTES: u64 = 1 << 20;
const MOST_FILES: usize = 20_000;

/// Those of `names` that a Python file of the project has between quotes. What git ignores is not the project's code.
pub(super) fn mentioned<'n>(
    project: &Path,
    names: impl Iterator<Item = &'n String>,
) -> Result<BTreeSet<String>, ProjectError> {
    let mut missing: Vec<&String> = names.collect();
    let mut found = BTreeSet::new();
    let Some(folder) = Folder::open(project)?.map(Arc::new) else { return Ok(found) };
    let git = Arc::new(GitIgnore::new(Arc::clone(&folder)));
    let rules = Arc::clone(&git);
    let mut walk = ignore::WalkBuilder::new(project);
    walk.standard_filters(false).follow_links(false);
    walk.filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let passed = || is_hidden || is_foreign(entry.path()) || rules.ignores(entry.path(), is_folder);
        entry.depth() == 0 || !passed()
    });
    let is_python = |path: &Path| path.extension().is_some_and(|extension| extension == "py");
    let entries = walk.build().filter_map(Result::ok).filter(|entry| is_python(entry.path()));
    for entry in entries.take(MOST_FILES) {
        if missing.is_empty() {
            break;
        }
        let relative = entry.path().strip_prefix(project).ok().and_then(Path::to_str);
        // A pipe or a link out of it is no code of the project's, whatever it is called.
        let code = relative.and_then(|relative| folder.read(relative, MOST_BYTES).ok().flatten());
        let Some(code) = code else { continue };
        missing.retain(|name| {
            let is_there = has(&code, name);
            if is_there {
                found.insert((*name).clone());
            }
            !is_there
        });
    }
    git.finish()?;
    Ok(found)
}

/// Folders in which other people's code is.
fn is_foreign(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "node_modules") || path.join("pyvenv.cfg").exists()
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
        write("secret/made.py", "'IGNORED'");
        write(".gitignore", "secret/\n");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("pipe.py"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        let names =
            ["MAP_KEY", "SPOKEN", "OTHER_KEY", "OTHER_KEY_2", "BOWER", "VENV", "NOTED", "IGNORED", ""]
                .map(str::to_owned);
        let found = mentioned(&fs_err::canonicalize(folder.path()).unwrap(), names.iter()).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["MAP_KEY", "OTHER_KEY_2"]);

        // What an ignore file that is none would say is not known.
        let ignore = folder.path().join("shop/.gitignore");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &ignore, kind, mode, 0).unwrap();
        let error = mentioned(&fs_err::canonicalize(folder.path()).unwrap(), names.iter()).unwrap_err();
        assert!(error.to_string().contains("named pipe"), "{error}");
    }
}
