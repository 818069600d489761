//! A failed build, in words.

use djship_django::application::SnapshotError;
use djship_django::build::BuildError;
use djship_django::builder::{BuilderError, InstallFailure};
use djship_django::context::ContextError;
use djship_django::context::clean::Rule;
use djship_django::context::libraries::LibrariesError;
use djship_django::eject::EjectError;
use djship_django::facts::FactsError;
use djship_django::image::check::CheckError;
use djship_django::plan::PlanError;
use djship_django::plan::dependencies::DependenciesError;
use djship_django::plan::locks::{LockError, Tool, Wrong};
use djship_django::project::ProjectError;
use djship_django::project::config::ConfigError;
use djship_django::project::requirements::RequirementsError;
use djship_django::project::selection::SelectionError;

use super::{Kind, Report, base, child};
use crate::ui::origin;

/// The report of a failed build.
pub(crate) fn build(error: &BuildError) -> Report {
    match error {
        BuildError::Project(error) => project(error, "build"),
        BuildError::Plan(error) => plan(error),
        BuildError::Base(error) => base(error),
        BuildError::Builder(error) => builder(error),
        BuildError::Libraries(error) => libraries(error),
        BuildError::Snapshot(error) => snapshot(error),
        BuildError::Facts(error) => facts(error),
        BuildError::Commands(error) => super::ship::commands(error),
        BuildError::Context(error) => context(error),
        BuildError::FrontEnd(error) => super::front_end(error),
        BuildError::Static(error) => super::statics::statics(error),
        BuildError::Check(error) => check(error),
        BuildError::Bytecode(error) => super::bytecode(error),
        BuildError::Layer(error) => super::storage(error),
        BuildError::Keep(error) => super::storage(error),
        BuildError::Name(error) => {
            Report::new(Kind::User, error.to_string()).hint("Name the image: -t NAME:TAG")
        }
        BuildError::Store(error) => super::storage(error),
    }
}

/// The report of files that cannot be made.
pub(crate) fn eject(error: &EjectError) -> Report {
    match error {
        EjectError::Build(BuildError::Project(error)) => project(error, "eject"),
        EjectError::Build(error) => build(error),
        EjectError::Config(error) => super::develop::config(error),
        EjectError::BaseImage { .. } => Report::new(Kind::User, error.to_string())
            .hint("Take `base` out of djship's configuration and eject for Debian's Python, then change FROM in the files"),
        EjectError::Template { .. } => Report::new(Kind::Internal, error.to_string()),
    }
}

/// A folder that is no project; `command` is what was asked for.
pub(super) fn project(error: &ProjectError, command: &str) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        ProjectError::NoFolder { path } if path.is_file() => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string());
            report.line("It is a file.").hint(format!("Give the project's folder: {folder}"))
        }
        ProjectError::NoFolder { .. } if command == "up" => {
            report.hint("Give the folder of a Django project")
        }
        ProjectError::NoFolder { .. } => {
            report.hint("Give the folder of a Django project, or the name of an image (djship images)")
        }
        ProjectError::NoManagePy { near: Some(near), .. } => {
            report.line("It was looked for here and up to three folders down.").hint(format!(
                "There is one above: djship {command} {}",
                near.parent().unwrap_or(near).display()
            ))
        }
        ProjectError::NoManagePy { near: None, .. } if command == "up" => report
            .line("It was looked for here and up to three folders down.")
            .hint("Go to the folder of a Django project, or name it: djship -C path/to/project ..."),
        ProjectError::NoManagePy { near: None, .. } => report
            .line("It was looked for here and up to three folders down.")
            .hint(format!("Give the folder of a Django project: djship {command} path/to/project")),
        ProjectError::NotDjango { .. } => report.hint(
            "djship builds Django projects; a `manage.py` of Django's calls `execute_from_command_line`",
        ),
        ProjectError::SeveralManagePy { folder, files } => {
            let list = files.iter().fold(report, |report, file| report.line(file.as_str()));
            let first = files.first().and_then(djship_store::TreePath::parent);
            let folder = first.map_or_else(|| folder.clone(), |first| first.below(folder));
            list.hint(format!("Name the one that you mean: djship {command} {}", folder.display()))
        }
        ProjectError::Read(_) => report.hint("Check who may read the project's files"),
        ProjectError::TooLarge { .. } | ProjectError::Special { .. } => {
            report.hint("Check that the file is what its name says")
        }
        ProjectError::LeadsOut { .. } => report
            .line("The project is somebody else's, and their links are followed only within it.")
            .hint("Put the file itself into the project, or run djship as the project's owner"),
        ProjectError::Encoding { .. } => report.hint("Save the file as UTF-8"),
    }
}

pub(super) fn plan(error: &PlanError) -> Report {
    match error {
        PlanError::Project(error) | PlanError::Config(ConfigError::Project(error)) => project(error, "build"),
        PlanError::Commands(error) => super::ship::commands(error),
        PlanError::Packages(error) => super::ship::packages(error),
        PlanError::Python(error) => super::base_image::python(error),
        PlanError::Base { origin: from, source } => {
            let report = super::base_image::reference(source);
            Report { title: error.to_string(), ..report }.line(format!("It stands in {}.", origin(from)))
        }
        PlanError::Config(error) => super::develop::config(error),
        PlanError::Dependencies(error) => dependencies(error),
    }
}

fn dependencies(error: &DependenciesError) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        DependenciesError::None { folders } => {
            let folders: Vec<_> = folders
                .iter()
                .map(|folder| if folder.is_empty() { "the project's folder" } else { folder.as_str() })
                .collect();
            report
                .line(format!("Looked in {}", folders.join(", ")))
                .hint("Write requirements.txt with at least one line: Django")
        }
        DependenciesError::NoLock { tool, .. } => {
            report.hint(format!("Write the lock, and keep it with the project: {}", tool.refresh()))
        }
        DependenciesError::SeveralLocks { files } => {
            let first = files.first().map_or("one", String::as_str);
            report
                .line("Locks of several tools stand side by side, and pyproject.toml has a section for none or several of them.")
                .hint(format!("Keep the one that is in use; to keep {first}, remove the others"))
        }
        DependenciesError::Lock(error) => lock(error),
        DependenciesError::NoDjango { file } => report.hint(format!("Add Django to {file}")),
        DependenciesError::Requirements(RequirementsError::NoFile { wanted, .. }) => {
            report.hint(format!("Add {wanted}, or remove the line"))
        }
        DependenciesError::Requirements(RequirementsError::Read(error))
        | DependenciesError::Project(error) => project(error, "build"),
        DependenciesError::Toml { .. } => report.hint("Mend the file; nothing was built"),
    }
}

fn lock(error: &LockError) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        LockError::Stale { tool, .. } => report
            .line("What is installed would not be what the project asks for, so nothing was installed.")
            .hint(format!("Make the lock new: {}", tool.refresh())),
        LockError::Format { tool: Tool::Pdm, .. } => report
            .line("djship reads format 4 with the groups of each package, as PDM 2.11 and newer write it.")
            .hint(format!("Make the lock new: {}", Tool::Pdm.refresh())),
        LockError::Format { tool, .. } => {
            report.hint(format!("Write the lock with a version of {} that this djship knows", tool.name()))
        }
        LockError::Entry { wrong: Wrong::Outside, .. } => {
            report.hint("Build from the folder that holds both, or put the package into the project")
        }
        LockError::Entry { wrong: Wrong::Ssh, .. } => {
            report.hint("Name the repository by https in the project's file, and make the lock new")
        }
        LockError::Entry { wrong: Wrong::Python, .. } => {
            report.hint("Make the lock new for the Python that `djship plan` shows")
        }
        LockError::NoHash { .. } | LockError::Entry { wrong: Wrong::Algorithm, .. } => {
            report.hint("Make the lock new with hashes; djship installs nothing from an index without")
        }
        LockError::NoManifest { manifest, .. } => report.hint(format!("Add {manifest}")),
        LockError::Project(error) => project(error, "build"),
        LockError::Syntax { .. }
        | LockError::Entry { .. }
        | LockError::Ambiguous { .. }
        | LockError::Missing { .. }
        | LockError::Environment { .. }
        | LockError::Index { .. }
        | LockError::TooMany { .. } => {
            report.hint("Make the lock new with the tool that wrote it; nothing was built")
        }
    }
}

pub(super) fn builder(error: &BuilderError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        BuilderError::Base(error) => base(error),
        BuilderError::Child(error) => child(error),
        BuilderError::Keep(error) => super::storage(error),
        BuilderError::Project(error) => project(error, "build"),
        BuilderError::Cache(_) if !is_no_space(error) => {
            report.causes(error).hint("Remove .cache from the project: djship makes it anew")
        }
        BuilderError::Cache(_) | BuilderError::Io(_) => super::storage(error),
        BuilderError::Bytecode(error) => super::bytecode(error),
        BuilderError::IndexVariable { variable, .. } => {
            report.hint(format!("Give its value for this command: {variable}=... djship ..."))
        }
        BuilderError::NoInstaller { output } => Report { kind: Kind::Host, ..report }
            .tail(output)
            .hint("Check that the Python index can be reached: pip download uv")
            .hint("A mirror is set as for pip: PIP_INDEX_URL, or pip.conf"),
        BuilderError::Install { file, output, reason } => install(report, file, output, reason.as_ref()),
    }
}

fn install(report: Report, file: &str, output: &[String], reason: Option<&InstallFailure>) -> Report {
    match reason {
        Some(InstallFailure::Unknown { requirement }) => report
            .line(format!("The Python index has no `{requirement}`."))
            .tail(output)
            .hint(format!("Check the name and the version in {file}")),
        Some(InstallFailure::Compile { distribution, missing }) => {
            let report = report.line(format!("`{distribution}` does not compile."));
            let report = missing.iter().fold(report, |report, line| report.line(line.clone()));
            report.tail(output).hint(format!(
                "Its documentation says which system libraries it needs; a version with a wheel for this Python needs none (change it in {file})"
            ))
        }
        Some(InstallFailure::Network) => Report { kind: Kind::Host, ..report }
            .line("The Python index cannot be reached.")
            .tail(output)
            .hint("Check the network; a mirror is set as for pip: PIP_INDEX_URL, or pip.conf"),
        Some(InstallFailure::Offline) => Report { kind: Kind::Host, ..report }
            .line("The network may not be used (--offline), and something is not in the store yet.")
            .hint("Build once without --offline; after that the same dependencies need no network"),
        Some(InstallFailure::NoSpace) => Report { kind: Kind::Host, ..report }
            .line("There is no space left.")
            .hint("Free some, or set DJSHIP_HOME to a folder on a larger disk"),
        None => report.tail(output).hint("Run it again with -v for everything that uv says"),
    }
}

fn libraries(error: &LibrariesError) -> Report {
    match error {
        LibrariesError::Unknown { soname, .. } => Report::new(Kind::User, error.to_string())
            .line("No Debian package that djship knows of ships it.")
            .hint(format!(
                "Find the package of {soname} with apt-file, and tell us: it belongs in djship's table"
            )),
        LibrariesError::Base(error) => base(error),
        LibrariesError::Elf(_) => Report::new(Kind::User, error.to_string())
            .causes(error)
            .hint("Install the distribution again: its file is damaged"),
        LibrariesError::Layer(error) => super::storage(error),
        LibrariesError::Store(error) => super::storage(error),
        LibrariesError::Io(_) => super::storage(error),
    }
}

pub(super) fn snapshot(error: &SnapshotError) -> Report {
    match error {
        SnapshotError::Store(error) => super::storage(error),
        SnapshotError::Selection(SelectionError::Closed { path, .. }) => {
            Report::new(Kind::User, error.to_string())
                .hint(format!("Add `{}` to .dockerignore, or to .gitignore", path.as_str()))
        }
        SnapshotError::Selection(_) | SnapshotError::Copy { .. } => {
            Report::new(Kind::User, error.to_string())
                .causes(error)
                .hint("Mend it, or leave the file out by a line in .dockerignore or .gitignore")
        }
    }
}

pub(super) fn facts(error: &FactsError) -> Report {
    match error {
        FactsError::Settings { failures } => {
            let mut report = Report::new(Kind::User, error.to_string());
            for failure in failures {
                let place = match (&failure.file, failure.line) {
                    (Some(file), Some(line)) => format!("{file}, line {line}: "),
                    (Some(file), None) => format!("{file}: "),
                    _ => String::new(),
                };
                report = report.line(format!("{place}{}: {}", failure.kind, failure.message));
                if let Some(hint) = &failure.hint {
                    report = report.hint(hint.clone());
                }
            }
            report.hint("Mend the settings; `python manage.py check` in the project shows the same")
        }
        FactsError::Probe { output } => Report::new(Kind::Internal, error.to_string()).tail(output),
        FactsError::Answer(_) => Report::new(Kind::Internal, error.to_string()),
        FactsError::Child(error) => child(error),
        FactsError::Snapshot(error) => snapshot(error),
        FactsError::Store(error) => super::storage(error),
        FactsError::Io(_) => super::storage(error),
    }
}

fn context(error: &ContextError) -> Report {
    match error {
        ContextError::Base(error) => base(error),
        ContextError::Builder(error) => builder(error),
        ContextError::Bytecode(error) => super::bytecode(error),
        ContextError::Layer(error) => super::storage(error),
        ContextError::Keep(error) => super::storage(error),
        ContextError::Store(error) => super::storage(error),
        ContextError::Io(_) => super::storage(error),
    }
}

fn check(error: &CheckError) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        CheckError::NotClean { offences } => {
            let list = offences.iter().take(20).fold(report, |report, offence| {
                report.line(format!("{} is {}", offence.path, rule(offence.rule)))
            });
            list.hint("Remove what brings it from the production requirements")
        }
        CheckError::Unreadable { .. } => report.hint("Make the file readable for everybody in the project"),
        CheckError::NoInterpreter => Report { kind: Kind::Internal, ..report },
        CheckError::DoesNotStart { failures, output } => {
            let mut list = report;
            for failure in failures {
                let file = failure.file.as_deref().map(|file| file.strip_prefix("/app/").unwrap_or(file));
                let place = match (file, failure.line) {
                    (Some(file), Some(line)) => format!("{file}, line {line}: "),
                    (Some(file), None) => format!("{file}: "),
                    _ => String::new(),
                };
                list = list.line(format!(
                    "{place}{} ({} {}): {}",
                    failure.kind, failure.what, failure.name, failure.message
                ));
            }
            if failures.is_empty() {
                list = list.tail(output);
            }
            list.hint("Mend it; `python manage.py check` in the project shows the same")
                .hint("--no-check keeps the image as it is")
        }
        CheckError::Child(error) => child(error),
        CheckError::Store(error) => super::storage(error),
        CheckError::Io(_) => super::storage(error),
    }
}

fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Compiler => "a compiler or build tool",
        Rule::Linker => "a linker or assembler",
        Rule::Debugger => "a debugger",
        Rule::Installer => "an installer or package manager",
        Rule::Perl => "Perl",
        Rule::StaticLibrary => "a static library",
        Rule::Header => "a header",
        Rule::DevPackage => "metadata of a -dev package",
        Rule::SetUid => "a set-user-id program",
    }
}

/// Whether the last cause of an error is a full disk.
pub(super) fn is_no_space(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::StorageFull
        {
            return true;
        }
        next = cause.source();
    }
    error.source().is_some_and(|cause| cause.to_string().contains("No space left"))
        || error.to_string().contains("No space left")
}
