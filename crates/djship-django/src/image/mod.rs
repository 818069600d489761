//! The image: layers, config, and the checks that it must pass before it counts.

pub mod check;
mod config;

pub use config::image_config;
