//! Why a front end is not built, in words.

use djship_django::front_end::FrontEndError;

use super::{Kind, Report};

pub(crate) fn front_end(error: &FrontEndError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        FrontEndError::Several { .. } => report.hint(
            "Say which one in djship.toml or below [tool.djship] in pyproject.toml: front-end = \"FOLDER\"; or front-end = false",
        ),
        FrontEndError::Configured { .. } => report.hint("Name a folder that has a package.json, or say front-end = false"),
        FrontEndError::Malformed { .. } => report.hint("Repair the file, or say front-end = false in djship.toml"),
        FrontEndError::InTheWay { .. } => report.hint("Take it out of the project; node_modules does not belong there"),
        FrontEndError::Lock { .. } => report.hint("Make it anew with the tool that it belongs to"),
        FrontEndError::Install { file, output } => {
            let report = report.tail(output);
            if output.iter().any(|line| line.contains("can only install packages when your package.json")) {
                report.hint(format!("`{file}` is older than package.json: run `npm install`, and keep what it writes"))
            } else {
                report.hint("npm's own settings count: NPM_CONFIG_REGISTRY, and the registries of ~/.npmrc")
            }
        }
        FrontEndError::Script { script, output, .. } => report
            .tail(output)
            .hint(format!("The script has no network and sees no Python files; try it alone: npm run {script}"))
            .hint("Where the built files are part of the project already, say front-end = false in djship.toml"),
        FrontEndError::Base(error) => super::base(error),
        FrontEndError::Snapshot(error) => super::build::snapshot(error),
        FrontEndError::Child(error) => super::child(error),
        FrontEndError::Keep(error) => super::storage(error),
        FrontEndError::Io(error) => super::storage(error),
    }
}
