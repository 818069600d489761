//! Which dependency manager's files count when there are those of several.
//!
//! A lock comes before requirements files: it is what the project's own tool installs. Of several locks, the one whose tool
//! `pyproject.toml` (or a Pipfile) configures; a `pylock.toml` beside another lock is an export of it. Where that leaves two,
//! djship does not choose.

use super::dependencies::{Dependencies, DependenciesError, FOR_ALL, PRODUCTION, SHARED, parse};
use super::locks::Tool;
use crate::project::{Project, ProjectError};

fn at(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn has(project: &Project, folder: &str, name: &str) -> Result<bool, ProjectError> {
    project.has(&at(folder, name))
}

/// The lock of a folder that counts.
pub(super) fn lock(
    project: &Project,
    folder: &str,
    shared: Option<&str>,
) -> Result<Option<Tool>, DependenciesError> {
    let mut found = Vec::new();
    for tool in Tool::ALL {
        if has(project, folder, tool.lock())? {
            found.push(tool);
        }
    }
    if found.len() > 1 {
        found.retain(|tool| *tool != Tool::Pylock);
    }
    if found.len() > 1 {
        let table: toml::Table = parse(&at(folder, SHARED), shared.unwrap_or_default())?;
        let mut configured = Vec::new();
        for tool in &found {
            if is_configured(project, folder, &table, *tool)? {
                configured.push(*tool);
            }
        }
        if let [only] = configured[..] {
            return Ok(Some(only));
        }
        let files = found.iter().map(|tool| at(folder, tool.lock())).collect();
        return Err(DependenciesError::SeveralLocks { files });
    }
    Ok(found.pop())
}

fn is_configured(
    project: &Project,
    folder: &str,
    table: &toml::Table,
    tool: Tool,
) -> Result<bool, ProjectError> {
    let key = match tool {
        Tool::Uv => "uv",
        Tool::Poetry => "poetry",
        Tool::Pdm => "pdm",
        Tool::Pipenv => return has(project, folder, tool.manifest()),
        Tool::Pylock => return Ok(false),
    };
    Ok(table.get("tool").and_then(|tools| tools.get(key)).is_some())
}

/// An error where a manifest names dependencies that only its lock pins.
pub(super) fn needs_lock(
    project: &Project,
    folder: &str,
    shared: Option<&str>,
) -> Result<(), DependenciesError> {
    if has(project, folder, Tool::Pipenv.manifest())? {
        return Err(DependenciesError::NoLock {
            file: at(folder, Tool::Pipenv.manifest()),
            tool: Tool::Pipenv,
        });
    }
    let table: toml::Table = parse(&at(folder, SHARED), shared.unwrap_or_default())?;
    let poetry =
        table.get("tool").and_then(|tool| tool.get("poetry")).and_then(|poetry| poetry.get("dependencies"));
    if poetry.is_some() {
        return Err(DependenciesError::NoLock { file: at(folder, SHARED), tool: Tool::Poetry });
    }
    Ok(())
}

/// Files of other managers beside what is installed from, relative to the project: what is in them does not count.
pub(super) fn passed_over(project: &Project, dependencies: &Dependencies) -> Vec<String> {
    let used = dependencies.files();
    let locked = matches!(dependencies, Dependencies::UvLock { .. } | Dependencies::Lock(_));
    let Some(first) = used.first() else { return Vec::new() };
    let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
    // A folder of requirements files lies beside the other files.
    let folder = folder.strip_suffix("requirements").map_or(folder, |above| above.trim_end_matches('/'));
    let locks = Tool::ALL.iter().map(|tool| tool.lock()).chain([Tool::Pipenv.manifest()]);
    let requirements = PRODUCTION.iter().chain(FOR_ALL).copied().filter(|_| locked);
    locks
        .chain(requirements)
        // What cannot be read does not count either.
        .filter(|name| has(project, folder, name).unwrap_or(false))
        .map(|name| at(folder, name))
        .filter(|file| !used.contains(file))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = folder.path().join(path);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
        let project = Project { folder: folder.path().to_owned(), manage_py };
        (folder, project)
    }

    const PYLOCK: (&str, &str) = ("pylock.toml", "lock-version = \"1.0\"\n");
    const UV: (&str, &str) = ("uv.lock", "version = 1\n");
    const PDM: (&str, &str) = ("pdm.lock", "[metadata]\nlock_version = \"4.5.0\"\n");

    #[test]
    fn a_lock_comes_before_requirements_and_what_does_not_count_is_said() {
        let (_keep, one) = project(&[PYLOCK, ("requirements.txt", "Django"), ("Pipfile", "")]);
        let found = Dependencies::find(&one).unwrap().value;
        assert!(matches!(found, Dependencies::Lock(_)));
        assert_eq!(passed_over(&one, &found), ["Pipfile", "requirements.txt"]);
        let (_keep, other) = project(&[("requirements/production.txt", "Django"), ("Pipfile", "")]);
        let found = Dependencies::find(&other).unwrap().value;
        assert_eq!(passed_over(&other, &found), ["Pipfile"]);
    }

    /// Everything that is looked for where a project says what it depends on.
    const LOOKED_FOR: [&str; 10] = [
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "pylock.toml",
        "Pipfile",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "requirements/dev.txt",
    ];

    /// What keeps both plans from being made when the file `name` is what `make` makes it.
    fn refusals(name: &str, make: impl Fn(&std::path::Path)) -> [String; 2] {
        let (keep, project) = project(&[("requirements/.keep", "")]);
        let path = keep.path().join(name);
        make(&path);
        let build = crate::plan::Plan::for_project(&project).map(drop);
        let config = crate::project::config::Config::default();
        let develop = crate::plan::development::DevelopmentPlan::for_project(&project, &config).map(drop);
        [build, develop].map(|plan| plan.map_or_else(|error| error.to_string(), |()| String::new()))
    }

    #[test]
    fn what_never_ends_is_not_read() {
        for name in LOOKED_FOR {
            let fifo = |path: &std::path::Path| {
                let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
            };
            let huge = |path: &std::path::Path| {
                fs_err::File::create(path).unwrap().set_len(1 << 40).unwrap();
            };
            let [build, develop] = refusals(name, fifo);
            let says = |text: &str, words: &str| text.contains(name) && text.contains(words);
            assert!(says(&develop, "it is a named pipe"), "{name}: {develop}");
            // A build does not look for development's.
            assert!(says(&build, "it is a named pipe") || name == "requirements/dev.txt", "{name}: {build}");
            let [_, develop] = refusals(name, huge);
            // Whether there is a Pipfile is all that counts where it has no lock.
            assert!(says(&develop, "1099511627776 bytes") || name == "Pipfile", "{name}: {develop}");
        }
    }

    #[test]
    fn what_leads_out_of_somebody_elses_project_is_not_read() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(outside.path().join("secret"), "a-secret-of-root\n").unwrap();
        for name in LOOKED_FOR {
            let [_, develop] = refusals(name, |path| {
                fs_err::os::unix::fs::symlink(outside.path().join("secret"), path).unwrap();
                let top = path.ancestors().find(|above| above.join("requirements").is_dir()).unwrap();
                std::os::unix::fs::chown(top, Some(12345), None).unwrap();
            });
            let refused = develop.contains(name) && develop.contains("it leads out of the project");
            assert!(refused && !develop.contains("a-secret"), "{name}: {develop}");
        }
    }

    #[test]
    fn of_several_locks_the_configured_tools_counts() {
        let configured = |table| ("pyproject.toml", table);
        let (_keep, uv) = project(&[UV, PDM, PYLOCK, configured("[tool.uv]\n")]);
        assert_eq!(lock(&uv, "", Some("[tool.uv]\n")).unwrap(), Some(Tool::Uv));
        assert_eq!(lock(&uv, "", Some("[tool.pdm]\n")).unwrap(), Some(Tool::Pdm));
        for table in ["", "[tool.uv]\n[tool.pdm]\n"] {
            let error = lock(&uv, "", Some(table)).unwrap_err();
            assert_eq!(error.to_string(), "cannot choose between the locks `uv.lock` and `pdm.lock`");
        }
        let (_keep, exported) = project(&[UV, PYLOCK]);
        assert_eq!(lock(&exported, "", None).unwrap(), Some(Tool::Uv));
    }
}
