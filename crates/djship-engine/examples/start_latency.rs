//! Measures how long a container takes from `start` to the end of `/bin/true`.
//!
//! ```text
//! start_latency ROOT [COUNT] [OWNER-UID]      ROOT holds bin/true
//! ```

use std::time::{Duration, Instant};

use djship_engine::{Container, Engine, HostOwner, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    djship_engine::dispatch(std::env::args_os());
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().ok_or("usage: start_latency ROOT [COUNT]")?;
    let count: usize = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let scratch = tempfile::tempdir()?;
    let engine = Engine::new(scratch.path()).with_host_owner(HostOwner::NOBODY_ELSE);
    for network in [Network::Host, Network::None] {
        let mut container = Container::new([&root], ["/bin/true"]);
        container.network = network;
        let mut times = Vec::new();
        for _ in 0..count + 3 {
            let before = Instant::now();
            let status = engine.start(&container)?.wait()?;
            assert!(status.success(), "{status:?}");
            times.push(before.elapsed());
        }
        times.drain(..3);
        times.sort();
        let at = |part: usize| times.get(times.len() * part / 10).copied().unwrap_or(Duration::ZERO);
        #[expect(clippy::print_stdout, reason = "this is what the example is for")]
        {
            println!("{network:?}: median {:?}, 90% {:?}, least {:?}", at(5), at(9), at(0));
        }
    }
    Ok(())
}
