//! Finding `manage.py`: the nearest one to the top, past the folders that hold other people's code.

use std::path::{Path, PathBuf};

use djship_store::TreePath;

use super::{ProjectError, read_text};

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
    let mut level = vec![PathBuf::new()];
    let mut not_django = None;
    for _ in 0..=DEPTH {
        let mut found = Vec::new();
        for relative in &level {
            let file = folder.join(relative).join("manage.py");
            match read_text(&file)? {
                Some(text) if text.contains("django") || text.contains("configurations.management") => {
                    found.push(relative.join("manage.py"));
                }
                Some(_) => not_django = Some(file),
                None => {}
            }
        }
        let mut paths: Vec<TreePath> = found
            .iter()
            .filter_map(|path| path.to_str())
            .filter_map(|path| TreePath::parse(path).ok())
            .collect();
        paths.sort();
        match paths.len() {
            0 => level = below(folder, &level)?,
            1 => return Ok(paths.remove(0)),
            _ => return Err(ProjectError::SeveralManagePy { folder: folder.to_owned(), files: paths }),
        }
    }
    Err(match not_django {
        Some(file) => ProjectError::NotDjango { file },
        None => ProjectError::NoManagePy { folder: folder.to_owned(), near: manage_py_above(folder) },
    })
}

/// The sub-folders of all folders of a level, in order.
fn below(folder: &Path, level: &[PathBuf]) -> Result<Vec<PathBuf>, ProjectError> {
    let mut next = Vec::new();
    for relative in level {
        for entry in fs_err::read_dir(folder.join(relative))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            // A link may lead anywhere, also back up.
            let is_folder = entry.file_type()?.is_dir();
            let foreign = name.starts_with('.') || FOREIGN.contains(&name);
            if is_folder && !foreign && !entry.path().join("pyvenv.cfg").exists() {
                next.push(relative.join(name));
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
