//! `djship plan`.

mod rows;

use djship_django::last_build::LastBuild;
use djship_django::plan::explain::{Verdict, explain};
use djship_django::plan::{Origin, Plan, PlanError, Sourced};
use djship_django::project::Project;

use crate::args::PlanArgs;
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::{considered, origin};
use rows::Row;

pub(crate) fn run(args: &PlanArgs) -> Result<i32, Report> {
    let project = Project::open(&args.path).map_err(|error| errors::build(&error.into()))?;
    let plan = Plan::for_project(&project).map_err(|error: PlanError| errors::build(&error.into()))?;
    let home = env::home(rustix::process::geteuid().is_root());
    let last = LastBuild::find(&home, &project.folder);
    let rows = rows::all(&plan, last.as_ref())?;
    match &args.explain {
        Some(key) => explain_key(&plan, last.as_ref(), &rows, key, args.json),
        None if args.json => {
            let object: serde_json::Map<_, _> =
                rows.iter().map(|row| (row.key.to_owned(), row.to_json())).collect();
            anstream::println!("{}", serde_json::Value::Object(object));
            Ok(0)
        }
        None => {
            table(&plan, last.as_ref(), &rows);
            Ok(0)
        }
    }
}

fn table(plan: &Plan, last: Option<&LastBuild>, rows: &[Row]) {
    for row in rows {
        let lines = row.short_lines();
        let (first, others) = lines.split_first().map_or(("", &[][..]), |(first, others)| (first, others));
        anstream::println!("{:<14} {first:<44} {}", row.key, row.origin);
        for line in others {
            anstream::println!("{:<14} {line}", "");
        }
    }
    if !plan.passed_over.is_empty() {
        anstream::println!("{:<14} {:<40} beside it, not used", "", plan.passed_over.join(", "));
    }
    if let Some(Sourced { value, origin: from @ Origin::File(..) }) = plan.foundation.unmet_wish() {
        anstream::println!("{:<14} {value:<44} wished for by {}, not to be had", "", origin(from));
    }
    match last {
        None => anstream::println!("\nThere was no build yet: what only Django can tell is asked in one."),
        Some(last) => {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(last.time);
            let time: String = humantime::format_rfc3339_seconds(time).to_string().chars().take(16).collect();
            let since = match last.is_current {
                Some(true) => "nothing has changed since",
                Some(false) => "files have changed since",
                None => "files may have changed since",
            };
            anstream::println!(
                "\nThe last build was {} ({} UTC); {since}.",
                last.summary.name,
                time.replace('T', " ")
            );
        }
    }
    anstream::println!("Where a value comes from: djship plan --explain KEY");
}

fn explain_key(
    plan: &Plan,
    last: Option<&LastBuild>,
    rows: &[Row],
    key: &str,
    json: bool,
) -> Result<i32, Report> {
    let found = explain(plan, last, key).map_err(|error| errors::build(&error.into()))?;
    let row = rows.iter().find(|row| row.key == key);
    let (Some(row), all) = (row, found.unwrap_or_default()) else {
        let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
        return Err(Report::new(Kind::Usage, format!("cannot explain `{key}`: the plan has no such key"))
            .hint(format!("There are: {}", keys.join(", "))));
    };
    if json {
        let considered: Vec<_> = all.iter().map(considered::to_json).collect();
        let object = serde_json::json!({ "key": key, "value": row.value, "origin": row.origin, "considered": considered });
        anstream::println!("{object}");
        return Ok(0);
    }
    let lines = row.lines();
    match &lines[..] {
        _ if row.value.is_null() => anstream::println!("{key}: {}", row.origin),
        [line] => anstream::println!("{key}: {line} (from {})", row.origin),
        _ => {
            anstream::println!("{key} (from {})", row.origin);
            for line in &lines {
                anstream::println!("  {line}");
            }
        }
    }
    let (absent, others): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.verdict == Verdict::Absent);
    if !all.is_empty() {
        anstream::println!("\nLooked at:");
    }
    for one in others {
        let (mark, verdict) = considered::verdict(&one.verdict);
        let found = one.found.as_ref().map_or_else(String::new, |found| format!(": {found}"));
        let verdict = if verdict.is_empty() { String::new() } else { format!(" ({verdict})") };
        anstream::println!("  {mark} {}{found}{verdict}", one.place);
    }
    let absent: Vec<_> = absent.iter().map(|one| one.place.as_str()).collect();
    if !absent.is_empty() {
        anstream::println!("  - not there: {}", absent.join(", "));
    }
    Ok(0)
}
