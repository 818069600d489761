//! The shape of files: short, and named after what they hold.

use super::source::declared_modules;
use super::{Source, Violation};

/// A file that is longer does more than one job.
const MAX_LINES: usize = 400;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] =
    ["utils", "util", "common", "helpers", "helper", "misc", "manager", "managers", "utilities"];

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let mut complain = |line, message| violations.push(Violation::new(&source.path, line, message));
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            complain(0, format!("{lines} lines; {MAX_LINES} at most"));
        }
        if let Some(part) = source.parts().find(|part| is_empty_name(part)) {
            complain(0, format!("a module called `{part}`: name it after what it holds"));
        }
        for module in declared_modules(&source.code).into_iter().filter(|module| is_empty_name(module)) {
            complain(0, format!("declares a module called `{module}`: name it after what it holds"));
        }
    }
    violations
}

fn is_empty_name(name: &str) -> bool {
    EMPTY_NAMES
        .iter()
        .any(|empty| name.strip_suffix(empty).is_some_and(|rest| rest.is_empty() || rest.ends_with('_')))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn four_hundred_lines_are_enough() {
        let path = "crates/djship-oci/tests/layout.rs";
        assert!(found(check, &[(path, &"\n".repeat(400))]).is_empty());
        assert_eq!(found(check, &[(path, &"\n".repeat(401))]), [format!("{path}: 401 lines; 400 at most")]);
    }

    #[test]
    fn names_say_what_is_inside() {
        for path in [
            "crates/djship-oci/src/utils.rs",
            "crates/djship-cli/tests/common/mod.rs",
            "crates/djship-deb/src/path_helpers.rs",
            "xtask/src/manager/run.rs",
        ] {
            assert_eq!(found(check, &[(path, "")]).len(), 1, "{path}");
        }
        assert_eq!(found(check, &[("crates/djship-oci/src/lib.rs", "mod tar;\npub mod misc;")]).len(), 1);
        assert!(
            found(check, &[("crates/djship-oci/src/commonmark.rs", "mod package_manager_files;")]).is_empty()
        );
    }
}
