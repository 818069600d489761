//! Ours beside others: measured in turns, so that a slow minute of the machine meets every side, and judged by ratio.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::measure::{Median, Repeat, Run, run_once, summarize};
use super::table::{Row, Unit};

/// The same job, done by djship and by others.
pub(super) struct Comparison<'a> {
    /// The job: "rebuild, nothing changed".
    pub(super) name: &'static str,
    /// Ours first.
    pub(super) sides: Vec<Side<'a>>,
    pub(super) goal: Option<Goal>,
}

/// One way to do the job.
pub(super) struct Side<'a> {
    pub(super) name: &'static str,
    /// Makes the next run's command, and whatever state it starts from. Not measured.
    pub(super) prepare: Box<dyn FnMut() -> Result<Command> + 'a>,
}

/// What our time is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    /// The largest ratio to the other's time.
    pub(super) ratio: f64,
    /// The other; the fastest one when absent.
    pub(super) beside: Option<&'static str>,
}

impl Side<'_> {
    /// A shell line that needs no preparation.
    pub(super) fn shell(name: &'static str, line: &str) -> Self {
        let line = line.to_owned();
        let prepare = move || {
            let mut command = Command::new("sh");
            // The shell gives way to the command, so that memory is the command's own.
            command.args(["-c", &format!("exec {line}")]);
            Ok(command)
        };
        Self { name, prepare: Box::new(prepare) }
    }
}

/// A comparison with its numbers.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    /// Ours first.
    pub(super) sides: Vec<(&'static str, Vec<Run>)>,
    pub(super) goal: Option<Goal>,
}

impl Comparison<'_> {
    /// Measures every side.
    pub(super) fn measure(self, repeat: Repeat) -> Result<Measured> {
        let Comparison { name, sides, goal } = self;
        let mut sides: Vec<(Side<'_>, Vec<Run>)> = sides.into_iter().map(|side| (side, Vec::new())).collect();
        for round in 0..repeat.warm_up + repeat.runs.max(1) {
            for (side, runs) in &mut sides {
                let run = (side.prepare)()
                    .and_then(|mut command| run_once(&mut command))
                    .with_context(|| format!("cannot measure `{name}` with {}", side.name))?;
                if round >= repeat.warm_up {
                    runs.push(run);
                }
            }
        }
        Ok(Measured { name, sides: sides.into_iter().map(|(side, runs)| (side.name, runs)).collect(), goal })
    }
}

impl Measured {
    /// One row for each side.
    pub(super) fn rows(&self) -> Vec<Row> {
        let medians: Vec<(&str, Median)> =
            self.sides.iter().map(|(who, runs)| (*who, summarize(runs))).collect();
        let mut rows: Vec<Row> = medians
            .iter()
            .zip(&self.sides)
            .map(|((who, median), (_, runs))| Row {
                runs: runs.len(),
                value: Some(median.run.wall.as_secs_f64()),
                spread: Some((median.fastest.as_secs_f64(), median.slowest.as_secs_f64())),
                own_peak: Some(median.run.own_peak),
                largest_peak: Some(median.run.largest_peak),
                ..Row::new("", who, Unit::Seconds)
            })
            .collect();
        if let Some(ours) = rows.first_mut() {
            self.name.clone_into(&mut ours.what);
            ours.ratio = self.ratio(&medians);
            if let (Some(ratio), Some(goal)) = (ours.ratio, self.goal) {
                let beside = goal.beside.unwrap_or("the fastest");
                ours.goal = Some(format!("{} of {beside}", fraction(goal.ratio)));
                ours.is_reached = Some(ratio <= goal.ratio);
            }
        }
        rows
    }

    /// Our time divided by the other's that the goal names, or the fastest other's.
    fn ratio(&self, medians: &[(&str, Median)]) -> Option<f64> {
        let (ours, others) = medians.split_first()?;
        let beside = self.goal.and_then(|goal| goal.beside);
        let relevant = others.iter().filter(|(who, _)| beside.is_none_or(|beside| *who == beside));
        let other = relevant.map(|(_, median)| median.run.wall).min()?;
        Some(ours.1.run.wall.as_secs_f64() / other.as_secs_f64())
    }

    /// The largest memory that djship itself took in any run.
    pub(super) fn largest_own_peak(&self) -> u64 {
        let ours = self.sides.first().map_or(&[][..], |(_, runs)| runs);
        ours.iter().map(|run| run.own_peak).max().unwrap_or_default()
    }
}

/// `1/4` where it is one.
fn fraction(ratio: f64) -> String {
    let parts = (1.0 / ratio).round();
    if (1.0 / ratio - parts).abs() < 1e-9 { format!("1/{parts}") } else { format!("{ratio}") }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;

    fn run(milliseconds: u64) -> Run {
        let wall = Duration::from_millis(milliseconds);
        Run { wall, cpu: wall, own_peak: 50 << 20, largest_peak: 90 << 20 }
    }

    fn rebuild(ours: u64, beside: Option<&'static str>) -> Measured {
        let sides = vec![
            ("djship", vec![run(ours), run(1), run(900)]),
            ("classic", vec![run(80)]),
            ("BuildKit", vec![run(100)]),
        ];
        Measured { name: "rebuild", sides, goal: Some(Goal { ratio: 0.25, beside }) }
    }

    #[test]
    fn the_goal_says_whom_to_beat() {
        let rows = rebuild(20, None).rows();
        let ratio = |rows: &[Row]| (rows[0].ratio.unwrap() * 1000.0).round() / 1000.0;
        assert_eq!((ratio(&rows), rows[0].is_reached), (0.25, Some(true)));
        assert_eq!(rows[0].goal.as_deref(), Some("1/4 of the fastest"));
        assert_eq!(rows.iter().filter(|row| row.ratio.is_some()).count(), 1);
        assert_eq!(rows.iter().map(|row| row.runs).collect::<Vec<_>>(), [3, 1, 1]);
        let rows = rebuild(21, None).rows();
        assert_eq!(rows[0].is_reached, Some(false));
        let rows = rebuild(21, Some("BuildKit")).rows();
        assert_eq!((ratio(&rows), rows[0].is_reached), (0.21, Some(true)));
        assert_eq!(rebuild(21, None).largest_own_peak(), 50 << 20);
    }

    #[test]
    fn sides_take_turns_and_warm_ups_are_not_counted() {
        let turns = RefCell::new(String::new());
        let side = |name: &'static str| {
            let turns = &turns;
            let prepare = move || {
                turns.borrow_mut().push_str(name);
                Ok(Command::new("true"))
            };
            Side { name, prepare: Box::new(prepare) }
        };
        let comparison = Comparison { name: "nothing", sides: vec![side("a"), side("b")], goal: None };
        let measured = comparison.measure(Repeat { warm_up: 1, runs: 2 }).unwrap();
        assert_eq!(*turns.borrow(), "ababab");
        assert_eq!(measured.sides[1].1.len(), 2);
    }

    #[test]
    fn a_broken_side_is_named() {
        let sides = vec![Side::shell("djship", "true"), Side::shell("the other", "false")];
        let comparison = Comparison { name: "start", sides, goal: None };
        let error = format!("{:#}", comparison.measure(Repeat { warm_up: 0, runs: 1 }).unwrap_err());
        assert!(error.contains("cannot measure `start` with the other"), "{error}");
    }
}
