//! djship's side: `up -d`, and nothing beside the project.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::site::Site;
use super::{Environment, OURS};
use crate::bench::measure::{self, Run, run_once};
use crate::bench::stage::Stage;
use crate::workspace::output_of;

/// A project that djship runs. It ends on drop.
pub(super) struct Djship<'a> {
    stage: &'a Stage,
    site: Site,
}

impl<'a> Djship<'a> {
    /// A copy of the project in `folder`. A folder that djship has not seen has neither dependencies nor a database.
    pub(super) fn of(stage: &'a Stage, folder: &Path) -> Result<Self> {
        Ok(Self { stage, site: Site::copy(folder)? })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.stage.ours.command(arguments);
        command.arg(&self.site.folder);
        command
    }
}

impl Environment for Djship<'_> {
    fn name(&self) -> &'static str {
        OURS
    }

    fn install_and_up(&mut self) -> Result<Run> {
        self.up()
    }

    fn up(&mut self) -> Result<Run> {
        run_once(&mut self.command(&["up", "-d"]))
    }

    fn url(&self) -> Result<String> {
        let status = output_of(&mut self.command(&["status", "--json"]))?;
        let status: serde_json::Value =
            serde_json::from_str(&status).context("no JSON from `djship status`")?;
        let url = status.get("url").and_then(serde_json::Value::as_str);
        Ok(url.context("`djship status` tells no url")?.to_owned())
    }

    fn site(&mut self) -> &mut Site {
        &mut self.site
    }

    fn down(&mut self) -> Result<Run> {
        // What stays in the background is not among the children that are waited for.
        let own_peak = measure::peak_of_program(self.stage.ours.binary());
        let run = run_once(&mut self.command(&["down"]))?;
        Ok(Run { own_peak: own_peak.max(run.own_peak), ..run })
    }
}

impl Drop for Djship<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        self.site.remove();
    }
}
