//! Git's ignore files: `.gitignore` in every folder from the top of the disk down, and `.git/info/exclude`.
//!
//! The `ignore` crate knows the rules. The files are read here, because it would wait for a pipe and follow every link.
//! <https://git-scm.com/docs/gitignore>

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::project::{Folder, ProjectError};

/// Longer ignore files are refused, in bytes.
const LONGEST: u64 = 4 << 20;

/// The rules for one project, read when they are needed.
pub(crate) struct GitIgnore {
    project: Arc<Folder>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By folder, absolute.
    known: HashMap<PathBuf, Arc<Rules>>,
    /// The first file that could not be read.
    failed: Option<ProjectError>,
}

/// What one folder says.
struct Rules {
    ignore: Gitignore,
    exclude: Gitignore,
}

impl GitIgnore {
    pub(crate) fn new(project: Arc<Folder>) -> Self {
        Self { project, state: Mutex::default() }
    }

    /// Whether git ignores what is at `path`, absolute, in a folder that it does not ignore.
    pub(crate) fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rules: Vec<_> = path.ancestors().skip(1).map(|folder| self.rules(&mut state, folder)).collect();
        // The nearest file that has something to say decides; all exclude files come after that.
        let files = rules.iter().map(|rules| &rules.ignore).chain(rules.iter().map(|rules| &rules.exclude));
        let mut said = files.map(|file| file.matched(path, is_folder)).filter(|matched| !matched.is_none());
        said.next().is_some_and(|matched| matched.is_ignore())
    }

    /// Fails if a file could not be read: what it would have said is not known.
    pub(crate) fn finish(&self) -> Result<(), ProjectError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.take().map_or(Ok(()), Err)
    }

    fn rules(&self, state: &mut State, folder: &Path) -> Arc<Rules> {
        if let Some(known) = state.known.get(folder) {
            return Arc::clone(known);
        }
        let rules = Arc::new(self.read(state, folder));
        state.known.insert(folder.to_owned(), Arc::clone(&rules));
        rules
    }

    fn read(&self, state: &mut State, folder: &Path) -> Rules {
        let text = if let Some(relative) =
            folder.strip_prefix(self.project.path()).ok().and_then(Path::to_str)
        {
            let mut text = |name: &str| {
                let name = if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
                self.project.read(&name, LONGEST).unwrap_or_else(|error| {
                    state.failed.get_or_insert(error);
                    None
                })
            };
            [
                text(".gitignore"),
                text(".git/info/exclude").or_else(|| self.of_worktree(&text(".git")?, folder)),
            ]
        } else {
            // What is above the project need not concern it: unreadable is absent.
            let above = Folder::open(folder).ok().flatten();
            [".gitignore", ".git/info/exclude"].map(|name| above.as_ref()?.read(name, LONGEST).ok().flatten())
        };
        let [ignore, exclude] = text.map(|text| parse(folder, &text.unwrap_or_default()));
        Rules { ignore, exclude }
    }
}

impl GitIgnore {
    /// What the repository of a worktree excludes: its `.git` is a file that leads there, as long as it is the same owner's.
    /// <https://git-scm.com/docs/gitrepository-layout>
    fn of_worktree(&self, leads: &[u8], folder: &Path) -> Option<Vec<u8>> {
        let path = |text: Vec<u8>, from: &Path| Some(from.join(String::from_utf8(text).ok()?.trim()));
        let own = |path: &Path| {
            let folder = Folder::open(&fs_err::canonicalize(path).ok()?).ok().flatten()?;
            (folder.owner() == self.project.owner()).then_some(folder)
        };
        let worktree = own(&path(leads.strip_prefix(b"gitdir:")?.to_vec(), folder)?)?;
        let common = path(worktree.read("commondir", LONGEST).ok()??, worktree.path())?;
        own(&common)?.read("info/exclude", LONGEST).ok()?
    }
}

/// A line that is no pattern says nothing, as in git.
fn parse(folder: &Path, text: &[u8]) -> Gitignore {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    if text.is_empty() {
        return Gitignore::empty();
    }
    let mut builder = GitignoreBuilder::new(folder);
    for line in text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        let _ = builder.add_line(None, line.strip_suffix('\r').unwrap_or(line));
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
