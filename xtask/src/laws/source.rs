//! The files that the laws are about.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::lexer;
use crate::workspace;

/// One file, as the laws see it.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the workspace's root, with `/`.
    pub(super) path: String,
    /// Its text; empty for a file that is not UTF-8.
    pub(super) text: String,
    /// The text without comments and literals, of the same length; empty unless this is Rust.
    pub(super) code: String,
    /// Whether all of it is only for tests.
    pub(super) is_test_only: bool,
}

impl Source {
    /// Reads the files at `paths` below `root`.
    pub(super) fn read_all(root: &Path, paths: &[String]) -> Result<Vec<Source>> {
        let mut sources = Vec::with_capacity(paths.len());
        for path in paths {
            let bytes = fs_err::read(root.join(path))?;
            // Keyrings and archives in fixtures: no law is about what is in them.
            sources.push(Source::new(path, String::from_utf8(bytes).unwrap_or_default()));
        }
        mark_test_only(&mut sources);
        Ok(sources)
    }

    /// Files given as literals.
    #[cfg(test)]
    pub(super) fn literals(files: &[(&str, &str)]) -> Vec<Source> {
        let mut sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, (*text).to_owned())).collect();
        mark_test_only(&mut sources);
        sources
    }

    fn new(path: &str, text: String) -> Self {
        let is_rust = workspace::has_extension(path, "rs");
        let code = if is_rust { lexer::code_only(&text) } else { String::new() };
        Self { path: path.to_owned(), text, code, is_test_only: false }
    }

    /// Whether this is a Rust file.
    pub(super) fn is_rust(&self) -> bool {
        workspace::has_extension(&self.path, "rs")
    }

    /// The crate that the file belongs to: `djship-deb`, `xtask`.
    pub(super) fn crate_name(&self) -> Option<&str> {
        let mut parts = self.path.split('/');
        match parts.next()? {
            "crates" => parts.next(),
            "xtask" => Some("xtask"),
            _ => None,
        }
    }

    /// Path components below the crate's folder, without the extension of the last.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        let skipped = if self.path.starts_with("crates/") { 2 } else { 1 };
        self.path.split('/').skip(skipped).map(|part| part.strip_suffix(".rs").unwrap_or(part))
    }

    /// The code that ships: without tests, comments and literals.
    pub(super) fn shipped_code(&self) -> String {
        self.without_tests(&self.code)
    }

    /// The text that ships: comments and literals included, tests not.
    pub(super) fn shipped_text(&self) -> String {
        self.without_tests(&self.text)
    }

    fn without_tests(&self, text: &str) -> String {
        if self.is_test_only {
            return String::new();
        }
        let mut bytes = text.as_bytes().to_vec();
        for span in lexer::test_only_spans(&self.code) {
            for byte in &mut bytes[span] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        // Spans begin and end at ASCII characters, so no character was cut.
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Finds the files that only tests use: everything in `tests/`, `benches/`, `examples/` and `src/bin/` of a crate (a program beside
/// a library is there to try it out), modules called `tests`, and modules that are declared under `#[cfg(test)]`.
fn mark_test_only(sources: &mut [Source]) {
    let mut test_only = BTreeSet::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for span in lexer::test_only_spans(&source.code) {
            for name in declared_modules(&source.code[span]) {
                test_only.insert(format!("{}/{name}", module_folder(&source.path)));
            }
        }
    }
    for source in sources {
        source.is_test_only = is_test_only(source, &test_only);
    }
}

fn is_test_only(source: &Source, test_only_modules: &BTreeSet<String>) -> bool {
    let mut parts = source.parts();
    let module = source.path.strip_suffix(".rs").unwrap_or(&source.path);
    let is_below = |folder: &String| {
        module.strip_prefix(folder.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    source.crate_name().is_some()
        && (matches!(parts.next(), Some("tests" | "benches" | "examples"))
            || source.path.contains("/src/bin/")
            || parts.any(|part| part == "tests")
            || test_only_modules.iter().any(is_below))
}

/// Names in `mod NAME;` declarations.
pub(super) fn declared_modules(code: &str) -> Vec<&str> {
    code.split(';')
        .filter_map(|item| item.rsplit_once("mod "))
        .map(|(_, name)| name.trim())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect()
}

/// The folder in which the modules declared in the file at `path` lie.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_use_is_known() {
        let sources = Source::literals(&[
            (
                "crates/djship-deb/src/lib.rs",
                "mod a;\n#[cfg(test)]\nmod fixture;\n#[cfg(test)]\nmod tests { x!() }",
            ),
            ("crates/djship-deb/src/fixture.rs", ""),
            ("crates/djship-deb/src/fixture/deep.rs", ""),
            ("crates/djship-deb/src/fixtures.rs", ""),
            ("crates/djship-deb/src/a/tests.rs", ""),
            ("crates/djship-deb/tests/archive.rs", ""),
            ("crates/djship-deb/examples/closure.rs", ""),
            ("crates/djship-engine/src/bin/trial/main.rs", ""),
        ]);
        let test_only: Vec<bool> = sources.iter().map(|source| source.is_test_only).collect();
        assert_eq!(test_only, [false, true, true, false, true, true, true, true]);
        assert_eq!(sources[0].crate_name(), Some("djship-deb"));
        assert!(!sources[0].shipped_code().contains("x!"));
        assert!(sources[0].shipped_code().starts_with("mod a;"));
    }
}
