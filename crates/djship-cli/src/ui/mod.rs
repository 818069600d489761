//! All terminal code: stages as headings, notes as lines, transfers as a bar (on a terminal) or nothing.

pub(crate) mod considered;
mod develop;
mod shared;
mod ship;
mod stream;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use djship_django::report::{Note, Progress, Reporter, Stage};
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use shared::part;
pub(crate) use ship::why_not;
pub(crate) use stream::{Prefix, Stream};
pub(crate) use words::foundation::brought;
pub(crate) use words::{duration, left_out_reason, origin, size};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volume {
    /// Errors and results.
    Quiet,
    /// Stages and what was chosen.
    Normal,
    /// Also what child processes print.
    Verbose,
}

/// Shows a build on standard error.
pub(crate) struct Console {
    volume: Volume,
    state: Mutex<State>,
    /// Only what was done anew is said.
    calm: AtomicBool,
    /// Services run, which are to be ended properly.
    services: Arc<AtomicBool>,
}

struct State {
    bar: Option<ProgressBar>,
    packages: usize,
    unpacked: usize,
    stage: Option<(Stage, Instant)>,
    times: Vec<(Stage, Duration)>,
}

impl Console {
    pub(crate) fn new(volume: Volume) -> Self {
        let state = State { bar: None, packages: 0, unpacked: 0, stage: None, times: Vec::new() };
        Self { volume, state: Mutex::new(state), calm: AtomicBool::default(), services: Arc::default() }
    }

    /// How long each stage took; ends the running one.
    pub(crate) fn times(&self) -> Vec<(Stage, Duration)> {
        let mut state = self.lock();
        state.end_stage();
        state.times.clone()
    }

    /// From now on only what was done anew is said, without headings.
    pub(crate) fn be_calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether services are being started, or run: they are to be ended properly then.
    pub(crate) fn has_services(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.services)
    }

    fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Shows from now on how many bytes went, until [`Console::end`]. Nobody knows before how many it will be.
    pub(crate) fn begin_sending(&self) {
        self.lock().begin_sending(self.volume);
    }

    /// Takes the bar away, before something else is printed.
    pub(crate) fn end(&self) {
        if let Some(bar) = self.lock().bar.take() {
            bar.finish_and_clear();
        }
    }

    /// What the command is for: shown however quiet it is.
    pub(crate) fn result(&self, text: &str) {
        let green = anstyle::AnsiColor::Green.on_default().bold();
        self.print(&format!("{green}{text}{green:#}"));
    }

    /// A line within a stage.
    pub(crate) fn line(&self, text: &str) {
        if self.volume >= Volume::Normal {
            self.print(&format!("  {text}"));
        }
    }

    /// A line that must be seen.
    pub(crate) fn warn(&self, text: &str) {
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        self.print(&format!("{yellow}warning{yellow:#}: {text}"));
    }

    /// A heading.
    pub(crate) fn heading(&self, text: &str) {
        if self.volume >= Volume::Normal {
            let bold = anstyle::Style::new().bold();
            self.print(&format!("{bold}{text}{bold:#}"));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere does not make the counters wrong.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn print(&self, text: &str) {
        let state = self.lock();
        match &state.bar {
            Some(bar) => bar.suspend(|| anstream::eprintln!("{text}")),
            None => anstream::eprintln!("{text}"),
        }
    }
}

impl State {
    /// Bars are hidden by themselves where standard error is no terminal.
    fn begin_download(&mut self, bytes: u64, volume: Volume) {
        self.show(ProgressBar::new(bytes), "  {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}", volume);
    }

    fn begin_sending(&mut self, volume: Volume) {
        self.show(ProgressBar::no_length(), "  {spinner} {bytes} {bytes_per_sec}", volume);
    }

    fn show(&mut self, bar: ProgressBar, template: &str, volume: Volume) {
        if volume >= Volume::Normal {
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
    }

    fn end_stage(&mut self) {
        if let Some((stage, since)) = self.stage.take() {
            self.times.push((stage, since.elapsed()));
        }
    }
}

impl Reporter for Console {
    fn stage(&self, stage: Stage) {
        {
            let mut state = self.lock();
            state.end_stage();
            state.stage = Some((stage, Instant::now()));
        }
        if stage >= Stage::Services {
            self.services.store(true, Ordering::SeqCst);
        }
        if !self.is_calm() {
            self.heading(words::stage(stage));
        }
    }

    fn note(&self, note: Note<'_>) {
        let words = words::note(&note, self.volume == Volume::Verbose);
        if self.is_calm() && !words::is_news(&note) {
            return;
        }
        for line in words.lines {
            self.line(&line);
        }
        for warning in words.warnings {
            self.warn(&warning);
        }
        if matches!(note, Note::Pulling { .. }) {
            self.begin_sending();
        }
    }

    fn progress(&self, progress: Progress) {
        let mut state = self.lock();
        match progress {
            Progress::Expect { packages, bytes } => {
                state.packages = packages;
                state.unpacked = 0;
                if self.volume >= Volume::Normal {
                    anstream::eprintln!("  Fetching {} for {packages} Debian packages", size(bytes));
                }
                state.begin_download(bytes, self.volume);
            }
            Progress::Transfer(0) => state.begin_sending(self.volume),
            Progress::Transfer(bytes) => state.begin_download(bytes, self.volume),
            Progress::Bytes(bytes) => {
                if let Some(bar) = &state.bar {
                    bar.inc(bytes);
                }
            }
            Progress::Package => {
                state.unpacked += 1;
                let message = format!("{} of {} packages", state.unpacked, state.packages);
                if let Some(bar) = &state.bar {
                    bar.set_message(message);
                }
            }
            Progress::Done => {
                if let Some(bar) = state.bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }

    fn output(&self, line: &str) {
        if self.volume == Volume::Verbose {
            let dim = anstyle::Style::new().dimmed();
            self.print(&format!("  {dim}| {line}{dim:#}"));
        }
    }
}
