//! One module per command.

pub(crate) mod background;
pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod context;
pub(crate) mod develop;
pub(crate) mod doctor;
pub(crate) mod eject;
pub(crate) mod images;
pub(crate) mod load;
pub(crate) mod plan;
mod prune;
pub(crate) mod push;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod shared;
pub(crate) mod volumes;
