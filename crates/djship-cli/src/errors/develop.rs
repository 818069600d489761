//! A development environment that does not come up, in words.

use djship_django::develop::dot_env::DotEnvError;
use djship_django::develop::processes::ProcessesError;
use djship_django::develop::{MigrateError, UpError};
use djship_django::project::config::ConfigError;
use djship_django::services::{ServiceError, VolumeError};
use djship_django::supervisor::{EnvironmentError, StartFailed, WhyNot};

use super::build::is_no_space;
use super::{Kind, Report, base, child, run, start, storage};

/// The report of an environment that does not come up.
pub(crate) fn up(error: &UpError) -> Report {
    match error {
        UpError::Project(error)
        | UpError::Config(ConfigError::Project(error))
        | UpError::DotEnv(DotEnvError::Project(error))
        | UpError::Processes(ProcessesError::Project(error)) => super::build::project(error, "up"),
        UpError::Plan(error) => super::build::plan(error),
        UpError::Builder(error) => super::build::builder(error),
        UpError::Facts(error) => super::build::facts(error),
        UpError::Base(error) => base(error),
        UpError::Config(error) => config(error),
        UpError::DotEnv(error) => Report::new(Kind::User, error.to_string())
            .causes(error)
            .hint("Write NAME=VALUE; a value with spaces or `#` in quotation marks"),
        UpError::Processes(error) => Report::new(Kind::User, error.to_string()).causes(error),
        UpError::Service(error) => service(error),
        UpError::Start(error) => not_started(error),
        UpError::Migrate(error) => migrate(error),
        UpError::Port(error) => port(error),
        UpError::Environment(error) => environment(error),
        UpError::Store(error) => storage(error),
        UpError::Io(error) => storage(error),
    }
}

pub(crate) fn config(error: &ConfigError) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        ConfigError::UnknownKey { nearest: Some(nearest), .. } => {
            report.hint(format!("Did you mean `{nearest}`?"))
        }
        ConfigError::UnknownKey { known, .. } => report.hint(format!("There are: {}", known.join(", "))),
        ConfigError::Both { first, .. } => {
            report.hint(format!("Keep one of them, and move the rest into it: {first} or the other"))
        }
        _ => report.hint("The README shows what djship reads"),
    }
}

fn port(error: &djship_django::running::RunError) -> Report {
    let report = run(error);
    let hints = report.hints.iter().filter(|hint| !hint.starts_with("Publish")).cloned().collect();
    Report { hints, ..report }
        .hint("Take another port: djship up --port 9000; without one, the next free one is taken")
}

fn migrate(error: &MigrateError) -> Report {
    match error {
        MigrateError::Failed { output, .. } => Report::new(Kind::User, error.to_string())
            .tail(output)
            .hint("Mend the migration, or work on the database: djship manage, djship db"),
        MigrateError::Child(error) => child(error),
        MigrateError::Io(error) => storage(error),
    }
}

fn not_started(error: &StartFailed) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    let report = match &error.why {
        WhyNot::Error(why) => match why.downcast_ref::<ServiceError>() {
            Some(error) => service(error),
            None => report.line(why.to_string()).causes(why.as_ref()),
        },
        WhyNot::Ended(_) | WhyNot::Silent(_) | WhyNot::Interrupted => report,
    };
    report.tail(&error.output)
}

fn service(error: &ServiceError) -> Report {
    let report = Report::new(Kind::Host, error.to_string()).causes(error);
    match error {
        ServiceError::Base(error) => base(error),
        ServiceError::Volume(error) => volume(error),
        ServiceError::Start(error) => start(error),
        ServiceError::PortInUse { .. } => Report { kind: Kind::User, ..report }
            .hint("End that program, or have the settings look for the service elsewhere: by a variable, or by a name such as `db`"),
        ServiceError::Init { output, .. } | ServiceError::Account { output, .. } => report.tail(output),
        ServiceError::NoSpace { .. } => {
            report.hint("Free some space, or set DJSHIP_HOME to a folder on a larger disk")
        }
        ServiceError::Unspeakable { .. } | ServiceError::Privileged { .. } => Report { kind: Kind::User, ..report },
        _ => report,
    }
}

/// A volume that cannot be used.
pub(crate) fn volume(error: &VolumeError) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        VolumeError::OtherMajor { .. } => report
            .line("A server of another major version does not read it.")
            .hint("To begin anew: djship down --volumes")
            .hint("To keep the data: dump it with the Python and Debian release that it was made with (djship db dump), then restore it"),
        VolumeError::InUse { .. } => report.hint("Stop what uses it: djship down in that project; see djship ps"),
        _ if is_no_space(error) => storage(error),
        VolumeError::Io { .. } => Report { kind: Kind::Host, ..report },
    }
}

/// An environment whose own files cannot be used.
pub(crate) fn environment(error: &EnvironmentError) -> Report {
    match error {
        EnvironmentError::Io { verb: "find the project folder", .. } => {
            Report::new(Kind::User, error.to_string())
                .causes(error)
                .hint("Give the folder of a Django project")
        }
        EnvironmentError::State { .. } => Report::new(Kind::Host, error.to_string())
            .causes(error)
            .hint("Another version of djship runs there; stop it with that one"),
        EnvironmentError::Silent { .. } => {
            Report::new(Kind::Host, error.to_string()).hint("Try again in a moment")
        }
        EnvironmentError::Io { .. } => storage(error),
    }
}
