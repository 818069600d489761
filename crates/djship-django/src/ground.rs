//! What the steps that run Django stand on.

use std::path::PathBuf;

use djship_store::Digest;

use crate::application::Snapshot;
use crate::base::Interpreter;
use crate::plan::Plan;
use crate::reads::Answers;
use crate::tools::Tools;

/// The project at one moment, and the layers that it runs on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// The project's files.
    pub snapshot: &'a Snapshot,
    /// The production layers below the application, topmost first.
    pub lowers: &'a [PathBuf],
    /// Stands for those layers: same digest, same layers.
    pub layers: &'a Digest,
    /// The interpreter in them.
    pub interpreter: &'a Interpreter,
}

impl Ground<'_> {
    /// The folder of `manage.py` in the image.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/app/{}", self.plan.project.django_folder()))
    }

    /// The answers that steps gave about this project before.
    pub(crate) fn answers<'a>(&'a self, tools: &'a Tools<'_>) -> Answers<'a> {
        Answers::of(tools.store, &self.plan.project.folder, &self.snapshot.tree)
    }
}
