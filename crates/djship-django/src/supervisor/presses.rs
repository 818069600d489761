//! Which Ctrl-C is a further one.

use std::time::{Duration, Instant};

/// What follows a press so soon is the same press: whoever started this process passes it on as well, or a key is held down.
const ONE_PRESS: Duration = Duration::from_millis(500);

/// Every request to end is the same one, however often it comes and from wherever: only somebody who saw the orderly end begin,
/// and presses Ctrl-C again, wants it at once.
#[derive(Debug, Default)]
pub(super) struct Presses {
    last: Option<Instant>,
    ending_since: Option<Instant>,
}

impl Presses {
    /// The orderly end begins. What was pressed before, and is heard only now, asked for it.
    pub(super) fn begin_end(&mut self, now: Instant) {
        self.ending_since.get_or_insert(now);
    }

    /// Takes in one press of Ctrl-C; whether it asks to end by force.
    pub(super) fn is_further(&mut self, at: Instant) -> bool {
        let before = self.last.replace(at);
        before.is_some_and(|before| at.saturating_duration_since(before) > ONE_PRESS)
            && self.ending_since.is_some_and(|since| at > since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_press_during_the_end_is_a_further_one() {
        let start = Instant::now();
        let at = |tenths: u32| start + tenths * Duration::from_millis(100);
        let mut presses = Presses::default();
        // While a migration ran, twice; both are heard when the end has begun.
        presses.begin_end(at(50));
        assert!(!presses.is_further(at(10)) && !presses.is_further(at(40)));
        assert!(presses.is_further(at(60)));
        // Somebody else asked for the end; the first press says no more than that.
        let mut presses = Presses::default();
        presses.begin_end(at(0));
        assert!(!presses.is_further(at(10)));
        // Passed on by a parent, or held down.
        assert!(!presses.is_further(at(11)) && !presses.is_further(at(14)) && !presses.is_further(at(18)));
        assert!(presses.is_further(at(30)));
        // The end begins once.
        presses.begin_end(at(90));
        assert!(presses.is_further(at(80)));
    }
}
