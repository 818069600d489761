//! Everything of the host that a container shows, as mounts that are nowhere yet.

use std::os::fd::{AsFd as _, OwnedFd};

use super::{about, mount_calls, root_view::refused, scratch_copies::Copies, sources::Opened};
use crate::{
    assignment::Assignment,
    error::{Fault, Step},
    mount_points::What,
};

/// Makes them, in the order of the mounts.
pub(super) fn make(assignment: &Assignment, sources: &Opened) -> Result<Vec<OwnedFd>, Fault> {
    let shown = assignment.mounts.iter().map(|mount| &mount.what).filter(|what| what.source().is_some());
    let mut trees = Vec::new();
    let mut copies = None;
    for (what, descriptor) in shown.zip(&sources.shown) {
        trees.push(match what {
            What::Bind { source, read_only, .. } => mount_calls::clone_tree(descriptor.as_fd(), *read_only)
                .map_err(about(Step::CloneBind, source))?,
            What::Copy { source, .. } => {
                let fault = |refusal| refused(Step::CopyFolder, Some(source), refusal);
                let copies = match &mut copies {
                    Some(copies) => copies,
                    none => none.insert(Copies::new(&sources.landing).map_err(fault)?),
                };
                copies.make(descriptor).map_err(fault)?
            }
            _ => continue,
        });
    }
    Ok(trees)
}
