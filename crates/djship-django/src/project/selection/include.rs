//! What ships although a rule leaves it out: the configuration's `include`.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use djship_store::TreePath;

/// Paths and patterns, relative to the project. A path stands for itself and, when it is a folder, for all that is in it.
#[derive(Debug, Clone)]
pub struct Include {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Default for Include {
    fn default() -> Self {
        Self { patterns: Vec::new(), set: GlobSet::empty() }
    }
}

impl PartialEq for Include {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Include {}

impl Include {
    /// Reads patterns as `.dockerignore` has them: `*` within a name, `**` across folders. `None` when one is no pattern, or leads
    /// out of the project.
    pub fn new(patterns: Vec<String>) -> Option<Self> {
        let mut set = GlobSetBuilder::new();
        let mut clean = Vec::new();
        for pattern in patterns {
            let path = TreePath::parse(&pattern).ok().filter(|_| !pattern.starts_with('/'))?;
            let path = path.as_str();
            if path.is_empty() || path.contains(char::is_control) {
                return None;
            }
            for text in [path.to_owned(), format!("{path}/**")] {
                set.add(GlobBuilder::new(&text).literal_separator(true).backslash_escape(true).build().ok()?);
            }
            clean.push(path.to_owned());
        }
        Some(Self { patterns: clean, set: set.build().ok()? })
    }

    /// The patterns.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether what is at `path`, relative to the project, ships whatever the rules say.
    pub fn has(&self, path: &str) -> bool {
        !self.is_empty() && self.set.is_match(path)
    }

    /// Whether something in the folder `path` may: no folder is looked into for nothing.
    pub(super) fn may_hold(&self, path: &str) -> bool {
        self.has(path)
            || self.patterns.iter().any(|pattern| {
                let fixed = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\']));
                let mut pairs = fixed.zip(path.split('/'));
                let all_fixed = pattern.split('/').count() > pairs.clone().count()
                    || path.split('/').count() <= pattern.split('/').count();
                all_fixed && pairs.all(|(one, other)| one == other)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn include(patterns: &[&str]) -> Option<Include> {
        Include::new(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
    }

    #[test]
    fn a_folder_stands_for_what_is_in_it() {
        let include = include(&["./front/dist/", ".env.production", "**/fixtures/*.pem"]).unwrap();
        for path in
            ["front/dist", "front/dist/a/b.js", ".env.production", "fixtures/x.pem", "a/fixtures/x.pem"]
        {
            assert!(include.has(path), "{path}");
        }
        for path in ["front", "front/distant", "a/.env.production", "a/fixtures/b/x.pem"] {
            assert!(!include.has(path), "{path}");
        }
    }

    #[test]
    fn only_folders_that_may_hold_something_are_looked_into() {
        let some = include(&["front/dist", "media/*/logo.png"]).unwrap();
        for path in ["front", "front/dist", "front/dist/x", "media", "media/a"] {
            assert!(some.may_hold(path), "{path}");
        }
        for path in ["node_modules", "front/node_modules", "med"] {
            assert!(!some.may_hold(path), "{path}");
        }
        assert!(include(&["**/x"]).unwrap().may_hold("any/where"));
        assert!(!Include::default().may_hold("front"));
    }

    #[test]
    fn what_leads_out_is_no_pattern() {
        for pattern in ["/etc", "../x", "", "a[", "a\nb"] {
            assert!(include(&[pattern]).is_none(), "{pattern:?}");
        }
    }
}
