//! Output without what differs from run to run, for snapshots. Each filter has a name, so that a test says what it hides.

use std::path::Path;

use regex::Regex;

/// Replaces what differs from run to run by names in brackets.
#[derive(Debug, Default, Clone)]
pub struct Scrubber {
    filters: Vec<(Regex, String)>,
}

/// What a filter hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// `2.1s`, `350 ms`, `1m 20s` become `[TIME]`.
    Times,
    /// `43.1 MB`, `512 KiB` become `[SIZE]`.
    Sizes,
    /// Digests, whole or shortened to twelve digits, become `[DIGEST]`.
    Digests,
    /// `127.0.0.1:41023` and `localhost:41023` keep their host: `127.0.0.1:[PORT]`.
    Ports,
    /// Temporary files and folders become `[TEMP]`.
    TemporaryPaths,
}

impl Filter {
    fn rules(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Filter::Times => &[(r"\b(\d+m ?)?\d+(\.\d+)? ?(ms|s)\b", "[TIME]")],
            Filter::Sizes => &[(r"\b\d+(\.\d+)? ?([kKMG]i?B|bytes)\b", "[SIZE]")],
            Filter::Digests => &[(r"\b(sha256:)?([0-9a-f]{64}|[0-9a-f]{12})\b", "[DIGEST]")],
            Filter::Ports => &[(r"\b(localhost|127(\.\d+){3}):\d+\b", "$1:[PORT]")],
            Filter::TemporaryPaths => &[(r"(/[\w.-]+)*/tmp/(djship-(test|project)-\w+|\.tmp\w+)", "[TEMP]")],
        }
    }
}

impl Scrubber {
    /// With every named filter.
    pub fn standard() -> Self {
        use Filter::{Digests, Ports, Sizes, TemporaryPaths, Times};
        // Digests first: the other filters would find numbers in them.
        [Digests, TemporaryPaths, Ports, Sizes, Times].into_iter().fold(Self::default(), Self::with)
    }

    /// With one more filter.
    #[must_use]
    pub fn with(mut self, filter: Filter) -> Self {
        for (pattern, name) in filter.rules() {
            self.push(pattern, name);
        }
        self
    }

    /// With a path of the test's, replaced before anything else.
    #[must_use]
    pub fn with_path(mut self, path: &Path, name: &str) -> Self {
        self.push(&regex::escape(&path.to_string_lossy()), name);
        if let Some(filter) = self.filters.pop() {
            self.filters.insert(0, filter);
        }
        self
    }

    /// With a pattern of the test's, a regular expression.
    #[must_use]
    pub fn with_pattern(mut self, pattern: &str, name: &str) -> Self {
        self.push(pattern, name);
        self
    }

    fn push(&mut self, pattern: &str, name: &str) {
        match Regex::new(pattern) {
            Ok(regex) => self.filters.push((regex, name.to_owned())),
            Err(error) => panic!("a filter is no regular expression: {error}"),
        }
    }

    /// The text as a snapshot holds it; spaces at line ends go too.
    pub fn apply(&self, text: &str) -> String {
        let scrubbed = self.filters.iter().fold(text.to_owned(), |text, (regex, name)| {
            regex.replace_all(&text, name.as_str()).into_owned()
        });
        scrubbed.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// Compares output with a snapshot, inline or in a file, after the standard filters:
/// `assert_output!(output.stdout, @"Built [DIGEST]")`.
#[macro_export]
macro_rules! assert_output {
    ($text:expr $(, @$inline:literal)?) => {
        $crate::insta::assert_snapshot!($crate::scrub::Scrubber::standard().apply(&$text) $(, @$inline)?)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_hidden_and_the_rest_stays() {
        let digest = "ab".repeat(32);
        let text = format!(
            "Installed 64 Debian packages in 2.1s, 43.1 MB  \nsha256:{digest} at /tmp/djship-test-aB3/home/x\n\
             serving http://localhost:8000 after 350 ms and 1m 20s; 0123456789ab"
        );
        assert_eq!(
            Scrubber::standard().apply(&text),
            "Installed 64 Debian packages in [TIME], [SIZE]\n[DIGEST] at [TEMP]/home/x\n\
             serving http://localhost:[PORT] after [TIME] and [TIME]; [DIGEST]"
        );
    }

    #[test]
    fn filters_of_the_test_come_first() {
        let scrubber = Scrubber::standard()
            .with_path(Path::new("/tmp/djship-project-x"), "[PROJECT]")
            .with_pattern(r"polls-\d+", "[NAME]");
        assert_output!(scrubber.apply("/tmp/djship-project-x/manage.py polls-17"), @"[PROJECT]/manage.py [NAME]");
    }
}
