//! Where a value of the plan came from, and every alternative that was looked at.

use super::dependencies::{FOR_ALL, PARTS, PRODUCTION, SHARED};
use super::locks::Tool;
use super::packages::APTFILE;
use super::{Origin, Plan, PlanError, python};
use crate::application::commands::{self, LeftOut};
use crate::develop::processes::Procfile;
use crate::last_build::LastBuild;
use crate::project::{Project, ProjectError};

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Where: a file with its line, or a place in words.
    pub place: String,
    /// What stands there.
    pub found: Option<String>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of an alternative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It decides, or is part of the decision.
    Taken,
    /// It is not there.
    Absent,
    /// This place comes first.
    ComesAfter(String),
    /// This place rules it out.
    ExcludedBy(String),
    /// It cannot be had.
    NotOnOffer,
    /// It is no command of the image.
    NoCommand(LeftOut),
    /// Only a build can tell.
    AskedInABuild,
}

impl Considered {
    pub(super) fn new(place: impl Into<String>, found: Option<String>, verdict: Verdict) -> Self {
        Self { place: place.into(), found, verdict }
    }
}

/// Everything that was looked at for a key, in the order of looking; `None` for an unknown key.
pub fn explain(
    plan: &Plan,
    last: Option<&LastBuild>,
    key: &str,
) -> Result<Option<Vec<Considered>>, PlanError> {
    Ok(Some(match key {
        "name" => vec![Considered::new(
            plan.name.origin.to_string(),
            plan.project.folder.file_name().map(|name| name.to_string_lossy().into_owned()),
            Verdict::Taken,
        )],
        "manage.py" => manage_py(&plan.project),
        "python" | "debian" | "base" => python::explain(plan)?,
        "dependencies" => dependencies(plan)?,
        "settings" => settings(plan, last)?,
        "server" => server(plan, last)?,
        "commands" => commands(plan, last)?,
        "packages" => packages(plan)?,
        "static" => static_files(plan, last),
        _ => return Ok(None),
    }))
}

fn manage_py(project: &Project) -> Vec<Considered> {
    let place = project.manage_py.as_str();
    let mut found = vec![Considered::new(place, Some("starts Django".to_owned()), Verdict::Taken)];
    for folder in ["node_modules", "venv", ".venv", "env"] {
        if project.folder.join(folder).is_dir() {
            let verdict = Verdict::ExcludedBy("what is other people's code".to_owned());
            found.push(Considered::new(format!("{folder}/"), None, verdict));
        }
    }
    found.push(Considered::new(
        "folders further down",
        None,
        Verdict::ComesAfter(format!("{place}, which is nearest to the top")),
    ));
    found
}

/// One place after the other, of which the first that is there decides.
fn first_wins(places: impl IntoIterator<Item = (String, Option<String>)>) -> Vec<Considered> {
    let mut taken: Option<String> = None;
    let mut all = Vec::new();
    for (place, found) in places {
        let verdict = match (&found, &taken) {
            (None, _) => Verdict::Absent,
            (Some(_), Some(taken)) => Verdict::ComesAfter(taken.clone()),
            (Some(_), None) => {
                taken = Some(place.clone());
                Verdict::Taken
            }
        };
        all.push(Considered::new(place, found, verdict));
    }
    all
}

pub(super) fn at(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn dependencies(plan: &Plan) -> Result<Vec<Considered>, ProjectError> {
    let named = plan.config.ship.requirements.as_ref();
    let mut places = vec![(
        configured("requirements", named.map(|named| &named.origin)),
        named.map(|named| named.value.join(", ")),
    )];
    let taken = match &plan.dependencies.origin {
        Origin::File(file, _) => file.clone(),
        other => other.to_string(),
    };
    let mut further = Vec::new();
    for folder in plan.project.folders() {
        // Of several locks, the one of the tool that is configured.
        let mut locks: Vec<&str> = Tool::ALL.iter().map(|tool| tool.lock()).collect();
        locks.sort_by_key(|lock| at(&folder, lock) != taken);
        let manifests = [Tool::Pipenv.manifest(), SHARED];
        let names = locks.iter().chain(PRODUCTION).chain(FOR_ALL).chain(PARTS).chain(&manifests);
        for name in names {
            let place = at(&folder, name);
            let there = plan.project.read(&place)?.is_some();
            further.push((place, there));
        }
    }
    let is_named = named.is_some();
    places.extend(further.into_iter().map(|(place, there)| {
        // A pyproject.toml may be there without dependencies.
        let counts = there && (is_named || !place.ends_with(SHARED) || place == taken);
        (place, counts.then(|| "there".to_owned()))
    }));
    let files = plan.dependencies.value.files();
    let mut all = first_wins(places);
    for one in &mut all {
        if matches!(one.verdict, Verdict::ComesAfter(_)) && files.contains(&one.place) {
            (one.found, one.verdict) = (Some("part of it".to_owned()), Verdict::Taken);
        }
    }
    Ok(all)
}

fn configured(key: &str, origin: Option<&Origin>) -> String {
    origin.map_or_else(|| format!("`{key}` of the configuration"), |origin| format!("`{key}` in {origin}"))
}

fn settings(plan: &Plan, last: Option<&LastBuild>) -> Result<Vec<Considered>, ProjectError> {
    let named = plan.config.ship.settings.as_ref();
    let mut all = first_wins([(
        configured("settings", named.map(|named| &named.origin)),
        named.map(|named| named.value.clone()),
    )]);
    let rule = |otherwise| if named.is_some() { Verdict::ComesAfter(all_place(&all)) } else { otherwise };
    let mut more = Vec::new();
    if let Some(develop) = &plan.config.develop.settings {
        let verdict = Verdict::ExcludedBy("what is for development alone".to_owned());
        let place = configured("develop.settings", Some(&develop.origin));
        more.push(Considered::new(place, Some(develop.value.clone()), verdict));
    }
    let manage = plan.project.manage_py.as_str();
    let text = plan.project.read(manage)?.unwrap_or_default();
    let said = said_settings(&text);
    let answered = last.and_then(|last| last.facts.settings_module.as_ref()).filter(|_| named.is_none());
    let place = said.as_ref().map_or_else(|| manage.to_owned(), |(line, _)| format!("{manage}, line {line}"));
    let said = said.map(|(_, module)| module);
    let verdict = match (&said, answered) {
        (None, _) => Verdict::Absent,
        (Some(said), Some(answer)) if *said == answer.value => Verdict::Taken,
        (Some(_), Some(answer)) => Verdict::ComesAfter(answer.origin.clone()),
        (Some(_), None) => Verdict::AskedInABuild,
    };
    more.push(Considered::new(place, said, rule(verdict)));
    if let Some(last) = last.filter(|_| named.is_none()) {
        let module = last.facts.settings().to_owned();
        let origin = last.facts.settings_module.as_ref().map_or("", |module| &module.origin);
        more.push(Considered::new(format!("the last build, from {origin}"), Some(module), Verdict::Taken));
        for switch in &last.facts.switches {
            let value = format!("{}={}", switch.name, switch.value);
            more.push(Considered::new(switch.why.clone(), Some(value), Verdict::Taken));
        }
    }
    all.extend(more);
    Ok(all)
}

fn all_place(all: &[Considered]) -> String {
    all.first().map_or_else(String::new, |first| first.place.clone())
}

/// The line of `manage.py` that names a settings module, and the module.
fn said_settings(text: &str) -> Option<(usize, String)> {
    let (index, line) = text.lines().enumerate().find(|(_, line)| line.contains("DJANGO_SETTINGS_MODULE"))?;
    let rest = line.split("DJANGO_SETTINGS_MODULE").nth(1)?;
    let module = rest.split(['"', '\'']).find(|part| part.contains(|c: char| c.is_alphanumeric()))?;
    Some((index + 1, module.to_owned()))
}

fn server(plan: &Plan, last: Option<&LastBuild>) -> Result<Vec<Considered>, PlanError> {
    let mut all: Vec<_> = commands(plan, last)?.into_iter().filter(is_web).collect();
    let web = plan.config.ship.commands.get("web");
    if web.is_none() {
        all.insert(0, Considered::new("`commands.web` of the configuration", None, Verdict::Absent));
    }
    for place in Procfile::production_places(&plan.project) {
        if plan.project.read(&place)?.is_none() {
            all.push(Considered::new(place, None, Verdict::Absent));
        }
    }
    let own = at(&plan.project.django_folder(), "gunicorn.conf.py");
    let there = plan.project.read(&own)?.is_some();
    let verdict = if there { Verdict::Taken } else { Verdict::Absent };
    all.push(Considered::new(own, there.then(|| "options of Gunicorn, but for `bind`".to_owned()), verdict));
    let Some(last) = last else {
        all.push(Considered::new("WSGI_APPLICATION and ASGI_APPLICATION", None, Verdict::AskedInABuild));
        return Ok(all);
    };
    let taken: Option<&str> = last.commands.first().map(|web| match &web.line {
        crate::project::command::CommandLine::Words(words)
            if words.iter().any(|word| word.contains("asgi")) =>
        {
            "asgi"
        }
        _ => "wsgi",
    });
    for (kind, found) in [("wsgi", &last.facts.wsgi), ("asgi", &last.facts.asgi)] {
        let verdict = match found {
            None => Verdict::Absent,
            Some(_) if taken == Some(kind) => Verdict::Taken,
            Some(_) => Verdict::ComesAfter("the other one: channels decides".to_owned()),
        };
        all.push(Considered::new(format!("{}_APPLICATION", kind.to_uppercase()), found.clone(), verdict));
    }
    for (name, version) in &last.summary.supplied {
        all.push(Considered::new("djship", Some(format!("supplies {name} {version}")), Verdict::Taken));
    }
    Ok(all)
}

fn is_web(one: &Considered) -> bool {
    one.found.as_ref().is_some_and(|found| found.starts_with("web: "))
        || matches!(&one.verdict, Verdict::NoCommand(left) if left.name == "web")
}

fn commands(plan: &Plan, last: Option<&LastBuild>) -> Result<Vec<Considered>, PlanError> {
    let (all, left_out) = if let Some(last) = last {
        (last.commands.clone(), last.left_out.clone())
    } else {
        let found = commands::from_files(plan)?;
        (found.all, found.left_out)
    };
    let mut considered: Vec<_> = all
        .into_iter()
        .map(|one| {
            let said = format!("{}: {}", one.name, one.line.as_text());
            Considered::new(one.origin.to_string(), Some(said), Verdict::Taken)
        })
        .collect();
    considered.extend(left_out.into_iter().map(|left| {
        Considered::new(left.origin.to_string(), Some(left.name.clone()), Verdict::NoCommand(left))
    }));
    if last.is_none() {
        considered.push(Considered::new("Celery in the settings", None, Verdict::AskedInABuild));
    }
    Ok(considered)
}

fn packages(plan: &Plan) -> Result<Vec<Considered>, ProjectError> {
    let mut all = Vec::new();
    for (key, list) in [("build", &plan.packages.build), ("run", &plan.packages.run)] {
        for package in list {
            let found = format!("{} ({key})", package.value);
            all.push(Considered::new(package.origin.to_string(), Some(found), Verdict::Taken));
        }
    }
    if plan.config.ship.packages == crate::project::config::ShipPackages::default() {
        all.push(Considered::new("`packages` of the configuration", None, Verdict::Absent));
    }
    let files: Vec<_> = plan.project.folders().iter().map(|folder| at(folder, APTFILE)).collect();
    for file in files {
        if plan.project.read(&file)?.is_none() {
            all.push(Considered::new(file, None, Verdict::Absent));
        }
    }
    all.push(Considered::new("libraries that compiled modules need", None, Verdict::AskedInABuild));
    Ok(all)
}

fn static_files(plan: &Plan, last: Option<&LastBuild>) -> Vec<Considered> {
    let said = plan.config.ship.static_files.as_ref();
    let mut all =
        first_wins([(configured("static", said.map(|said| &said.origin)), said.map(|_| "none".to_owned()))]);
    let Some(last) = last else {
        all.push(Considered::new(
            "STATIC_ROOT and the storage in the settings",
            None,
            Verdict::AskedInABuild,
        ));
        return all;
    };
    let found = &last.facts.static_files;
    let verdict = |value: &Option<String>| match (value, said) {
        (None, _) => Verdict::Absent,
        (Some(_), None) => Verdict::Taken,
        (Some(_), Some(said)) => Verdict::ComesAfter(said.origin.to_string()),
    };
    for (place, value) in [
        ("STATIC_ROOT", &found.root),
        ("STATIC_URL", &found.url),
        ("the storage", &found.storage),
        ("served by", &found.served_by),
    ] {
        all.push(Considered::new(place, value.clone(), verdict(value)));
    }
    all
}

#[cfg(test)]
mod tests;
