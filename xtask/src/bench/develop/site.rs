//! The project that is developed: a copy of `examples/polls`, and edits of it that show on its first page.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace;

/// The example, below the workspace's root.
const EXAMPLE: &str = "examples/polls/";

/// The file that is edited.
const VIEWS: &str = "polls/views.py";

/// What the list of polls, the first page, returns.
const ANSWER: &str = "    return render(request, \"polls/list.html\"";

/// A copy of the example in a folder of its own.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) folder: PathBuf,
    views: String,
    edits: usize,
}

impl Site {
    /// Copies the example into `folder`, which is made.
    pub(super) fn copy(folder: &Path) -> Result<Self> {
        for path in workspace::tracked_files()? {
            if let Some(name) = path.strip_prefix(EXAMPLE) {
                let file = folder.join(name);
                fs_err::create_dir_all(file.parent().context("a file lies in a folder")?)?;
                fs_err::copy(workspace::root().join(&path), file)?;
            }
        }
        let views = fs_err::read_to_string(folder.join(VIEWS))?;
        Ok(Self { folder: folder.to_owned(), views, edits: 0 })
    }

    /// With files beside it.
    pub(super) fn with(self, files: &[(&str, &str)]) -> Result<Self> {
        for (path, text) in files {
            let file = self.folder.join(path);
            fs_err::create_dir_all(file.parent().context("a file lies in a folder")?)?;
            fs_err::write(file, text)?;
        }
        Ok(self)
    }

    /// Removes it. What stays is in the way of nobody, and no reason to fail a measurement.
    pub(super) fn remove(&self) {
        let _ = fs_err::remove_dir_all(&self.folder);
    }

    /// Changes the view of the first page, and returns what the page says only after that.
    pub(super) fn edit(&mut self) -> Result<String> {
        self.edits += 1;
        let (edited, said) = edited(&self.views, self.edits)?;
        fs_err::write(self.folder.join(VIEWS), edited)?;
        Ok(said)
    }
}

/// The text of the view with one line more, and what that line lets the page say.
fn edited(views: &str, edit: usize) -> Result<(String, String)> {
    let (before, after) =
        views.split_once(ANSWER).with_context(|| format!("{VIEWS} does not hold `{}`", ANSWER.trim()))?;
    // Never as long as the one before: Python takes compiled code for current when time, in whole seconds, and size of
    // the source are the same.
    let said = format!("Edit {edit} is here{}", ".".repeat(edit % 7));
    Ok((
        format!("{before}    messages.info(request, \"{said}\")\n{ANSWER}{after}"),
        format!("<p class=\"message\">{said}</p>"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_can_be_edited() {
        let views = fs_err::read_to_string(workspace::root().join(EXAMPLE).join(VIEWS)).unwrap();
        let first = edited(&views, 1).unwrap();
        let second = edited(&views, 2).unwrap();
        assert_ne!(first.0.len(), second.0.len());
        assert!(!second.1.contains(&first.1) && !first.1.contains(&second.1), "{first:?} {second:?}");
        let added: Vec<&str> = first.0.lines().filter(|line| !views.contains(line)).collect();
        assert_eq!(added, ["    messages.info(request, \"Edit 1 is here.\")"]);
        let template =
            fs_err::read_to_string(workspace::root().join(EXAMPLE).join("polls/templates/polls/base.html"));
        assert!(template.unwrap().contains("<p class=\"message\">{{ message }}</p>"));
        assert!(edited("", 1).is_err());
    }
}
