//! `setup.cfg` and `setup.py` where nothing else names dependencies.
//!
//! `setup.cfg` is read; `setup.py` is a program, so its list is only looked for. Neither decides what is installed: the installer
//! asks setuptools. What is found here is for the choice of Python and of the libraries.

use super::dependencies::DependenciesError;
use super::locks::DEVELOPMENT;
use crate::project::Project;
use crate::project::requirements::{Requirements, normalise};

/// The files of a folder, the one that is installed from first.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// The file that the installer is given, relative to the project.
    pub(super) file: String,
    /// What could be read.
    pub(super) all: Requirements,
    /// Extras for development.
    pub(super) extras: Vec<String>,
}

/// Finds them; a file of that name that does not call setuptools is somebody's own module.
pub(super) fn find(project: &Project, folder: &str) -> Result<Option<Setup>, DependenciesError> {
    let at = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let program = project.read(&at("setup.py"))?.filter(|text| text.contains("setup("));
    let settings = project.read(&at("setup.cfg"))?;
    let sections = settings.as_deref().map(sections).unwrap_or_default();
    let listed = lines(&sections, "options", "install_requires");
    // Linters keep their settings in a `setup.cfg` as well.
    if program.is_none() && listed.is_empty() {
        return Ok(None);
    }
    let file = at(if program.is_some() { "setup.py" } else { "setup.cfg" });
    let listed =
        if listed.is_empty() { quoted_after(program.as_deref().unwrap_or_default()) } else { listed };
    let mut all = Requirements::of_lines(&file, &listed);
    all.files =
        [program.map(|_| at("setup.py")), settings.map(|_| at("setup.cfg"))].into_iter().flatten().collect();
    // setuptools looks at the project to tell.
    all.local = true;
    let extras = sections.iter().filter(|(section, ..)| section == "options.extras_require");
    let extras = extras
        .map(|(_, name, _)| name.clone())
        .filter(|name| DEVELOPMENT.contains(&normalise(name).as_str()));
    Ok(Some(Setup { file, all, extras: extras.collect() }))
}

/// Section, key and value; a value's lines are joined by line ends.
type Setting = (String, String, String);

fn sections(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if line.starts_with([' ', '\t']) {
            if let Some((.., value)) = settings.last_mut().filter(|(known, ..)| *known == section) {
                value.push('\n');
                value.push_str(trimmed);
            }
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            settings.push((
                section.clone(),
                key.trim().replace('-', "_").to_lowercase(),
                value.trim().to_owned(),
            ));
        }
    }
    settings
}

fn lines(settings: &[Setting], section: &str, key: &str) -> Vec<String> {
    let found = settings.iter().find(|(in_section, name, _)| in_section == section && name == key);
    let value = found.map(|(.., value)| value.as_str()).unwrap_or_default();
    value.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The texts of the list that follows `install_requires`.
fn quoted_after(program: &str) -> Vec<String> {
    let list = program.split_once("install_requires").and_then(|(_, rest)| rest.split_once('['));
    let mut rest = list.map_or("", |(_, list)| list);
    let mut found = Vec::new();
    while let Some(at) = rest.find(['"', '\'', ']', '#']) {
        match &rest[at..=at] {
            "]" => break,
            "#" => rest = rest[at..].split_once('\n').map_or("", |(_, after)| after),
            quote => {
                let Some((text, after)) = rest[at + 1..].split_once(quote) else { break };
                found.push(text.to_owned());
                // The bracket of `celery[redis]` is inside.
                rest = after;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Option<Setup> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs_err::write(folder.path().join(name), text).unwrap();
        }
        let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
        find(&Project { folder: folder.path().to_owned(), manage_py }, "").unwrap()
    }

    fn names(setup: &Setup) -> Vec<&str> {
        setup.all.requirements.iter().map(|requirement| requirement.name.as_str()).collect()
    }

    #[test]
    fn settings_are_read_and_programs_are_searched() {
        let settings = "[metadata]\nname = x\n[options]\ninstall_requires =\n    Django>=5.2  \n    celery[redis]\n    # no\n\n[options.extras_require]\ndev =\n    pytest\ndocs = sphinx\n";
        let setup = found(&[("setup.cfg", settings)]).unwrap();
        assert_eq!((setup.file.as_str(), names(&setup)), ("setup.cfg", vec!["django", "celery"]));
        assert_eq!(setup.extras, ["dev"]);
        let both = found(&[("setup.cfg", settings), ("setup.py", "from setuptools import setup\nsetup()\n")])
            .unwrap();
        assert_eq!((both.file.as_str(), names(&both)), ("setup.py", vec!["django", "celery"]));
        assert_eq!(both.all.files, ["setup.py", "setup.cfg"]);
        let program = "setup(\n    install_requires=[\n        'Django~=4.2',  # 'old'\n        \"celery[redis]>5\",\n    ],\n    extras_require={'x': ['y']},\n)\n";
        let setup = found(&[("setup.py", program)]).unwrap();
        assert_eq!(names(&setup), ["django", "celery"]);
        assert!(setup.all.local);
    }

    #[test]
    fn other_files_of_these_names_are_none() {
        assert!(
            found(&[("setup.cfg", "[flake8]\nmax-line-length = 100\n"), ("setup.py", "DEBUG = True\n")])
                .is_none()
        );
    }
}
