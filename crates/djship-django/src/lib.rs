//! From a Django project to a production image.
//!
//! [`build::build`] is the whole story in one function; each stage has a module of its name.

pub mod application;
pub mod base;
pub mod build;
pub mod builder;
mod bytecode;
mod child;
pub mod context;
pub mod develop;
pub mod eject;
pub mod facts;
pub mod front_end;
pub mod ground;
mod hosts;
pub mod image;
mod kept;
pub mod laid;
pub mod last_build;
pub mod plan;
pub mod project;
mod python;
mod reads;
pub mod report;
pub mod running;
pub mod services;
pub mod shared;
mod stamp;
pub mod supervisor;
pub mod tools;
pub mod unchanged;

pub use bytecode::BytecodeError;
pub use child::ChildError;
