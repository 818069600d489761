//! Everything from nothing: empty stores on both sides, a full proxy in front of both.

use std::time::Duration;

use anyhow::Result;

use super::compare::{Goal, Measured};
use super::docker::{BASES, Builder};
use super::measure::Run;
use super::project::Project;
use super::stage::{Copies, Stage};
use super::table::{Row, Unit};
use super::upstream::Network;

/// What was measured of one project.
struct Series {
    copies: Copies,
    ours: Vec<Run>,
    docker: [(Builder, Vec<Run>); 2],
}

/// All of it, with what went over the network while it was measured.
pub(super) struct FromNothing {
    pub(super) measured: Vec<Measured>,
    /// The parts of Docker's sums.
    pub(super) parts: Vec<Row>,
    pub(super) network: Network,
}

/// Measures `rounds` rounds, after one in which the proxy is filled, unless it is full already.
pub(super) fn measure(stage: &Stage, rounds: usize) -> Result<FromNothing> {
    let mut series = Vec::new();
    for project in Project::ALL {
        let docker = Builder::ALL.map(|builder| (builder, Vec::new()));
        series.push(Series { copies: stage.copies(project)?, ours: Vec::new(), docker });
    }
    let mut bases: [Vec<Run>; 2] = [Vec::new(), Vec::new()];
    let mut network = Network::default();
    // A round in which files came over the network fills the proxy and does not count; if there is no end to it, it does, and
    // the time that it took is told.
    let mut fillings = 2;
    while bases[0].len() < rounds {
        println!("from nothing, round {} of {rounds}", bases[0].len() + 1);
        stage.proxy.take_network();
        round(stage, &mut series, &mut bases)?;
        let fetched = stage.proxy.take_network();
        if fetched.requests == 0 || fillings == 0 {
            network = network + fetched;
            continue;
        }
        fillings -= 1;
        println!("  not counted: {} files came over the network", fetched.requests);
        for side in &mut series {
            side.ours.pop();
            for (_, runs) in &mut side.docker {
                runs.pop();
            }
        }
        for runs in &mut bases {
            runs.pop();
        }
    }
    let mut parts: Vec<Row> = BASES.iter().zip(&bases).map(|((name, _), runs)| part(name, runs)).collect();
    let mut measured = Vec::new();
    for side in series {
        let project = side.copies.project;
        let mut sides = vec![("djship", side.ours)];
        for (builder, runs) in side.docker {
            parts.push(part(&format!("Dockerfile of {}, {}", project.name(), builder.name()), &runs));
            let whole = (0..runs.len()).map(|round| bases[0][round] + bases[1][round] + runs[round]);
            sides.push((builder.name(), whole.collect()));
        }
        let (name, ratio) = match project {
            Project::Compiled => ("everything from nothing", 0.25),
            Project::WheelsOnly => ("the same, wheels only", 0.1),
        };
        measured.push(Measured { name, sides, goal: Some(Goal { ratio, beside: None }) });
    }
    Ok(FromNothing { measured, parts, network })
}

fn round(stage: &Stage, series: &mut [Series], bases: &mut [Vec<Run>; 2]) -> Result<()> {
    for side in &mut *series {
        stage.ours.forget()?;
        settle();
        side.ours.push(stage.ours_built(&side.copies)?);
    }
    stage.docker.forget()?;
    settle();
    // Both builders start from the same bases; making them twice would show nothing new.
    for ((name, packages), runs) in BASES.iter().zip(bases) {
        runs.push(stage.measured_base(name, packages)?);
    }
    for side in series {
        for ((builder, runs), (_, checkout)) in side.docker.iter_mut().zip(&side.copies.docker) {
            settle();
            runs.push(stage.docker_built(*builder, checkout, side.copies.project, &["--no-cache"])?);
        }
    }
    Ok(())
}

/// What was removed and written before is not to be paid for by what is measured next.
fn settle() {
    rustix::fs::sync();
}

fn part(name: &str, runs: &[Run]) -> Row {
    let times = || runs.iter().map(|run| run.wall);
    let spread = times().min().zip(times().max());
    Row {
        runs: runs.len(),
        value: Some(super::measure::summarize(runs).run.wall.as_secs_f64()),
        spread: spread.map(|(least, most): (Duration, Duration)| (least.as_secs_f64(), most.as_secs_f64())),
        ..Row::new("", &format!("of it: {name}"), Unit::Seconds)
    }
}
