//! Finding `manage.py`: the nearest one to the top, past the folders that hold other people's code.

use std::io;
use std::path::{Path, PathBuf};

use djship_store::beneath::BeneathError;
use djship_store::{Beneath, TreePath};

use super::{Folder, ProjectError, read_text};

/// How far down a `manage.py` is looked for: a Django site two levels down in a monorepo is common, three exists.
const DEPTH: usize = 3;

/// Folders that hold other people's code, or none.
const FOREIGN: &[&str] = &[
    "node_modules",
    "bower_components",
    "venv",
    "env",
    "virtualenv",
    "site-packages",
    "__pycache__",
    "build",
    "dist",
];

pub(super) fn manage_py(folder: &Path) -> Result<TreePath, ProjectError> {
    let none = || ProjectError::NoFolder { path: folder.to_owned() };
    let files = Folder::open(folder)?.ok_or_else(none)?;
    let top = Beneath::open_without_links(folder).map_err(io::Error::from)?;
    let mut level = vec![String::new()];
    let mut not_django = None;
    for _ in 0..=DEPTH {
        let mut paths = Vec::new();
        for relative in &level {
            let file = beside(relative, "manage.py");
            match read_text(&files, &file)? {
                Some(text) if text.contains("django") || text.contains("configurations.management") => {
                    paths.extend(TreePath::parse(&file));
                }
                Some(_) => not_django = Some(folder.join(file)),
                None => {}
            }
        }
        paths.sort();
        match paths.len() {
            0 => level = below(&top, &level).map_err(io::Error::from)?,
            1 => return Ok(paths.remove(0)),
            _ => return Err(ProjectError::SeveralManagePy { folder: folder.to_owned(), files: paths }),
        }
    }
    Err(match not_django {
        Some(file) => ProjectError::NotDjango { file },
        None => ProjectError::NoManagePy { folder: folder.to_owned(), near: manage_py_above(folder) },
    })
}

/// The path of `name` in the folder `folder`, both relative to the project.
fn beside(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The sub-folders of all folders of a level, in order.
fn below(top: &Beneath, level: &[String]) -> Result<Vec<String>, BeneathError> {
    let mut next = Vec::new();
    for relative in level {
        let folder = match top.folder(if relative.is_empty() { "." } else { relative }) {
            Ok(folder) => folder,
            Err(error) if relative.is_empty() => return Err(error),
            // Gone meanwhile, or no folder any more.
            Err(_) => continue,
        };
        for entry in folder.entries()? {
            let Some(name) = entry.name.to_str() else { continue };
            let foreign = name.starts_with('.') || FOREIGN.contains(&name);
            // A link may lead anywhere, also back up: it is no folder here. One that is closed to us, such as a database's, has nothing
            // for us.
            let entered = || folder.has(&format!("{name}/pyvenv.cfg")).is_ok_and(|is_venv| !is_venv);
            if entry.is_folder && !foreign && entered() {
                next.push(beside(relative, name));
            }
        }
    }
    next.sort();
    Ok(next)
}

fn manage_py_above(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().skip(1).take(2).map(|above| above.join("manage.py")).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DJANGO: &str = "from django.core.management import execute_from_command_line\n";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        folder
    }

    #[test]
    fn the_nearest_one_past_decoys() {
        let folder = tree(&[
            ("node_modules/a/manage.py", DJANGO),
            (".venv/manage.py", DJANGO),
            ("my-env/pyvenv.cfg", ""),
            ("my-env/manage.py", DJANGO),
            ("apps/api/manage.py", DJANGO),
        ]);
        assert_eq!(manage_py(folder.path()).unwrap().as_str(), "apps/api/manage.py");
    }

    #[test]
    fn several_none_and_strangers_are_named() {
        let two = tree(&[("a/manage.py", DJANGO), ("b/manage.py", DJANGO)]);
        assert!(
            matches!(manage_py(two.path()), Err(ProjectError::SeveralManagePy { files, .. }) if files.len() == 2)
        );
        let flask = tree(&[("manage.py", "from flask_script import Manager\n")]);
        assert!(matches!(manage_py(flask.path()), Err(ProjectError::NotDjango { .. })));
        let inside = tree(&[("manage.py", DJANGO), ("polls/views.py", "")]);
        let error = manage_py(&inside.path().join("polls")).unwrap_err();
        assert!(matches!(error, ProjectError::NoManagePy { near: Some(_), .. }));
    }
}
