//! The blob of a layer as it leaves the machine: the tar stream, plain or compressed. Compression happens once per
//! layer, and its result stays in the store.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use djship_store::{Bucket, Digest, DigestWriter, Store};
use flate2::{Compression as Level, GzBuilder};

use crate::layer::{Layer, LayerError};
use crate::wire::{self, Descriptor};

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: for a program on the same machine.
    None,
    /// Gzip, which everything reads.
    Gzip,
}

/// A layer's blob.
#[derive(Debug)]
pub struct LayerBlob<'image> {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    source: Source<'image>,
}

#[derive(Debug)]
enum Source<'image> {
    /// Written from the folder as it is needed.
    Stream(&'image Layer),
    /// A compressed file in the store.
    File(PathBuf),
}

const BLOB: &str = "layer.tar.gz";
const DESCRIPTOR: &str = "descriptor.json";

impl<'image> LayerBlob<'image> {
    /// The blob of `layer`.
    pub fn of(layer: &'image Layer, compression: Compression, store: &Store) -> Result<Self, LayerError> {
        if compression == Compression::None {
            let descriptor = Descriptor::new(wire::LAYER_TAR, layer.diff_id, layer.tar_size);
            return Ok(Self { descriptor, source: Source::Stream(layer) });
        }
        let key = Digest::of(format!("gzip, form 1, of layer {}", layer.diff_id).as_bytes());
        let folder = store.insert_dir(Bucket::Outputs, &key, |work| {
            let path = work.join(BLOB);
            let failed = |source| LayerError::Facts { path: path.clone(), source };
            let file = fs_err::File::create(&path).map_err(failed)?;
            let (digest, size) = write_gzip(layer, file)?;
            let descriptor = Descriptor::new(wire::LAYER_TAR_GZIP, digest, size);
            let text = serde_json::to_vec(&descriptor).map_err(|error| failed(error.into()))?;
            fs_err::write(work.join(DESCRIPTOR), text).map_err(failed)
        })?;
        let path = folder.join(DESCRIPTOR);
        let failed = |source| LayerError::Facts { path: path.clone(), source };
        let text = fs_err::read(&path).map_err(failed)?;
        let descriptor = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        Ok(Self { descriptor, source: Source::File(folder.join(BLOB)) })
    }

    /// The compressed file; `None` for what is written as it is needed.
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::Stream(_) => None,
            Source::File(path) => Some(path),
        }
    }

    /// Writes the blob, and checks that it is what the descriptor says.
    pub fn write(&self, to: &mut dyn io::Write) -> Result<(), LayerError> {
        match &self.source {
            Source::Stream(layer) => layer.write_tar(to),
            Source::File(path) => {
                let failed = |source| LayerError::Facts { path: path.clone(), source };
                let mut file = fs_err::File::open(path).map_err(failed)?;
                let mut to = DigestWriter::new(to);
                io::copy(&mut io::BufReader::with_capacity(128 * 1024, &mut file), &mut to)
                    .map_err(failed)?;
                let (found, _, _) = to.finish();
                if found == self.descriptor.digest {
                    return Ok(());
                }
                Err(LayerError::Changed { folder: path.clone(), expected: self.descriptor.digest, found })
            }
        }
    }
}

/// Writes the tar stream of `layer` as gzip with nothing of the machine in its header; returns digest and size.
fn write_gzip(layer: &Layer, to: impl io::Write) -> Result<(Digest, u64), LayerError> {
    let failed = |source| LayerError::Facts { path: layer.folder.clone(), source };
    let hashed = DigestWriter::new(io::BufWriter::with_capacity(128 * 1024, to));
    // 255 is "unknown": by default the byte tells on which system it was written.
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(hashed, Level::new(6));
    layer.write_tar(&mut gzip)?;
    let (digest, size, mut inner) = gzip.finish().map_err(failed)?.finish();
    inner.flush().map_err(failed)?;
    Ok((digest, size))
}
