//! What a step of a build read, and whether any of it has changed.
//!
//! The steps that run Django record the files, folder listings and existence checks that their answer depends on
//! (`python/build/reads.py`). An answer holds as long as each of them is what it was.

mod live;

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use djship_store::{Beneath, Digest, FileTree, Node, Store, atomic};

use crate::laid::Key;
use crate::report::Because;
pub(crate) use live::is_passing;

/// Records are at most this long.
const MAX_RECORD: u64 = 64 << 20;

/// Where a step writes its record, in its container.
pub(crate) const RECORD: &str = "/out/reads";

/// Whether the answer of a step still holds.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It does; this is its key.
    Reuse(Digest),
    /// It does not.
    Redo(Because),
}

/// One thing that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct Read {
    kind: Kind,
    path: String,
    state: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
enum Kind {
    /// The content of a file.
    Content,
    /// The names in a folder.
    Listing,
    /// Whether something is there, and what it is.
    Existence,
    /// Everything: what was read cannot be told.
    Whole,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    inputs: Digest,
    reads: Vec<Read>,
    answer: Digest,
}

/// Says what state a path of the project is in.
trait Look {
    fn state(&self, kind: Kind, path: &str) -> String;
}

/// The answers of the steps of one project.
pub(crate) struct Answers<'a> {
    store: &'a Store,
    project: &'a Path,
    look: Box<dyn Look + 'a>,
}

impl<'a> Answers<'a> {
    /// The answers about the project in the folder `project`, whose files are now `tree`.
    pub(crate) fn of(store: &'a Store, project: &'a Path, tree: &'a FileTree) -> Self {
        Self { store, project, look: Box::new(State::of(tree)) }
    }

    /// The answers about the project in the folder `project` as it is on the disk at this moment.
    pub(crate) fn live(store: &'a Store, project: &'a Path) -> Self {
        Self { store, project, look: Box::new(live::Live { folder: project }) }
    }

    /// Whether the last answer of `step` holds for the same other `inputs`.
    pub(crate) fn standing(&self, step: &str, inputs: &Digest) -> Standing {
        let text = fs_err::read(self.file(step)).unwrap_or_default();
        let Ok(last) = serde_json::from_slice::<Remembered>(&text) else {
            return Standing::Redo(Because::First);
        };
        if last.inputs != *inputs {
            return Standing::Redo(Because::InputsChanged);
        }
        match last.reads.iter().find(|read| self.look.state(read.kind, &read.path) != read.state) {
            Some(read) => Standing::Redo(Because::Changed(read.path.clone())),
            None => Standing::Reuse(last.answer),
        }
    }

    /// Remembers an answer with what the record in the file `record` says was read.
    pub(crate) fn remember(
        &self,
        step: &str,
        inputs: &Digest,
        record: &Path,
        answer: &Digest,
    ) -> io::Result<()> {
        let reads = parse(record).into_iter().map(|(kind, path)| {
            let state = self.look.state(kind, &path);
            Read { kind, path, state }
        });
        let remembered = Remembered { inputs: *inputs, reads: reads.collect(), answer: *answer };
        let file = self.file(step);
        if let Some(folder) = file.parent() {
            fs_err::create_dir_all(folder)?;
        }
        atomic::write_quickly(&file, &serde_json::to_vec(&remembered).map_err(io::Error::other)?)
    }

    fn file(&self, step: &str) -> PathBuf {
        let key = Key::new("answers, form 1").part(self.project.as_os_str().as_encoded_bytes()).digest();
        self.store.root().join("last").join(format!("{step}-{}.json", &key.hex()[..16]))
    }
}

/// The lines of a record. Without one, or with a line that cannot be read, everything counts.
fn parse(record: &Path) -> BTreeSet<(Kind, String)> {
    let whole = || BTreeSet::from([(Kind::Whole, String::new())]);
    // The project's own code ran beside what wrote it.
    let (Some(folder), Some(name)) = (record.parent(), record.file_name().and_then(OsStr::to_str)) else {
        return whole();
    };
    let text = Beneath::open(folder).and_then(|folder| folder.read(name, MAX_RECORD));
    let Some(text) = text.ok().and_then(|text| String::from_utf8(text).ok()).filter(|text| !text.is_empty())
    else {
        return whole();
    };
    let mut reads = BTreeSet::new();
    for line in text.lines() {
        let Some((kind, path)) = line.split_once('\t') else { return whole() };
        let kind = match kind {
            "o" => Kind::Content,
            "l" => Kind::Listing,
            "s" => Kind::Existence,
            _ => return whole(),
        };
        reads.insert((kind, if path == "." { String::new() } else { path.to_owned() }));
    }
    reads
}

/// The project's files, to be asked.
struct State<'a> {
    tree: &'a FileTree,
    names: HashMap<String, String>,
}

impl<'a> State<'a> {
    fn of(tree: &'a FileTree) -> Self {
        let mut names: HashMap<String, String> = HashMap::new();
        for (path, entry) in tree.iter() {
            let folder = path.parent().map_or_else(String::new, |parent| parent.as_str().to_owned());
            let kind = match entry.node {
                Node::Dir => 'd',
                Node::File { .. } => 'f',
                Node::Symlink { .. } => 'l',
            };
            let listing = names.entry(folder).or_default();
            listing.push(kind);
            listing.push_str(path.file_name());
            listing.push('/');
        }
        Self { tree, names }
    }
}

impl Look for State<'_> {
    fn state(&self, kind: Kind, path: &str) -> String {
        let entry = self.tree.get(path);
        match kind {
            Kind::Whole => self.tree.digest().hex(),
            Kind::Listing => {
                self.names.get(path).cloned().unwrap_or_else(|| self.state(Kind::Existence, path))
            }
            Kind::Content => match entry.map(|entry| &entry.node) {
                Some(Node::File { digest, .. }) => digest.hex(),
                Some(Node::Symlink { target }) => format!("link to {target}"),
                Some(Node::Dir) => "folder".to_owned(),
                None => "absent".to_owned(),
            },
            Kind::Existence => match entry.map(|entry| &entry.node) {
                Some(Node::File { .. }) => "file".to_owned(),
                Some(Node::Symlink { target }) => format!("link to {target}"),
                Some(Node::Dir) => "folder".to_owned(),
                None if path.is_empty() => "folder".to_owned(),
                None => "absent".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::{Entry, TreePath};

    fn tree(files: &[(&str, &str)]) -> FileTree {
        let entry = |text: &str| Entry::file(Digest::of(text.as_bytes()), text.len() as u64, "");
        let mut tree: FileTree =
            files.iter().map(|(path, text)| (TreePath::parse(path).unwrap(), entry(text))).collect();
        tree.fill_parents();
        tree
    }

    fn reused(record: &str, before: &[(&str, &str)], after: &[(&str, &str)]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let file = folder.path().join("record");
        fs_err::write(&file, record).unwrap();
        let (inputs, answer) = (Digest::of(b"inputs"), Digest::of(b"answer"));
        let (before, after) = (tree(before), tree(after));
        let project = Path::new("/project");
        Answers::of(&store, project, &before).remember("facts", &inputs, &file, &answer).unwrap();
        assert!(matches!(
            Answers::of(&store, project, &before).standing("facts", &Digest::of(b"others")),
            Standing::Redo(Because::InputsChanged)
        ));
        match Answers::of(&store, project, &after).standing("facts", &inputs) {
            Standing::Reuse(found) => found == answer,
            Standing::Redo(_) => false,
        }
    }

    #[test]
    fn only_what_was_read_counts() {
        let before = [("site/settings.py", "A"), ("site/views.py", "B")];
        let record = "o\tsite/settings.py\nl\tsite\ns\tlocal.py\n";
        assert!(reused(record, &before, &before));
        assert!(reused(record, &before, &[("site/settings.py", "A"), ("site/views.py", "C")]));
        assert!(!reused(record, &before, &[("site/settings.py", "X"), ("site/views.py", "B")]));
        assert!(!reused(record, &before, &[("site/settings.py", "A")]));
        assert!(!reused(
            record,
            &before,
            &[("site/settings.py", "A"), ("site/views.py", "B"), ("local.py", "")]
        ));
    }

    #[test]
    fn a_record_that_leads_elsewhere_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("reads");
        fs_err::write(folder.path().join("other"), "o\ta.py\n").unwrap();
        let whole = BTreeSet::from([(Kind::Whole, String::new())]);
        // The last one would be read for ever.
        for target in ["other", "/dev/zero"] {
            fs_err::os::unix::fs::symlink(target, &record).unwrap();
            assert_eq!(parse(&record), whole);
            fs_err::remove_file(&record).unwrap();
        }
        fs_err::rename(folder.path().join("other"), &record).unwrap();
        assert_eq!(parse(&record), BTreeSet::from([(Kind::Content, "a.py".to_owned())]));
    }

    #[test]
    fn what_cannot_be_told_is_everything() {
        let before = [("a.py", "A"), ("b.py", "B")];
        let after = [("a.py", "A"), ("b.py", "C")];
        for record in ["x\tsubprocess\n", "", "nonsense\n", "o\ta.py\nx\tdlopen\n"] {
            assert!(!reused(record, &before, &after), "{record:?}");
            assert!(reused(record, &before, &before), "{record:?}");
        }
    }
}
