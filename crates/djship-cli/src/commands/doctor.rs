//! `djship doctor`.

use std::path::PathBuf;

use djship_engine::doctor::{Check, Finding, Severity, Subject, examine, examine_docker};

use crate::args::{Cli, DoctorArgs};
use crate::env;
use crate::errors::Report;
use crate::host::Workshop;

/// Exit code when containers cannot run here: the host lacks something.
const LACKS: i32 = 3;

pub(crate) fn run(cli: &Cli, args: &DoctorArgs) -> Result<i32, Report> {
    let workshop = Workshop::open(cli, None, false)?;
    let path =
        env::get("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect::<Vec<PathBuf>>());
    let subject = Subject {
        store: workshop.store.root().to_owned(),
        binary: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/djship")),
        tool_path: path,
    };
    let mut findings = examine(&subject);
    findings.push(examine_docker(&env::docker()));
    if args.json {
        anstream::println!("{}", serde_json::json!({ "version": 1, "findings": findings }));
    } else {
        for finding in &findings {
            show(finding);
        }
    }
    let is_blocked = findings.iter().any(|finding| finding.severity == Severity::Blocking);
    let has_docker =
        findings.iter().any(|finding| finding.check == Check::Docker && finding.severity == Severity::Good);
    Ok(if is_blocked && !has_docker { LACKS } else { 0 })
}

fn show(finding: &Finding) {
    let color = |color: anstyle::AnsiColor| color.on_default().bold();
    let (style, word) = match finding.severity {
        Severity::Good => (color(anstyle::AnsiColor::Green), "good"),
        Severity::Notice => (color(anstyle::AnsiColor::Cyan), "note"),
        Severity::Warning => (color(anstyle::AnsiColor::Yellow), "warning"),
        Severity::Blocking => (color(anstyle::AnsiColor::Red), "blocking"),
    };
    anstream::println!("{style}{word:<8}{style:#}  {}", finding.what);
    for line in finding.why.lines() {
        anstream::println!("          {line}");
    }
    for line in finding.mend.iter().flat_map(|mend| mend.lines()) {
        anstream::println!("          {line}");
    }
}
