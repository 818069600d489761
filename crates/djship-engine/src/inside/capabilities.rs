//! Capabilities: kept for PID 1's set-up, gone before any program runs.

use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};

/// More than the kernel has; it ends the loops itself with an error.
const HIGHEST: u32 = 63;

/// Lets every capability survive the execution of PID 1, which is an ordinary user's in its namespace.
pub(super) fn keep_across_exec() -> Result<(), Errno> {
    let sets = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: sets.permitted, ..sets })?;
    for number in 0..=HIGHEST {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if sets.permitted.contains(one) {
            configure_capability_in_ambient_set(one, true)?;
        }
    }
    Ok(())
}

/// Empties the bounding set: nothing executed from here on can gain a capability, user 0 inside included.
pub(super) fn empty_bounding_set() -> Result<(), Errno> {
    for number in 0..=HIGHEST {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // Past the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Gives up everything but `kept`, for good.
pub(super) fn keep_only(kept: CapabilitySet) -> Result<(), Errno> {
    clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    set_no_new_privs(true)
}
