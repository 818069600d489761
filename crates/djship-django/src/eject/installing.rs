//! How the requirements are installed, in the words of a shell.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::description::Copy;
use crate::builder::Distribution;
use crate::context::native;
use crate::plan::Plan;
use crate::plan::dependencies::Dependencies;
use crate::plan::development::{DevelopmentPlan, Install};
use crate::project::requirements::normalise;

/// Whether uv reads what one of the two plans installs; pip reads requirements files only.
pub(super) fn needs_uv(plan: &Plan, development: &DevelopmentPlan) -> bool {
    let by_files = matches!(plan.dependencies.value, Dependencies::Requirements { .. });
    !by_files || is_uvs(&development.dependencies.value.install)
}

fn is_uvs(install: &Install) -> bool {
    match install {
        Install::Lock { .. } => true,
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
        Install::Lock { folder, extras } => {
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
        Dependencies::Requirements { file, .. } => format!(
            "(cd /app && /usr/bin/python3 -m pip --python /venv/bin/python install --quiet --requirement {})",
            quote(file)
        ),
        Dependencies::PyProject { file, .. } => format!(
            "(cd /app && /opt/uv/bin/uv pip install --quiet --python /venv/bin/python --requirement {})",
            quote(file)
        ),
        Dependencies::UvLock { folder, .. } => format!(
            "(cd {} && UV_PROJECT_ENVIRONMENT=/venv /opt/uv/bin/uv sync --quiet --frozen --no-dev --no-install-project)",
            quote(format!("/app/{folder}").trim_end_matches('/'))
        ),
    }
}
