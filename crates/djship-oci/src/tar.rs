//! A tree as a deterministic tar stream: POSIX ustar with PAX records where ustar has no room.
//!
//! Our own writer, and not a library's, because every byte is part of an image's digest: a library that spells a
//! header in another way in its next release would change every image. Owners are numbers without names, times are those
//! of the tree, entries come in the tree's order, and nothing of the machine is in it.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use djship_store::tree::{Entry, FileTree, Node, TreePath};

/// Size of a header, and what content is padded to.
const BLOCK: usize = 512;
/// Buffer for contents, in bytes.
const BUFFER: usize = 128 * 1024;
/// The largest numbers that fit the octal fields of seven and eleven digits.
const MAX_OCTAL_7: u64 = 0o777_7777;
const MAX_OCTAL_11: u64 = 0o777_7777_7777;

/// A tree that cannot be written as tar.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes of a file cannot be read.
    #[error("cannot archive `{path}`: {source}")]
    Read {
        /// The entry.
        path: TreePath,
        /// Why; names the file on the disk.
        source: io::Error,
    },
    /// A file has not the size that the tree says.
    #[error("cannot archive `{path}`: `{}` has not the {size} bytes that it had", at.display())]
    Changed {
        /// The entry.
        path: TreePath,
        /// Where the bytes are.
        at: PathBuf,
        /// The size that the tree says.
        size: u64,
    },
    /// The stream cannot be written.
    #[error("cannot archive `{path}`: cannot write: {source}")]
    Write {
        /// The entry.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// The end of the stream cannot be written.
    #[error("cannot write the end of an archive: {source}")]
    End {
        /// Why.
        source: io::Error,
    },
}

/// Writes all of `tree` and the end of the archive.
pub fn write_tree(tree: &FileTree, to: &mut dyn Write) -> Result<(), TarError> {
    let mut to = io::BufWriter::with_capacity(BUFFER, to);
    let mut buffer = vec![0; BUFFER];
    for (path, entry) in tree.iter() {
        let failed = |source| TarError::Write { path: path.clone(), source };
        to.write_all(&headers(path, entry)).map_err(failed)?;
        if let Node::File { size, at, .. } = &entry.node {
            let read = |source| TarError::Read { path: path.clone(), source };
            let mut file = fs_err::File::open(at).map_err(read)?;
            let changed = || TarError::Changed { path: path.clone(), at: at.clone(), size: *size };
            let mut left = *size;
            while left > 0 {
                let room = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
                match file.read(&mut buffer[..room]) {
                    Ok(0) => return Err(changed()),
                    Ok(count) => {
                        to.write_all(&buffer[..count]).map_err(failed)?;
                        left -= count as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(read(error)),
                }
            }
            if *size > 0 && file.read(&mut buffer[..1]).map_err(read)? != 0 {
                return Err(changed());
            }
            to.write_all(padding(*size)).map_err(failed)?;
        }
    }
    to.write_all(&END).and_then(|()| to.flush()).map_err(|source| TarError::End { source })
}

/// The number of bytes that [`write_tree`] writes.
pub fn size_of(tree: &FileTree) -> u64 {
    let entries = tree.iter().map(|(path, entry)| {
        let content =
            if let Node::File { size, .. } = entry.node { size + padding(size).len() as u64 } else { 0 };
        headers(path, entry).len() as u64 + content
    });
    entries.sum::<u64>() + END.len() as u64
}

/// What comes after the last entry.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The zero bytes behind a content of `size` bytes.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if used == 0 { &[] } else { &END[..BLOCK - used] }
}

/// The header of a regular file of root's with a short ASCII name, for archives that are not trees.
pub(crate) fn plain_header(name: &str, size: u64, is_dir: bool) -> Vec<u8> {
    let node = if is_dir {
        Node::Dir
    } else {
        Node::File { digest: djship_store::Digest::of(b""), size, at: PathBuf::new() }
    };
    let entry = Entry { node, ..Entry::dir().with_mode(if is_dir { 0o755 } else { 0o644 }) };
    if is_dir { headers_for(&format!("{name}/"), &entry) } else { headers_for(name, &entry) }
}

/// The header blocks of one entry: a PAX extension if need be, then the ustar header.
fn headers(path: &TreePath, entry: &Entry) -> Vec<u8> {
    if entry.is_dir() {
        headers_for(&format!("{}/", path.as_str()), entry)
    } else {
        headers_for(path.as_str(), entry)
    }
}

fn headers_for(name: &str, entry: &Entry) -> Vec<u8> {
    let (kind, link, size) = match &entry.node {
        Node::Dir => (b'5', "", 0),
        Node::File { size, .. } => (b'0', "", *size),
        Node::Symlink { target } => (b'2', target.as_str(), 0),
    };
    // Records in alphabetical order.
    let mut records = Vec::new();
    let number = |records: &mut Vec<u8>, key: &str, value: u64, max: u64| {
        if value <= max {
            return value;
        }
        push_record(records, key, &value.to_string());
        0
    };
    let gid = number(&mut records, "gid", entry.gid.into(), MAX_OCTAL_7);
    if !fits(link, 100) {
        push_record(&mut records, "linkpath", link);
    }
    let mtime = match u64::try_from(entry.mtime) {
        Ok(mtime) if mtime <= MAX_OCTAL_11 => mtime,
        _ => {
            push_record(&mut records, "mtime", &entry.mtime.to_string());
            0
        }
    };
    let split = split_name(name);
    if split.is_none() {
        push_record(&mut records, "path", name);
    }
    let size = number(&mut records, "size", size, MAX_OCTAL_11);
    let uid = number(&mut records, "uid", entry.uid.into(), MAX_OCTAL_7);

    let mut blocks = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        // Named after the entry as far as that is short and plain; readers ignore it.
        let pax_name = format!("PaxHeaders/{}", plain(name.trim_end_matches('/'), 80));
        let header = Header {
            prefix: "",
            name: &pax_name,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            kind: b'x',
            link: "",
        };
        blocks.extend_from_slice(&header.encode(records.len() as u64));
        blocks.extend_from_slice(&records);
        blocks.extend_from_slice(padding(records.len() as u64));
    }
    let short_name = plain(name, 100);
    let short_link = plain(link, 100);
    let (prefix, name) = split.unwrap_or(("", &short_name));
    let link = if fits(link, 100) { link } else { &short_link };
    let header = Header { prefix, name, mode: entry.mode & 0o7777, uid, gid, mtime, kind, link };
    blocks.extend_from_slice(&header.encode(size));
    blocks
}

/// Whether a field of `room` bytes holds `text` in plain ustar.
fn fits(text: &str, room: usize) -> bool {
    text.len() <= room && text.is_ascii()
}

/// The name in ustar's two fields (155 and 100 bytes with a slash between), if it fits.
fn split_name(name: &str) -> Option<(&str, &str)> {
    if fits(name, 100) {
        return Some(("", name));
    }
    if !fits(name, 256) {
        return None;
    }
    // The longest prefix that has room, so that there is one answer only. The name may not be empty, so a folder's
    // closing slash does not count.
    let end = name.len().checked_sub(1)?.min(156);
    let (prefix, rest) = name.split_at(name[..end].rfind('/')?);
    let rest = &rest[1..];
    (!prefix.is_empty() && rest.len() <= 100).then_some((prefix, rest))
}

/// What an old reader shows instead of `text`: at most `room` ASCII bytes.
fn plain(text: &str, room: usize) -> String {
    text.chars().map(|character| if character.is_ascii() { character } else { '_' }).take(room).collect()
}

/// Adds `LENGTH key=value\n`, where the length counts itself.
fn push_record(records: &mut Vec<u8>, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    records.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
}

struct Header<'entry> {
    prefix: &'entry str,
    name: &'entry str,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: u64,
    kind: u8,
    link: &'entry str,
}

impl Header<'_> {
    fn encode(&self, size: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut text = |at: usize, value: &str| block[at..at + value.len()].copy_from_slice(value.as_bytes());
        text(0, self.name);
        text(100, &format!("{:07o}", self.mode));
        text(108, &format!("{:07o}", self.uid));
        text(116, &format!("{:07o}", self.gid));
        text(124, &format!("{size:011o}"));
        text(136, &format!("{:011o}", self.mtime));
        // The checksum is computed with spaces in its own place.
        text(148, "        ");
        text(157, self.link);
        text(257, "ustar\u{0}00");
        text(329, "0000000");
        text(337, "0000000");
        text(345, self.prefix);
        block[156] = self.kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}
