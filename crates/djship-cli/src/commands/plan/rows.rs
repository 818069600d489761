//! The rows of a plan: what the files say, and what the last build found out.

use djship_django::application::commands;
use djship_django::last_build::LastBuild;
use djship_django::plan::foundation::Foundation;
use djship_django::plan::{Plan, Sourced};
use djship_django::project::selection::{LeftOut, Selection};
use serde_json::{Value, json};

use crate::errors::{self, Report};
use crate::ui::{left_out_reason, origin};

/// The origin of what nobody knows yet.
const IN_A_BUILD: &str = "asked in a build";
/// The origin of what a build found out.
const LAST_BUILD: &str = "the settings, in the last build";

/// One key of the plan.
pub(super) struct Row {
    /// Stable.
    pub(super) key: &'static str,
    /// A text, a list or an object; null when only a build can tell.
    pub(super) value: Value,
    /// Where it came from, in words.
    pub(super) origin: String,
    /// The value as people read it, where that is not plain.
    shown: Option<Vec<String>>,
}

impl Row {
    fn new(key: &'static str, value: impl Into<Value>, origin: impl Into<String>) -> Self {
        Self { key, value: value.into(), origin: origin.into(), shown: None }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "value": self.value, "origin": self.origin })
    }

    /// With these words for people.
    fn shown(self, lines: Vec<String>) -> Self {
        Self { shown: Some(lines), ..self }
    }

    /// The value as people read it; at least one line.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines: Vec<String> = match (&self.shown, &self.value) {
            (_, Value::Null) => vec!["-".to_owned()],
            (Some(lines), _) => lines.clone(),
            (None, Value::Array(list)) => list.iter().map(line).collect(),
            (None, Value::Object(map)) => {
                let there = map.iter().filter(|(_, value)| !value.is_null());
                there.map(|(key, value)| format!("{key}: {}", line(value))).collect()
            }
            (None, other) => vec![line(other)],
        };
        if lines.is_empty() { vec!["none".to_owned()] } else { lines }
    }
}

impl Row {
    /// The lines for a table, where long lists are only counted.
    pub(super) fn short_lines(&self) -> Vec<String> {
        match &self.value {
            Value::Array(list) if self.key == "left-out" && list.len() > 1 => {
                vec![format!("{} files and folders", list.len())]
            }
            Value::Number(number) => vec![format!("{number} ship")],
            _ => self.lines(),
        }
    }
}

fn line(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// All rows, in their order.
pub(super) fn all(plan: &Plan, last: Option<&LastBuild>) -> Result<Vec<Row>, Report> {
    let ship = &plan.config.ship;
    let mut rows = vec![
        Row::new("name", plan.name.value.clone(), origin(&plan.name.origin)),
        Row::new("manage.py", plan.project.manage_py.as_str(), "found in the project"),
    ];
    rows.extend(foundation(&plan.foundation));
    rows.extend([
        Row::new(
            "dependencies",
            plan.dependencies.value.files().join(", "),
            origin(&plan.dependencies.origin),
        ),
        packages(plan),
        settings(plan, last),
    ]);
    rows.extend(served(plan, last)?);
    rows.extend(told(last));
    if let Some(given) = &ship.build_env {
        // Values are for builds alone.
        let names: Vec<_> = given.value.keys().cloned().collect();
        rows.push(Row::new("build-env", names, origin(&given.origin)));
    }
    rows.extend(files(plan)?);
    Ok(rows)
}

/// Python and the system.
fn foundation(foundation: &Foundation) -> [Row; 2] {
    match foundation {
        Foundation::Debian { release, .. } => {
            let (major, minor) = release.value.python();
            [
                Row::new("python", format!("{major}.{minor}"), origin(&release.origin)),
                Row::new("debian", release.value.to_string(), "has that Python"),
            ]
        }
        Foundation::Image(image) => {
            let ranges: Vec<_> = image
                .ranges
                .iter()
                .filter(|range| !range.range.is_empty())
                .map(|range| format!("{} ({})", range.range, origin(&range.origin)))
                .collect();
            let must = if ranges.is_empty() {
                "known when the image is pulled".to_owned()
            } else {
                format!("known when the image is pulled; must be {}", ranges.join(" and "))
            };
            [
                Row::new("base", image.name.value.clone(), origin(&image.name.origin)),
                Row::new("python", "the image's", must),
            ]
        }
    }
}

fn packages(plan: &Plan) -> Row {
    let list = |list: &[Sourced<String>]| -> Vec<Value> {
        list.iter().map(|one| json!({ "name": one.value, "origin": origin(&one.origin) })).collect()
    };
    let (build, run) = (list(&plan.packages.build), list(&plan.packages.run));
    let from = plan.packages.run.first().or(plan.packages.build.first());
    let from = from.map_or_else(|| "nothing asks for any".to_owned(), |one| origin(&one.origin));
    if build.is_empty() && run.is_empty() {
        return Row::new("packages", json!([]), from);
    }
    let names = |key: &str, list: &[Sourced<String>]| {
        let names: Vec<_> = list.iter().map(|one| one.value.as_str()).collect();
        (!names.is_empty()).then(|| format!("{key}: {}", names.join(", ")))
    };
    let shown = [names("build", &plan.packages.build), names("run", &plan.packages.run)];
    Row::new("packages", json!({ "build": build, "run": run }), from)
        .shown(shown.into_iter().flatten().collect())
}

fn settings(plan: &Plan, last: Option<&LastBuild>) -> Row {
    if let Some(settings) = &plan.config.ship.settings {
        return Row::new("settings", settings.value.clone(), origin(&settings.origin));
    }
    match last.and_then(|last| last.facts.settings_module.as_ref()) {
        Some(module) => {
            Row::new("settings", module.value.clone(), format!("{}, in the last build", module.origin))
        }
        None => Row::new("settings", Value::Null, IN_A_BUILD),
    }
}

/// What serves, and what else is started.
fn served(plan: &Plan, last: Option<&LastBuild>) -> Result<Vec<Row>, Report> {
    let found = match last {
        Some(last) => last.commands.clone(),
        None => commands::from_files(plan).map_err(|error| errors::build(&error.into()))?.all,
    };
    let row = |command: &commands::Command| json!({ "name": command.name, "command": text(command), "origin": command.origin.to_string() });
    let web = found.iter().find(|command| command.name == "web");
    let server = match web {
        Some(web) => Row::new("server", text(web), web.origin.to_string()),
        None => {
            Row::new("server", Value::Null, "gunicorn or an ASGI server, by the settings; asked in a build")
        }
    };
    let others: Vec<_> = found.iter().filter(|command| command.name != "web").collect();
    let shown = others.iter().map(|one| format!("{}: {} ({})", one.name, text(one), one.origin)).collect();
    let others: Vec<_> = others.into_iter().map(row).collect();
    let from = if last.is_some() { "the last build" } else { "the files; Celery is asked in a build" };
    Ok(vec![server, Row::new("commands", others, from).shown(shown)])
}

/// The command as people know it.
fn text(command: &commands::Command) -> String {
    command.line.as_text().replace("/venv/bin/python /opt/djship/launch.py ", "")
}

/// What only Django can tell.
fn told(last: Option<&LastBuild>) -> Vec<Row> {
    const KEYS: [&str; 4] = ["databases", "static", "writable", "variables"];
    let Some(last) = last else {
        return KEYS.map(|key| Row::new(key, Value::Null, IN_A_BUILD)).into();
    };
    let facts = &last.facts;
    let kind = |engine: &str| engine.rsplit('.').next().unwrap_or(engine).to_owned();
    let databases: serde_json::Map<_, _> = facts
        .databases
        .iter()
        .map(|(alias, database)| (alias.clone(), Value::from(kind(&database.engine))))
        .collect();
    let found = &facts.static_files;
    let statics = if found.app {
        json!({ "root": found.root, "url": found.url, "served by": found.served_by })
    } else {
        Value::Null
    };
    let writable: Vec<_> =
        facts.writable.iter().map(|folder| json!({ "path": folder.path, "why": folder.why })).collect();
    let required = |name: &str| facts.required.iter().any(|variable| variable.name == name);
    let place = |file: &Option<String>, line: Option<u64>| {
        file.as_ref().map(|file| line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    };
    let needed = facts.required.iter().map(|variable| (variable, "necessary"));
    let others = facts.read.iter().filter(|variable| !required(&variable.name));
    let variables: Vec<_> = needed
        .chain(others.map(|variable| (variable, "read")))
        .map(|(variable, need)| {
            let place = place(&variable.file, variable.line);
            json!({ "name": variable.name, "kind": variable.kind, "need": need, "place": place, "unless": unless(&variable.unless) })
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shown_folders =
        writable.iter().map(|one| format!("{} ({})", text(&one["path"]), text(&one["why"]))).collect();
    let shown_variables = variables
        .iter()
        .map(|one| {
            [&one["name"], &one["kind"], &one["need"], &one["place"]]
                .map(text)
                .join("  ")
                .trim_end()
                .to_owned()
        })
        .collect();
    vec![
        Row::new("databases", databases, LAST_BUILD),
        Row::new("static", statics, LAST_BUILD),
        Row::new("writable", writable, LAST_BUILD).shown(shown_folders),
        Row::new("variables", variables, LAST_BUILD).shown(shown_variables),
    ]
}

fn unless(names: &[String]) -> Value {
    if names.is_empty() { Value::Null } else { json!(names) }
}

/// What ships, and what stays behind.
fn files(plan: &Plan) -> Result<Vec<Row>, Report> {
    let include = plan.config.ship.include();
    let selection = Selection::of(&plan.project.folder, &include)
        .map_err(|error| errors::build(&djship_django::application::SnapshotError::from(error).into()))?;
    let by = if selection.left_out.iter().any(|(_, why)| *why == LeftOut::DockerIgnore) {
        ".dockerignore"
    } else {
        "git's ignore files"
    };
    let left: Vec<_> = selection
        .left_out
        .iter()
        .map(|(path, why)| json!({ "path": path.as_str(), "why": left_out_reason(*why) }))
        .collect();
    let shown =
        selection.left_out.iter().map(|(path, why)| format!("{} ({})", path.as_str(), left_out_reason(*why)));
    let shown = shown.collect();
    let count = selection.files.len();
    let mut rows = vec![
        Row::new("files", count, format!("{by}, and what never ships")),
        Row::new("left-out", left, format!("{by}, and what never ships")).shown(shown),
    ];
    if let Some(include) = &plan.config.ship.include {
        rows.push(Row::new("include", include.value.patterns().to_vec(), origin(&include.origin)));
    }
    Ok(rows)
}
