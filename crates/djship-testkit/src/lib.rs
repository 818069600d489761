//! What the tests of several crates share. Nothing here ships.
//!
//! | module | holds |
//! |---|---|
//! | [`needs`], [`skips`] | what a test needs of the machine, and [`need!`] and [`skip!`] for when it is not there |
//! | [`user`] | the kinds of user that djship is tested as |
//! | [`djship`], [`running`] | the djship binary as a child process that never outlives its test |
//! | [`project`] | project folders from literals |
//! | [`http`] | one request over a plain connection, and waiting for a server |
//! | [`mirror`] | a Debian mirror on the loopback interface that keeps what it fetched, with faults on demand |
//! | [`registry`], [`docker_registry`] | a registry on the loopback interface with faults on demand, and a real one |
//! | [`base_image`] | stand-ins for public images to build on |
//! | [`docker`] | a Docker daemon of the test's own with a network of its own, and stand-ins for public images |
//! | [`tree_diff`] | how two file trees differ, for people |
//! | [`scrub`] | output without times, sizes and temporary paths, for snapshots |
//! | [`cache`] | the folder that the whole suite keeps its downloads in |
//!
//! A test that needs more than a Rust toolchain is `#[ignore = "needs .."]` and lives in a test binary whose name
//! begins with `host`: `tests/host_serve.rs`. Those run one at a time, and only with `cargo xtask test --setup`.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

pub mod base_image;
pub mod cache;
pub mod djship;
pub mod docker;
pub mod docker_registry;
pub mod http;
pub mod mirror;
pub mod needs;
pub mod project;
pub mod registry;
pub mod running;
pub mod scrub;
pub mod skips;
pub mod tree_diff;
pub mod user;

pub use djship::{Djship, Output};
pub use insta;
pub use project::TempProject;
pub use running::Running;
pub use user::User;
