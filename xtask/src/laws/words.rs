//! Words that a crate must not know: Django is the business of one library crate, Python of none below it.

use super::{Source, Violation};

/// Libraries that do not know what they are used for.
const LOW_CRATES: [&str; 4] = ["djship-store", "djship-deb", "djship-oci", "djship-engine"];

/// Libraries that have never heard of Python either.
const WITHOUT_PYTHON: [&str; 3] = ["djship-deb", "djship-oci", "djship-engine"];

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let Some(name) = source.crate_name().filter(|name| LOW_CRATES.contains(name)) else { continue };
        let is_manifest = source.parts().eq(["Cargo.toml"]);
        if !source.is_rust() && !is_manifest {
            continue;
        }
        find_word(source, &source.text, "django", name, &mut violations);
        // Package names are data, and tests are about packages that exist.
        if WITHOUT_PYTHON.contains(&name) && !is_data(source) {
            find_word(source, &source.shipped_text(), "python", name, &mut violations);
        }
    }
    violations
}

/// Whether the file is a table of names: a module `data`, or below a folder of that name.
fn is_data(source: &Source) -> bool {
    source.parts().any(|part| part == "data")
}

fn find_word(source: &Source, text: &str, word: &str, name: &str, violations: &mut Vec<Violation>) {
    for (index, line) in text.lines().enumerate() {
        if line.to_ascii_lowercase().contains(word) {
            violations.push(Violation::new(
                &source.path,
                index + 1,
                format!("{name} must not know the word {word}"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn the_word_is_found_in_any_case_also_in_comments_and_tests() {
        let files = [
            (
                "crates/djship-oci/src/lib.rs",
                "//! Images for Django.\n#[cfg(test)]\nmod tests { const X: &str = \"DJANGO\"; }",
            ),
            ("crates/djship-store/tests/tree.rs", "fn django_tree() {}"),
            ("crates/djship-django/src/lib.rs", "//! Django."),
            ("crates/djship-cli/src/main.rs", "//! Django."),
        ];
        assert_eq!(
            found(check, &files),
            [
                "crates/djship-oci/src/lib.rs:1: djship-oci must not know the word django",
                "crates/djship-oci/src/lib.rs:3: djship-oci must not know the word django",
                "crates/djship-store/tests/tree.rs:1: djship-store must not know the word django",
            ]
        );
    }

    #[test]
    fn package_names_are_data() {
        let files = [
            ("crates/djship-deb/src/data/packages.rs", "\"python3-minimal\""),
            ("crates/djship-deb/src/closure.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn python3() {} }"),
            ("crates/djship-deb/tests/closure.rs", "\"python3\""),
            ("crates/djship-engine/src/run.rs", "\n// runs Python"),
            ("crates/djship-store/src/lib.rs", "// as Python's tarfile does"),
        ];
        assert_eq!(
            found(check, &files),
            ["crates/djship-engine/src/run.rs:2: djship-engine must not know the word python"]
        );
    }
}
