//! Starting containers that keep a volume locked.

use std::os::fd::BorrowedFd;

use djship_engine::{Container, Engine, Running, StartError};

/// Starts a container whose processes all hold these descriptors, so that a lock on them is free only when every process is gone.
//
// STAND-IN: to be replaced by `engine.start_holding(container, held)` when the engine has it. Until then only this process
// holds the lock, and a server that takes a moment to die after a killed djship is not waited for.
pub(super) fn holding(
    engine: &Engine,
    container: &Container,
    held: &[BorrowedFd<'_>],
) -> Result<Running, StartError> {
    let _ = held;
    engine.start(container)
}
