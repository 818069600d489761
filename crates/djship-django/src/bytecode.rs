//! Compiled Python files, each made once per source, place and interpreter.
//!
//! They are never checked against their source at run time (PEP 552, unchecked hash): in an image nothing changes.

use std::path::PathBuf;

use djship_store::{Beneath, Bucket, Digest, Entry, FileTree, Node, TreePath};

use crate::base::Interpreter;
use crate::builder::make_owned;
use crate::child::{self, ChildError};
use crate::laid::Key;
use crate::python;
use crate::report::Note;
use crate::tools::Tools;

/// Why files could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum BytecodeError {
    /// The compiler itself failed.
    #[error("internal error: the byte-compiler stopped")]
    Compiler {
        /// Its last lines.
        output: Vec<String>,
    },
    /// A container failed to run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] djship_store::StoreError),
    /// A file operation failed.
    #[error("cannot keep compiled files")]
    Io(#[from] std::io::Error),
}

/// A source that is to be compiled.
struct Job {
    source: TreePath,
    at: PathBuf,
    compiled: TreePath,
    key: Digest,
}

/// What the byte-compiler says of a file that is no Python.
#[derive(serde::Deserialize)]
struct Unreadable {
    path: String,
    line: Option<u64>,
    message: String,
}

/// Adds to `tree` a compiled file for every Python file in it, with the interpreter in `lowers`.
pub(crate) fn add(
    tools: &Tools<'_>,
    interpreter: &Interpreter,
    lowers: &[PathBuf],
    tree: &mut FileTree,
) -> Result<(), BytecodeError> {
    let (major, minor) = interpreter.version;
    let tag = format!("cpython-{major}{minor}");
    let mut jobs = Vec::new();
    for (path, entry) in tree.iter() {
        let Node::File { digest, at, .. } = &entry.node else { continue };
        let Some(stem) = path.file_name().strip_suffix(".py") else { continue };
        let Some(folder) = path.parent() else { continue };
        if let Ok(compiled) = folder.join(&format!("__pycache__/{stem}.{tag}.pyc")) {
            let key = Key::new("bytecode, form 2")
                .part(interpreter.digest.as_bytes())
                .part(python::COMPILE)
                .part(&tag)
                .part(path.as_str())
                .part(digest.as_bytes());
            jobs.push(Job { source: path.clone(), at: at.clone(), compiled, key: key.digest() });
        }
    }
    let missing: Vec<&Job> =
        jobs.iter().filter(|job| tools.store.find(Bucket::Bytecode, &job.key).is_none()).collect();
    if !missing.is_empty() {
        compile(tools, interpreter, lowers, &missing)?;
    }
    for job in jobs {
        // Absent when the file is no Python: said once, when it was tried.
        let Some(file) = tools.store.find(Bucket::Bytecode, &job.key) else { continue };
        let (digest, size) = Digest::of_reader(fs_err::File::open(&file)?)?;
        if size > 0 {
            tree.insert(job.compiled, Entry::file(digest, size, file));
        }
    }
    tree.fill_parents();
    Ok(())
}

fn compile(
    tools: &Tools<'_>,
    interpreter: &Interpreter,
    lowers: &[PathBuf],
    jobs: &[&Job],
) -> Result<(), BytecodeError> {
    let work = tools.store.temp_dir("bytecode")?;
    let out = work.path().join("out");
    make_owned(&out, tools)?;
    let mut list = String::new();
    let sources = work.path().join("sources");
    fs_err::create_dir_all(&sources)?;
    for Job { source, at, key, .. } in jobs {
        // The files alone, wherever they lie: no need to lay out a whole tree for the one that changed.
        let copy = sources.join(key.hex());
        if fs_err::hard_link(at, &copy).is_err() {
            fs_err::copy(at, &copy)?;
        }

        list.push_str(&format!("/sources/{0}\t{source}\t/out/{0}\n", key.hex()));
    }
    let script = "exec \"$0\" -S -s -B /opt/djship-build/compile.py </opt/djship-build/list";
    let mut container = child::step(lowers.iter().cloned(), ["/bin/sh", "-c", script, &interpreter.program]);
    container.file("/opt/djship-build/compile.py", python::COMPILE).file("/opt/djship-build/list", list);
    container.bind(&out, "/out");
    container.bind_read_only(&sources, "/sources");
    let finished = child::run(tools, &container)?;
    if !finished.success() {
        return Err(BytecodeError::Compiler { output: finished.tail(20).to_vec() });
    }
    for line in &finished.lines {
        if let Ok(Unreadable { path, line, message }) = serde_json::from_str(line)
            && path.starts_with("/app/")
        {
            tools.reporter.note(Note::SyntaxError { path, line, message });
        }
    }
    // The Python of a foreign image may have put anything there.
    let out = Beneath::open(&out).map_err(std::io::Error::from)?;
    for Job { key, .. } in jobs {
        keep(tools, key, &out)?;
    }
    Ok(())
}

/// No compiled file is larger, in bytes.
const LARGEST: u64 = 256 << 20;

/// Keeps a compiled file; an empty one stands for a source that cannot be compiled.
fn keep(tools: &Tools<'_>, key: &Digest, out: &Beneath) -> Result<(), BytecodeError> {
    let bytes = match out.read(&key.hex(), LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return Err(std::io::Error::from(error).into()),
    };
    tools.store.insert_file(Bucket::Bytecode, key, |writer| -> Result<(), BytecodeError> {
        Ok(writer.write_all(&bytes)?)
    })?;
    Ok(())
}
