//! File trees to OCI layers, images, layouts and archives, and to registries. No daemon, no clock: the same trees and the
//! same settings give the same bytes. The network is used by [`registry`] alone.
//!
//! | module | holds |
//! |---|---|
//! | [`tar`] | a tree as a deterministic tar stream |
//! | [`layer`] | [`Layer`]: a tree in a folder of the store, with its diff id |
//! | [`compress`] | a layer's blob, plain or gzip, made once |
//! | [`config`], [`wire`] | what an image says about how to run it, and its JSON |
//! | [`image`] | [`Image`]: layers and a config with its digest, the image id |
//! | [`name`] | [`ImageName`]: `name`, `name:tag`, `registry:5000/name:tag` |
//! | [`layout`], [`archive`] | images out of the store: an OCI layout, a file for `docker load` |
//! | [`registry`] | images to registries and from them |
//! | [`context`] | an image as what `docker build` makes it from |
//! | [`records`] | [`ImageStore`]: the images that the store knows by name |
//! | [`removal`] | images that go, and what those that stay need |

pub mod archive;
pub mod compress;
pub mod config;
pub mod context;
pub mod image;
pub mod layer;
pub mod layout;
pub mod name;
pub mod records;
pub mod registry;
pub mod removal;
mod replace;
pub mod tar;
mod time;
pub mod wire;

pub use archive::write_archive;
pub use compress::Compression;
pub use config::{Healthcheck, ImageConfig, Platform};
pub use context::write_context;
pub use image::{Image, LayerEntry};
pub use layer::Layer;
pub use layout::{read_layout, write_layout};
pub use name::ImageName;
pub use records::ImageStore;
