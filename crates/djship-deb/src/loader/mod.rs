//! What the dynamic loader knows about a tree: which folders it looks in, which library has which soname, and the cache of
//! both, `/etc/ld.so.cache`.

mod cache;
mod elf;
mod folders;

pub use cache::{CacheError, ld_so_cache, refresh_cache};
pub use elf::{ElfError, Library, read_library, read_open_library};
pub use folders::library_folders;

use std::collections::BTreeMap;

use crate::deb::UnpackedPackage;
use crate::release::Arch;

/// Which package ships the library of each soname: names of entries in the loader's folders, which packages fill with a link per
/// soname. Where two packages ship the same name, the first in the given order has it.
pub fn soname_owner(packages: &[UnpackedPackage], arch: Arch) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let folders = folders::built_in(arch);
    for package in packages {
        for (path, entry) in package.tree.iter() {
            let parent = path.parent();
            let in_folder =
                parent.is_some_and(|parent| folders.iter().any(|folder| folder == parent.as_str()));
            if !entry.is_dir() && in_folder && cache::is_library_name(path.file_name()) {
                owners.entry(path.file_name().to_owned()).or_insert_with(|| package.package.name.clone());
            }
        }
        // A library that is chosen among alternatives has its soname only through the link.
        for alternative in &package.record.alternatives {
            let (folder, name) =
                alternative.link.trim_start_matches('/').rsplit_once('/').unwrap_or(("", ""));
            let folder = if folder.starts_with("lib") { format!("usr/{folder}") } else { folder.to_owned() };
            if folders.contains(&folder) && cache::is_library_name(name) {
                owners.entry(name.to_owned()).or_insert_with(|| package.package.name.clone());
            }
        }
    }
    owners
}
