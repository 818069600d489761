//! `/etc/ld.so.cache`, written without a `ldconfig`: in the form `glibc-ld.so.cache1.1` that every glibc since 2.2 reads,
//! the same bytes for the same tree.
//!
//! ```text
//! "glibc-ld.so.cache1.1"  number of entries  length of strings  byte order  offset of the extensions  3 unused
//! entries: flags, offset of the soname, offset of the path, unused, hwcap        24 bytes each
//! strings, each ended by a zero byte; offsets count from the start of the file
//! extensions: magic, count, {tag, flags, offset, size}; tag 0 says who wrote the file
//! ```
//!
//! Entries are in falling order of their sonames, numbers compared as numbers: the loader searches by halves.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use djship_store::{Entry, FileTree, Node, Store, StoreError, TreePath};

use super::elf::{ElfError, read_library};
use super::folders::library_folders;
use crate::release::Arch;
use crate::root::resolve;

/// A cache that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A library cannot be read.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The cache would be larger than its offsets can say.
    #[error("cannot write ld.so.cache: {libraries} libraries are too many")]
    TooLarge {
        /// Number of entries.
        libraries: usize,
    },
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One library of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cached {
    soname: String,
    path: String,
}

/// A candidate for a soname in one folder.
#[derive(Debug, Clone)]
struct Candidate {
    name: String,
    is_link: bool,
}

/// Makes the cache anew for what the tree holds now; to be called by whoever adds libraries. Like `ldconfig`, it adds the link for a
/// soname that a library has and no entry bears.
pub fn refresh_cache(tree: &mut FileTree, arch: Arch, store: &Store) -> Result<(), CacheError> {
    let (libraries, missing_links) = find_libraries(tree, arch)?;
    for (path, target) in missing_links {
        tree.insert(path, Entry::symlink(target));
    }
    let bytes = write(&libraries, arch)?;
    let (digest, at) = store.put_blob(&bytes)?;
    if let Ok(path) = TreePath::parse("etc/ld.so.cache") {
        tree.insert(path, Entry::file(digest, bytes.len() as u64, at));
    }
    Ok(())
}

/// The bytes of the cache for a tree.
pub fn ld_so_cache(tree: &FileTree, arch: Arch) -> Result<Vec<u8>, CacheError> {
    write(&find_libraries(tree, arch)?.0, arch)
}

/// Names that the loader could look for: glibc's own rule.
pub(super) fn is_library_name(name: &str) -> bool {
    (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so")
}

/// Links that are missing, with their targets.
type Links = Vec<(TreePath, String)>;

/// What `ldconfig` would find, in the order of the cache.
fn find_libraries(tree: &FileTree, arch: Arch) -> Result<(Vec<Cached>, Links), CacheError> {
    let folders = library_folders(tree, arch);
    let real: Vec<Option<TreePath>> = folders.iter().map(|folder| resolve(tree, folder)).collect();
    let mut found: Vec<BTreeMap<String, Candidate>> = vec![BTreeMap::new(); folders.len()];
    for (path, entry) in tree.iter() {
        if entry.is_dir() || !is_library_name(path.file_name()) {
            continue;
        }
        let parent = path.parent();
        if let Some(at) = real.iter().position(|folder| *folder == parent)
            && let Some((soname, candidate)) = candidate(tree, path, entry, arch)?
        {
            let best = found[at].entry(soname).or_insert_with(|| candidate.clone());
            if is_better(&candidate, best) {
                *best = candidate;
            }
        }
    }
    let mut libraries = Vec::new();
    let mut links = Vec::new();
    for ((folder, real), sonames) in folders.iter().zip(real).zip(found) {
        for (soname, candidate) in sonames {
            let link = real.as_ref().and_then(|real| real.join(&soname).ok());
            if let Some(link) = link.filter(|link| tree.get(link.as_str()).is_none()) {
                links.push((link, candidate.name));
            }
            libraries.push(Cached { path: format!("{folder}/{soname}"), soname });
        }
    }
    // Stable: of two libraries with one soname that of the earlier folder stays before the other.
    libraries.sort_by(|left, right| compare_sonames(&right.soname, &left.soname));
    Ok((libraries, links))
}

/// The soname under which an entry counts, if it is a library of this architecture.
fn candidate(
    tree: &FileTree,
    path: &TreePath,
    entry: &Entry,
    arch: Arch,
) -> Result<Option<(String, Candidate)>, CacheError> {
    let name = path.file_name();
    let Some(real) = resolve(tree, path.as_str()) else { return Ok(None) };
    let Some(Entry { node: Node::File { at, .. }, .. }) = tree.get(real.as_str()) else { return Ok(None) };
    let Some(library) = read_library(at)?.filter(|library| library.machine == arch.elf_machine()) else {
        return Ok(None);
    };
    // Without one, the file's name has to do.
    let soname = library.soname.filter(|soname| !soname.contains('/')).unwrap_or_else(|| name.to_owned());
    // A link counts under its own name when that is the soname, or the name for the linker; a link of any other name is
    // as good as the file.
    let is_for_linker = name.strip_suffix(".so").is_some() && soname.starts_with(name);
    let is_link = matches!(entry.node, Node::Symlink { .. }) && (name == soname || is_for_linker);
    let soname = if is_link { name.to_owned() } else { soname };
    Ok(Some((soname, Candidate { name: name.to_owned(), is_link })))
}

/// A file before a link, then the later version.
fn is_better(candidate: &Candidate, best: &Candidate) -> bool {
    (!candidate.is_link && best.is_link)
        || (candidate.is_link == best.is_link && compare_sonames(&best.name, &candidate.name).is_lt())
}

/// The order of names in the cache: runs of digits compare as numbers, and a digit is later than anything else.
fn compare_sonames(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        match (left.first(), right.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(other)) => match (one.is_ascii_digit(), other.is_ascii_digit()) {
                (true, true) => {
                    let (left_number, right_number) = (take_number(&mut left), take_number(&mut right));
                    if left_number != right_number {
                        return left_number.cmp(&right_number);
                    }
                }
                (true, false) => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                (false, false) if one != other => return one.cmp(other),
                (false, false) => (left, right) = (&left[1..], &right[1..]),
            },
        }
    }
}

fn take_number(text: &mut &[u8]) -> u64 {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits.iter().fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
}

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const LITTLE_ENDIAN: u8 = 2;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const GENERATOR: &[u8] = b"djship";

fn write(libraries: &[Cached], arch: Arch) -> Result<Vec<u8>, CacheError> {
    let too_large = || CacheError::TooLarge { libraries: libraries.len() };
    let number = |value: usize| u32::try_from(value).map_err(|_| too_large());
    let mut strings: Vec<u8> = Vec::new();
    let mut entries: Vec<u8> = Vec::with_capacity(libraries.len() * ENTRY);
    let base = HEADER + libraries.len() * ENTRY;
    for library in libraries {
        let path = base + strings.len();
        strings.extend(library.path.as_bytes());
        strings.push(0);
        // The path ends in the soname.
        let soname = base + strings.len() - 1 - library.soname.len();
        for value in [arch.loader_flags(), number(soname)?, number(path)?, 0, 0, 0] {
            entries.extend(value.to_le_bytes());
        }
    }
    let extensions = (base + strings.len()).next_multiple_of(4);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(number(libraries.len())?.to_le_bytes());
    bytes.extend(number(strings.len())?.to_le_bytes());
    bytes.extend([LITTLE_ENDIAN, 0, 0, 0]);
    bytes.extend(number(extensions)?.to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(entries);
    bytes.extend(strings);
    bytes.resize(extensions, 0);
    let generator = extensions + 8 + 16;
    for value in [EXTENSION_MAGIC, 1, 0, 0, number(generator)?, number(GENERATOR.len())?] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(GENERATOR);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_sonames_are_numbers() {
        let sorted = ["liba.so", "liba.so.2", "liba.so.10", "libab.so.1", "libz.so.1", "libz1.so"];
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(compare_sonames(left, right), at.cmp(&other), "{left} {right}");
            }
        }
        assert_eq!(compare_sonames("lib01.so", "lib1.so"), Ordering::Equal);
    }

    #[test]
    fn an_empty_tree_has_an_empty_cache() {
        let bytes = ld_so_cache(&FileTree::new(), Arch::Arm64).unwrap();
        assert!(bytes.starts_with(MAGIC));
        assert_eq!(bytes[20..24], [0; 4]);
        assert!(bytes.ends_with(GENERATOR));
    }
}
