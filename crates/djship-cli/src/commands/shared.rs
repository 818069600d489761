//! `--cache REPOSITORY`: builds that take base and dependencies from a registry, and put them there.

use std::path::Path;
use std::time::Duration;

use djship_django::build::{BuildOptions, Built, build};
use djship_django::plan::Sourced;
use djship_django::project::Project;
use djship_django::project::config::Config;
use djship_django::shared::{Part, Shared, SharedCache};
use djship_django::tools::Tools;
use djship_oci::registry::{Artifacts, Reference};

use super::push::{self, Bar};
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::{Console, duration, origin, part, size};

/// What stands for no shared cache at all, whatever the project says.
const NONE: &str = "none";

/// Which shared cache a command is to use.
pub(crate) enum Wanted {
    /// None.
    No,
    /// This one.
    Named(Reference),
    /// The one that the project names, if it does.
    Projects,
}

impl Wanted {
    /// What the option says, or the environment: known before anything is done.
    pub(crate) fn of(option: Option<&str>) -> Result<Self, Report> {
        let variable = env::text(env::CACHE);
        let (text, source) = match (option, &variable) {
            (Some(text), _) => (text, "--cache"),
            (None, Some(text)) => (text.as_str(), env::CACHE),
            (None, None) => return Ok(Self::Projects),
        };
        if text == NONE {
            return Ok(Self::No);
        }
        repository(text)
            .map(Self::Named)
            .map_err(|report| Report { kind: Kind::Usage, ..report.line(format!("It comes from {source}.")) })
    }

    fn repository(self, folder: &Path) -> Result<Option<Reference>, Report> {
        match self {
            Self::No => return Ok(None),
            Self::Named(reference) => return Ok(Some(reference)),
            Self::Projects => {}
        }
        let project = Project::open(folder).map_err(|error| errors::build(&error.into()))?;
        let config = Config::read(&project).map_err(|error| errors::config(&error))?;
        let Some(Sourced { value, origin: place }) = config.cache else { return Ok(None) };
        if value == NONE {
            return Ok(None);
        }
        let wrong = |report: Report| Report { kind: Kind::User, ..report };
        repository(&value)
            .map(Some)
            .map_err(|report| wrong(report.line(format!("It comes from {}.", origin(&place)))))
    }
}

/// Reads the name of a repository.
fn repository(text: &str) -> Result<Reference, Report> {
    let reference = Reference::parse(text, env::text(env::REGISTRY).as_deref())
        .map_err(|error| errors::registry(&error.into()))?;
    let last = text.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        let title = format!("cannot use `{text}` as a shared cache: it names an image in a repository");
        return Err(Report::new(Kind::Usage, title)
            .hint("Name the repository alone, such as registry.example/team/djship-cache"));
    }
    Ok(reference)
}

/// Builds with the shared cache; also returns what there is to say about it at the end.
pub(crate) fn build_with(
    workshop: &Workshop,
    wanted: Wanted,
    folder: &Path,
    options: &BuildOptions,
    console: &Console,
) -> Result<(Built, Vec<String>), Report> {
    let is_projects = matches!(wanted, Wanted::Projects);
    let repository = wanted.repository(folder)?.filter(|_| !workshop.host.offline);
    let (client, bar) = (push::client(workshop), Bar(console));
    let cache = repository.map(|repository| {
        let artifacts = Artifacts::new(&client, &repository, &workshop.store, &bar);
        if is_projects { SharedCache::of_project(artifacts) } else { SharedCache::new(artifacts) }
    });
    let tools = Tools { shared: cache.as_ref(), ..workshop.tools(console) };
    let built = build(&tools, folder, options).map_err(|error| errors::build(&error))?;
    Ok((built, cache.as_ref().map_or_else(Vec::new, summary)))
}

fn summary(cache: &SharedCache<'_>) -> Vec<String> {
    let taken = cache.taken();
    let took: Duration = taken.iter().map(|shared| shared.took).sum();
    let instead = format!(" instead of {} of work", duration(took));
    let taken = line("From the shared cache", &taken, &instead);
    let put = line("Put into the shared cache", &cache.put(), "");
    [taken, put].into_iter().flatten().collect()
}

fn line(what: &str, shared: &[Shared], more: &str) -> Option<String> {
    let names: Vec<_> =
        shared.iter().filter(|one| one.part != Part::LibraryNames).map(|one| part(one.part)).collect();
    let bytes = shared.iter().map(|one| one.size).sum();
    (!names.is_empty()).then(|| format!("{what}: {}, {}{more}", names.join(", "), size(bytes)))
}
