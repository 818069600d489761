//! The programs that run the project's code, and what of the project decides them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use djship_engine::Container;

use super::describe::Description;
use super::dot_env::DotEnv;
use super::ground;
use super::processes::{Process, Procfile};
use super::web::ProjectProgram;
use crate::project::config::{Config, ProcessKind};
use crate::supervisor::Role;
use crate::tools::Tools;

/// The development server, and what runs beside it.
pub(super) fn programs<'a>(
    tools: &'a Tools<'a>,
    description: &Description<'_>,
    processes: &[Process],
    port: u16,
) -> Vec<ProjectProgram<'a>> {
    let ground = description.ground();
    let serve = ["python", "manage.py", "runserver", &format!("127.0.0.1:{port}")].map(str::to_owned);
    let mut env = description.env.clone();
    // What is installed lies behind a link, so this says that it has changed: who runs on it is started anew.
    env.insert("DJSHIP_DEPENDENCIES".to_owned(), description.installed.key.clone());
    let web = ProjectProgram::web(tools, ground.container(tools, serve, &env), port);
    let beside = processes.iter().map(|process| {
        let mut container = ground.container(tools, process.command.argv(), &env);
        container.cwd = Path::new(ground::APP).join(&process.folder);
        let role = match process.kind {
            ProcessKind::Worker => Role::Worker,
            ProcessKind::Watcher => Role::Watcher,
        };
        ProjectProgram::beside(tools, process.name.clone(), role, container)
    });
    std::iter::once(web).chain(beside).collect()
}

/// Whether two containers are the same to who is in them.
pub(super) fn same(one: &Container, other: &Container) -> bool {
    let view = |container: &Container| serde_json::to_string(container).unwrap_or_default();
    view(one) == view(other)
}

/// Whether one of these paths decides more than the development server can notice: what is installed, the settings,
/// variables, what runs.
pub(super) fn decides(description: &Description<'_>, paths: &BTreeSet<PathBuf>) -> bool {
    let Description { project, plan, facts, .. } = description;
    let mut files: Vec<PathBuf> = plan.dependencies.value.files().iter().map(PathBuf::from).collect();
    files.extend(Config::PLACES.iter().map(PathBuf::from));
    files.extend(DotEnv::places(project).into_iter().map(PathBuf::from));
    files.extend(Procfile::places(project).into_iter().map(PathBuf::from));
    files.push(PathBuf::from(project.manage_py.as_str()));
    let module = facts.settings_module.as_ref().map_or("", |module| &module.value).replace('.', "/");
    let settings = Path::new(&project.django_folder()).join(module);
    // The settings' package, or the folder that their file is in.
    let package = settings.parent().map_or_else(PathBuf::new, Path::to_owned);
    paths.iter().any(|path| {
        let path = path.strip_prefix(&project.folder).unwrap_or(path);
        let is_settings = path.starts_with(&settings)
            || path.with_extension("") == settings
            || path.parent() == Some(&package)
                && path.file_stem().is_some_and(|stem| {
                    let stem = stem.to_string_lossy();
                    stem.contains("settings") || stem.contains("celery") || package.ends_with("settings")
                });
        is_settings || files.iter().any(|file| file == path)
    })
}
