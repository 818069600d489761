//! `djship volumes`: the data of services of all projects.

use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use djship_django::services::VolumeError;
use djship_django::services::kept_volumes::{self, KeptVolume};
use djship_django::supervisor::Presence;
use djship_store::Usage;

use crate::args::{RemoveVolumesArgs, VolumesArgs, VolumesCommand};
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::ui::{Console, size};

pub(crate) fn run(args: &VolumesArgs, console: &Console) -> Result<i32, Report> {
    let home = env::home(rustix::process::geteuid().is_root());
    let all = kept_volumes::all(&home).map_err(|error| errors::volume(&error))?;
    match &args.what {
        Some(VolumesCommand::Rm(args)) => remove(&home, all, args, console),
        None if args.json => {
            let volumes: Vec<_> = all.iter().map(document).collect();
            anstream::println!("{}", serde_json::json!({ "version": 1, "volumes": volumes }));
            Ok(0)
        }
        None => {
            for volume in &all {
                anstream::println!("{}", line(volume));
            }
            Ok(0)
        }
    }
}

fn line(volume: &KeptVolume) -> String {
    let project = match (&volume.project, volume.presence) {
        (Some(project), Presence::Gone) => format!("{} (gone)", project.display()),
        (Some(project), _) => project.display().to_string(),
        (None, _) => "(unknown project)".to_owned(),
    };
    let time =
        if volume.in_use { "in use".to_owned() } else { volume.last_use.map_or_else(String::new, day) };
    let service = format!("{} {}", volume.record.service, volume.record.major);
    let bytes = size(bytes(volume));
    format!("{:<40} {service:<14} {bytes:>9}  {time:<10}  {project}", volume.name)
}

fn document(volume: &KeptVolume) -> serde_json::Value {
    let time = volume.last_use.map(|time| humantime::format_rfc3339_seconds(time).to_string());
    serde_json::json!({
        "name": volume.name, "service": volume.record.service, "major": volume.record.major,
        "path": volume.path.to_string_lossy(), "bytes": bytes(volume), "last_use": time, "in_use": volume.in_use,
        "project": volume.project.as_ref().map(|project| project.to_string_lossy()),
        "project_exists": match volume.presence {
            Presence::There => Some(true),
            Presence::Gone => Some(false),
            Presence::Unknown => None,
        },
    })
}

fn day(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}

fn bytes(volume: &KeptVolume) -> u64 {
    let mut usage = Usage::default();
    usage.add(&volume.path);
    usage.bytes()
}

fn remove(
    home: &Path,
    all: Vec<KeptVolume>,
    args: &RemoveVolumesArgs,
    console: &Console,
) -> Result<i32, Report> {
    let chosen = choose(all, args)?;
    if chosen.is_empty() {
        console.result("Nothing to remove");
        return Ok(0);
    }
    if let Some(used) = chosen.iter().find(|volume| volume.in_use) {
        // Before anything is asked or removed.
        return Err(errors::volume(&VolumeError::InUse { path: used.path.clone(), process: None }));
    }
    if !args.yes && !confirmed(&chosen)? {
        console.line("Nothing was changed");
        return Ok(1);
    }
    for volume in &chosen {
        volume.remove(home).map_err(|error| errors::volume(&error))?;
        anstream::println!("Removed {}", volume.name);
    }
    Ok(0)
}

/// The volumes that are meant, each once.
fn choose(all: Vec<KeptVolume>, args: &RemoveVolumesArgs) -> Result<Vec<KeptVolume>, Report> {
    if args.orphaned {
        return Ok(all.into_iter().filter(|volume| volume.presence == Presence::Gone).collect());
    }
    let means = |name: &str, volume: &KeptVolume| {
        volume.name == name || volume.name.split('/').next() == Some(name.trim_end_matches('/'))
    };
    for name in &args.names {
        if !all.iter().any(|volume| means(name, volume)) {
            return Err(Report::new(
                Kind::User,
                format!("cannot remove the volume `{name}`: there is none of that name"),
            )
            .hint("See what there is: djship volumes"));
        }
    }
    Ok(all.into_iter().filter(|volume| args.names.iter().any(|name| means(name, volume))).collect())
}

fn confirmed(chosen: &[KeptVolume]) -> Result<bool, Report> {
    let names: Vec<_> = chosen.iter().map(|volume| volume.name.as_str()).collect();
    if !rustix::termios::isatty(rustix::stdio::stdin()) {
        return Err(Report::new(Kind::Usage, format!("cannot ask whether to remove {}", names.join(", ")))
            .hint("To remove it without a question: djship volumes rm ... --yes"));
    }
    for volume in chosen {
        anstream::eprintln!("{}", line(volume));
    }
    anstream::eprint!("Remove this data for good? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    // No answer is no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
