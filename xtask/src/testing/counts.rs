//! How many tests passed, failed and were skipped, over all runners.

use std::fmt;

/// Displays as the plain line that any reader of test output knows: `1 passed, 0 failed, 2 skipped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Counts {
    /// Adds what one runner counted; a runner that did not get that far counts as one failure.
    pub(super) fn add(&mut self, more: Option<Counts>) {
        let more = more.unwrap_or(Counts { passed: 0, failed: 1, skipped: 0 });
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }

    /// Counts passed tests as skipped ones.
    pub(super) fn skip(&mut self, number: usize) {
        self.passed = self.passed.saturating_sub(number);
        self.skipped += number;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Adds up the lines with which libtest closes each binary:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`.
pub(super) fn from_libtest(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")) {
        let number = |word: &str| -> usize {
            line.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
                .unwrap_or_default()
        };
        counts.add(Some(Counts {
            passed: number("passed"),
            failed: number("failed"),
            skipped: number("ignored"),
        }));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_libtest_are_added_up() {
        let output = "\nrunning 3 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
                      test result: FAILED. 4 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let mut counts = from_libtest(output);
        assert_eq!(counts, Counts { passed: 6, failed: 5, skipped: 1 });
        counts.skip(2);
        counts.add(None);
        assert_eq!(counts.to_string(), "4 passed, 6 failed, 3 skipped");
    }
}
