//! What code must not do where: `unsafe`, printing, reading the environment.

use super::{Source, Violation};

/// The only crate that talks to the kernel where no safe interface exists.
const MAY_BE_UNSAFE: &str = "djship-engine";

/// Crates that talk to a person; everything else returns facts.
const MAY_PRINT: [&str; 3] = ["djship-cli", "djship-testkit", "xtask"];

const PRINTING: [&str; 5] = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];

/// Ways to the environment, the arguments and the home folder. `temp_dir` reads TMPDIR.
const AMBIENT: [&str; 9] = [
    "env::var",
    "env::vars",
    "env::var_os",
    "env::vars_os",
    "env::args",
    "env::args_os",
    "env::home_dir",
    "env::temp_dir",
    "dirs::home_dir",
];

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let Some(name) = source.crate_name() else { continue };
        let mut complain = |line, message| violations.push(Violation::new(&source.path, line, message));
        if name != MAY_BE_UNSAFE {
            for line in lines_with(&source.code, "unsafe") {
                complain(line, format!("unsafe code; only {MAY_BE_UNSAFE} may have it"));
            }
        }
        // A build script talks to cargo, and ships nowhere.
        if MAY_PRINT.contains(&name) || source.path == format!("crates/{name}/build.rs") {
            continue;
        }
        let shipped = source.shipped_code();
        for call in PRINTING {
            for line in lines_with(&shipped, call) {
                complain(line, format!("{call} in a library; return what happened instead"));
            }
        }
        for call in AMBIENT {
            for line in lines_with(&shipped, call) {
                complain(line, format!("{call} in a library; take the value as a parameter instead"));
            }
        }
        for line in imports_from_env(&shipped) {
            complain(
                line,
                "imports from std::env in a library; take the value as a parameter instead".to_owned(),
            );
        }
    }
    violations
}

/// Lines (from one) that hold `word` with no letter, digit or underscore on either side.
fn lines_with<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.lines().enumerate().filter_map(move |(index, line)| {
        line.match_indices(word)
            .any(|(at, _)| {
                let bytes = line.as_bytes();
                !is_word(at.checked_sub(1).and_then(|before| bytes.get(before)))
                    && !is_word(bytes.get(at + word.len()))
            })
            .then_some(index + 1)
    })
}

/// Lines with `use std::env::{...}` or `use std::env::*`, which would hide a call from the list above.
fn imports_from_env(code: &str) -> impl Iterator<Item = usize> {
    code.lines()
        .enumerate()
        .filter(|(_, line)| line.contains("std::env::{") || line.contains("std::env::*"))
        .map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    #[test]
    fn unsafe_is_for_the_engine_only() {
        let code = "#![deny(unsafe_code)]\n// unsafe\nfn a() { unsafe { b() } }";
        assert!(found(check, &[("crates/djship-engine/src/run.rs", code)]).is_empty());
        for path in ["crates/djship-oci/src/tar.rs", "crates/djship-cli/tests/run.rs", "xtask/src/main.rs"] {
            assert_eq!(
                found(check, &[(path, code)]),
                [format!("{path}:3: unsafe code; only djship-engine may have it")]
            );
        }
    }

    #[test]
    fn libraries_neither_print_nor_look_around() {
        let code = "fn a() { println!(\"x\"); }\nfn b() { std::env::var_os(\"HOME\"); }\nuse std::env::{var, args};\n\
                    #[cfg(test)]\nmod tests { fn c() { eprintln!(); std::env::var(\"A\"); } }";
        let violations = found(check, &[("crates/djship-django/src/plan.rs", code)]);
        assert_eq!(violations.len(), 3, "{violations:?}");
        assert!(violations[0].starts_with("crates/djship-django/src/plan.rs:1: println! in a library"));
        assert!(violations[1].starts_with("crates/djship-django/src/plan.rs:2: env::var_os in a library"));
        assert!(violations[2].starts_with("crates/djship-django/src/plan.rs:3: imports from std::env"));
        for path in [
            "crates/djship-cli/src/main.rs",
            "crates/djship-testkit/src/lib.rs",
            "crates/djship-deb/tests/a.rs",
            "crates/djship-engine/build.rs",
        ] {
            assert!(found(check, &[(path, code)]).is_empty(), "{path}");
        }
    }

    #[test]
    fn a_word_in_a_string_is_no_call() {
        let code = "const A: &str = \"println!\"; /* env::var */ fn myprintln() {}";
        assert!(found(check, &[("crates/djship-oci/src/a.rs", code)]).is_empty());
    }
}
