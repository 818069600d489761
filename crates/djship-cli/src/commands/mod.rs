//! One module per command.

pub(crate) mod background;
pub(crate) mod build;
pub(crate) mod context;
pub(crate) mod develop;
pub(crate) mod doctor;
pub(crate) mod eject;
pub(crate) mod images;
pub(crate) mod load;
pub(crate) mod plan;
pub(crate) mod push;
pub(crate) mod run;
