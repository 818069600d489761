//! A test that cannot run here says so, and is listed with its reason at the end of the run.

use std::io::Write as _;

/// Names the file that skips are appended to: the test, a tab, the reason. `cargo xtask test` sets it.
pub const LIST_VARIABLE: &str = "DJSHIP_SKIP_LIST";

/// Prints why the running test is skipped, and adds it to the list.
///
/// # Panics
///
/// When the list cannot be written: a skip that nobody sees must not pass.
pub fn note(reason: &str) {
    eprintln!("SKIP: {reason}");
    let Some(list) = std::env::var_os(LIST_VARIABLE) else { return };
    let line = format!("{}\t{}\n", test_name(), reason.replace(['\n', '\t'], " "));
    // One write of one short line: lines of tests that run at the same time do not mix.
    let written = fs_err::OpenOptions::new().append(true).create(true).open(&list);
    if let Err(error) = written.and_then(|mut file| file.write_all(line.as_bytes())) {
        panic!("a skipped test must be listed: {error}");
    }
}

/// The name of the running test, as nextest or the test's thread has it.
fn test_name() -> String {
    let variable = |name| std::env::var(name).ok();
    match (variable("NEXTEST_BINARY_ID"), variable("NEXTEST_TEST_NAME")) {
        (Some(binary), Some(test)) => format!("{binary} {test}"),
        _ => std::thread::current().name().unwrap_or("a test without a name").to_owned(),
    }
}

/// What a skipped test returns.
pub trait Skipped {
    /// The value of a test that ended well.
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() -> Self {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// Ends the test here, as skipped: `skip!("no terminal")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => {{
        $crate::skips::note(&format!($($reason)+));
        return $crate::skips::Skipped::skipped();
    }};
}

/// The value of something that the test needs; ends the test as skipped when the machine lacks it:
/// `let user = need!(needs::user("djship-plain"));`.
#[macro_export]
macro_rules! need {
    ($need:expr) => {
        match $need {
            Ok(value) => value,
            Err($crate::needs::Missing(reason)) => $crate::skip!("{reason}"),
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::needs::Missing;

    #[test]
    fn a_need_that_is_met_gives_its_value_and_one_that_is_not_ends_the_test() {
        fn test(need: Result<u32, Missing>) -> Result<(), String> {
            let value = need!(need);
            Err(format!("ran with {value}"))
        }
        assert_eq!(test(Ok(3)), Err("ran with 3".to_owned()));
        // Under `cargo xtask test` this would be listed as a skip of this test.
        if std::env::var_os(super::LIST_VARIABLE).is_none() {
            assert_eq!(test(Err(Missing("nothing is here".to_owned()))), Ok(()));
        }
    }
}
