//! What projects say about themselves: `known.toml`, and what holds for a project that is not in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::workspace::output_of;

/// The documented facts of one project. See the file for what each means.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) commit: Option<String>,
    pub(super) tree: Option<String>,
    pub(super) env: Option<String>,
    #[serde(default)]
    pub(super) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) manage: Vec<Vec<String>>,
    pub(super) page: Option<String>,
    pub(super) contains: Option<String>,
    pub(super) static_from: Option<String>,
    pub(super) note: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    project: Vec<Known>,
}

impl Known {
    /// Every project in the table, in its order.
    pub(super) fn all() -> Result<Vec<Self>> {
        let table: Table = toml::from_str(include_str!("known.toml")).context("cannot read known.toml")?;
        Ok(table.project)
    }

    /// What is known of the project in a folder of this name: its repository's, alone or after the owner and a `+`.
    pub(super) fn of_folder(all: &[Self], folder: &str) -> Self {
        let is_it = |known: &&Self| {
            let repository = known.name.rsplit('/').next().unwrap_or_default();
            folder == repository || folder == known.name.replace('/', "+")
        };
        all.iter().find(is_it).cloned().unwrap_or_else(|| Self { name: folder.to_owned(), ..Self::default() })
    }

    /// Where the first page is.
    pub(super) fn page(&self) -> &str {
        self.page.as_deref().unwrap_or("/")
    }

    /// Whether the table has it.
    pub(super) fn is_in_table(&self) -> bool {
        self.commit.is_some()
    }

    /// The commit that a folder is, when that can be told: it is a checkout without changes, or the same as what was read.
    pub(super) fn commit_of(&self, folder: &Path) -> Result<Option<String>> {
        if folder.join(".git").exists() {
            let ask =
                |arguments: &[&str]| output_of(Command::new("git").arg("-C").arg(folder).args(arguments));
            // A checkout of somebody else's may be refused by git; then nothing is known.
            let is_clean = ask(&["status", "--porcelain"]).is_ok_and(|changes| changes.trim().is_empty());
            let head = ask(&["rev-parse", "HEAD"]).ok().filter(|_| is_clean);
            return Ok(head.map(|head| head.trim().to_owned()));
        }
        let is_the_same = self.tree.as_deref() == Some(tree_of(folder)?.as_str());
        Ok(self.commit.clone().filter(|_| is_the_same))
    }
}

/// Git's id of everything in a folder that is no checkout.
fn tree_of(folder: &Path) -> Result<String> {
    let place = std::env::temp_dir().join(format!("djship-projects-git-{}", std::process::id()));
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        // No file is left out, and none is changed, by the configuration of whoever looks.
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        git.env("GIT_DIR", &place).env("GIT_WORK_TREE", folder).current_dir(folder);
        output_of(git.args(arguments))
    };
    let tree = git(&["init", "--quiet"])
        .and_then(|_| git(&["add", "--all", "--force", "."]))
        .and_then(|_| git(&["write-tree"]));
    let _ = fs_err::remove_dir_all(&place);
    Ok(tree?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let all = Known::all().unwrap();
        let is_hexadecimal = |id: &Option<String>| {
            id.as_ref().is_some_and(|id| id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        for known in &all {
            assert!(is_hexadecimal(&known.commit) && is_hexadecimal(&known.tree), "{known:?}");
            assert_eq!(known.name.split('/').count(), 2, "{known:?}");
            assert!(known.page().starts_with('/') && known.contains.is_some(), "{known:?}");
        }
        assert_eq!(Known::of_folder(&all, "bakerydemo").name, "wagtail/bakerydemo");
        assert_eq!(Known::of_folder(&all, "wagtail+bakerydemo").name, "wagtail/bakerydemo");
        let unknown = Known::of_folder(&all, "demo");
        assert_eq!((unknown.name.as_str(), unknown.page(), unknown.is_in_table()), ("demo", "/", false));
    }

    #[test]
    fn a_changed_folder_is_no_commit() {
        let folder = std::env::temp_dir().join(format!("djship-projects-known-{}", std::process::id()));
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("a"), "b\n").unwrap();
        fs_err::write(folder.join(".gitignore"), "a\n").unwrap();
        let known =
            Known { commit: Some("c".repeat(40)), tree: Some(tree_of(&folder).unwrap()), ..Known::default() };
        assert_eq!(known.commit_of(&folder).unwrap(), known.commit);
        fs_err::write(folder.join("a"), "c\n").unwrap();
        assert_eq!(known.commit_of(&folder).unwrap(), None);
        fs_err::remove_dir_all(folder).unwrap();
    }
}
