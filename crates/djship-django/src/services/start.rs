//! Starting containers that keep a volume locked.

use std::os::fd::BorrowedFd;

use djship_engine::{Container, Engine, Running, StartError};

/// Starts a container whose processes all hold these descriptors, so that a lock on them is free only when every process is gone.
pub(super) fn holding(
    engine: &Engine,
    container: &Container,
    held: &[BorrowedFd<'_>],
) -> Result<Running, StartError> {
    engine.start_holding(container, held)
}
