//! Static files, collected at build time with throw-away values, and searched for them afterwards.

use std::path::Path;

use djship_store::tree::EPOCH;
use djship_store::{Bucket, FileTree, Node, TreePath};

use super::SnapshotError;
use super::layer::StaticRoot;
use crate::builder::make_owned;
use crate::child::{self, ChildError};
use crate::facts::{Facts, write_sources};
use crate::ground::Ground;
use crate::laid::{KeepError, Key, Laid};
use crate::python;
use crate::reads::{self, Standing};
use crate::report::{Because, NoStatic, Note};
use crate::tools::Tools;

/// Where static files go when the settings do not say.
const DEFAULT_ROOT: &str = "/opt/djship/static";
/// What every text among the throw-away values holds, and nothing else does.
const MARKS: &[&str] = &["djshipprobe", "djship-probe"];
/// Larger files are not searched: no tool writes a setting into them.
const LARGEST_SEARCHED: u64 = 8 << 20;

/// Why static files could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum StaticError {
    /// `collectstatic` failed.
    #[error("cannot collect the static files")]
    Collect {
        /// The last lines that it printed.
        output: Vec<String>,
    },
    /// `STATIC_ROOT` is, or lies behind, a link or a file of the project.
    #[error("cannot collect the static files in `{root}`: a link or file of the project is in the way")]
    RootIsNoFolder {
        /// `STATIC_ROOT`.
        root: String,
    },
    /// A value that stands for a real one went into a file.
    #[error("cannot ship `{file}`: the throw-away value of `{variable}` was written into it")]
    ThrowAway {
        /// The file in the image.
        file: String,
        /// The variable.
        variable: String,
    },
    /// The project cannot be copied.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The result cannot be kept.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// A file operation failed.
    #[error("cannot prepare collecting static files")]
    Io(#[from] std::io::Error),
}

impl From<djship_store::StoreError> for StaticError {
    fn from(error: djship_store::StoreError) -> Self {
        Self::Keep(error.into())
    }
}

/// Collects the static files: where they are, and the files at their places in the image.
pub fn collect(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    facts: &Facts,
) -> Result<Option<(StaticRoot, FileTree)>, StaticError> {
    let found = &facts.static_files;
    if ground.plan.config.ship.static_files.is_some() {
        tools.reporter.note(Note::NoStatic(NoStatic::SwitchedOff));
        return Ok(None);
    }
    if !found.app {
        tools.reporter.note(Note::NoStatic(NoStatic::AppMissing));
        return Ok(None);
    }
    if found.file_system == Some(false) {
        tools.reporter.note(Note::NoStatic(NoStatic::NotAFileSystem));
        return Ok(None);
    }
    let root = found.root.as_deref().map_or(DEFAULT_ROOT, |root| root.trim_end_matches('/')).to_owned();
    let url = found.url.clone().unwrap_or_else(|| "/static/".to_owned());
    let inputs = Key::new("static files, form 1").part(ground.layers.as_bytes()).part(&root);
    let inputs = inputs.part(serde_json::to_vec(facts).unwrap_or_default());
    let inputs =
        python::BUILD.iter().fold(inputs, |inputs, (name, text)| inputs.part(name).part(text)).digest();
    let answers = ground.answers(tools);
    let (found, because) = match answers.standing("static", &inputs) {
        Standing::Reuse(answer) => (Laid::find(tools.store, Bucket::Outputs, &answer)?, Because::First),
        Standing::Redo(because) => (None, because),
    };
    let (laid, because) = if let Some(laid) = found {
        (laid, None)
    } else {
        let work = tools.store.temp_dir("static")?;
        let tree = run(tools, ground, facts, &root, work.path())?;
        let answer = Key::new("static files").part(tree.digest().as_bytes()).digest();
        let laid = Laid::keep(tools.store, Bucket::Outputs, &answer, &tree, |_| Ok(()))?;
        answers.remember("static", &inputs, &work.path().join("record/reads"), &answer)?;
        (laid, Some(because))
    };
    let files = laid.tree.iter().filter(|(_, entry)| !entry.is_dir()).count();
    tools.reporter.note(Note::Static { files, size: laid.tree.size(), root: root.clone(), because });
    Ok(Some((StaticRoot { root, url }, laid.tree)))
}

fn run(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    facts: &Facts,
    root: &str,
    work: &Path,
) -> Result<FileTree, StaticError> {
    let [app, out, program, record] = ["app", "out", "program", "record"].map(|name| work.join(name));
    make_owned(&record, tools)?;
    let owner = tools.host.owner.map(|owner| (owner.uid, owner.gid));
    ground.snapshot.copy_to(&app, owner)?;
    make_owned(&out, tools)?;
    if let Some(inside) = root.strip_prefix("/app/") {
        make_below(&app, inside, root, tools)?;
    }
    write_sources(python::BUILD, &program)?;
    let arguments = ["/venv/bin/python", "/opt/djship-build/collectstatic.py", root];
    let mut container = child::step(ground.lowers.iter().cloned(), arguments);
    container.bind(&app, "/app").bind(&out, root).bind_read_only(&program, "/opt/djship-build");
    container.bind(&record, "/out").env("DJSHIP_READS", reads::RECORD);
    container.cwd = ground.folder();
    for (name, value) in environment(facts) {
        container.env(name, value);
    }
    let finished = child::run(tools, &container)?;
    if !finished.success() {
        return Err(StaticError::Collect { output: finished.tail(40).to_vec() });
    }
    read(&out, root, facts)
}

/// Makes the folder `inside` below `app` for its owner; a link on the way would lead out of the copy.
fn make_below(app: &Path, inside: &str, root: &str, tools: &Tools<'_>) -> Result<(), StaticError> {
    let mut folder = app.to_owned();
    for part in inside.split('/').filter(|part| !part.is_empty()) {
        folder.push(part);
        match fs_err::symlink_metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(StaticError::RootIsNoFolder { root: root.to_owned() }),
            Err(_) => fs_err::create_dir(&folder)?,
        }
        make_owned(&folder, tools)?;
    }
    Ok(())
}

/// What the settings need to import at build time: throw-away values and the switches of production.
pub(crate) fn environment(facts: &Facts) -> Vec<(String, String)> {
    let mut environment: Vec<_> =
        facts.throwaway.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    environment.extend(facts.switches.iter().map(|switch| (switch.name.clone(), switch.value.clone())));
    environment.extend(facts.given.iter().map(|(name, value)| (name.clone(), value.clone())));
    environment
}

fn read(out: &Path, root: &str, facts: &Facts) -> Result<FileTree, StaticError> {
    let scanned = FileTree::scan(out).map_err(KeepError::from)?;
    let is_marker = |value: &str| MARKS.iter().any(|mark| value.contains(mark));
    let markers: Vec<_> = facts.throwaway.iter().filter(|(_, value)| is_marker(value)).collect();
    let mut tree = FileTree::new();
    for (path, mut entry) in scanned {
        entry.mode = if entry.is_dir() { 0o755 } else { 0o644 };
        entry.mtime = EPOCH;
        if let Node::File { digest, size, at } = &entry.node {
            // Servers tell browsers the time of a file: another content must have another time.
            entry.mtime = EPOCH + i64::from(u16::from_le_bytes([digest.as_bytes()[0], digest.as_bytes()[1]]));
            if *size <= LARGEST_SEARCHED && !markers.is_empty() {
                let bytes = fs_err::read(at)?;
                let holds = |value: &str| memchr::memmem::find(&bytes, value.as_bytes()).is_some();
                if let Some((variable, _)) = markers.iter().find(|(_, value)| holds(value)) {
                    let file = format!("{root}/{}", path.as_str());
                    return Err(StaticError::ThrowAway { file, variable: (*variable).clone() });
                }
            }
        }
        if let Ok(path) = TreePath::parse(&format!("{root}/{}", path.as_str())) {
            tree.insert(path, entry);
        }
    }
    tree.fill_parents();
    Ok(tree)
}
