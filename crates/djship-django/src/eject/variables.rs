//! The variables of a container in development, of the step that collects static files, and of what ships.

use super::description::Variable;
use crate::facts::{Facts, Variable as Read};

/// A value for static files alone: long enough for Django, and plainly nobody's key.
const NO_SECRET: &str = "not-a-key-only-for-the-step-that-collects-static-files-0123456789";

/// The same on a developer's machine.
const DEVELOPERS_SECRET: &str = "for-development-only-0123456789-abcdefghijklmnopqrstuvwxyz";

/// What the development server is given; `leading` leads to its services.
pub(super) fn development(facts: &Facts, leading: Vec<Variable>) -> Vec<Variable> {
    let mut variables = vec![
        Variable {
            why: Some("Caches of tools, and of Python itself."),
            ..Variable::new("XDG_CACHE_HOME", "/app/.cache")
        },
        Variable::new("PYTHONPYCACHEPREFIX", "/app/.cache/bytecode"),
        Variable::new("HOME", "/app/.cache"),
    ];
    let first = variables.len();
    variables.extend(leading);
    let is_there = |variables: &[Variable], name: &str| variables.iter().any(|known| known.name == name);
    for read in &facts.required {
        let led = read.unless.iter().any(|other| is_there(&variables, other));
        if !is_there(&variables, &read.name) && !led {
            variables.push(Variable::new(&read.name, &stand_in(read, DEVELOPERS_SECRET)));
        }
    }
    if let Some(variable) = variables.get_mut(first) {
        variable.why = Some("What the settings read.");
    }
    variables
}

pub(super) fn build(facts: &Facts) -> Vec<Variable> {
    let mut variables = image_settings(facts);
    variables.extend(facts.required.iter().map(|read| Variable::new(&read.name, &stand_in(read, NO_SECRET))));
    variables
}

/// A value of the right shape that leads nowhere.
fn stand_in(read: &Read, secret: &str) -> String {
    match read.kind.as_deref().unwrap_or_default() {
        "secret" => secret,
        "database" => "sqlite://:memory:",
        "url" | "urls" => "http://localhost/",
        "host" | "hosts" => "localhost",
        "int" | "port" | "float" => "1",
        "bool" => "0",
        "email" => "nobody@localhost",
        _ => "nothing",
    }
    .to_owned()
}

/// Settings module, configuration and switches of production.
fn image_settings(facts: &Facts) -> Vec<Variable> {
    let mut variables = Vec::new();
    if !facts.settings().is_empty() {
        variables.push(Variable::new("DJANGO_SETTINGS_MODULE", facts.settings()));
    }
    if let Some(class) = &facts.configuration {
        variables.push(Variable::new("DJANGO_CONFIGURATION", &class.value));
    }
    variables.extend(facts.switches.iter().map(|switch| Variable::new(&switch.name, &switch.value)));
    variables
}

pub(super) fn image(facts: &Facts) -> Vec<Variable> {
    let mut variables = vec![
        Variable::new("PATH", "/venv/bin:/usr/local/bin:/usr/bin:/bin"),
        Variable::new("LANG", "C.UTF-8"),
        Variable::new("PYTHONUNBUFFERED", "1"),
        Variable::new("PYTHONDONTWRITEBYTECODE", "1"),
        Variable::new("WEB_CONCURRENCY", "2"),
    ];
    variables.extend(image_settings(facts));
    variables
}
