//! What is known of Debian's packages, as data: the only place that knows what they are for.

pub(crate) mod effects;
pub(crate) mod left_out;
pub mod sets;
