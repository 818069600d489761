//! The Python of a root.

use djship_store::Digest;

/// The Python of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program, absolute.
    pub program: String,
    /// Major and minor version.
    pub version: (u64, u64),
    /// Stands for it: same digest, same compiled files.
    pub digest: Digest,
}

impl Interpreter {
    /// Debian's own place.
    pub const DEBIAN: &str = "/usr/bin/python3";
}
