//! Programs that are started together.

use super::failure::{StartFailed, WhyNot};
use super::kept::{Kept, LOOK, Then};
use super::program::Program;
use super::supervise::Supervisor;

impl<'a> Supervisor<'a> {
    /// Starts programs side by side, and returns when all of them serve. When one does not come up, none of them is kept, and
    /// it is the error; when the end is asked for meanwhile, all of them are left to [`Supervisor::stop_all`].
    pub fn start_all(&mut self, programs: Vec<Box<dyn Program + 'a>>) -> Result<(), StartFailed> {
        let names: Vec<String> = programs.iter().map(|program| program.name().to_owned()).collect();
        // One of the same name that is still going has the files and the port.
        self.await_gone(&names);
        let mut failed = None;
        for program in programs {
            let mut kept = Kept::new(program);
            if self.end.is_some() || self.is_ending() {
                failed = Some(StartFailed::of(&kept, WhyNot::Interrupted));
                break;
            }
            self.generation += 1;
            match kept.start(&self.connections, self.generation) {
                Ok(()) => self.kept.push(kept),
                Err(error) => {
                    failed = Some(StartFailed::of(&kept, WhyNot::Error(error)));
                    break;
                }
            }
        }
        while failed.is_none() && self.kept.iter().any(|kept| kept.first) {
            failed = self.step(LOOK);
            if self.end.is_some() && failed.is_none() {
                let kept = self.kept.iter().find(|kept| kept.first);
                failed = kept.map(|kept| StartFailed::of(kept, WhyNot::Interrupted));
            }
        }
        for kept in &mut self.kept {
            kept.first = false;
        }
        if failed.as_ref().is_some_and(|failed| !matches!(failed.why, WhyNot::Interrupted)) {
            // Each in its own way: one that does not serve yet may be writing already.
            self.stop(&names);
        }
        self.save();
        // What is said about it comes after what they said.
        self.relay.0.finish();
        failed.map_or(Ok(()), Err)
    }

    pub(super) fn launch(&mut self, at: usize) {
        self.generation += 1;
        let kept = &mut self.kept[at];
        kept.restarts += 1;
        if let Err(error) = kept.start(&self.connections, self.generation) {
            self.try_again(at, &error);
        }
    }

    /// Ends programs and keeps them no longer. Everything else goes on meanwhile. When the end is asked for, it is not waited
    /// for them.
    pub fn stop(&mut self, names: &[String]) {
        for name in names {
            if let Some(at) = self.kept.iter().position(|kept| kept.name() == name) {
                self.leave(at, Then::Nothing);
            }
        }
        self.save();
        self.await_gone(names);
    }
}
