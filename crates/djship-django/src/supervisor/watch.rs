//! Watches a project's folder for changes, without what tools make anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::event::{CreateKind, ModifyKind, RenameMode};
use notify::{Config, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

/// How long it must be quiet after a change: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(100);
/// How long a change waits at most, however busy the folder is.
const LONGEST: Duration = Duration::from_secs(1);
/// How often folders are looked at when the kernel does not tell.
const POLL: Duration = Duration::from_secs(2);
/// More folders are not watched: nobody edits them all.
const MOST_FOLDERS: usize = 20_000;

/// Folders that no developer edits.
const PASSING: &[&str] = &[
    ".cache",
    ".direnv",
    ".eggs",
    ".git",
    ".hg",
    ".idea",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".vscode",
    "__pycache__",
    "node_modules",
];

/// What changed, absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files and folders that were made, changed, moved or removed.
    pub paths: BTreeSet<PathBuf>,
}

/// How changes come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// The kernel tells.
    Kernel,
    /// Folders are looked at.
    Polling,
}

/// Watches `folder` in a thread of its own for as long as somebody takes what `tell` is told; `tell` says so.
pub(super) fn watch(
    folder: &Path,
    tell: impl FnMut(Changes) -> bool + Send + 'static,
) -> Result<Means, notify::Error> {
    let (sender, events) = mpsc::channel();
    let (watcher, means) = match Watch::with::<RecommendedWatcher>(folder, sender.clone()) {
        Ok(watch) => (watch, Means::Kernel),
        // The limits on what one user may watch, or a file system that tells nothing.
        Err(_) => (Watch::with::<PollWatcher>(folder, sender)?, Means::Polling),
    };
    std::thread::spawn(move || collect(watcher, &events, tell));
    Ok(means)
}

/// A watcher with the folders that it watches.
struct Watch {
    root: PathBuf,
    watcher: Box<dyn Watcher + Send>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    fn with<W: Watcher + Send + 'static>(
        folder: &Path,
        sender: Sender<notify::Result<notify::Event>>,
    ) -> Result<Self, notify::Error> {
        // Whoever collects is gone only when nobody is interested any more.
        let handler = move |event| drop(sender.send(event));
        let watcher = W::new(handler, Config::default().with_poll_interval(POLL))?;
        let mut watch =
            Self { root: folder.to_owned(), watcher: Box::new(watcher), folders: BTreeSet::new() };
        watch.add(folder, &mut BTreeSet::new())?;
        Ok(watch)
    }

    /// Watches a folder and those in it; what lies in them goes to `found`.
    fn add(&mut self, folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), notify::Error> {
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            if self.folders.len() >= MOST_FOLDERS || self.folders.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // It is gone again, or none of ours.
                Err(error)
                    if matches!(error.kind, notify::ErrorKind::PathNotFound | notify::ErrorKind::Io(_)) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.folders.insert(folder.clone());
            for entry in fs_err::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if self.is_edited(&path) {
                        waiting.push(path);
                    }
                } else if self.is_edited(&path) {
                    found.insert(path);
                }
            }
        }
        Ok(())
    }

    /// Events were lost: anything may have changed, and any folder may be new.
    fn look_at_everything(&mut self, changes: &mut Changes) {
        self.folders.clear();
        let root = self.root.clone();
        let _ = self.add(&root, &mut changes.paths);
    }

    /// Whether a path is one that a developer edits. What the project itself lies in does not matter.
    fn is_edited(&self, path: &Path) -> bool {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let passing = relative.components().any(|part| PASSING.iter().any(|name| part.as_os_str() == *name));
        let name = relative.file_name().unwrap_or_default().to_string_lossy();
        // What editors write beside a file, and what a database changes all the time.
        let beside = name.starts_with(".#")
            || name.ends_with('~')
            || [".swp", ".swx", ".tmp", ".pyc", "-journal", "-wal", "-shm", ".sqlite3", ".log", "4913"]
                .iter()
                .any(|end| name.ends_with(end));
        !passing && !beside && (path == self.root || !path.join("pyvenv.cfg").exists())
    }

    /// Takes in one event.
    fn take(&mut self, event: &notify::Event, changes: &mut Changes) {
        if event.need_rescan() {
            self.look_at_everything(changes);
            return;
        }
        let kind = event.kind;
        if matches!(kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_))) {
            return;
        }
        for path in &event.paths {
            if !self.is_edited(path) {
                continue;
            }
            let appears = matches!(
                kind,
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both))
            );
            let folder = kind == EventKind::Create(CreateKind::Folder) || path.is_dir();
            if appears && folder {
                // Files may have been made in it before it was watched.
                let _ = self.add(path, &mut changes.paths);
            } else if matches!(kind, EventKind::Remove(_)) || !path.exists() {
                self.folders.remove(path);
            }
            if !folder {
                changes.paths.insert(path.clone());
            }
        }
    }
}

fn collect(
    mut watch: Watch,
    events: &Receiver<notify::Result<notify::Event>>,
    mut tell: impl FnMut(Changes) -> bool,
) {
    let mut changes = Changes::default();
    let mut first: Option<Instant> = None;
    loop {
        let event = match first {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(first) => events.recv_timeout(QUIET.min(LONGEST.saturating_sub(first.elapsed()))),
        };
        match event {
            Ok(Ok(event)) => {
                watch.take(&event, &mut changes);
                if !changes.paths.is_empty() {
                    first.get_or_insert_with(Instant::now);
                }
            }
            // A folder went while it was looked at.
            Ok(Err(_)) => {}
            Err(RecvTimeoutError::Timeout) => {
                first = None;
                if !tell(std::mem::take(&mut changes)) {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    struct Place {
        _above: tempfile::TempDir,
        folder: PathBuf,
        told: Receiver<Changes>,
    }

    impl Place {
        fn new() -> Self {
            Self::at("shop")
        }

        /// A project in a folder of that name.
        fn at(name: &str) -> Self {
            let above = tempfile::tempdir().unwrap();
            let folder = above.path().join(name);
            for path in ["site", ".git", "node_modules/x", "env"] {
                fs_err::create_dir_all(folder.join(path)).unwrap();
            }
            fs_err::write(folder.join("env/pyvenv.cfg"), "").unwrap();
            let (sender, told) = mpsc::channel();
            let means = watch(&folder, move |changes| sender.send(changes).is_ok()).unwrap();
            assert_eq!(means, Means::Kernel);
            Self { _above: above, folder, told }
        }

        fn write(&self, path: &str) {
            let path = self.folder.join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }

        /// Waits for changes until one is told that ends with `path`; everything that was told.
        fn until(&self, path: &str) -> BTreeSet<PathBuf> {
            let mut all = BTreeSet::new();
            while !all.contains(Path::new(path)) {
                let told = self.told.recv_timeout(SOON).unwrap();
                all.extend(told.paths.iter().map(|path| path.strip_prefix(&self.folder).unwrap().to_owned()));
            }
            all
        }
    }

    #[test]
    fn only_what_is_edited_is_told() {
        let place = Place::new();
        for path in [".git/index", "node_modules/x/a.js", "env/a.py", "site/a.py~", "site/__pycache__/a.pyc"]
        {
            place.write(path);
        }
        place.write("site/a.py");
        assert_eq!(place.until("site/a.py"), BTreeSet::from(["site/a.py".into()]));
    }

    #[test]
    fn a_file_that_is_replaced_and_a_new_folder_are_seen() {
        let place = Place::new();
        place.write("site/a.py.new4913");
        fs_err::rename(place.folder.join("site/a.py.new4913"), place.folder.join("site/a.py")).unwrap();
        assert!(place.until("site/a.py").len() == 1);
        place.write("shop/migrations/0001_initial.py");
        place.until("shop/migrations/0001_initial.py");
        place.write("shop/migrations/0002_more.py");
        place.until("shop/migrations/0002_more.py");
        fs_err::remove_file(place.folder.join("site/a.py")).unwrap();
        place.until("site/a.py");
    }

    #[test]
    fn what_the_project_lies_in_hides_nothing() {
        for name in ["node_modules/shop", ".cache/shop", "a/__pycache__"] {
            let place = Place::at(name);
            place.write("node_modules/x/b.js");
            place.write("site/a.py");
            assert_eq!(place.until("site/a.py"), BTreeSet::from(["site/a.py".into()]), "{name}");
        }
    }

    #[test]
    fn after_lost_events_everything_is_looked_at() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("shop");
        fs_err::create_dir_all(folder.join("site/deep")).unwrap();
        for path in ["manage.py", "site/deep/models.py", "site/deep/db.sqlite3"] {
            fs_err::write(folder.join(path), "x").unwrap();
        }
        let (sender, events) = mpsc::channel();
        let watch = Watch::with::<notify::NullWatcher>(&folder, sender.clone()).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || collect(watch, &events, move |changes| tell.send(changes).is_ok()));
        // This one was not told.
        fs_err::create_dir(folder.join("new")).unwrap();
        fs_err::write(folder.join("new/views.py"), "x").unwrap();
        let lost = notify::Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        sender.send(Ok(lost)).unwrap();
        let changes = told.recv_timeout(SOON).unwrap();
        let paths = ["manage.py", "new/views.py", "site/deep/models.py"].map(|path| folder.join(path));
        assert_eq!(changes.paths, BTreeSet::from(paths));
    }
}
