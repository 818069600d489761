//! How long a program that ended waits until it is started again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A program that lived this long was well; what ends it then is a new trouble.
const WELL: Duration = Duration::from_mins(1);

/// 1, 2, 4, 8, 16, 30, 30, ... seconds, and from the start again after a life of a minute.
#[derive(Debug, Clone, Default)]
pub(super) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The wait after a life of this length.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        let wait = match self.last {
            Some(last) if lived < WELL => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some(wait);
        wait
    }

    /// Begins again: something was done about the trouble.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_again_after_a_good_life() {
        let mut backoff = Backoff::default();
        let seconds = |backoff: &mut Backoff, lived| backoff.after(Duration::from_secs(lived)).as_secs();
        let waits: Vec<u64> = (0..7).map(|_| seconds(&mut backoff, 59)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(seconds(&mut backoff, 60), 1);
        assert_eq!(seconds(&mut backoff, 0), 2);
        backoff.reset();
        assert_eq!(seconds(&mut backoff, 0), 1);
    }
}
