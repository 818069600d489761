//! What a container is given before its start, and what is taken out of it after its end. Nothing of the host is mounted: the
//! daemon may be on another machine.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RawMode, Stat, openat, readlinkat, statat};

use super::archive::{Archive, Facts, Owner};
use crate::container::Container;

/// Files that the daemon makes for each container by itself.
const DAEMONS: [&str; 3] = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"];

/// Who files on the host belong to, and who they belong to inside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Owners {
    /// The container's user as the host knows it.
    pub(crate) on_host: Owner,
    /// The container's user.
    pub(crate) inside: Owner,
}

/// Something of the host's that a container is given.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    /// What programs change in it comes back.
    pub(crate) comes_back: bool,
    /// Root's own files are the container's user's inside.
    as_owner: bool,
}

/// Everything that is put into a container before its start.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Outer places before what lies in them.
    pub(crate) given: Vec<Given>,
    /// Folders that are there already and only have to belong to the container's user.
    owned: Vec<PathBuf>,
    files: Vec<(PathBuf, Vec<u8>)>,
    owners: Owners,
    /// Places on which something of the host's is mounted.
    pub(crate) mounted: Vec<PathBuf>,
}

impl Contents {
    pub(crate) fn of(container: &Container, owners: Owners) -> Self {
        let mut given: Vec<Given> = container
            .binds
            .iter()
            .filter(|bind| !bind.cache)
            .map(|bind| Given {
                source: bind.source.clone(),
                target: bind.target.clone(),
                comes_back: !bind.read_only,
                as_owner: bind.as_owner,
            })
            .chain(container.scratch_copies.iter().map(|copy| Given {
                source: copy.source.clone(),
                target: copy.target.clone(),
                comes_back: false,
                as_owner: copy.as_owner,
            }))
            .filter(|given| !is_daemons(&given.target))
            .collect();
        given.sort_by_key(|given| given.target.components().count());
        let owned =
            container.binds.iter().filter(|bind| bind.cache).map(|bind| bind.target.clone()).collect();
        let files = container.files.iter().filter(|file| !is_daemons(&file.target));
        let files = files.map(|file| (file.target.clone(), file.content.clone())).collect();
        Self { given, owned, files, owners, mounted: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.owned.is_empty() && self.files.is_empty()
    }

    /// Writes all of it as an archive that is unpacked on the container's root. On an error, `at` is what was being read.
    pub(crate) fn write(&self, to: &mut dyn Write, at: &mut PathBuf) -> io::Result<()> {
        let mut archive = Archive::new(to);
        let targets = self.targets();
        for given in &self.given {
            given.source.clone_into(at);
            Walk { archive: &mut archive, targets: &targets, owners: self.owners, as_owner: given.as_owner }
                .top(&given.source, &given.target)?;
        }
        for folder in &self.owned {
            let facts = Facts { mode: 0o755, owner: self.owners.inside, mtime: 0 };
            archive.folder(relative(folder), facts)?;
        }
        for (target, content) in &self.files {
            let facts = Facts { mode: 0o444, owner: (0, 0), mtime: 0 };
            archive.file(relative(target), facts, content.len() as u64, &content[..])?;
        }
        archive.end().map(drop)
    }

    /// All places that something is put on; what another one has there does not count.
    pub(crate) fn targets(&self) -> BTreeSet<PathBuf> {
        let given = self.given.iter().map(|given| &given.target);
        given
            .chain(&self.owned)
            .chain(&self.mounted)
            .chain(self.files.iter().map(|(target, _)| target))
            .cloned()
            .collect()
    }
}

pub(crate) fn is_daemons(target: &Path) -> bool {
    DAEMONS.iter().any(|file| target == Path::new(file))
}

fn relative(target: &Path) -> &Path {
    target.strip_prefix("/").unwrap_or(target)
}

/// A walk through something of the host's, through no link.
struct Walk<'a, W: Write> {
    archive: &'a mut Archive<W>,
    targets: &'a BTreeSet<PathBuf>,
    owners: Owners,
    as_owner: bool,
}

impl<W: Write> Walk<'_, W> {
    fn top(&mut self, source: &Path, target: &Path) -> io::Result<()> {
        // A link is where the caller says it is; below it, none is followed.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let open = openat(CWD, source, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&open)?;
        self.entry(open, &stat, target)
    }

    fn entry(&mut self, open: OwnedFd, stat: &Stat, target: &Path) -> io::Result<()> {
        let facts = self.facts(stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                self.archive.folder(relative(target), facts)?;
                self.folder(&open, target)
            }
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                self.archive.file(relative(target), facts, size, std::fs::File::from(open))
            }
            // Sockets and the like mean something to their own machine only.
            _ => Ok(()),
        }
    }

    fn folder(&mut self, open: &OwnedFd, target: &Path) -> io::Result<()> {
        let mut names: Vec<_> = Vec::new();
        for entry in Dir::read_from(open)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let inside = target.join(OsStr::from_bytes(name.to_bytes()));
            if self.targets.contains(&inside) {
                continue;
            }
            let stat = statat(open, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    let link = readlinkat(open, &name, Vec::new())?;
                    let facts = self.facts(&stat);
                    self.archive.link(relative(&inside), facts, OsStr::from_bytes(link.to_bytes()))?;
                }
                FileType::Directory | FileType::RegularFile => {
                    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
                    let open = openat(open, &name, flags, Mode::empty())?;
                    let stat = rustix::fs::fstat(&open)?;
                    self.entry(open, &stat, &inside)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn facts(&self, stat: &Stat) -> Facts {
        let (user, group) = self.owners.inside;
        let root_too = |id| self.as_owner && id == 0;
        // Ids of others do not exist inside.
        let user = if stat.st_uid == self.owners.on_host.0 || root_too(stat.st_uid) { user } else { 0 };
        let group = if stat.st_gid == self.owners.on_host.1 || root_too(stat.st_gid) { group } else { 0 };
        let mode: RawMode = stat.st_mode;
        Facts { mode: mode & 0o7777, owner: (user, group), mtime: stat.st_mtime }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_places_hide_what_outer_ones_have_there_and_links_stay_links() {
        let place = tempfile::tempdir().unwrap();
        let (app, out) = (place.path().join("app"), place.path().join("out"));
        fs_err::create_dir_all(app.join("static")).unwrap();
        fs_err::create_dir_all(&out).unwrap();
        fs_err::write(app.join("static/old.css"), "old").unwrap();
        fs_err::write(app.join("manage.py"), "x").unwrap();
        fs_err::os::unix::fs::symlink("/etc/shadow", app.join("link")).unwrap();
        let mut container = Container::new([place.path()], ["true"]);
        container
            .bind(&out, "/app/static")
            .bind(&app, "/app")
            .file("/etc/hosts", "")
            .file("/etc/passwd", "p");
        let metadata = rustix::fs::stat(&app).unwrap();
        let owners = Owners { on_host: (metadata.st_uid, metadata.st_gid), inside: (1000, 1000) };
        let mut bytes = Vec::new();
        Contents::of(&container, owners).write(&mut bytes, &mut PathBuf::new()).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                (path, entry.header().uid().unwrap(), entry.header().entry_type())
            })
            .collect();
        let names: Vec<_> = found.iter().map(|(path, ..)| path.trim_end_matches('/')).collect();
        assert_eq!(names, ["app", "app/link", "app/manage.py", "app/static", "etc/passwd"]);
        assert_eq!(found.iter().map(|(_, uid, _)| *uid).collect::<Vec<_>>(), [1000, 1000, 1000, 1000, 0]);
        assert_eq!(found[1].2, tar::EntryType::Symlink);
    }
}
