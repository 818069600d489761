//! Whether an image holds what a command starts.

use std::collections::BTreeSet;

use djship_store::{FileTree, Node, TreePath};

use super::{CommandsError, Why};
use crate::project::ProjectError;
use crate::project::command::CommandLine;

/// Folders of programs, in the order of the image's `PATH`.
const PATH: &[&str] = &["venv/bin", "usr/local/bin", "usr/bin", "bin"];
/// Names that mean something to the shell itself.
const SHELL: &[&str] = &[
    "!", ".", ":", "[", "alias", "break", "case", "cd", "command", "continue", "do", "done", "echo", "elif",
    "else", "esac", "eval", "exec", "exit", "export", "false", "fi", "for", "getopts", "if", "kill", "local",
    "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "then", "times", "trap", "true",
    "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while", "{", "}",
];
/// Programs that run a script.
const INTERPRETERS: &[&str] = &[".", "bash", "dash", "python", "python3", "sh"];
/// What starts a program and says nothing about it.
const WRAPPERS: &[&str] = &["env", "exec", "nice", "time"];

/// What an image holds.
#[derive(Debug)]
pub struct Inside<'a> {
    programs: BTreeSet<String>,
    project: &'a FileTree,
}

impl<'a> Inside<'a> {
    /// Looks at the layers below the application, and at the project's files as they ship.
    pub fn new<'b>(layers: impl IntoIterator<Item = &'b FileTree>, project: &'a FileTree) -> Self {
        let mut programs = BTreeSet::new();
        for (path, entry) in layers.into_iter().flat_map(FileTree::iter) {
            let folder = path.parent().map_or_else(String::new, |folder| folder.as_str().to_owned());
            let runs = matches!(entry.node, Node::Symlink { .. }) || entry.mode & 0o111 != 0;
            if runs && !entry.is_dir() && PATH.contains(&folder.as_str()) {
                programs.insert(path.file_name().to_owned());
            }
        }
        Self { programs, project }
    }

    /// What keeps a command from running.
    pub(super) fn missing(
        &self,
        name: &str,
        command: &CommandLine,
        folder: &str,
    ) -> Result<Option<Why>, CommandsError> {
        let mut folder = folder.to_owned();
        for words in command.commands() {
            let is_before = |word: &&String| WRAPPERS.contains(&word.as_str()) || word.contains('=');
            let mut words = words.iter().skip_while(is_before).map(String::as_str);
            let Some(program) = words.next() else { continue };
            // What a variable holds is not known here.
            if program.contains(['$', '`']) {
                continue;
            }
            if program == "cd" {
                folder = words.next().and_then(|to| below(&folder, to)).unwrap_or_default();
                continue;
            }
            if program.contains('/') {
                if let Some(why) = self.file(name, program, &folder, true)? {
                    return Ok(Some(why));
                }
            } else if !SHELL.contains(&program) && !self.programs.contains(program) {
                return Ok(Some(Why::NoProgram(program.to_owned())));
            }
            let script = words.next().filter(|word| !word.starts_with('-') && !word.contains(['$', '`']));
            if INTERPRETERS.contains(&program)
                && let Some(script) = script
                && let Some(why) = self.file(name, script, &folder, false)?
            {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// What is wrong with a file that a command starts; `runs`: by itself.
    fn file(&self, name: &str, file: &str, folder: &str, runs: bool) -> Result<Option<Why>, CommandsError> {
        let path = match file.strip_prefix("/app/") {
            Some(inside) => below("", inside),
            None if file.starts_with('/') => {
                let known = file.rsplit('/').next().is_some_and(|program| self.programs.contains(program));
                return Ok((!known).then(|| Why::NoProgram(file.to_owned())));
            }
            None => below(folder, file),
        };
        let found = path.and_then(|path| Some((self.project.get(&path)?, path)));
        let Some((entry, path)) = found.filter(|(entry, _)| !entry.is_dir()) else {
            return Ok(Some(Why::NoFile(file.to_owned())));
        };
        // A link may lead anywhere; the image will show.
        let Node::File { at, .. } = &entry.node else { return Ok(None) };
        if runs && entry.mode & 0o111 == 0 {
            return Ok(Some(Why::NotExecutable(file.to_owned())));
        }
        let is_shell = std::path::Path::new(&path).extension().is_some_and(|end| end == "sh");
        if (runs || is_shell) && has_windows_lines(at).map_err(ProjectError::from)? {
            return Err(CommandsError::WindowsLines { script: path, name: name.to_owned() });
        }
        Ok(None)
    }
}

/// Whether the first line of a script ends in a carriage return.
fn has_windows_lines(file: &std::path::Path) -> std::io::Result<bool> {
    use std::io::Read as _;
    let mut begin = Vec::new();
    fs_err::File::open(file)?.take(512).read_to_end(&mut begin)?;
    let line = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(begin.starts_with(b"#!") && line.ends_with(b"\r"))
}

/// The path of `file`, named in `folder`, both relative to the project; `None` when it leads out.
fn below(folder: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    TreePath::parse(&parts.join("/")).ok().map(|path| path.as_str().to_owned())
}
