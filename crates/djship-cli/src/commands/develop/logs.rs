//! `djship logs`.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use djship_django::supervisor::{LogLine, LogReader};

use crate::args::LogsArgs;
use crate::commands::background;
use crate::errors::{Kind, Report};
use crate::ui::Prefix;

pub(crate) fn run(args: &LogsArgs) -> Result<i32, Report> {
    if let Some(name) = &args.name
        && background::is_known(name)
    {
        return background::logs(name, args.follow);
    }
    let environment = super::environment(Path::new("."))?;
    let failed = |error: std::io::Error| {
        Report::new(Kind::User, "cannot read the log of the environment").line(error.to_string())
    };
    let mut reader = LogReader::open(&environment.logs(), args.name.clone()).map_err(failed)?;
    let lines = reader.last(args.tail).map_err(failed)?;
    if lines.is_empty() && !environment.is_running().unwrap_or(false) {
        let what = args.name.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
        return Err(Report::new(Kind::User, format!("nothing{what} has run here"))
            .hint("Start it: djship up; see what runs in the background: djship ps"));
    }
    let mut prefix = Prefix::default();
    let mut show = |line: &LogLine| {
        let text = prefix.line(&line.program, &line.text);
        // Whoever reads has seen enough.
        let written = writeln!(anstream::stdout().lock(), "{text}");
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    for line in &lines {
        if show(line).is_break() {
            return Ok(0);
        }
    }
    if args.follow {
        let over = || !environment.is_running().unwrap_or(false);
        reader.follow(over, |line| show(&line)).map_err(failed)?;
    }
    Ok(0)
}
