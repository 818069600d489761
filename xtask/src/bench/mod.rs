//! Measures djship beside what it is compared with, in one run on one machine.

mod compare;
mod measure;

use anyhow::{Result, bail};
use compare::{Comparison, Side};
use measure::Repeat;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measured runs of each side; the median counts
    #[arg(long, default_value_t = 9)]
    runs: u32,
    /// Runs before the measured ones
    #[arg(long, default_value_t = 2)]
    warm_up: u32,
    /// Compare two commands of your own: this one, a shell line ...
    #[arg(long, requires = "beside")]
    ours: Option<String>,
    /// ... with this one
    #[arg(long, requires = "ours")]
    beside: Option<String>,
}

/// Runs the comparisons and prints their table.
pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    let repeat = Repeat { warm_up: arguments.warm_up, runs: arguments.runs };
    let (Some(ours), Some(beside)) = (&arguments.ours, &arguments.beside) else {
        // The rows of the table "Numbers to beat" come here, as soon as there is a build to measure (issue 3).
        bail!("no comparison is defined yet; give two with --ours and --beside");
    };
    let comparison = Comparison {
        name: "given commands".to_owned(),
        ours: Side::shell("ours", ours),
        beside: vec![Side::shell("beside", beside)],
        target: None,
    };
    let measured = comparison.measure(repeat)?;
    print!("{}", compare::table(&[measured]));
    Ok(())
}
