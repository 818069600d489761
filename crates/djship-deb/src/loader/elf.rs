//! The little that is read from an ELF file: for whom it is, its soname, and what it needs.

use std::io;
use std::path::{Path, PathBuf};

use object::elf::{DT_NEEDED, DT_NULL, DT_SONAME, DT_STRTAB, ET_DYN, FileHeader64, PT_DYNAMIC, PT_LOAD};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef};

/// The largest dynamic section that is read, in bytes: real ones have a few hundred. A file may say that it has 4 GiB.
const LARGEST_SECTION: u64 = 1 << 20;
/// The longest soname, with its zero, in bytes: Linux has no longer file names.
const LONGEST_NAME: u64 = 256;

/// A shared object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// The processor that it is for, as ELF numbers it.
    pub machine: u16,
    /// Its name for the loader.
    pub soname: Option<String>,
    /// Sonames of the libraries that it needs.
    pub needed: Vec<String>,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the library `{}`: {source}", path.display())]
pub struct ElfError {
    /// On this machine.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Reads the dynamic section of a 64-bit shared object; `None` for everything else, malformed files among it. Only the parts that
/// matter are read.
pub fn read_library(path: &Path) -> Result<Option<Library>, ElfError> {
    let failed = |source| ElfError { path: path.to_owned(), source };
    let file = fs_err::File::open(path).map_err(failed)?;
    Ok(read_open_library(file.into_file()))
}

/// The same for a file that is open.
pub fn read_open_library(file: std::fs::File) -> Option<Library> {
    parse(&ReadCache::new(file))
}

fn parse<'data>(data: impl ReadRef<'data>) -> Option<Library> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    if header.e_type(endian) != ET_DYN {
        return None;
    }
    let segments = header.program_headers(endian, data).ok()?;
    let entries = segments
        .iter()
        .find(|segment| segment.p_type(endian) == PT_DYNAMIC)
        .filter(|segment| segment.p_filesz(endian) <= LARGEST_SECTION)
        .and_then(|segment| segment.dynamic(endian, data).ok().flatten())?;
    let mut strings = None;
    let mut soname = None;
    let mut needed = Vec::new();
    for entry in entries {
        let value = entry.d_val(endian);
        match entry.d_tag(endian) {
            DT_NULL => break,
            DT_STRTAB => strings = Some(value),
            DT_SONAME => soname = Some(value),
            DT_NEEDED => needed.push(value),
            _ => {}
        }
    }
    // The table's address is one in memory.
    let strings = strings?;
    let segment = segments.iter().find(|segment| {
        let start = segment.p_vaddr(endian);
        segment.p_type(endian) == PT_LOAD
            && (start..start.saturating_add(segment.p_filesz(endian))).contains(&strings)
    })?;
    let table = (strings - segment.p_vaddr(endian)).checked_add(segment.p_offset(endian))?;
    let end = segment.p_offset(endian).checked_add(segment.p_filesz(endian))?;
    let text = |at: u64| {
        let start = table.checked_add(at)?;
        let bytes = data.read_bytes_at_until(start..end.min(start.checked_add(LONGEST_NAME)?), 0).ok()?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    };
    Some(Library {
        machine: header.e_machine(endian).0,
        soname: soname.and_then(text),
        needed: needed.into_iter().filter_map(text).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let own = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        for (name, bytes) in [("empty", &[][..]), ("text", b"INPUT(libx.so.1)\n"), ("cut", &own[..70])] {
            let path = dir.path().join(name);
            fs_err::write(&path, bytes).unwrap();
            assert_eq!(read_library(&path).unwrap(), None, "{name}");
        }
        assert!(read_library(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn own_program_needs_libc() {
        // A position independent executable is a shared object, too.
        let library = read_library(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(library.needed.iter().any(|name| name == "libc.so.6"), "{library:?}");
        assert_eq!(library.soname, None);
    }
}
