//! What an image must prove before it counts.

use std::path::{Path, PathBuf};

use djship_engine::Upper;
use djship_oci::Image;
use djship_store::{Entry, FileTree, Node, TreePath};

use crate::application::layer::OPEN_FOLDERS;
use crate::application::statics::environment;
use crate::build::mounted;
use crate::builder::{Distribution, make_owned};
use crate::child::{self, ChildError};
use crate::context::clean::{self, Offence, Proof};
use crate::facts::{Facts, write_sources};
use crate::ground::Ground;
use crate::laid::Key;
use crate::python;
use crate::reads::{self, Standing};
use crate::report::{Check, Note};
use crate::tools::Tools;

/// Why an image does not count.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It holds what a production image must not.
    #[error("cannot ship the image: it is not clean")]
    NotClean {
        /// What, and which rule it breaks.
        offences: Vec<Offence>,
    },
    /// A file that its user, or another one, cannot read.
    #[error("cannot ship the image: its users cannot read `{path}`")]
    Unreadable {
        /// The path in the image.
        path: TreePath,
    },
    /// The environment's interpreter leads nowhere.
    #[error("cannot ship the image: `/venv/bin/python` does not lead to an interpreter in it")]
    NoInterpreter,
    /// Django does not start in it.
    #[error("cannot start Django in the finished image")]
    DoesNotStart {
        /// What failed.
        failures: Vec<StartFailure>,
        /// The last lines, when nothing was said properly.
        output: Vec<String>,
    },
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] djship_store::StoreError),
    /// A file operation failed.
    #[error("cannot prepare the check of the image")]
    Io(#[from] std::io::Error),
}

/// One thing that failed in the finished image.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct StartFailure {
    /// `setup`, `import`, `urls`, `wsgi`, `asgi`, `check`.
    pub what: String,
    /// Module or id.
    pub name: String,
    /// The exception's class.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its message.
    pub message: String,
    /// The file, in the image.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u64>,
}

/// Looks at every file of the image; what is as it is in `base`, an image of somebody else's, need not be ours.
pub fn look(tools: &Tools<'_>, whole: &FileTree, base: Option<&FileTree>) -> Result<Proof, CheckError> {
    let proof = Proof::of(whole, base);
    if !proof.offences.is_empty() {
        return Err(CheckError::NotClean { offences: proof.offences });
    }
    tools.reporter.note(Note::Checked(if base.is_some() { Check::CleanOver } else { Check::Clean }));
    for (path, entry) in whole.iter() {
        // Images have files for root alone, such as /etc/shadow.
        let is_brought =
            || base.and_then(|base| base.get(path.as_str())).is_some_and(|there| clean::same(there, entry));
        if !readable_by_all(entry) && !is_brought() {
            return Err(CheckError::Unreadable { path: path.clone() });
        }
    }
    let interpreter = follow(whole, "venv/bin/python").and_then(|path| whole.get(path.as_str()));
    if !interpreter.is_some_and(|entry| matches!(entry.node, Node::File { .. }) && entry.mode & 0o111 != 0) {
        return Err(CheckError::NoInterpreter);
    }
    tools.reporter.note(Note::Checked(Check::Permissions));
    Ok(proof)
}

/// Whether the run user, and an arbitrary user in group 0, can read the entry: it belongs to root, or is theirs by group,
/// so what counts is what everybody may do.
fn readable_by_all(entry: &Entry) -> bool {
    match entry.node {
        Node::Dir => entry.mode & 0o005 == 0o005 || (entry.uid, entry.gid, entry.mode & 0o077) == (0, 0, 0),
        Node::File { .. } => entry.mode & 0o004 != 0,
        Node::Symlink { .. } => true,
    }
}

/// Where a path leads inside a tree, links followed as in a root of its own.
fn follow(tree: &FileTree, path: &str) -> Option<TreePath> {
    let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
    let mut here: Vec<String> = Vec::new();
    // The kernel gives up after 40 links, too.
    let mut links = 40;
    while let Some(part) = left.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                here.pop();
                continue;
            }
            _ => here.push(part),
        }
        if let Some(Node::Symlink { target }) = tree.get(&here.join("/")).map(|entry| &entry.node) {
            links -= 1;
            if links == 0 {
                return None;
            }
            here.pop();
            if target.starts_with('/') {
                here.clear();
            }
            left.extend(target.split('/').rev().map(str::to_owned));
        }
    }
    TreePath::parse(&here.join("/")).ok()
}

/// Starts Django in the image as its run user, unless it started with the same of everything that it read then.
pub fn start(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    facts: &Facts,
    image: &Image,
    distributions: &[Distribution],
) -> Result<(), CheckError> {
    let mut inputs = Key::new("check, form 1").part(serde_json::to_vec(facts).unwrap_or_default());
    // The application's own layer, the last, counts by what is read of it.
    for layer in image.layers.iter().rev().skip(1) {
        inputs = inputs.part(layer.diff_id.as_bytes());
    }
    for (name, text) in python::BUILD {
        inputs = inputs.part(name).part(text);
    }
    let inputs = inputs.digest();
    let answers = ground.answers(tools);
    if let Standing::Reuse(_) = answers.standing("check", &inputs) {
        tools.reporter.note(Note::Checked(Check::Started));
        return Ok(());
    }
    let work = tools.store.temp_dir("check")?;
    run(tools, facts, image, distributions, work.path())?;
    answers.remember("check", &inputs, &work.path().join("out/reads"), &inputs)?;
    tools.reporter.note(Note::Checked(Check::Starts));
    Ok(())
}

fn run(
    tools: &Tools<'_>,
    facts: &Facts,
    image: &Image,
    distributions: &[Distribution],
    work: &Path,
) -> Result<(), CheckError> {
    let (program, out) = (work.join("program"), work.join("out"));
    make_owned(&out, tools)?;
    write_sources(python::BUILD, &program)?;
    let config = &image.config;
    let compiled: String = distributions
        .iter()
        .filter(|found| found.compiled)
        .map(|found| format!("{}\n", found.name))
        .collect();
    let script = "exec /venv/bin/python /opt/djship-build/check.py </opt/djship-check/compiled";
    let mut container = child::step(mounted(image), ["/bin/sh", "-c", script]);
    container.bind_read_only(&program, "/opt/djship-build").file("/opt/djship-check/compiled", compiled);
    container.bind(&out, "/out").env("DJSHIP_READS", reads::RECORD);
    if config.labels.contains_key(OPEN_FOLDERS) {
        let (upper, workdir) = (work.join("upper"), work.join("workdir"));
        make_owned(&upper, tools)?;
        make_owned(&workdir, tools)?;
        container.upper = Some(Upper { upper, work: workdir, volatile: true });
    }
    for volume in &config.volumes {
        container.tmpfs(volume, 0o2775, None);
    }
    for (name, value) in
        config.env.iter().map(|(name, value)| (name.clone(), value.clone())).chain(environment(facts))
    {
        container.env(name, value);
    }
    container.cwd = PathBuf::from(&config.working_dir);
    let finished = child::run(tools, &container)?;
    if finished.success() {
        return Ok(());
    }
    let failures = finished.lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Err(CheckError::DoesNotStart { failures, output: finished.tail(30).to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::Digest;

    #[test]
    fn links_are_followed_inside_the_tree() {
        let path = |text| TreePath::parse(text).unwrap();
        let tree: FileTree = [
            (path("venv/bin/python"), Entry::symlink("/usr/bin/python3")),
            (path("usr/bin/python3"), Entry::symlink("python3.13")),
            (path("usr/bin/python3.13"), Entry::file(Digest::of(b""), 0, "").with_mode(0o755)),
            (path("loop"), Entry::symlink("loop")),
            (path("out"), Entry::symlink("../../../usr/bin/python3.13")),
        ]
        .into_iter()
        .collect();
        assert_eq!(follow(&tree, "venv/bin/python"), Some(path("usr/bin/python3.13")));
        assert_eq!(follow(&tree, "out"), Some(path("usr/bin/python3.13")));
        assert_eq!(follow(&tree, "loop"), None);
    }

    #[test]
    fn what_only_its_owner_can_read_is_found() {
        let file = |mode| Entry::file(Digest::of(b""), 0, "").with_mode(mode);
        assert!(readable_by_all(&file(0o644)));
        assert!(!readable_by_all(&file(0o640)));
        assert!(!readable_by_all(&Entry::dir().with_mode(0o750)));
        // A folder for root alone, such as /root: nobody has to look into it.
        assert!(readable_by_all(&Entry::dir().with_mode(0o700)));
    }
}
