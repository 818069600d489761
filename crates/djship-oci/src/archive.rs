//! An image as one file: `docker load` and `podman load` read it by its `manifest.json`, everything else as an OCI layout
//! in a tar archive.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use djship_store::{Digest, Store};

use crate::compress::Compression;
use crate::image::{Image, to_json};
use crate::layer::LayerError;
use crate::layout::LAYOUT;
use crate::name::ImageName;
use crate::replace::{Unwritten, replace_file};
use crate::tar::{END, padding, plain_header};

/// An archive that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The target is a folder or something else that is no file.
    #[error("cannot write the image archive `{}`: something that is not a file is there already", file.display())]
    NotAFile {
        /// The target.
        file: PathBuf,
    },
    /// A system call failed.
    #[error("cannot write the image archive `{}`: {source}", file.display())]
    Io {
        /// The target.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer is not available.
    #[error("cannot write the image archive `{}`: {source}", file.display())]
    Layer {
        /// The target.
        file: PathBuf,
        /// Why.
        source: LayerError,
    },
}

/// One line of `manifest.json`, in Docker's spelling.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Writes `image` to `file` under `names`, replacing a file that is there only when the new one is complete and on the
/// disk.
pub fn write_archive(
    image: &Image,
    file: &Path,
    names: &[ImageName],
    compression: Compression,
    store: &Store,
) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Io { file: file.to_owned(), source };
    replace_file(file, |writer| stream_archive(image, names, compression, store, writer)).map_err(|error| {
        match error {
            Unwritten::NotAFile => ArchiveError::NotAFile { file: file.to_owned() },
            Unwritten::Io(source) | Unwritten::Content(StreamError::Io(source)) => failed(source),
            Unwritten::Content(StreamError::Layer(source)) => {
                ArchiveError::Layer { file: file.to_owned(), source }
            }
        }
    })
}

/// An archive that cannot be streamed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The other end does not take it.
    #[error("cannot write an image archive: {0}")]
    Io(#[from] io::Error),
    /// A layer is not available.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// Writes the archive of `image` to `to`, for example into the input of `docker load`.
pub fn stream_archive(
    image: &Image,
    names: &[ImageName],
    compression: Compression,
    store: &Store,
    to: &mut dyn Write,
) -> Result<(), StreamError> {
    stream_archive_above(0, image, names, compression, store, to)
}

/// The same without the lowest `there` layers, which are named and not sent: `docker load` takes that when it has an image
/// that begins with them. `podman load` and everything that reads the archive as an OCI layout does not.
pub fn stream_archive_above(
    there: usize,
    image: &Image,
    names: &[ImageName],
    compression: Compression,
    store: &Store,
    to: &mut dyn Write,
) -> Result<(), StreamError> {
    let bundle = image.bundle(compression, store)?;
    let blob_name = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    to.write_all(&plain_header("blobs", 0, true))?;
    to.write_all(&plain_header("blobs/sha256", 0, true))?;
    // Two layers of the same content are one blob.
    let mut written = BTreeSet::new();
    for blob in bundle.layers.iter().skip(there) {
        let descriptor = &blob.descriptor;
        if written.insert(descriptor.digest) {
            to.write_all(&plain_header(&blob_name(&descriptor.digest), descriptor.size, false))?;
            blob.write(to)?;
            to.write_all(padding(descriptor.size))?;
        }
    }
    let docker = [DockerManifest {
        config: blob_name(&image.id),
        repo_tags: (!names.is_empty()).then(|| names.iter().map(ToString::to_string).collect()),
        layers: bundle.layers.iter().map(|blob| blob_name(&blob.descriptor.digest)).collect(),
    }];
    for (name, bytes) in [
        (blob_name(&image.id), image.config_bytes.as_slice()),
        (blob_name(&bundle.manifest_digest()), &bundle.manifest_bytes),
        ("index.json".to_owned(), &bundle.index_bytes(names)),
        ("manifest.json".to_owned(), &to_json(&docker)),
        ("oci-layout".to_owned(), LAYOUT),
    ] {
        let size = bytes.len() as u64;
        to.write_all(&plain_header(&name, size, false))?;
        to.write_all(bytes)?;
        to.write_all(padding(size))?;
    }
    to.write_all(&END)?;
    Ok(())
}
