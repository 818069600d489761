//! An image as a Docker build context: a Dockerfile, and each layer as an archive that `ADD` unpacks. `docker build` makes
//! the same image from it without a network and without a registry.

mod dockerfile;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use djship_store::{Store, TreePath};
use flate2::{Compression as Level, GzBuilder};

use crate::compress::{Compression, LayerBlob};
use crate::image::Image;
use crate::layer::LayerError;
use crate::replace::{Unwritten, replace_file};
use crate::tar::{END, padding, plain_header};

pub use dockerfile::{Reason, Unwritable, dockerfile, quoted};

/// A build context that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The target is a folder or something else that is no file.
    #[error("cannot write the build context `{}`: something that is not a file is there already", file.display())]
    NotAFile {
        /// The target.
        file: PathBuf,
    },
    /// A system call failed.
    #[error("cannot write the build context: {0}")]
    Io(#[from] io::Error),
    /// A layer is not available.
    #[error("cannot write the build context: {0}")]
    Layer(#[from] LayerError),
    /// A Dockerfile has no words for it.
    #[error("cannot write the build context: {0}")]
    Unwritable(#[from] Unwritable),
    /// A layer holds a name that removes another one when the layer is stacked, and that `ADD` takes as it is.
    #[error(
        "cannot write the build context: `{path}` would be a file, and in the image it marks what is removed"
    )]
    Whiteout {
        /// The entry.
        path: TreePath,
    },
    /// A layer has a folder where one below it has something else, or the other way round. `ADD` follows links and
    /// replaces no folder, so the files would not be the image's.
    #[error("cannot write the build context: the layers disagree whether `{path}` is a folder")]
    Disagreement {
        /// The entry.
        path: TreePath,
    },
}

/// Writes the build context of `image` to `file`, a tar archive in gzip, replacing a file that is there only when the new one
/// is complete and on the disk.
pub fn write_context(image: &Image, file: &Path, store: &Store) -> Result<(), ContextError> {
    replace_file(file, |writer| stream_context(image, store, writer)).map_err(|error| match error {
        Unwritten::NotAFile => ContextError::NotAFile { file: file.to_owned() },
        Unwritten::Io(source) => source.into(),
        Unwritten::Content(error) => error,
    })
}

/// Writes the same to a stream, for example into the input of `docker build -`.
pub fn stream_context(image: &Image, store: &Store, to: &mut dyn Write) -> Result<(), ContextError> {
    agree(image)?;
    let text = dockerfile(image)?;
    // The layers are compressed already, each once in its life; around them there is only the form. 255 is "unknown": by
    // default the byte tells on which system it was written.
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(to, Level::none());
    let size = text.len() as u64;
    gzip.write_all(&plain_header("Dockerfile", size, false))?;
    gzip.write_all(text.as_bytes())?;
    gzip.write_all(padding(size))?;
    for (name, layer) in layer_files(image) {
        let blob = LayerBlob::of(layer, Compression::Gzip, store)?;
        let size = blob.descriptor.size;
        gzip.write_all(&plain_header(&name, size, false))?;
        blob.write(&mut gzip)?;
        gzip.write_all(padding(size))?;
    }
    gzip.write_all(&END)?;
    gzip.finish()?.flush()?;
    Ok(())
}

/// The layers that hold something, lowest first, and what their files are called. `ADD` takes an archive without entries
/// for a file to be copied.
fn layer_files(image: &Image) -> impl Iterator<Item = (String, &crate::layer::Layer)> {
    let layers = image.layers.iter().filter(|layer| layer.tree.iter().next().is_some());
    layers.enumerate().map(|(index, layer)| (format!("layer-{}.tar.gz", index + 1), layer))
}

/// Whether `ADD` after `ADD` gives what the layers are as a stack.
fn agree(image: &Image) -> Result<(), ContextError> {
    let mut kinds = BTreeMap::new();
    for layer in &image.layers {
        for (path, entry) in layer.tree.iter() {
            if path.file_name().starts_with(".wh.") {
                return Err(ContextError::Whiteout { path: path.clone() });
            }
            if kinds.insert(path, entry.is_dir()).is_some_and(|was_dir| was_dir != entry.is_dir()) {
                return Err(ContextError::Disagreement { path: path.clone() });
            }
        }
    }
    Ok(())
}
