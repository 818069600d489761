//! Somebody else's layer: an archive through the guarded door, and what it says about the layers below it.
//!
//! Long names and attributes are read here and not by the archive library, which would read a header of any size into
//! memory.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use djship_store::saved::{BYTES, LoadError};
use djship_store::tree::MAX_PATH;
use djship_store::unpack::{Attributes, Door, EntryKind, Limits, UnpackError};
use djship_store::{Bucket, Digest, DigestWriter, FileTree, Store, TreePath};
use tar::EntryType;

use super::error::{LayerArchiveError, RegistryError};
use crate::layer::LayerError;

/// The largest header extension that is read, in bytes: room for a long name, a long target and some attributes.
const EXTENSION: u64 = 64 * 1024;
/// The file beside the tree that holds its [`Marks`].
const MARKS: &str = "marks.json";
/// Marks the removal of what a layer below has.
const WHITEOUT: &str = ".wh.";
/// Marks a folder that hides everything that layers below have in it.
const OPAQUE: &str = ".wh..wh..opq";

/// A layer as a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerTree {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The laid-out tree: `fs/` and `tree.json`.
    pub folder: PathBuf,
    /// What it brings.
    pub tree: FileTree,
    /// What it says beyond that.
    pub marks: Marks,
}

/// What a layer says that no tree can hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Marks {
    /// What of the layers below is gone.
    pub removed: Vec<TreePath>,
    /// Folders in which nothing of the layers below is left; `""` is the root.
    pub opaque: Vec<String>,
    /// Folders that hold something and have no entry of their own: they are whatever they are below.
    pub implied: Vec<TreePath>,
    /// Second names of what a layer below has: the name, and what it names.
    pub links: Vec<(TreePath, TreePath)>,
    /// Device nodes and pipes, which containers have from elsewhere.
    pub left_out: Vec<TreePath>,
    /// Entries with extended attributes, such as capabilities, which trees do not have.
    pub attributes: Vec<TreePath>,
}

/// How the blob of a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By media type; `None` for what is no layer, or may only be had elsewhere.
    pub(super) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
                Some(Self::Plain)
            }
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn open<'a>(self, blob: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Plain => Box::new(blob),
            // Some packers write several members.
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(blob)?),
        })
    }
}

/// The tree of the layer in the file `blob`, unpacked once per content.
pub(super) fn unpack(
    store: &Store,
    blob: &Path,
    digest: Digest,
    packing: Packing,
    diff_id: Digest,
    limits: Limits,
) -> Result<LayerTree, RegistryError> {
    let key = Digest::of(format!("pulled layer, form 1, diff id {diff_id}").as_bytes());
    let folder = store.insert_dir(Bucket::Layers, &key, |work| {
        let file = fs_err::File::open(blob).map_err(|source| RegistryError::Blob { digest, source })?;
        let file = io::BufReader::with_capacity(128 * 1024, file);
        let archive = |source| LayerArchiveError::Archive { digest, source };
        let reader = packing.open(file).map_err(archive)?;
        let (tree, marks, found) = place_all(&work.join(BYTES), reader, digest, limits)?;
        if found != diff_id {
            return Err(LayerArchiveError::WrongContent { digest, expected: diff_id, found }.into());
        }
        tree.save(work).map_err(LayerError::from)?;
        let text = serde_json::to_vec(&marks).map_err(io::Error::from);
        text.and_then(|text| fs_err::write(work.join(MARKS), text))
            .map_err(|source| LayerArchiveError::Save { digest, source })?;
        Ok::<_, RegistryError>(())
    })?;
    let tree = FileTree::load(&folder).map_err(|error: LoadError| LayerError::from(error))?;
    let failed = |source| LayerArchiveError::Save { digest, source };
    let text = fs_err::read(folder.join(MARKS)).map_err(failed)?;
    let marks = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    Ok(LayerTree { diff_id, folder, tree, marks })
}

/// Extensions of the next entry.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    size: Option<u64>,
    attributes: bool,
}

/// Places every entry below `dir`; returns the digest of the whole archive as well. `digest` names it in errors.
pub(super) fn place_all(
    dir: &Path,
    reader: impl Read,
    digest: Digest,
    limits: Limits,
) -> Result<(FileTree, Marks, Digest), LayerArchiveError> {
    // Headers and padding are not counted as content.
    let limit = limits.total_size.saturating_add(limits.entries as u64 * 8 * 1024);
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::FileTooLarge {
            LayerArchiveError::TooLarge { digest, limit }
        } else {
            LayerArchiveError::Archive { digest, source }
        }
    };
    let door = Door::with_limits(dir, limits).map_err(|source| LayerArchiveError::Door { digest, source })?;
    let mut layer = Layer { door, digest, marks: Marks::default(), folders: BTreeSet::new() };
    let mut archive = tar::Archive::new(Hashed { inner: reader, hash: DigestWriter::new(io::sink()), limit });
    let mut extensions = Extensions::default();
    for entry in archive.entries().map_err(failed)?.raw(true) {
        let mut entry = entry.map_err(failed)?;
        match entry.header().entry_type() {
            EntryType::XHeader => extensions.read_pax(&small(&mut entry).map_err(failed)?).map_err(failed)?,
            EntryType::GNULongName => extensions.name = Some(text_of(small(&mut entry).map_err(failed)?)),
            EntryType::GNULongLink => extensions.target = Some(text_of(small(&mut entry).map_err(failed)?)),
            EntryType::XGlobalHeader => {}
            _ => layer.place(&mut entry, std::mem::take(&mut extensions))?,
        }
    }
    // The digest is that of everything, with what follows the end of the archive.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
    let tree = layer.door.finish();
    let mut marks = layer.marks;
    let implied = tree.iter().filter(|(path, entry)| entry.is_dir() && !layer.folders.contains(*path));
    marks.implied = implied.map(|(path, _)| path.clone()).collect();
    Ok((tree, marks, rest.hash.finish().0))
}

struct Layer {
    door: Door,
    digest: Digest,
    marks: Marks,
    /// Folders with an entry of their own.
    folders: BTreeSet<TreePath>,
}

impl Layer {
    fn place(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        extensions: Extensions,
    ) -> Result<(), LayerArchiveError> {
        let digest = self.digest;
        let raw = extensions.name.unwrap_or_else(|| entry.path_bytes().into_owned());
        let refuse = |reason| {
            let shown: String = raw.escape_ascii().to_string().chars().take(200).collect();
            LayerArchiveError::Entry { digest, entry: shown, reason }
        };
        let name = std::str::from_utf8(&raw).map_err(|_| refuse("has a name that is not UTF-8"))?;
        if name.split('/').all(|part| matches!(part, "" | ".")) {
            // The root: it is there already.
            return Ok(());
        }
        let unusable = |_| refuse("has a name that leads out of the image, or is too long");
        let path = TreePath::parse(name).map_err(unusable)?;
        if let Some(what) = path.file_name().strip_prefix(WHITEOUT) {
            return self.mark(&path, what).ok_or_else(|| refuse("removes nothing that has a name"));
        }
        let header = entry.header();
        let kind = header.entry_type();
        let old = header.as_old();
        let number = |field: &[u8], number: io::Result<u64>| match number {
            // Nothing is 0: some programs leave out what they do not care for.
            Err(_) if field.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0),
            number => number.map_err(|_| refuse("has a malformed header")),
        };
        let id = |known: Option<u64>, field: &[u8], header: io::Result<u64>| {
            let id = known.map_or_else(|| number(field, header), Ok)?;
            u32::try_from(id).map_err(|_| refuse("has an owner whose number is too large"))
        };
        let mode = number(&old.mode, header.mode().map(u64::from))?;
        let attributes = Attributes {
            // Anything above the permission bits is dropped by the door.
            mode: u32::try_from(mode).unwrap_or(0),
            uid: id(extensions.uid, &old.uid, header.uid())?,
            gid: id(extensions.gid, &old.gid, header.gid())?,
            mtime: extensions.mtime.unwrap_or(number(&old.mtime, header.mtime())?.cast_signed()),
        };
        let size = number(&old.size, header.size())?;
        if extensions.size.is_some_and(|real| real != size) {
            return Err(refuse("is larger than its header can say"));
        }
        let target = || {
            let target = extensions.target.clone();
            let target = target.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
            let target = target.filter(|target| target.len() <= MAX_PATH);
            let target = target.ok_or_else(|| refuse("has no target, or one that is too long"))?;
            String::from_utf8(target).map_err(|_| refuse("has a target that is not UTF-8"))
        };
        let kind = match kind {
            EntryType::Directory => EntryKind::Dir,
            EntryType::Regular | EntryType::Continuous => EntryKind::File { size },
            EntryType::Symlink => EntryKind::Symlink { target: target()? },
            EntryType::Link => {
                let target = TreePath::parse(&target()?);
                EntryKind::HardLink { target: target.map_err(|_| refuse("names a file outside the image"))? }
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                self.marks.left_out.push(path);
                return Ok(());
            }
            _ => return Err(refuse("is of a kind that no image needs")),
        };
        let is_folder = kind == EntryKind::Dir;
        match self.door.place(&path, kind, attributes, entry) {
            Ok(_) => {}
            // A file of a layer below, or a link: found when the layers are put together.
            Err(UnpackError::HardLink { path, target }) => {
                self.marks.links.push((path, target));
                return Ok(());
            }
            Err(source) => return Err(LayerArchiveError::Door { digest, source }),
        }
        if extensions.attributes {
            self.marks.attributes.push(path.clone());
        }
        if is_folder {
            self.folders.insert(path);
        } else {
            // It may have been one a moment ago.
            self.folders.remove(&path);
        }
        Ok(())
    }

    /// Notes a mark; `None` if it marks nothing.
    fn mark(&mut self, path: &TreePath, what: &str) -> Option<()> {
        if path.file_name() == OPAQUE {
            self.marks.opaque.push(path.parent().map_or_else(String::new, String::from));
            return Some(());
        }
        // Notes that another storage driver made for itself.
        if what.starts_with(WHITEOUT) {
            return Some(());
        }
        if matches!(what, "" | "." | "..") {
            return None;
        }
        let removed = match path.parent() {
            Some(parent) => parent.join(what),
            None => TreePath::parse(what),
        };
        self.marks.removed.push(removed.ok()?);
        Some(())
    }
}

impl Extensions {
    fn read_pax(&mut self, text: &[u8]) -> io::Result<()> {
        for record in tar::PaxExtensions::new(text) {
            let record = record?;
            let value = record.value_bytes();
            let number = || std::str::from_utf8(value).ok()?.parse().ok();
            match record.key_bytes() {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                b"size" => self.size = number(),
                b"mtime" => {
                    let whole = std::str::from_utf8(value).ok().and_then(|text| text.split('.').next());
                    self.mtime = whole.and_then(|text| text.parse().ok());
                }
                key if key.starts_with(b"SCHILY.xattr.") => self.attributes = true,
                _ => {}
            }
        }
        Ok(())
    }
}

fn small(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    entry.take(EXTENSION + 1).read_to_end(&mut text)?;
    if text.len() as u64 > EXTENSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a header extension is larger than 64 KiB"));
    }
    Ok(text)
}

fn text_of(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// Computes the digest of what is read, and stops at the limit.
struct Hashed<R> {
    inner: R,
    hash: DigestWriter<io::Sink>,
    limit: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use io::Write as _;
        let read = self.inner.read(buffer)?;
        self.hash.write_all(&buffer[..read])?;
        if self.hash.size() > self.limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(read) }
    }
}
