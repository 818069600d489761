//! What happens in development, in words.

use djship_django::develop::processes::{LeftOut, ProcessOrigin, Why};
use djship_django::develop::{DevelopmentFacts, Migrated};
use djship_django::plan::development::DevelopmentPlan;
use djship_django::report::Note;
use djship_django::services::ServiceNote;

use super::words::{Words, foundation};

pub(super) fn note(note: &Note<'_>) -> Words {
    match note {
        Note::Develop(plan) => planned(plan),
        Note::RootsProject => warning(
            "the project belongs to root; its code runs as an ordinary user, to whom the files are shown as its own. \
             Better: give it to the user who works on it (chown -R USER .), and run djship as that user",
        ),
        Note::CacheElsewhere(path) => {
            Words::of(format!("`.cache` is another tool's and left alone; ours is {}", path.display()))
        }
        Note::Development(facts) => self::facts(facts),
        Note::Service { name, note: ServiceNote::NewVolume } => Words::of(format!("New volume for {name}")),
        Note::Service { name, note: ServiceNote::PasswordChanged { user } } => {
            Words::of(format!("{name}: the password of `{user}` is now the one that the settings have"))
        }
        Note::Service { name, note: ServiceNote::NewDatabase { name: database } } => {
            Words::of(format!("{name}: new database `{database}`"))
        }
        Note::NotMigrated { alias, host } => not_migrated(alias, host),
        Note::RenamedProcess(renamed) => warning(&format!(
            "the process `{}` is called `{}` here: a service has its name",
            renamed.from, renamed.to
        )),
        Note::Migrated(Migrated::Applied) => Words::of("Migrated the database"),
        Note::Migrated(Migrated::Unchanged) => Words::of("No new migrations"),
        Note::FirstPage(status) => warning(&format!(
            "the first page answers {status}; a table that is missing is made by: djship manage makemigrations, djship manage migrate"
        )),
        Note::FirstPageWaits(time) => warning(&format!(
            "the first page has not come in {} s. Does it stop at a breakpoint? See: djship attach web",
            time.as_secs()
        )),
        Note::LeftOutProcess(left) => left_out(left),
        _ => Words::default(),
    }
}

fn warning(text: &str) -> Words {
    Words { lines: Vec::new(), warnings: vec![text.to_owned()] }
}

fn not_migrated(alias: &str, host: &str) -> Words {
    let place = if host.is_empty() { String::new() } else { format!(" at {host}") };
    let option = if alias == "default" { String::new() } else { format!(" --database {alias}") };
    Words::of(format!(
        "DATABASES['{alias}']{place} is not migrated, because djship does not run it; to do that: djship manage migrate{option}"
    ))
}

fn planned(plan: &DevelopmentPlan) -> Words {
    let mut words = Words::default();
    foundation::planned(&mut words, &plan.foundation);
    words.lines.push(format!(
        "Dependencies from {}{}",
        plan.dependencies.value.files().join(", "),
        super::words::not_used(&plan.passed_over)
    ));
    words
}

fn facts(facts: &DevelopmentFacts) -> Words {
    let mut words = Words::default();
    if let Some(module) = &facts.settings_module {
        let configuration = facts.configuration.as_ref().map(|class| format!(", {}", class.value));
        let debug = if facts.debug == Some(true) { "DEBUG on" } else { "DEBUG off" };
        words.lines.push(format!(
            "Settings {}{} (from {}), {debug}",
            module.value,
            configuration.unwrap_or_default(),
            module.origin
        ));
    }
    for switch in &facts.switches {
        words.lines.push(format!("{}={} turns development on ({})", switch.name, switch.value, switch.why));
    }
    if !facts.supplied.is_empty() {
        let names: Vec<_> = facts.supplied.iter().map(|supplied| supplied.name.as_str()).collect();
        words.lines.push(format!("Values for {}, which nobody sets", names.join(", ")));
    }
    if !facts.connections.is_empty() {
        let names: Vec<_> = facts.connections.keys().map(String::as_str).collect();
        let lead = if names.len() == 1 { "leads" } else { "lead" };
        words.lines.push(format!("{} {lead} to the services below", names.join(", ")));
    }
    if facts.services.is_empty() && facts.databases.values().any(djship_django::facts::Database::is_sqlite) {
        words.lines.push("SQLite, so no server is started".to_owned());
    }
    for external in &facts.external {
        words.lines.push(format!(
            "{} is at {}: that is yours, and nothing is started for it",
            external.uses.join(", "),
            external.host
        ));
    }
    for found in &facts.warnings {
        let place = match (&found.file, found.line) {
            (Some(file), Some(line)) => format!(" ({file}, line {line})"),
            (Some(file), None) => format!(" ({file})"),
            _ => String::new(),
        };
        words.warnings.push(format!("{}{place}", found.message));
    }
    words
}

fn left_out(left: &LeftOut) -> Words {
    let place = match &left.origin {
        ProcessOrigin::File(file, line) => format!("{file}, line {line}"),
        ProcessOrigin::Celery => "the settings".to_owned(),
    };
    let name = &left.name;
    match left.why {
        // As everybody expects.
        Why::DevelopmentServer | Why::Deployment => Words::default(),
        Why::SwitchedOff => Words::of(format!("{name} is switched off ({place})")),
        Why::Service => Words::of(format!("{name} of {place} is a server, and a service takes its place")),
        Why::Repeated => warning(&format!("{name} of {place} does not run: a later line has the same name")),
        Why::NameTaken => {
            warning(&format!("Celery's {name} does not run: {place} has a process of that name"))
        }
        Why::Unreadable => warning(&format!("{place} is no `NAME: COMMAND`: {name}")),
        Why::NothingToSwitchOff => {
            warning(&format!("{place} switches {name} off, and nothing of that name runs"))
        }
    }
}
