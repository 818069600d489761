//! Headings and times: what a command does now, and what took how long.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The phases of one command, in order.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    done: Vec<Phase>,
}

#[derive(Debug)]
struct Phase {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

impl Phases {
    /// Runs one phase under a heading, and keeps its time and its failure.
    pub(crate) fn run<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(reason) = &failure {
            eprintln!("error: {name}: {reason}");
        }
        self.done.push(Phase { name, took: start.elapsed(), failure });
        outcome.ok()
    }

    /// Prints what took how long.
    pub(crate) fn print_times(&self) {
        println!();
        for phase in &self.done {
            let mark = if phase.failure.is_some() { "FAILED" } else { "ok" };
            println!("{mark:>6}  {:>7.1} s  {}", phase.took.as_secs_f64(), phase.name);
        }
    }

    /// An error naming every phase that failed.
    pub(crate) fn verdict(&self) -> Result<()> {
        let failed: Vec<&str> =
            self.done.iter().filter(|phase| phase.failure.is_some()).map(|phase| phase.name).collect();
        if failed.is_empty() { Ok(()) } else { anyhow::bail!("failed: {}", failed.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_phase_is_named_and_the_others_run() {
        let mut phases = Phases::default();
        assert_eq!(phases.run("first", || Ok(1)), Some(1));
        assert_eq!(phases.run::<()>("second", || anyhow::bail!("broken")), None);
        assert_eq!(phases.run("third", || Ok(3)), Some(3));
        assert_eq!(phases.verdict().unwrap_err().to_string(), "failed: second");
    }
}
