//! Finds where a path leads in a stack of layers, as the kernel's overlay would, without ever following a link out of it.
//!
//! Mount points must exist before something can be mounted, and links such as `/var/run -> /run` decide where they are.
//! The layers are strangers' files: a link to `/etc` must lead to the container's `/etc`.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use thiserror::Error;

/// As many links as the kernel follows.
const LINK_LIMIT: usize = 40;

/// A path cannot be a mount point.
#[derive(Debug, Error)]
pub enum LookupError {
    /// Links lead in circles.
    #[error("cannot find `{}` in the root: too many links", target.display())]
    TooManyLinks {
        /// The path looked for.
        target: PathBuf,
    },
    /// A file stands where a folder is needed, or the other way round.
    #[error("cannot mount on `{}`: `{}` is {found} in the root, {wanted} is needed", target.display(), at.display())]
    WrongKind {
        /// The path looked for.
        target: PathBuf,
        /// The path that is of the wrong kind.
        at: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// The target lies in a folder of the host that is shown there, which has no such entry; djship adds nothing to it.
    #[error("cannot mount on `{}`: there is no `{}` on the host", target.display(), missing.display())]
    MissingInBind {
        /// The path looked for.
        target: PathBuf,
        /// The path on the host that would have to exist.
        missing: PathBuf,
    },
    /// A layer cannot be read.
    #[error("cannot look at `{}`: {source}", path.display())]
    Read {
        /// Path on the host.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A folder with this mode.
    Folder(u32),
    /// Something else.
    File,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The same path without links, absolute.
    pub(crate) path: PathBuf,
    /// What is there; `None` when it, or a part of the way, is missing.
    pub(crate) found: Option<Found>,
}

/// A stack of layers, first is topmost.
#[derive(Debug)]
pub(crate) struct Layers<'a> {
    roots: Vec<&'a Path>,
}

/// One entry of one folder, seen through all layers.
enum Seen<'a> {
    Missing,
    File,
    Link(PathBuf),
    Folder { mode: u32, layers: Vec<&'a Path> },
}

impl<'a> Layers<'a> {
    pub(crate) fn new(roots: impl IntoIterator<Item = &'a Path>) -> Self {
        Self { roots: roots.into_iter().collect() }
    }

    /// Finds where `target` leads; it must be absolute and hold no `..`.
    pub(crate) fn find(&self, target: &Path) -> Result<Place, LookupError> {
        let mut rest: VecDeque<OsString> = names(target).collect();
        let mut way = vec![(PathBuf::from("/"), self.roots.clone(), 0o755)];
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let Some((here, layers, _)) = way.last() else { break };
            let path = here.join(&name);
            match look(here, layers, &name)? {
                Seen::Missing => {
                    let path = rest.iter().fold(path, |path, name| path.join(name));
                    return Ok(Place { path, found: None });
                }
                Seen::File if rest.is_empty() => return Ok(Place { path, found: Some(Found::File) }),
                Seen::File => {
                    return Err(LookupError::WrongKind {
                        target: target.into(),
                        at: path,
                        found: "a file",
                        wanted: "a folder",
                    });
                }
                Seen::Link(to) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(LookupError::TooManyLinks { target: target.into() });
                    }
                    if to.is_absolute() {
                        way.truncate(1);
                    }
                    for name in names(&to).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                Seen::Folder { mode, layers } => way.push((path, layers, mode)),
            }
        }
        let (path, _, mode) = way.pop().unwrap_or_else(|| ("/".into(), Vec::new(), 0o755));
        Ok(Place { path, found: Some(Found::Folder(mode)) })
    }
}

/// The names on a path, `..` included; roots and dots carry no meaning here.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// Looks at `name` in the folder `here`, which is a real folder in each of `layers`.
fn look<'a>(here: &Path, layers: &[&'a Path], name: &OsStr) -> Result<Seen<'a>, LookupError> {
    let inside = here.strip_prefix("/").unwrap_or(here).join(name);
    let mut folder: Option<(u32, Vec<&'a Path>)> = None;
    for layer in layers {
        let path = layer.join(&inside);
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(LookupError::Read { path, source }),
        };
        if metadata.is_dir() {
            let (_, layers) =
                folder.get_or_insert_with(|| (metadata.permissions().mode() & 0o7777, Vec::new()));
            layers.push(layer);
            if is_opaque(&path) {
                break;
            }
            continue;
        }
        if folder.is_some() || (metadata.file_type().is_char_device() && metadata.rdev() == 0) {
            // A file below a folder ends the merge; a device 0:0 is the overlay's mark for "deleted".
            break;
        }
        if metadata.is_symlink() {
            return match path.read_link() {
                Ok(to) => Ok(Seen::Link(to)),
                Err(source) => Err(LookupError::Read { path, source }),
            };
        }
        return Ok(Seen::File);
    }
    Ok(folder.map_or(Seen::Missing, |(mode, layers)| Seen::Folder { mode, layers }))
}

/// Whether the overlay's mark hides everything below this folder in lower layers.
fn is_opaque(path: &Path) -> bool {
    let mut value = [0_u8; 1];
    matches!(rustix::fs::lgetxattr(path, "user.overlay.opaque", &mut value[..]), Ok(1)) && value == *b"y"
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn layers(dir: &Path) -> (PathBuf, PathBuf) {
        let (top, low) = (dir.join("top"), dir.join("low"));
        for folder in
            [top.join("etc"), low.join("usr/bin"), low.join("run"), low.join("var"), low.join("etc/deep")]
        {
            fs_err::create_dir_all(folder).unwrap();
        }
        symlink("usr/bin", low.join("bin")).unwrap();
        symlink("/run", low.join("var/run")).unwrap();
        symlink("../../../../../../etc", low.join("var/out")).unwrap();
        symlink("circle", low.join("circle")).unwrap();
        fs_err::write(low.join("file"), "").unwrap();
        fs_err::write(top.join("etc/hosts"), "").unwrap();
        (top, low)
    }

    fn find(target: &str) -> Result<(String, Option<Found>), LookupError> {
        let dir = tempfile::tempdir().unwrap();
        let (top, low) = layers(dir.path());
        let place = Layers::new([top.as_path(), &low]).find(Path::new(target))?;
        Ok((place.path.to_str().unwrap().to_owned(), place.found))
    }

    #[test]
    fn links_stay_inside() {
        assert_eq!(find("/var/run/lock").unwrap(), ("/run/lock".into(), None));
        assert_eq!(find("/var/out/deep").unwrap(), ("/etc/deep".into(), Some(Found::Folder(0o755))));
        assert_eq!(find("/bin").unwrap(), ("/usr/bin".into(), Some(Found::Folder(0o755))));
        assert_eq!(find("/etc/hosts").unwrap(), ("/etc/hosts".into(), Some(Found::File)));
        assert_eq!(find("/a/b/c").unwrap(), ("/a/b/c".into(), None));
    }

    #[test]
    fn circles_and_files_in_the_way_are_errors() {
        assert!(matches!(find("/circle/x"), Err(LookupError::TooManyLinks { .. })));
        assert!(matches!(find("/file/x"), Err(LookupError::WrongKind { .. })));
    }

    #[test]
    fn a_folder_on_top_hides_a_link_below() {
        let dir = tempfile::tempdir().unwrap();
        let (top, low) = layers(dir.path());
        fs_err::create_dir(top.join("bin")).unwrap();
        let layers = Layers::new([top.as_path(), &low]);
        let place = layers.find(Path::new("/bin/x")).unwrap();
        assert_eq!(place, Place { path: "/bin/x".into(), found: None });
    }

    #[test]
    fn opaque_folders_hide_what_is_below() {
        let dir = tempfile::tempdir().unwrap();
        let (top, low) = layers(dir.path());
        let mark = rustix::fs::setxattr(
            top.join("etc"),
            "user.overlay.opaque",
            b"y",
            rustix::fs::XattrFlags::empty(),
        );
        if mark.is_err() {
            eprintln!("skipped: this file system keeps no extended attributes");
            return;
        }
        let layers = Layers::new([top.as_path(), &low]);
        assert_eq!(layers.find(Path::new("/etc/deep")).unwrap().found, None);
    }
}
