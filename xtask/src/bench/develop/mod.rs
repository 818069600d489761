//! Development: from a folder to a served page, from an edit to a page that shows it, and back to nothing.

mod compose;
mod ours;
mod site;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use compose::Compose;
use ours::Djship;
use site::Site;

use super::compare::{Goal, Measured};
use super::measure::Run;
use super::stage::Stage;
use super::table;
use crate::http;

/// How often.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Rounds {
    /// Projects that neither side has seen, one after the other.
    pub(super) projects: u32,
    /// Further starts of each of them.
    pub(super) warm: u32,
}

/// The two sides, as the table has them.
const OURS: &str = "djship";
const THEIRS: &str = "docker-compose";

/// Edits after each start.
const EDITS: u32 = 3;

/// A project, and what serves it while it is developed.
trait Environment {
    fn name(&self) -> &'static str;
    /// Installs what the project requires, and starts everything.
    fn install_and_up(&mut self) -> Result<Run>;
    /// Starts everything.
    fn up(&mut self) -> Result<Run>;
    /// Where the first page is.
    fn url(&self) -> Result<String>;
    fn site(&mut self) -> &mut Site;
    /// Ends everything; the database stays.
    fn down(&mut self) -> Result<Run>;
    /// The same for someone who knows that the web server lets itself be waited for; `None` where it does not.
    fn kill_and_down(&mut self) -> Result<Option<Run>> {
        Ok(None)
    }
}

/// What is measured, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ColdUp,
    WarmUp,
    Reload,
    Down,
    KillAndDown,
}

impl Kind {
    /// What both sides do.
    const ALL: [Self; 4] = [Self::ColdUp, Self::WarmUp, Self::Reload, Self::Down];

    fn name(self) -> &'static str {
        match self {
            Self::ColdUp => "`up` to first HTTP 200, new project",
            Self::WarmUp => "`up` to first HTTP 200, warm",
            Self::Reload => "an edited view, until the page shows it",
            Self::Down => "`down`",
            Self::KillAndDown => "docker-compose, `kill web` first",
        }
    }

    fn goal(self) -> Option<Goal> {
        let goal = |ratio| Some(Goal { ratio, beside: Some(THEIRS) });
        match self {
            Self::WarmUp => goal(0.6),
            Self::Down => goal(0.05),
            Self::ColdUp | Self::Reload | Self::KillAndDown => None,
        }
    }
}

/// The runs of one side, by kind.
#[derive(Debug, Default)]
struct Runs([Vec<Run>; 5]);

impl Runs {
    fn add(&mut self, kind: Kind, run: Run) {
        self.0[kind as usize].push(run);
    }

    fn take(&mut self, kind: Kind) -> Vec<Run> {
        std::mem::take(&mut self.0[kind as usize])
    }
}

/// One start.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// Of this project, and on this machine: everything must be installed first.
    is_first: bool,
    /// Ends with what [`Environment::kill_and_down`] does.
    kills: bool,
}

/// Measures both sides in turns.
pub(super) fn measure(stage: &Stage, rounds: Rounds) -> Result<Vec<Measured>> {
    println!("getting ready for development");
    compose::make_bases(stage)?;
    stage.ours.forget_environments()?;
    // Of a name that was never there before, so that nothing is kept for it.
    let name = |side: &str, round: u32| format!("{side}-{}-{round}", std::process::id());
    let place = |name: &str| stage.folder.join("projects").join(name);
    // Once before: what djship keeps for all projects is there then, as Docker's bases are.
    let first = Session { is_first: true, kills: false };
    run(&mut Djship::of(stage, &place(&name("develop", 0)))?, &mut Runs::default(), first)?;
    stage.proxy.take_network();
    let mut runs = [Runs::default(), Runs::default()];
    for round in 1..=rounds.projects {
        println!("development, project {round} of {}", rounds.projects);
        let (our_name, their_name) = (name("develop", round), name("compose", round));
        let mut ours = Djship::of(stage, &place(&our_name))?;
        let mut theirs = Compose::of(stage, &place(&their_name), &their_name)?;
        let mut sides: [&mut dyn Environment; 2] = [&mut ours, &mut theirs];
        for start in 0..=rounds.warm {
            // Ten seconds of waiting are measured well enough every other time.
            let turn = Session { is_first: start == 0, kills: (round + start).is_multiple_of(2) };
            for (side, runs) in sides.iter_mut().zip(&mut runs) {
                run(&mut **side, runs, turn)?;
            }
        }
    }
    let fetched = stage.proxy.take_network();
    if fetched.requests > 0 {
        println!("  {} files came over the network meanwhile", fetched.requests);
    }
    let [mut ours, mut theirs] = runs;
    Ok(Kind::ALL
        .into_iter()
        .map(|kind| {
            let mut sides = vec![(OURS, ours.take(kind)), (THEIRS, theirs.take(kind))];
            if kind == Kind::Down {
                sides.push((Kind::KillAndDown.name(), theirs.take(Kind::KillAndDown)));
            }
            Measured { name: kind.name(), sides, goal: kind.goal() }
        })
        .collect())
}

/// From nothing running to a page, some edits, and back.
fn run(side: &mut dyn Environment, runs: &mut Runs, session: Session) -> Result<()> {
    println!("  {}", side.name());
    let told =
        develop(side, runs, session).with_context(|| format!("cannot develop with {}", side.name()))?;
    println!("    {told}");
    Ok(())
}

fn develop(side: &mut dyn Environment, runs: &mut Runs, session: Session) -> Result<String> {
    /// For a page of a server that was started, and for one that is started again.
    const PATIENCE: Duration = Duration::from_mins(2);
    let begun = if session.is_first { side.install_and_up() } else { side.up() }?;
    let url = side.url()?;
    let since = Instant::now();
    http::wait_for(&url, PATIENCE, |page| page.status == 200)?;
    let up = begun + Run::of_time(since.elapsed());
    runs.add(if session.is_first { Kind::ColdUp } else { Kind::WarmUp }, up);
    let mut told = format!("up {}", table::time(up.wall));
    for edit in 0..EDITS {
        // Django looks at its files once a second; an edit is to meet it at any time between two looks.
        std::thread::sleep(Duration::from_secs(1) * (2 * edit + 1) / (2 * EDITS));
        let said = side.site().edit()?;
        let since = Instant::now();
        http::wait_for(&url, PATIENCE, |page| page.text.contains(&said))?;
        let reload = Run::of_time(since.elapsed());
        runs.add(Kind::Reload, reload);
        told += &format!(", reload {}", table::time(reload.wall));
    }
    let killed = if session.kills { side.kill_and_down()? } else { None };
    let (kind, down) = match killed {
        Some(run) => (Kind::KillAndDown, run),
        None => (Kind::Down, side.down()?),
    };
    runs.add(kind, down);
    Ok(told + &format!(", down {}", table::time(down.wall)))
}
