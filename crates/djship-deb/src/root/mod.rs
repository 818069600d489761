//! Whole root file systems from unpacked packages.

mod compose;
mod generated;
mod over;
mod resolve;
mod select;
mod trim;

pub use compose::{ComposeError, compose};
pub use over::compose_over;
pub use resolve::resolve;
pub use trim::{Trim, trim};

use crate::release::{Arch, Codename};

/// What a root is to be.
#[derive(Debug, Clone)]
pub struct RootOptions {
    /// The release of the packages.
    pub codename: Codename,
    /// Their architecture.
    pub arch: Arch,
    /// What is left out.
    pub trim: Trim,
    /// Users beside those that every system has. Each gets a group of its own.
    pub users: Vec<User>,
}

/// A user and the group of the same name and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// The number of the user and of the group.
    pub id: u32,
    /// Its home, which is not made.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

impl User {
    /// A user with the shell that every root has.
    pub fn new(name: impl Into<String>, id: u32, home: impl Into<String>) -> Self {
        Self { name: name.into(), id, home: home.into(), shell: "/bin/sh".to_owned() }
    }
}
