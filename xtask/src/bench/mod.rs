//! Measures djship beside what it is compared with, in one run on one machine.
//!
//! | module | holds |
//! |---|---|
//! | [`project`] | the projects that are built, from literals, with their Dockerfile |
//! | [`proxy`], [`upstream`], [`links`] | the loopback proxy that both sides fetch from |
//! | [`ours`], [`docker`], [`registry`], [`stage`] | the two sides, set up |
//! | [`nothing`], [`rebuild`], [`size`], [`develop`], [`sharing`] | the rows of the table |
//! | [`mod@measure`], [`compare`] | one number for one command, and several commands in turns |
//! | [`table`], [`report`] | what is printed and written |

mod compare;
mod develop;
mod docker;
mod links;
mod measure;
mod nothing;
mod ours;
mod project;
mod proxy;
mod rebuild;
mod registry;
mod report;
mod sharing;
mod size;
mod stage;
mod table;
mod upstream;

use std::path::PathBuf;

use anyhow::Result;
use compare::{Comparison, Measured, Side};
use develop::Rounds;
use measure::Repeat;
use project::Project;
use registry::Registry;
use report::Report;
use stage::Stage;
use table::{Row, Unit};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measured runs of each side of a rebuild or a start; the median counts
    #[arg(long, alias = "runs", default_value_t = 15)]
    rounds: u32,
    /// Measured runs of each side from nothing and on a new machine; each takes minutes
    #[arg(long, default_value_t = 3, value_name = "ROUNDS", value_parser = clap::value_parser!(u32).range(1..))]
    long_rounds: u32,
    /// Runs before the measured ones, of a rebuild or a start
    #[arg(long, default_value_t = 3)]
    warm_up: u32,
    /// Projects that are developed on each side, each new to it
    #[arg(long, default_value_t = 2, value_name = "PROJECTS", value_parser = clap::value_parser!(u32).range(1..))]
    projects: u32,
    /// Further starts of each of these projects
    #[arg(long, default_value_t = 2, value_name = "STARTS", value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// Measure this program; without it, the release build is made and measured
    #[arg(long, value_name = "FILE")]
    djship: Option<PathBuf>,
    /// Measure only these jobs
    #[arg(long, value_delimiter = ',')]
    only: Vec<Job>,
    /// First install what is missing of Debian's docker.io, docker-compose, docker-registry and mmdebstrap
    #[arg(long)]
    setup: bool,
    /// Write the table into docs/benchmarks.md
    #[arg(long, conflicts_with_all = ["only", "djship"])]
    write: bool,
    /// Also write every number into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare two commands of your own: this one, a shell line ...
    #[arg(long, requires = "beside")]
    ours: Option<String>,
    /// ... with this one
    #[arg(long, requires = "ours")]
    beside: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Job {
    /// Everything from nothing
    Nothing,
    /// Rebuilds after a code change
    Change,
    /// Rebuild, nothing changed
    Unchanged,
    /// Size of the production image
    Size,
    /// Start of a container
    Start,
    /// Build and push after a code change
    Push,
    /// Up, reload and down in development
    Develop,
    /// A build on a new machine, through a registry
    Fresh,
}

/// Memory that djship itself may take, in bytes.
const MEMORY_GOAL: u32 = 200_000_000;

/// Runs the comparisons and prints their table.
pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    let repeat = Repeat { warm_up: arguments.warm_up, runs: arguments.rounds };
    if let (Some(ours), Some(beside)) = (&arguments.ours, &arguments.beside) {
        let sides = vec![Side::shell("ours", ours), Side::shell("beside", beside)];
        let measured = Comparison { name: "given commands", sides, goal: None }.measure(repeat)?;
        print!("{}", table::markdown(&measured.rows()));
        return Ok(());
    }
    let stage = Stage::set(arguments.setup, arguments.djship.as_deref())?;
    let report = measure(&stage, arguments, repeat)?;
    println!("\n{}", report.markdown());
    if let Some(file) = &arguments.json {
        fs_err::write(file, report.json()?)?;
    }
    if arguments.write {
        report.write()?;
    }
    Ok(())
}

fn measure(stage: &Stage, arguments: &Arguments, repeat: Repeat) -> Result<Report> {
    let wanted = |job| arguments.only.is_empty() || arguments.only.contains(&job);
    let mut report = Report::begin(stage, repeat, arguments.long_rounds)?;
    let mut largest = 0;
    let mut add = |report: &mut Report, measured: &Measured| {
        largest = largest.max(measured.largest_own_peak());
        report.rows.extend(measured.rows());
    };
    if wanted(Job::Nothing) {
        let from_nothing = nothing::measure(stage, usize::try_from(arguments.long_rounds)?)?;
        from_nothing.measured.iter().for_each(|measured| add(&mut report, measured));
        report.rows.extend(from_nothing.parts);
        report.network = Some(from_nothing.network);
    }
    let registry = Registry::start(&stage.folder.join("registry"))?;
    if [Job::Change, Job::Unchanged, Job::Size, Job::Start, Job::Push].into_iter().any(wanted) {
        println!("getting ready for the rest");
        let mut copies = stage.copies(Project::Compiled)?;
        stage.build_all(&copies)?;
        if wanted(Job::Change) {
            let view = "rebuild, an edited view";
            add(&mut report, &rebuild::rebuild(stage, &mut copies, view, Some(project::VIEW), repeat)?);
            let settings = "rebuild, edited settings";
            add(
                &mut report,
                &rebuild::rebuild(stage, &mut copies, settings, Some(project::SETTINGS), repeat)?,
            );
        }
        if wanted(Job::Unchanged) {
            let name = "rebuild, nothing changed";
            add(&mut report, &rebuild::rebuild(stage, &mut copies, name, None, repeat)?);
        }
        if wanted(Job::Size) {
            report.rows.extend(size::rows(stage, &copies)?);
        }
        if wanted(Job::Start) {
            add(&mut report, &rebuild::start(stage, copies.project, repeat)?);
        }
        if wanted(Job::Push) {
            add(&mut report, &sharing::push(stage, &registry, &mut copies, repeat)?);
        }
    }
    if wanted(Job::Develop) {
        let rounds = Rounds { projects: arguments.projects, warm: arguments.starts };
        for measured in develop::measure(stage, rounds)? {
            add(&mut report, &measured);
        }
        report.development = Some(rounds);
    }
    if wanted(Job::Fresh) {
        let mut copies = stage.copies(Project::Compiled)?;
        stage.make_bases()?;
        add(&mut report, &sharing::fresh(stage, &registry, &mut copies, arguments.long_rounds)?);
    }
    // What fits into memory fits into 52 bits.
    #[expect(clippy::cast_precision_loss, reason = "a number of bytes, shown in megabytes")]
    let value = largest as f64;
    report.rows.push(Row {
        value: Some(value),
        goal: Some(format!("{} MB", MEMORY_GOAL / 1_000_000)),
        is_reached: Some(value <= f64::from(MEMORY_GOAL)),
        ..Row::new("peak memory of djship itself, in all of these", "djship", Unit::Bytes)
    });
    Ok(report)
}
