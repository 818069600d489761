//! Tar streams that go to the daemon.

use std::{
    io::{self, Read, Write},
    path::Path,
};

use djship_store::{Entry, FileTree, Node};
use tar::{Builder, EntryType, Header};

/// A user and group inside.
pub(crate) type Owner = (u32, u32);

/// What an entry has besides its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime: i64,
}

/// An archive being written.
pub(crate) struct Archive<W: Write>(Builder<W>);

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        Self(Builder::new(to))
    }

    pub(crate) fn folder(&mut self, path: impl AsRef<Path>, facts: Facts) -> io::Result<()> {
        let mut header = header(EntryType::Directory, facts, 0);
        self.0.append_data(&mut header, path, io::empty())
    }

    pub(crate) fn file(
        &mut self,
        path: impl AsRef<Path>,
        facts: Facts,
        size: u64,
        content: impl Read,
    ) -> io::Result<()> {
        let mut header = header(EntryType::Regular, facts, size);
        // Exactly as much as the header says, also when the file grows meanwhile; one that shrinks is an error.
        let mut content = Exactly { content: content.take(size), left: size };
        self.0.append_data(&mut header, path, &mut content)
    }

    pub(crate) fn link(
        &mut self,
        path: impl AsRef<Path>,
        facts: Facts,
        target: impl AsRef<Path>,
    ) -> io::Result<()> {
        let mut header = header(EntryType::Symlink, facts, 0);
        self.0.append_link(&mut header, path, target)
    }

    pub(crate) fn end(self) -> io::Result<W> {
        self.0.into_inner()
    }
}

fn header(kind: EntryType, facts: Facts, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(facts.mode & 0o7777);
    header.set_uid(facts.owner.0.into());
    header.set_gid(facts.owner.1.into());
    header.set_mtime(u64::try_from(facts.mtime).unwrap_or(0));
    header.set_size(size);
    header
}

/// A content that must have its length.
struct Exactly<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Writes a tree as a layer. Without `contents`, bytes of the same number stand for them.
pub(crate) fn write_layer(tree: &FileTree, contents: bool, to: &mut dyn Write) -> io::Result<()> {
    let mut archive = Archive::new(to);
    for (path, entry) in tree.iter() {
        let Entry { node, mode, uid, gid, mtime } = entry;
        let facts = Facts { mode: *mode, owner: (*uid, *gid), mtime: *mtime };
        let path = path.as_str();
        match node {
            Node::Dir => archive.folder(path, facts)?,
            Node::Symlink { target } => archive.link(path, facts, target)?,
            Node::File { size, at, .. } if contents => {
                archive.file(path, facts, *size, fs_err::File::open(at)?)?;
            }
            Node::File { size, .. } => archive.file(path, facts, *size, io::repeat(0))?,
        }
    }
    archive.end().map(drop)
}

/// A writer that only counts.
#[derive(Debug, Default)]
pub(crate) struct Counted(pub(crate) u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
