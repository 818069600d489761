//! To be written.

/// Whether programs on the host's network can be kept from its abstract sockets (Landlock, Linux 6.12).
pub fn can_confine_abstract_sockets() -> bool {
    crate::inside::can_confine_abstract_sockets()
}
