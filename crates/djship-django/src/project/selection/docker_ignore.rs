//! `.dockerignore` by Docker's rule, which is not git's: every pattern starts at the top, the last match wins, and a
//! file below an excluded folder can be brought back.
//!
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

use djship_store::TreePath;
use globset::{GlobBuilder, GlobMatcher};

use super::SelectionError;
use crate::project::{Folder, read_text};

pub(super) struct DockerIgnore {
    rules: Vec<(GlobMatcher, bool)>,
}

impl DockerIgnore {
    /// Reads `.dockerignore` at the top of the project; `None` when there is none.
    pub(super) fn load(folder: &Folder) -> Result<Option<Self>, SelectionError> {
        let text = read_text(folder, ".dockerignore")?;
        text.map(|text| Self::parse(&text)).transpose()
    }

    fn parse(text: &str) -> Result<Self, SelectionError> {
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Only a `#` in the first column begins a comment.
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (pattern, brings_back) = match line.trim().strip_prefix('!') {
                Some(pattern) => (pattern.trim(), true),
                None => (line.trim(), false),
            };
            let clean: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            let glob = GlobBuilder::new(&clean.join("/"))
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| SelectionError::Pattern {
                    line: index + 1,
                    pattern: pattern.to_owned(),
                    reason: error.kind().to_string(),
                })?;
            rules.push((glob.compile_matcher(), brings_back));
        }
        Ok(Self { rules })
    }

    pub(super) fn excludes(&self, path: &TreePath) -> bool {
        let mut excluded = false;
        for (pattern, brings_back) in &self.rules {
            // A pattern that matches a folder matches everything below it.
            let mut next = Some(path.clone());
            while let Some(above) = next {
                if pattern.is_match(above.as_str()) {
                    excluded = !brings_back;
                    break;
                }
                next = above.parent();
            }
        }
        excluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_own_examples_and_the_differences_from_git() {
        let cases = [
            ("*/temp*", "a/temporary.txt", true),
            ("*/temp*", "a/b/temporary.txt", false),
            ("temp?", "tempa", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("**/*.md", "docs/README.md", true),
            ("node_modules", "node_modules/a/b.js", true),
            ("node_modules", "web/node_modules/a/b.js", false),
            ("/foo/bar", "foo/bar", true),
            ("docs\n!docs/keep.md", "docs/keep.md", false),
            ("docs\n!docs/keep.md", "docs/other.md", true),
            ("!a\na", "a", true),
            ("# comment\n", "# comment", false),
        ];
        for (rules, path, excluded) in cases {
            let found = DockerIgnore::parse(rules).unwrap().excludes(&TreePath::parse(path).unwrap());
            assert_eq!(found, excluded, "{rules:?} on {path}");
        }
    }
}
