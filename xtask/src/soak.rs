//! The soak tests: djship killed at random moments, many times.

use anyhow::Result;

use crate::testing;
use crate::workspace::{self, cargo, run};

/// Runs the tests whose name holds `soak`, which are ignored otherwise, with the given number of rounds.
pub(crate) fn soak(rounds: u32, seed: Option<u64>) -> Result<()> {
    let mut nextest = cargo(&["nextest", "run", "--workspace", "--run-ignored", "all", "--no-capture"]);
    nextest.args(["-E", "test(/soak/) | binary(/soak/)"]);
    nextest.env("DJSHIP_SOAK_ROUNDS", rounds.to_string());
    if let Some(seed) = seed {
        nextest.env("DJSHIP_SOAK_SEED", seed.to_string());
    }
    nextest.env(testing::CACHE_VARIABLE, workspace::root().join(testing::CACHE_FOLDER));
    run(&mut nextest)
}
