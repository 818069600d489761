//! Ours beside others: measured in turns, so that a slow minute of the machine meets every side, and judged by ratio.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::measure::{Median, Repeat, Run, run_once, summarize};

/// One row of the table: the same job, done by djship and by others.
pub(crate) struct Comparison {
    /// The job: "rebuild, nothing changed".
    pub(crate) name: String,
    pub(crate) ours: Side,
    pub(crate) beside: Vec<Side>,
    /// The largest ratio of our time to the fastest other's that reaches the goal.
    pub(crate) target: Option<f64>,
}

/// One way to do the job.
pub(crate) struct Side {
    pub(crate) name: String,
    /// Makes the next run's command, and whatever state it starts from. Not measured.
    pub(crate) prepare: Box<dyn FnMut() -> Result<Command>>,
}

impl Side {
    /// A shell line that needs no preparation.
    pub(crate) fn shell(name: &str, line: &str) -> Self {
        let line = line.to_owned();
        let prepare = move || {
            let mut command = Command::new("sh");
            // The shell gives way to the command, so that memory is the command's own.
            command.args(["-c", &format!("exec {line}")]);
            Ok(command)
        };
        Self { name: name.to_owned(), prepare: Box::new(prepare) }
    }
}

/// A comparison with its numbers.
#[derive(Debug)]
pub(crate) struct Measured {
    name: String,
    ours: (String, Median),
    beside: Vec<(String, Median)>,
    target: Option<f64>,
}

impl Comparison {
    /// Measures every side.
    pub(crate) fn measure(self, repeat: Repeat) -> Result<Measured> {
        let Comparison { name, ours, beside, target } = self;
        let mut sides: Vec<(Side, Vec<Run>)> =
            std::iter::once(ours).chain(beside).map(|side| (side, Vec::new())).collect();
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
        let mut medians = sides.into_iter().map(|(side, runs)| (side.name, summarize(&runs)));
        let ours = medians.next().context("a comparison has two sides")?;
        Ok(Measured { name, ours, beside: medians.collect(), target })
    }
}

impl Measured {
    /// Our time divided by the fastest other's.
    fn ratio(&self) -> Option<f64> {
        let fastest = self.beside.iter().map(|(_, median)| median.run.wall).min()?;
        Some(self.ours.1.run.wall.as_secs_f64() / fastest.as_secs_f64())
    }

    fn verdict(&self) -> &'static str {
        match (self.ratio(), self.target) {
            (Some(ratio), Some(target)) if ratio <= target => "reached",
            (Some(_), Some(_)) => "NOT reached",
            _ => "",
        }
    }
}

/// The table in Markdown, as it goes into `docs/benchmarks.md`.
pub(crate) fn table(rows: &[Measured]) -> String {
    let mut text = String::from(
        "| what | who | median | spread | peak memory | ratio | goal |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        for (index, (who, median)) in std::iter::once(&row.ours).chain(&row.beside).enumerate() {
            let (ratio, goal) = if index == 0 {
                let ratio = row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.3}"));
                let goal =
                    row.target.map_or_else(String::new, |target| format!("{target} {}", row.verdict()));
                (ratio, goal)
            } else {
                (String::new(), String::new())
            };
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "| {} | {who} | {} | {} - {} | {} | {ratio} | {goal} |",
                if index == 0 { &row.name } else { "" },
                time(median.run.wall),
                time(median.fastest),
                time(median.slowest),
                memory(median),
            );
        }
    }
    text
}

fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

fn memory(median: &Median) -> String {
    const MEBIBYTE: u64 = 1024 * 1024;
    format!(
        "{} MiB (largest child {} MiB)",
        median.run.own_peak / MEBIBYTE,
        median.run.largest_peak / MEBIBYTE
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    fn median(milliseconds: u64) -> Median {
        let wall = Duration::from_millis(milliseconds);
        let run = Run { wall, cpu: wall, own_peak: 50 << 20, largest_peak: 90 << 20 };
        Median { run, fastest: wall, slowest: wall }
    }

    #[test]
    fn the_fastest_other_is_the_one_to_beat() {
        let mut measured = Measured {
            name: "rebuild".to_owned(),
            ours: ("djship".to_owned(), median(20)),
            beside: vec![("classic".to_owned(), median(400)), ("BuildKit".to_owned(), median(100))],
            target: Some(0.25),
        };
        assert_eq!(measured.verdict(), "reached");
        let table = table(std::slice::from_ref(&measured));
        assert!(table.contains("| rebuild | djship | 20.0 ms | 20.0 ms - 20.0 ms | 50 MiB (largest child 90 MiB) | 0.200 | 0.25 reached |"), "{table}");
        assert_eq!(table.lines().count(), 5);
        measured.ours.1 = median(26);
        assert_eq!(measured.verdict(), "NOT reached");
    }

    #[test]
    fn sides_take_turns_and_warm_ups_are_not_counted() {
        let turns = Rc::new(RefCell::new(String::new()));
        let side = |name: &str| {
            let (turns, mark) = (Rc::clone(&turns), name.to_owned());
            let prepare = move || {
                turns.borrow_mut().push_str(&mark);
                Ok(Command::new("true"))
            };
            Side { name: name.to_owned(), prepare: Box::new(prepare) }
        };
        let comparison =
            Comparison { name: "nothing".to_owned(), ours: side("a"), beside: vec![side("b")], target: None };
        comparison.measure(Repeat { warm_up: 1, runs: 2 }).unwrap();
        assert_eq!(*turns.borrow(), "ababab");
    }

    #[test]
    fn a_broken_side_is_named() {
        let comparison = Comparison {
            name: "start".to_owned(),
            ours: Side::shell("djship", "true"),
            beside: vec![Side::shell("the other", "false")],
            target: None,
        };
        let error = format!("{:#}", comparison.measure(Repeat { warm_up: 0, runs: 1 }).unwrap_err());
        assert!(error.contains("cannot measure `start` with the other"), "{error}");
    }
}
