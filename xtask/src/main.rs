//! The developers' door: `cargo xtask` tests, lints, checks the workspace's laws and measures. CI calls the same
//! commands; see `.ci/run`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks to its developer")]

mod bench;
mod http;
mod laws;
mod lint;
mod phases;
mod projects;
mod setup;
mod soak;
mod testing;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a developer of djship needs beside cargo.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the tests: unit and integration tests, doctests, and the Python tests of the probe
    ///
    /// Without `--setup` (or CI=true in the environment) nothing is installed, no user is made, no daemon is
    /// started; tests that need more than a Rust toolchain are left out and listed at the end.
    Test {
        /// First set up what the tests need (root only), then run all of them
        #[arg(long)]
        setup: bool,
        /// Run only tests whose name contains one of these
        filters: Vec<String>,
    },
    /// Set up what the tests need: Debian packages and the three kinds of user (root only)
    Setup,
    /// Check the workspace's laws: who uses whom, forbidden words, unsafe, file sizes, registry hosts
    Laws {
        /// Print the fingerprint of a host name, for the list of built-in fingerprints
        #[arg(long, value_name = "HOST")]
        fingerprint: Option<String>,
    },
    /// rustfmt, clippy, laws, documentation, and what else is installed here (cargo-deny, shellcheck)
    Lint,
    /// Measure djship beside what it is compared with
    Bench(bench::Arguments),
    /// Run public Django projects from a folder with `djship up`, and write docs/real-projects.md
    Projects(projects::Arguments),
    /// The soak tests with many rounds
    Soak {
        /// How often each soak test kills djship
        #[arg(long, default_value_t = 30)]
        rounds: u32,
        /// Start of the random numbers; the one of a failed run repeats it
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Test { setup, filters } => testing::test(setup || workspace::is_ci(), &filters),
        Task::Setup => setup::prepare(),
        Task::Laws { fingerprint: Some(host) } => {
            println!("{}", laws::fingerprint(&host));
            Ok(())
        }
        Task::Laws { fingerprint: None } => laws::check(),
        Task::Lint => lint::lint(),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Projects(arguments) => projects::projects(&arguments),
        Task::Soak { rounds, seed } => soak::soak(rounds, seed),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
