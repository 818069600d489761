//! An image as an OCI image layout: a folder that every other tool can read.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use djship_store::temp::TempDir;
use djship_store::{Digest, Store, atomic};
use rustix::fs::RenameFlags;

use crate::compress::Compression;
use crate::image::{Image, WRITER};
use crate::layer::LayerError;
use crate::name::ImageName;
use crate::wire::{ConfigFile, Descriptor, Index, Manifest};

/// The content of the file `oci-layout`.
pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The largest JSON document that is read from a layout, in bytes.
const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;

/// A layout that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The folder holds something else.
    #[error("cannot write an image layout to `{}`: the folder holds something that djship did not write", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {verb} the image layout in `{}`: {source}", dir.display())]
    Io {
        /// `write` or `read`.
        verb: &'static str,
        /// The folder.
        dir: PathBuf,
        /// Why; names the file.
        source: io::Error,
    },
    /// A layer is not available.
    #[error("cannot write an image layout to `{}`: {source}", dir.display())]
    Layer {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: LayerError,
    },
    /// A document is not what it should be.
    #[error("cannot read the image layout in `{}`: `{document}`: {source}", dir.display())]
    Malformed {
        /// The folder.
        dir: PathBuf,
        /// The file within.
        document: String,
        /// What is wrong where.
        source: serde_json::Error,
    },
    /// A blob is not what its name says.
    #[error("cannot read the image layout in `{}`: the blob {expected} has {found}", dir.display())]
    WrongBlob {
        /// The folder.
        dir: PathBuf,
        /// What was expected.
        expected: Digest,
        /// The digest that it has.
        found: Digest,
    },
    /// A blob has another size than the descriptor says.
    #[error("cannot read the image layout in `{}`: the blob {blob} has not {size} bytes", dir.display())]
    WrongSize {
        /// The folder.
        dir: PathBuf,
        /// The blob.
        blob: Digest,
        /// The size that it should have.
        size: u64,
    },
}

impl LayoutError {
    fn io(verb: &'static str, dir: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { verb, dir: dir.to_owned(), source }
    }
}

/// Writes `image` to `dir` (absent, empty, or a layout of djship's, which is replaced), under `names`. Until everything
/// is on the disk, `dir` stays as it was. Returns the digest of the manifest.
pub fn write_layout(
    image: &Image,
    dir: &Path,
    names: &[ImageName],
    compression: Compression,
    store: &Store,
) -> Result<Digest, LayoutError> {
    let failed = LayoutError::io("write", dir);
    // A link to a folder stays a link.
    let target =
        if dir.exists() { fs_err::canonicalize(dir) } else { std::path::absolute(dir) }.map_err(&failed)?;
    let replaces = check_target(&target)?;
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent).map_err(&failed)?;
    }
    let bundle = image
        .bundle(compression, store)
        .map_err(|source| LayoutError::Layer { dir: dir.to_owned(), source })?;
    let work = TempDir::beside(&target).map_err(&failed)?;
    let blobs = work.path().join("blobs/sha256");
    fs_err::create_dir_all(&blobs).map_err(&failed)?;
    for blob in &bundle.layers {
        let file = fs_err::File::create(blobs.join(blob.descriptor.digest.hex())).map_err(&failed)?;
        let mut writer = io::BufWriter::with_capacity(128 * 1024, file);
        blob.write(&mut writer).map_err(|source| LayoutError::Layer { dir: dir.to_owned(), source })?;
        let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(&failed)?;
    }
    let write = |path: PathBuf, bytes: &[u8]| {
        let mut file = fs_err::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    let manifest = bundle.manifest_digest();
    write(blobs.join(image.id.hex()), &image.config_bytes).map_err(&failed)?;
    write(blobs.join(manifest.hex()), &bundle.manifest_bytes).map_err(&failed)?;
    write(work.path().join("oci-layout"), LAYOUT).map_err(&failed)?;
    write(work.path().join("index.json"), &bundle.index_bytes(names)).map_err(&failed)?;
    if replaces {
        // At no moment is there no layout. What was there goes with the temporary folder.
        let from = work.path();
        rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, &target, RenameFlags::EXCHANGE)
            .map_err(|errno| failed(errno.into()))?;
    } else {
        work.rename_to(&target).map_err(&failed)?;
    }
    atomic::sync_folder(target.parent().unwrap_or(&target)).map_err(&failed)?;
    Ok(manifest)
}

/// Whether `target` holds a layout of ours; an error if it holds anything else.
fn check_target(target: &Path) -> Result<bool, LayoutError> {
    let foreign = || LayoutError::Foreign { dir: target.to_owned() };
    let failed = LayoutError::io("write", target);
    if target.symlink_metadata().is_err() {
        return Ok(false);
    }
    if !target.is_dir() {
        return Err(foreign());
    }
    let mut empty = true;
    for entry in fs_err::read_dir(target).map_err(&failed)? {
        empty = false;
        let name = entry.map_err(&failed)?.file_name();
        if !["blobs", "index.json", "oci-layout"].iter().any(|known| name == **known) {
            return Err(foreign());
        }
    }
    if empty {
        return Ok(false);
    }
    let index: Index = read_document(target, "index.json").map_err(|_| foreign())?;
    if index.annotations.get(WRITER).is_some_and(|writer| writer == "djship") {
        Ok(true)
    } else {
        Err(foreign())
    }
}

/// One image of a layout, with every digest and size checked.
#[derive(Debug, Clone)]
pub struct LayoutImage {
    /// The manifest's line in the index, with its annotations.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The image config.
    pub config: ConfigFile,
    /// The image config as it is hashed.
    pub config_bytes: Vec<u8>,
    /// The files of the layers' blobs, lowest first.
    pub layers: Vec<PathBuf>,
}

/// Reads the layout in `dir`: one image per line of its index.
pub fn read_layout(dir: &Path) -> Result<Vec<LayoutImage>, LayoutError> {
    let index: Index = read_document(dir, "index.json")?;
    index.manifests.into_iter().map(|descriptor| read_image(dir, descriptor)).collect()
}

fn read_image(dir: &Path, descriptor: Descriptor) -> Result<LayoutImage, LayoutError> {
    let manifest: Manifest = parse(dir, &descriptor, &read_blob(dir, &descriptor)?)?;
    let config_bytes = read_blob(dir, &manifest.config)?;
    let config = parse(dir, &manifest.config, &config_bytes)?;
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        let path = blob_path(dir, layer);
        let file = fs_err::File::open(&path).map_err(LayoutError::io("read", dir))?;
        let reader = io::BufReader::with_capacity(128 * 1024, file);
        let (found, size) = Digest::of_reader(reader).map_err(LayoutError::io("read", dir))?;
        check(dir, layer, found, size)?;
        layers.push(path);
    }
    Ok(LayoutImage { descriptor, manifest, config, config_bytes, layers })
}

fn blob_path(dir: &Path, blob: &Descriptor) -> PathBuf {
    dir.join("blobs/sha256").join(blob.digest.hex())
}

fn read_blob(dir: &Path, blob: &Descriptor) -> Result<Vec<u8>, LayoutError> {
    let bytes = read_limited(&blob_path(dir, blob)).map_err(LayoutError::io("read", dir))?;
    check(dir, blob, Digest::of(&bytes), bytes.len() as u64)?;
    Ok(bytes)
}

fn check(dir: &Path, blob: &Descriptor, found: Digest, size: u64) -> Result<(), LayoutError> {
    if size != blob.size {
        return Err(LayoutError::WrongSize { dir: dir.to_owned(), blob: blob.digest, size: blob.size });
    }
    if found != blob.digest {
        return Err(LayoutError::WrongBlob { dir: dir.to_owned(), expected: blob.digest, found });
    }
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(
    dir: &Path,
    blob: &Descriptor,
    bytes: &[u8],
) -> Result<T, LayoutError> {
    serde_json::from_slice(bytes).map_err(|source| LayoutError::Malformed {
        dir: dir.to_owned(),
        document: blob.digest.to_string(),
        source,
    })
}

fn read_document<T: serde::de::DeserializeOwned>(dir: &Path, name: &str) -> Result<T, LayoutError> {
    let bytes = read_limited(&dir.join(name)).map_err(LayoutError::io("read", dir))?;
    serde_json::from_slice(&bytes).map_err(|source| LayoutError::Malformed {
        dir: dir.to_owned(),
        document: name.to_owned(),
        source,
    })
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
