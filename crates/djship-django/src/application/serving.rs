//! What serves the application: the project's own command, or one that djship supplies.

use crate::builder::Distribution;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::project::ProjectError;
use crate::project::requirements::normalise;
use crate::python;

use super::layer::Serving;

/// Chooses the command of `web`.
pub fn choose(
    plan: &Plan,
    facts: &Facts,
    distributions: &[Distribution],
    has_static: bool,
) -> Result<Serving, ProjectError> {
    let has = |name: &str| distributions.iter().any(|found| normalise(&found.name) == name);
    let whitenoise = has_static && facts.static_files.served_by.is_none();
    let asynchronous = facts.asgi.is_some() && (has("channels") || facts.wsgi.is_none());
    if let Some(web) = procfile_web(plan)?
        && web.split_whitespace().next().is_some_and(|program| has(&normalise(program)))
        && !whitenoise
        // Only the supplied wrapper can say where static files are when the settings do not.
        && (facts.static_files.root.is_some() || !has_static)
    {
        let web = web.split_whitespace().map(str::to_owned).collect();
        return Ok(Serving { web, supplied: Vec::new(), requirements: String::new(), whitenoise });
    }
    let launch = |words: &[&str]| {
        ["/venv/bin/python", "/opt/djship/launch.py"]
            .iter()
            .chain(words)
            .map(|&word| word.to_owned())
            .collect()
    };
    let (web, server, pins) = if asynchronous {
        (launch(&["uvicorn", "djship_serve.asgi:application"]), "uvicorn", python::SUPPLIED_ASGI)
    } else {
        let config = "/opt/djship/lib/djship_serve/gunicorn_conf.py";
        // Gunicorn finds the project's own configuration by itself.
        let own = plan.project.folder.join(plan.project.django_folder()).join("gunicorn.conf.py").is_file();
        let words = ["gunicorn", "--config", config, "djship_serve.wsgi:application"];
        let words: Vec<&str> =
            words.into_iter().filter(|word| !own || !(*word == "--config" || *word == config)).collect();
        (launch(&words), "gunicorn", python::SUPPLIED_WSGI)
    };
    // What the project has is the project's, in its version.
    let missing: Vec<&'static str> = [Some(server), whitenoise.then_some("whitenoise")]
        .into_iter()
        .flatten()
        .filter(|name| !has(name))
        .collect();
    let supplied =
        missing.iter().filter_map(|name| Some((*name, python::pinned_version(pins, name)?))).collect();
    Ok(Serving { web, supplied, requirements: requirements(pins, &missing), whitenoise })
}

/// The pins that stand for `names`: each server's own with what it needs, WhiteNoise alone.
fn requirements(pins: &str, names: &[&str]) -> String {
    let is_wanted = |line: &&str| {
        let name = line.split("==").next().unwrap_or_default().trim();
        let of_server = name != "whitenoise";
        names.iter().any(|wanted| if of_server { *wanted != "whitenoise" } else { *wanted == "whitenoise" })
    };
    let lines = pins.lines().filter(|line| line.contains("==")).filter(is_wanted);
    lines.map(|line| format!("{line}\n")).collect()
}

/// The `web` line of a Procfile beside `manage.py`, when it needs no shell.
fn procfile_web(plan: &Plan) -> Result<Option<String>, ProjectError> {
    let folder = plan.project.django_folder();
    let file = if folder.is_empty() { "Procfile".to_owned() } else { format!("{folder}/Procfile") };
    let Some(text) = plan.project.read(&file)? else { return Ok(None) };
    let web = text.lines().find_map(|line| line.trim().strip_prefix("web:"));
    let plain = |command: &&str| !command.contains(['$', '&', '|', ';', '<', '>', '"', '\'', '`', '(']);
    Ok(web.map(str::trim).filter(plain).map(str::to_owned))
}
