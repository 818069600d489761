//! Servers that an application needs, from Debian packages, each in a container of its own.

mod address;
pub mod postgres;

pub use address::of_project;
