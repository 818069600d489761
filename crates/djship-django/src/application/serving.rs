//! What serves the application: the project's own command, or one that djship supplies; and what else the image starts.

use super::commands::{self, Command, CommandOrigin, CommandsError, Fitted, Inside, LeftOut, Why};
use super::layer::{Serving, Wrapped};
use crate::builder::Distribution;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::project::command::CommandLine;
use crate::project::requirements::normalise;
use crate::python;

/// Chooses the commands of the image.
pub fn choose(
    plan: &Plan,
    facts: &Facts,
    distributions: &[Distribution],
    has_static: bool,
    inside: &Inside<'_>,
) -> Result<Serving, CommandsError> {
    let has = |name: &str| distributions.iter().any(|found| normalise(&found.name) == name);
    let whitenoise = has_static && facts.static_files.served_by.is_none();
    // Only the supplied wrapper can say where static files are when the settings do not.
    let wrap = whitenoise || has_static && facts.static_files.root.is_none();
    let folder = plan.project.django_folder();
    let commands = commands::of_image(plan, facts, inside)?;
    let (web, others): (Vec<_>, Vec<_>) = commands.all.into_iter().partition(|command| command.name == "web");
    let mut serving = Serving { left_out: commands.left_out, ..Serving::default() };
    if let Some(own) = web.into_iter().next() {
        let fitted = Fitted::of(&own.line, facts, wrap);
        let insists = matches!(own.origin, CommandOrigin::Config(..));
        match fitted.or_else(|| Fitted::of(&own.line, facts, false).filter(|_| insists)) {
            Some(fitted) => {
                serving.unserved = wrap && fitted.wrapped.is_none();
                serving.whitenoise = whitenoise && fitted.wrapped.is_some();
                serving.dropped = fitted.dropped;
                supply(&mut serving, None, fitted.wrapped, &has);
                serving.commands.push(Command { line: fitted.line, ..own });
            }
            None => {
                serving.left_out.push(LeftOut { name: own.name, origin: own.origin, why: Why::StaticFiles });
            }
        }
    }
    if serving.commands.is_empty() {
        let asynchronous = facts.asgi.is_some() && (has("channels") || facts.wsgi.is_none());
        let (words, server, kind) = if asynchronous {
            (vec!["uvicorn", "djship_serve.asgi:application"], "uvicorn", Wrapped::Asgi)
        } else {
            // Gunicorn finds the project's own configuration by itself.
            let own = plan.project.folder.join(&folder).join("gunicorn.conf.py").is_file();
            let config = ["--config", "/opt/djship/lib/djship_serve/gunicorn_conf.py"];
            let config = if own { &[][..] } else { &config[..] };
            let words = [&["gunicorn"], config, &["djship_serve.wsgi:application"]].concat();
            (words, "gunicorn", Wrapped::Wsgi)
        };
        serving.whitenoise = whitenoise;
        supply(&mut serving, Some(server), Some(kind), &has);
        let words = ["/venv/bin/python", "/opt/djship/launch.py"].into_iter().chain(words);
        serving.commands.push(Command {
            name: "web".to_owned(),
            line: CommandLine::Words(words.map(str::to_owned).collect()),
            folder: folder.clone(),
            origin: CommandOrigin::Default,
        });
    }
    serving.web = serving.commands[0].argv(&folder);
    serving.commands.extend(others);
    Ok(serving)
}

/// Supplies the server, and WhiteNoise where the project's application is wrapped in it. What the project has is the project's, in
/// its version.
fn supply(
    serving: &mut Serving,
    server: Option<&'static str>,
    kind: Option<Wrapped>,
    has: &dyn Fn(&str) -> bool,
) {
    let pins = if kind == Some(Wrapped::Asgi) { python::SUPPLIED_ASGI } else { python::SUPPLIED_WSGI };
    let wanted = [server, serving.whitenoise.then_some("whitenoise")];
    let missing: Vec<&'static str> = wanted.into_iter().flatten().filter(|name| !has(name)).collect();
    serving.supplied =
        missing.iter().filter_map(|name| Some((*name, python::pinned_version(pins, name)?))).collect();
    serving.requirements = requirements(pins, &missing);
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
