//! What happens, in words.

pub(super) mod foundation;

use std::time::Duration;

use djship_django::facts::Facts;
use djship_django::plan::{Origin, Plan};
use djship_django::project::selection::LeftOut;
use djship_django::report::{Because, Check, NoStatic, Note, Root, Stage};

/// Lines, and warnings that are shown even when lines are not.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) lines: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Words {
    pub(super) fn of(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], warnings: Vec::new() }
    }
}

pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Plan => "Plan",
        Stage::Base => "Base",
        Stage::Builder => "Builder",
        Stage::Facts => "Facts",
        Stage::Context => "Context",
        Stage::Image => "Image",
        Stage::Services => "Services",
        Stage::Start => "Start",
    }
}

pub(super) fn note(note: &Note<'_>, verbose: bool) -> Words {
    match note {
        Note::Planned(plan) => planned(plan),
        Note::Pulling { name } => Words::of(format!("Asking for {name}")),
        Note::BaseImage { root, unreached, unmet_wish } => {
            foundation::image(root, unreached.as_deref(), unmet_wish.as_ref())
        }
        Note::Upgraded { packages } => foundation::upgraded(packages),
        Note::Index { codename, date, unreached } => index(codename, *date, unreached.as_deref()),
        Note::Root { what, packages, size: bytes, reused } => root(*what, *packages, *bytes, *reused),
        Note::MustCompile { distributions } if distributions.is_empty() => {
            Words::of("Something has no wheel for this Python, so the compiler comes in")
        }
        Note::MustCompile { distributions } => {
            Words::of(format!("No wheel for {}, so the compiler comes in", distributions.join(", ")))
        }
        Note::PkgResources { version, wanted_by } => Words::of(format!(
            "Supplied setuptools {version}: {wanted_by} imports pkg_resources, and nothing brings it"
        )),
        Note::WithoutHashes { packages } => Words::of(format!(
            "Installed apart, because {} no hashes: {}",
            if packages.len() == 1 { "it has" } else { "they have" },
            packages.join(", ")
        )),
        Note::Installed { distributions, because: None } => {
            Words::of(format!("Using the {} installed before", count(*distributions, "distribution")))
        }
        Note::Installed { distributions, because: Some(because) } => {
            Words::of(format!("Installed {}{}", count(*distributions, "distribution"), again(because)))
        }
        Note::Library { soname, needed_by, package } => {
            Words::of(format!("{package} for {soname} (needed by {})", needed_by.file_name()))
        }
        Note::Facts { facts, because } => self::facts(facts, because.as_ref()),
        Note::LeftOut(paths) => left_out(paths, verbose),
        Note::FrontEndStays(folder) => Words {
            lines: Vec::new(),
            warnings: vec![format!(
                "the ejected files do not build the front end in {}: run its build before docker/builder.sh, and keep what it makes out of .dockerignore",
                if folder.is_empty() { "." } else { folder }
            )],
        },
        Note::NodeModules { packages, because } => {
            let verb = if because.is_some() { "Installed" } else { "Using" };
            Words::of(format!("{verb} {} for the front end", count(*packages, "Node package")))
        }
        Note::FrontEnd { folder, script, files, because } => {
            let verb = if because.is_some() { "Built" } else { "Using" };
            let place = if folder.is_empty() { String::new() } else { format!(" in {folder}") };
            Words::of(format!("{verb} {} of `npm run {script}`{place}", count(*files, "file")))
        }
        Note::Large { folder, size: bytes } => Words {
            lines: Vec::new(),
            warnings: vec![format!(
                "{folder}/ is {} of what ships; if that is no code, name it in .dockerignore or .gitignore",
                size(*bytes)
            )],
        },
        Note::Static { files, size: bytes, root, because } => {
            let verb = if because.is_some() { "Collected" } else { "Using" };
            Words::of(format!("{verb} {} ({}) in {root}", count(*files, "static file"), size(*bytes)))
        }
        Note::OpenFolder { path, why } => Words {
            lines: Vec::new(),
            warnings: vec![format!(
                "{path} holds code and is written to ({why}), so it is open to the run user; a folder of its own for the data would keep the code read-only"
            )],
        },
        Note::NoStatic(NoStatic::SwitchedOff) => {
            Words::of("Static files are neither collected nor served: static = \"none\"")
        }
        Note::Commands(serving) => super::ship::commands(serving),
        Note::NoStatic(NoStatic::AppMissing) => {
            Words::of("No static files: django.contrib.staticfiles is not installed")
        }
        Note::NoStatic(NoStatic::NotAFileSystem) => {
            Words::of("Static files are not collected: their storage is not a file system")
        }
        Note::Supplied { name, version } => {
            Words::of(format!("Supplied {name} {version} in /opt/djship: the project brings none"))
        }
        Note::SyntaxError { path, line, message } => {
            let line = line.map_or_else(String::new, |line| format!(", line {line}"));
            Words { lines: Vec::new(), warnings: vec![format!("{path}{line} is no Python: {message}")] }
        }
        Note::Checked(check) => Words::of(match check {
            Check::CleanOver => {
                "Clean beyond the base image: no compiler, header, installer, set-uid program or Perl"
            }
            Check::Clean => "Clean: no compiler, header, installer, set-uid program or Perl",
            Check::Permissions => "Readable by its user and by any other user",
            Check::Started => "Django started before, and nothing that it read then has changed",
            Check::Starts => "Django starts as the run user, and its URLs and application import",
        }),
        Note::Shared(note) => super::shared::note(note, verbose),
        _ => super::develop::note(note),
    }
}

/// Whether a note says that something was done, not merely that something is as it was.
pub(super) fn is_news(note: &Note<'_>) -> bool {
    match note {
        Note::MustCompile { .. }
        | Note::Pulling { .. }
        | Note::Installed { because: Some(_), .. }
        | Note::Service { .. }
        | Note::FirstPage(_)
        | Note::FirstPageWaits(_) => true,
        Note::Root { reused, .. } => !reused,
        Note::Migrated(migrated) => *migrated == djship_django::develop::Migrated::Applied,
        _ => false,
    }
}

fn index(codename: &str, date: u64, unreached: Option<&str>) -> Words {
    let time = std::time::UNIX_EPOCH + Duration::from_secs(date);
    let day: String = humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect();
    let mut words = Words::of(format!("Debian {codename}, indexes of {day}"));
    if let Some(reason) = unreached {
        words
            .warnings
            .push(format!("using the package indexes of {day}, because no mirror can be reached: {reason}"));
    }
    words
}

fn planned(plan: &Plan) -> Words {
    let mut words = Words::of(format!("Image {} (from {})", plan.name.value, origin(&plan.name.origin)));
    foundation::planned(&mut words, &plan.foundation);
    words.lines.push(format!(
        "Dependencies from {}{}",
        origin(&plan.dependencies.origin),
        not_used(&plan.passed_over)
    ));
    words
}

/// What lies beside the dependencies' files and does not count.
pub(super) fn not_used(passed_over: &[String]) -> String {
    if passed_over.is_empty() { String::new() } else { format!(" ({} not used)", passed_over.join(", ")) }
}

fn root(what: Root, packages: usize, bytes: u64, reused: bool) -> Words {
    let what = match what {
        Root::OnImage => {
            let verb = if reused { "in the store" } else { "put together" };
            let more = count(packages, "Debian package");
            return Words::of(format!("Base image with {more} more: {}, {verb}", size(bytes)));
        }
        Root::Production => "Production root",
        Root::Installer => "Installer",
        Root::Toolchain => "Toolchain",
        Root::Service => "Service",
        Root::FrontEnd => "Node",
    };
    let bytes = if bytes == 0 { String::new() } else { format!(", {}", size(bytes)) };
    let verb = if reused { "in the store" } else { "unpacked" };
    Words::of(format!("{what}: {}{bytes}, {verb}", count(packages, "Debian package")))
}

fn facts(facts: &Facts, because: Option<&Because>) -> Words {
    let mut words = Words::default();
    if because.is_none() {
        words.lines.push("Using what Django said before: nothing that it read has changed".to_owned());
    }
    let class =
        facts.configuration.as_ref().map_or_else(String::new, |class| format!(", class {}", class.value));
    if let Some(module) = &facts.settings_module {
        words.lines.push(format!("Settings {}{class} (from {})", module.value, module.origin));
    }
    for switch in &facts.switches {
        words.lines.push(format!("{}={} in the image: {}", switch.name, switch.value, switch.why));
    }
    let names: Vec<_> = facts.required.iter().map(|variable| variable.name.as_str()).collect();
    if !names.is_empty() {
        words.lines.push(format!("Needs {}, proved by leaving each out", names.join(", ")));
    }
    for (alias, database) in &facts.databases {
        let engine = database.engine.rsplit('.').next().unwrap_or(&database.engine);
        words.lines.push(format!("Database {alias}: {engine}"));
    }
    for warning in &facts.warnings {
        let place = match (&warning.file, warning.line) {
            (Some(file), Some(line)) => format!("{file}, line {line}: "),
            (Some(file), None) => format!("{file}: "),
            _ => String::new(),
        };
        words.warnings.push(format!("{place}{}", warning.message));
    }
    let said = facts.warnings.iter().any(|warning| warning.message.contains("DEBUG"));
    if facts.debug == Some(true) && !said {
        words.warnings.push(
            "DEBUG is on in production: nothing that the settings read turns it off. Errors will show your code and settings to everybody".to_owned(),
        );
    }
    words
}

fn left_out(paths: &[(djship_store::TreePath, LeftOut)], verbose: bool) -> Words {
    const SHOWN: usize = 6;
    if paths.is_empty() {
        return Words::default();
    }
    let shown = if verbose { paths.len() } else { SHOWN };
    let mut names: Vec<_> = paths
        .iter()
        .take(shown)
        .map(|(path, why)| format!("{} ({})", path.as_str(), left_out_reason(*why)))
        .collect();
    if paths.len() > shown {
        names.push(format!("and {} more", paths.len() - shown));
    }
    // The ignore files are the user's own; the other rules are ours.
    let ours = paths.iter().any(|(_, why)| !matches!(why, LeftOut::DockerIgnore | LeftOut::GitIgnore));
    let back = if ours { " (include = [\"...\"] brings back)" } else { "" };
    Words::of(format!("Left out: {}{back}", names.join(", ")))
}

/// Why something stays behind, in a few words.
pub(crate) fn left_out_reason(why: LeftOut) -> &'static str {
    match why {
        LeftOut::DockerIgnore => ".dockerignore",
        LeftOut::GitIgnore => "ignored by git",
        LeftOut::VersionControl => "version control",
        LeftOut::Environment => "environment values",
        LeftOut::PrivateKey => "private key",
        LeftOut::VirtualEnvironment => "virtual environment",
        LeftOut::Cache => "cache",
        LeftOut::Database => "a developer's database",
        LeftOut::Configuration => "djship's own",
        LeftOut::Special => "a socket, pipe or device",
    }
}

fn again(because: &Because) -> String {
    match because {
        Because::First => String::new(),
        Because::InputsChanged => " again: what they depend on has changed".to_owned(),
        Because::Changed(path) if path.is_empty() => " again: the project has changed".to_owned(),
        Because::Changed(path) => format!(" again: {path} has changed"),
    }
}

/// Where a value came from, for a sentence.
pub(crate) fn origin(origin: &Origin) -> String {
    origin.to_string()
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Bytes as people read them, powers of 1000 as registries count.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let value = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// A duration as people read it.
pub(crate) fn duration(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        assert_eq!(
            [size(999), size(1_500), size(44_892_623), size(1_250_000_000)],
            ["999 B", "1.5 kB", "44.9 MB", "1.25 GB"]
        );
        assert_eq!(duration(Duration::from_millis(72)), "72 ms");
        assert_eq!(duration(Duration::from_millis(7_249)), "7.2 s");
    }
}
