//! A crate uses only crates to its left:
//!
//! ```text
//! djship-store -+-> djship-deb    -+
//!               +-> djship-oci    -+-> djship-django -> djship-cli        djship-testkit, xtask: for developers
//!               +-> djship-engine -+
//! ```

use super::{Source, Violation};

const LEFT: [(&str, &[&str]); 8] = [
    ("djship-store", &[]),
    ("djship-deb", &["djship-store"]),
    ("djship-oci", &["djship-store"]),
    ("djship-engine", &["djship-store"]),
    ("djship-django", &["djship-store", "djship-deb", "djship-oci", "djship-engine"]),
    ("djship-cli", &["djship-store", "djship-deb", "djship-oci", "djship-engine", "djship-django"]),
    ("djship-testkit", &["djship-store", "djship-deb", "djship-oci", "djship-engine", "djship-django"]),
    ("xtask", &["djship-testkit"]),
];

/// For developers only: nothing that ships depends on them.
const DEVELOPERS: [&str; 2] = ["djship-testkit", "xtask"];

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let Some(name) = source.crate_name() else { continue };
        if source.parts().eq(["Cargo.toml"]) {
            check_manifest(source, name, &mut violations);
        }
    }
    violations
}

fn check_manifest(source: &Source, name: &str, violations: &mut Vec<Violation>) {
    let mut complain = |line, message: String| violations.push(Violation::new(&source.path, line, message));
    let Some((_, left)) = LEFT.iter().find(|(known, _)| *known == name) else {
        complain(0, format!("the crate {name} has no place in the picture; see xtask/src/laws/crates.rs"));
        return;
    };
    let manifest = match toml::from_str::<toml::Table>(&source.text) {
        Ok(manifest) => manifest,
        Err(error) => {
            complain(0, format!("cannot be read as TOML: {error}"));
            return;
        }
    };
    for (section, dependency) in dependencies(&manifest) {
        if !LEFT.iter().any(|(known, _)| *known == dependency) || left.contains(&dependency) {
            continue;
        }
        // A crate's tests may use what the tests of several crates share.
        if section == "dev-dependencies" && dependency == "djship-testkit" {
            continue;
        }
        let why =
            if DEVELOPERS.contains(&dependency) { "is for developers only" } else { "is not to its left" };
        complain(line_of(&source.text, dependency), format!("{name} uses {dependency}, which {why}"));
    }
    let inherits =
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if inherits != Some(true) {
        complain(0, "does not take the workspace's lints ([lints] workspace = true)".to_owned());
    }
}

/// Every (kind of section, package name), target sections and renamed packages included.
fn dependencies(manifest: &toml::Table) -> Vec<(&str, &str)> {
    const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter();
    let tables = std::iter::once(manifest)
        .chain(targets.flat_map(|targets| targets.values().filter_map(toml::Value::as_table)));
    let mut found = Vec::new();
    for table in tables {
        for section in SECTIONS {
            for (key, value) in table.get(section).and_then(toml::Value::as_table).into_iter().flatten() {
                found.push((section, value.get("package").and_then(toml::Value::as_str).unwrap_or(key)));
            }
        }
    }
    found
}

fn line_of(text: &str, word: &str) -> usize {
    text.lines().position(|line| line.contains(word)).map_or(0, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    fn manifest(name: &str, rest: &str) -> Vec<String> {
        let text = format!("{rest}\n[lints]\nworkspace = true\n");
        found(check, &[(&format!("crates/{name}/Cargo.toml"), &text)])
    }

    #[test]
    fn left_is_allowed_and_right_is_not() {
        assert!(manifest("djship-deb", "[dependencies]\ndjship-store.workspace = true").is_empty());
        assert_eq!(
            manifest("djship-store", "[dependencies]\ndjship-deb.workspace = true"),
            ["crates/djship-store/Cargo.toml:2: djship-store uses djship-deb, which is not to its left"]
        );
    }

    #[test]
    fn the_three_in_the_middle_do_not_know_each_other() {
        for (name, other) in
            [("djship-deb", "djship-oci"), ("djship-oci", "djship-engine"), ("djship-engine", "djship-deb")]
        {
            for section in
                ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"]
            {
                assert_eq!(
                    manifest(name, &format!("[{section}]\n{other}.workspace = true")).len(),
                    1,
                    "{name} {section}"
                );
            }
        }
    }

    #[test]
    fn a_new_name_for_a_crate_does_not_hide_it() {
        let text = "[dependencies]\nimages = { package = \"djship-oci\", path = \"../djship-oci\" }";
        assert_eq!(manifest("djship-deb", text).len(), 1);
    }

    #[test]
    fn only_tests_use_the_testkit() {
        assert!(manifest("djship-cli", "[dev-dependencies]\ndjship-testkit.workspace = true").is_empty());
        assert_eq!(manifest("djship-cli", "[dependencies]\ndjship-testkit.workspace = true").len(), 1);
    }

    #[test]
    fn unknown_crates_and_missing_lints_are_named() {
        assert_eq!(manifest("djship-new", "").len(), 1);
        assert_eq!(found(check, &[("crates/djship-oci/Cargo.toml", "[package]\n")]).len(), 1);
    }
}
