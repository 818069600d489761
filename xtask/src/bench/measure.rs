//! One number for one command: the median of whole-process runs, with the peak memory of the process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wait4::Wait4 as _;

use crate::workspace::command_line;

/// How often a command is run.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Repeat {
    /// Runs before the measured ones, to fill caches.
    pub(crate) warm_up: u32,
    /// Measured runs; at least one.
    pub(crate) runs: u32,
}

/// One run of a command, from before its start until it was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Wall-clock time.
    pub(crate) wall: Duration,
    /// Processor time of the process and of every child that was waited for.
    pub(crate) cpu: Duration,
    /// Peak resident memory of the process itself, in bytes; zero when it ended before it was looked at.
    pub(crate) own_peak: u64,
    /// Peak resident memory of the largest process among it and its children, in bytes.
    pub(crate) largest_peak: u64,
}

impl Run {
    /// A wait for something that is no child.
    pub(crate) fn of_time(wall: Duration) -> Self {
        Self { wall, cpu: Duration::ZERO, own_peak: 0, largest_peak: 0 }
    }
}

impl std::ops::Add for Run {
    type Output = Self;

    /// One after the other.
    fn add(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            own_peak: self.own_peak.max(other.own_peak),
            largest_peak: self.largest_peak.max(other.largest_peak),
        }
    }
}

/// The median of several runs, each field by itself, and the spread of the wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Median {
    pub(crate) run: Run,
    pub(crate) fastest: Duration,
    pub(crate) slowest: Duration,
}

/// Runs a command once, its output thrown away; an unsuccessful end is an error with what it said.
pub(crate) fn run_once(command: &mut Command) -> Result<Run> {
    let line = command_line(command);
    // A file and not a pipe, so that nothing of ours runs while the command does.
    let complaint = tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaint.file.try_clone()?.into_parts().0);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let (usage, own_peak) = wait(&mut child).with_context(|| format!("cannot wait for `{line}`"))?;
    let wall = start.elapsed();
    if !usage.status.success() {
        bail!("`{line}` failed: {}\n{}", usage.status, fs_err::read_to_string(&complaint.path)?);
    }
    let rusage = usage.rusage;
    Ok(Run { wall, cpu: rusage.utime + rusage.stime, own_peak, largest_peak: rusage.maxrss })
}

/// Waits for the end, watching the high-water mark of the process's own memory, which is gone once it has ended.
fn wait(child: &mut Child) -> std::io::Result<(wait4::ResUse, u64)> {
    const INTERVAL: Duration = Duration::from_millis(10);
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Acquire) {
                peak = peak.max(high_water_mark(&status));
                std::thread::park_timeout(INTERVAL);
            }
            peak
        });
        let usage = child.wait4();
        ended.store(true, Ordering::Release);
        watch.thread().unpark();
        Ok((usage?, watch.join().unwrap_or(0)))
    })
}

/// `VmHWM` of a process, in bytes; zero when it has ended.
fn high_water_mark(status: &Path) -> u64 {
    let text = fs_err::read_to_string(status).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes * 1024)
}

/// The largest high-water mark of all processes that run this program now, in bytes.
pub(crate) fn peak_of_program(program: &Path) -> u64 {
    let Ok(processes) = fs_err::read_dir("/proc") else { return 0 };
    let runs_it = |folder: &PathBuf| fs_err::read_link(folder.join("exe")).is_ok_and(|file| file == program);
    let folders = processes.filter_map(Result::ok).map(|entry| entry.path());
    folders.filter(runs_it).map(|folder| high_water_mark(&folder.join("status"))).max().unwrap_or_default()
}

/// The medians of several runs.
pub(crate) fn summarize(runs: &[Run]) -> Median {
    let mut walls: Vec<Duration> = runs.iter().map(|run| run.wall).collect();
    walls.sort();
    Median {
        run: Run {
            wall: middle(walls.clone()),
            cpu: middle(runs.iter().map(|run| run.cpu).collect()),
            own_peak: middle(runs.iter().map(|run| run.own_peak).collect()),
            largest_peak: middle(runs.iter().map(|run| run.largest_peak).collect()),
        },
        fastest: walls.first().copied().unwrap_or_default(),
        slowest: walls.last().copied().unwrap_or_default(),
    }
}

/// The middle value; of an even number the lower one, which was measured, unlike a mean of two.
fn middle<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

struct Complaint {
    file: fs_err::File,
    path: PathBuf,
}

impl Drop for Complaint {
    fn drop(&mut self) {
        // A file in the folder for temporary files that stays is no reason to fail a measurement.
        let _ = fs_err::remove_file(&self.path);
    }
}

fn tempfile() -> Result<Complaint> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("djship-bench-{}-{number}", std::process::id()));
    let file = fs_err::OpenOptions::new().write(true).create_new(true).open(&path)?;
    Ok(Complaint { file, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    }

    #[test]
    fn memory_of_a_command_is_seen() {
        // A variable of 40 million bytes: far above what a shell needs otherwise.
        let line = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); y=$x$x; sleep 0.1; : ${#y}";
        let big = run_once(&mut shell(line)).unwrap();
        let small = run_once(&mut shell("sleep 0.1")).unwrap();
        assert!(big.own_peak > small.own_peak + 20_000_000, "{big:?} {small:?}");
        assert!(big.largest_peak >= big.own_peak / 2, "{big:?}");
    }

    #[test]
    fn memory_of_a_program_that_runs_is_seen() {
        let peak = peak_of_program(&std::env::current_exe().unwrap());
        assert!(peak > 1_000_000, "{peak}");
        assert_eq!(peak_of_program(Path::new("/there/is/no/such/program")), 0);
    }

    #[test]
    fn a_failing_command_is_an_error_with_its_words() {
        let error = run_once(&mut shell("echo nothing to do >&2; exit 3")).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("nothing to do"), "{error}");
    }

    #[test]
    fn the_middle_is_a_measured_value() {
        assert_eq!(middle(vec![5, 1, 9]), 5);
        assert_eq!(middle(vec![4, 1, 9, 5]), 4);
        let run = |milliseconds| Run {
            wall: Duration::from_millis(milliseconds),
            cpu: Duration::ZERO,
            own_peak: milliseconds,
            largest_peak: 0,
        };
        let median = summarize(&[run(3), run(90), run(1)]);
        assert_eq!((median.run.wall.as_millis(), median.run.own_peak), (3, 3));
        assert_eq!((median.fastest.as_millis(), median.slowest.as_millis()), (1, 90));
    }
}
