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
    {
        let web = web.split_whitespace().map(str::to_owned).collect();
        return Ok(Serving { web, supplied: None, whitenoise });
    }
    let launch = |words: &[&str]| {
        ["/venv/bin/python", "/opt/djship/launch.py"]
            .iter()
            .chain(words)
            .map(|&word| word.to_owned())
            .collect()
    };
    let (web, supplied) = if asynchronous {
        (launch(&["uvicorn", "djship_serve.asgi:application"]), python::SUPPLIED_ASGI)
    } else {
        let config = "/opt/djship/lib/djship_serve/gunicorn_conf.py";
        (launch(&["gunicorn", "--config", config, "djship_serve.wsgi:application"]), python::SUPPLIED_WSGI)
    };
    Ok(Serving { web, supplied: Some(supplied), whitenoise })
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
