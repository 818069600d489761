//! How the requirements are installed, in the words of a shell.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::description::{Copy, LockTool};
use crate::builder::Distribution;
use crate::context::native;
use crate::plan::Plan;
use crate::plan::dependencies::Dependencies;
use crate::plan::development::{DevelopmentPlan, Install};
use crate::plan::locks::{Lock, Tool};
use crate::project::requirements::normalise;

/// Whether uv reads what one of the two plans installs; pip reads requirements files only.
pub(super) fn needs_uv(plan: &Plan, development: &DevelopmentPlan) -> bool {
    let production = match &plan.dependencies.value {
        Dependencies::Requirements { .. } => false,
        Dependencies::Lock(locked) => locked.lock.tool == Tool::Pylock,
        Dependencies::UvLock { .. } | Dependencies::PyProject { .. } => true,
    };
    let development = &development.dependencies.value;
    let lock = development.lock().map(|lock| lock.tool);
    production || lock == Some(Tool::Pylock) || is_uvs(&development.install)
}

/// The tool that reads the lock of one of the two plans, if it is neither uv nor pip.
pub(super) fn lock_tool(plan: &Plan, development: &DevelopmentPlan) -> Option<LockTool> {
    let production = match &plan.dependencies.value {
        Dependencies::Lock(locked) => Some(&locked.lock),
        _ => None,
    };
    let lock = production.or(development.dependencies.value.lock())?;
    let command = command(lock.tool)?;
    Some(LockTool { name: lock.tool.name(), command, lock: lock.tool.lock() })
}

/// What a tool is called in its index and on the command line.
fn command(tool: Tool) -> Option<&'static str> {
    match tool {
        Tool::Poetry => Some("poetry"),
        Tool::Pdm => Some("pdm"),
        Tool::Pipenv => Some("pipenv"),
        Tool::Uv | Tool::Pylock => None,
    }
}

/// The words that install from a lock into the environment `venv`; `top` is where the project is.
fn from_lock(lock: &Lock, top: &str, venv: &str, development: bool) -> String {
    let folder = lock.file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = quote(format!("{top}/{folder}").trim_end_matches('/'));
    let words = match (lock.tool, development) {
        (Tool::Poetry, true) => "install --no-root --no-interaction",
        (Tool::Poetry, false) => "install --no-root --no-interaction --only main",
        (Tool::Pdm, true) => "sync --no-self --dev",
        (Tool::Pdm, false) => "sync --no-self --prod",
        (Tool::Pipenv, true) => "sync --dev",
        (Tool::Pipenv, false) => "sync",
        (Tool::Uv | Tool::Pylock, _) => "",
    };
    let Some(tool) = command(lock.tool) else {
        let uv = "/opt/uv/bin/uv pip install --no-cache --python";
        return format!("cd {folder} && {uv} {venv}/bin/python --requirement {}", lock.tool.lock());
    };
    // All three install into the environment that is active.
    format!("cd {folder} && VIRTUAL_ENV={venv} /opt/{tool}/bin/{tool} {words}")
}

fn is_uvs(install: &Install) -> bool {
    match install {
        Install::Lock { .. } => true,
        Install::List(_) => false,
        Install::Files { files, groups, extras } => {
            !groups.is_empty()
                || !extras.is_empty()
                || files.iter().any(|file| Path::new(file).extension().is_some_and(|end| end == "toml"))
        }
    }
}

fn quote(text: &str) -> String {
    shlex::try_quote(text).map(Cow::into_owned).unwrap_or_default()
}

/// Debian packages with which the distributions are compiled; none when nothing is.
pub(super) fn build_packages(
    development: &DevelopmentPlan,
    distributions: &[Distribution],
) -> BTreeSet<String> {
    let table = native::table();
    let compiled = distributions.iter().filter(|found| found.compiled).map(|found| normalise(&found.name));
    let is_installed = |name: &String| distributions.iter().any(|found| normalise(&found.name) == *name);
    // Of those that only development has nobody knows whether they have a wheel.
    let further = development.dependencies.value.names();
    let further = further.into_iter().filter(|name| !is_installed(name) && table.contains_key(name));
    let names: BTreeSet<String> = compiled.chain(further).collect();
    let mut packages: BTreeSet<String> = names
        .iter()
        .filter_map(|name| table.get(name))
        .flat_map(|native| native.build.iter().cloned())
        .collect();
    if !names.is_empty() {
        packages.extend(["build-essential", "python3-dev"].map(str::to_owned));
    }
    packages
}

/// Every file of development's requirements, to the same place below `/requirements`; the whole project where something is
/// installed from it.
pub(super) fn copies(development: &DevelopmentPlan) -> Vec<Copy> {
    let value = &development.dependencies.value;
    if value.local() {
        return vec![Copy { files: vec![".".to_owned()], target: "/requirements/".to_owned() }];
    }
    let mut copies: Vec<Copy> = Vec::new();
    let mut files = value.files().to_vec();
    files.sort();
    files.dedup();
    for file in files {
        let folder = file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let target = format!("/requirements/{folder}");
        match copies.iter_mut().find(|copy| copy.target == target) {
            Some(copy) => copy.files.push(file),
            None => copies.push(Copy { files: vec![file], target }),
        }
    }
    copies
}

/// The line that installs development's requirements.
pub(super) fn install_development(development: &DevelopmentPlan) -> String {
    let install = &development.dependencies.value.install;
    match install {
        Install::Files { files, groups, extras } if is_uvs(install) => {
            let first = files.first().map_or("pyproject.toml", String::as_str);
            let files = options("--requirement", files.iter().cloned());
            let extras = options("--extra", extras.iter().cloned());
            let groups = options("--group", groups.iter().map(|group| format!("{first}:{group}")));
            let uv = "/opt/uv/bin/uv pip install --no-cache --python /opt/development/bin/python";
            format!("cd /requirements && {uv}{files}{extras}{groups}")
        }
        Install::Files { files, .. } => {
            let files = options("--requirement", files.iter().map(|file| format!("/requirements/{file}")));
            let pip = "/opt/development/bin/pip install --no-cache-dir --disable-pip-version-check";
            format!("cd /requirements && {pip}{files}")
        }
        // There is a list for a lock alone.
        Install::List(_) => development
            .dependencies
            .value
            .lock()
            .map_or_else(String::new, |lock| from_lock(lock, "/requirements", "/opt/development", true)),
        Install::Lock { folder, extras, .. } => {
            let extras = options("--extra", extras.iter().cloned());
            let folder = quote(format!("/requirements/{folder}").trim_end_matches('/'));
            let uv = "/opt/uv/bin/uv sync --frozen --no-install-project --no-cache";
            format!("cd {folder} && UV_PROJECT_ENVIRONMENT=/opt/development {uv}{extras}")
        }
    }
}

/// ` OPTION VALUE` for each value.
fn options(option: &str, values: impl Iterator<Item = String>) -> String {
    values.fold(String::new(), |mut text, value| {
        // Writing to a string does not fail.
        let _ = write!(text, " {option} {}", quote(&value));
        text
    })
}

/// The line that installs production's requirements, in `/venv`.
pub(super) fn install_production(plan: &Plan) -> String {
    match &plan.dependencies.value {
        Dependencies::Requirements { file, all } => format!(
            "(cd /app && /usr/bin/python3 -m pip --python /venv/bin/python install --quiet{})",
            options("--requirement", std::iter::once(file).chain(&all.also).cloned())
        ),
        Dependencies::PyProject { file, .. } => format!(
            "(cd /app && /opt/uv/bin/uv pip install --quiet --python /venv/bin/python --requirement {})",
            quote(file)
        ),
        Dependencies::Lock(locked) => format!("({})", from_lock(&locked.lock, "/app", "/venv", false)),
        Dependencies::UvLock { folder, .. } => format!(
            "(cd {} && UV_PROJECT_ENVIRONMENT=/venv /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-install-project)",
            quote(format!("/app/{folder}").trim_end_matches('/'))
        ),
    }
}
