//! Servers that an application needs, from Debian packages, each in a container of its own.
//!
//! | module | holds |
//! |---|---|
//! | [`wanted`] | what settings and configuration ask for, and the servers that this comes to |
//! | [`server`] | a service as the supervisor keeps it running |
//! | [`volume`], [`volumes`] | where a server keeps its data, for one server at a time; all of a project |
//! | [`kept_volumes`] | those of all projects |
//! | [`replacement`] | putting a file in the place of a database |
//! | [`postgres`] | PostgreSQL, also thrown away after a first look; the other kinds have modules of their names |

mod address;
mod amqp;
mod container;
mod error;
mod inside;
pub mod kept_volumes;
mod link;
mod listen;
mod mail;
mod making;
mod mariadb;
mod mariadb_replace;
mod memcached;
mod own;
pub mod postgres;
mod rabbitmq;
mod redis;
pub mod replacement;
pub mod server;
mod start;
mod talk;
pub mod volume;
mod volume_lock;
pub mod volumes;
pub mod wanted;

pub use address::of_project;
pub use error::ServiceError;
pub use replacement::{Form, Input, Replacement, Step};
pub use server::{Place, Server, ServiceNote, Task, prepare, prepare_own};
pub(crate) use volume::birth;
pub use volume::{VolumeError, VolumeRecord};
pub use wanted::{Kind, OwnService, PlannedServer, Wanted, aliases};
