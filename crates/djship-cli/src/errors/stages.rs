//! Errors that several stages share, in words.

use djship_deb::ClosureError;
use djship_django::base::BaseError;
use djship_django::running::RunError;
use djship_django::running::first_look::FirstLookError;
use djship_django::services::postgres::PostgresError;
use djship_django::{BytecodeError, ChildError};
use djship_engine::{DockerError, StartError, WaitError};

use super::build::is_no_space;
use super::{Kind, Report};

/// Something that cannot be written or read.
pub(crate) fn storage(error: &(dyn std::error::Error + 'static)) -> Report {
    let report = Report::new(Kind::Host, error.to_string()).causes(error);
    if is_no_space(error) {
        report.hint("Free some space, or set DJSHIP_HOME to a folder on a larger disk")
    } else {
        report.hint("djship doctor looks at the store and the disk")
    }
}

/// Docker, where it does not do what it is asked for.
pub(crate) fn docker(error: &DockerError) -> Report {
    let report = Report::new(Kind::Host, error.to_string()).causes(error);
    match error {
        DockerError::Address { .. } => Report { kind: Kind::Usage, ..report }
            .hint("Set DOCKER_HOST to an address such as unix:///var/run/docker.sock or tcp://docker.example:2376"),
        DockerError::Context { .. } => {
            Report { kind: Kind::User, ..report }.hint("See which contexts there are: docker context ls")
        }
        DockerError::Certificate { .. } => {
            report.hint("DOCKER_CERT_PATH names the folder of ca.pem, cert.pem and key.pem")
        }
        DockerError::NoDaemon { .. } => report.hint(
            "Start it (sudo systemctl start docker), set DOCKER_HOST, or use djship's own engine: --engine embedded",
        ),
        DockerError::Denied { .. } => report.hint(
            "Become a member of the group that may (sudo usermod -aG docker $USER, then log in again), or use \
             djship's own engine: --engine embedded",
        ),
        DockerError::Version { .. } => report.hint("Install a Docker of 19.03 or later, or a later djship"),
        DockerError::Machine { .. } => report.hint("Set DOCKER_HOST to a daemon on a machine of that kind"),
        DockerError::Unseen { .. } => report
            .line("It is on another machine, or in a virtual one that shares other folders.")
            .hint("Use a daemon on this machine (DOCKER_HOST, docker context use), or djship's own engine: --engine embedded"),
        DockerError::Unsupported { .. } => report.hint("Use djship's own engine: --engine embedded"),
        DockerError::Copy { .. } | DockerError::Unpack { .. } | DockerError::Root { .. } => {
            report.hint("djship doctor looks at the store and the disk")
        }
        DockerError::Refused { .. } | DockerError::Connection { .. } | DockerError::Answer { .. } => {
            report.hint("The daemon's log says more: journalctl -u docker")
        }
    }
}

/// A container that does not start.
pub(crate) fn start(error: &StartError) -> Report {
    if let StartError::Docker(error) = error {
        return docker(error);
    }
    match error.exit_code() {
        Some(_) => Report::new(Kind::User, error.to_string()).causes(error),
        None => Report::new(Kind::Host, error.to_string())
            .causes(error)
            .hint("djship doctor says what this host allows, and how to mend it"),
    }
}

pub(crate) fn child(error: &ChildError) -> Report {
    match error {
        ChildError::Start(error) => start(error),
        ChildError::GivenUp => Report::new(Kind::User, error.to_string()),
        ChildError::Wait(WaitError::Docker(error)) => docker(error),
        ChildError::Wait(_) => Report::new(Kind::Host, error.to_string()).causes(error),
    }
}

pub(crate) fn bytecode(error: &BytecodeError) -> Report {
    match error {
        BytecodeError::Compiler { output } => Report::new(Kind::Internal, error.to_string()).tail(output),
        BytecodeError::Child(error) => child(error),
        BytecodeError::Store(_) | BytecodeError::Io(_) => storage(error),
    }
}

/// A Debian root that cannot be made.
pub(crate) fn base(error: &BaseError) -> Report {
    let report = Report::new(Kind::Host, error.to_string()).causes(error);
    match error {
        BaseError::Archive(_) | BaseError::Packages(_) if is_no_space(error) => storage(error),
        BaseError::Archive(_) | BaseError::Packages(_) => report
            .hint("The mirrors are those of the host's apt, or DJSHIP_DEBIAN_MIRROR and DJSHIP_DEBIAN_SECURITY_MIRROR"),
        BaseError::Asked(error) => super::ship::asked(error),
        BaseError::Keyring(_) => report.hint("DJSHIP_DEBIAN_KEYRINGS names files of OpenPGP public keys"),
        BaseError::Mirror(_) => report.hint("Write an address such as http://mirror.example/debian"),
        BaseError::Sources(_) => report.hint("Set DJSHIP_DEBIAN_MIRROR and DJSHIP_DEBIAN_SECURITY_MIRROR"),
        BaseError::Image(error) => super::base_image::base_image(error),
        BaseError::Closure(ClosureError::Later { .. }) => report
            .line("The base image is newer than the mirror's indexes.")
            .hint("Ask for the newest indexes: --refresh; or name an older image: base = \"NAME@sha256:...\""),
        BaseError::Closure(_) => Report { kind: Kind::User, ..report }.hint("Check the package's name in this Debian release"),
        BaseError::Compose(_) => Report { kind: Kind::Internal, ..report },
        BaseError::Bytecode(error) => bytecode(error),
        BaseError::Keep(_) | BaseError::Layer(_) | BaseError::Store(_) | BaseError::Io(_) => storage(error),
    }
}

pub(crate) fn run(error: &RunError) -> Report {
    let report = Report::new(Kind::User, error.to_string()).causes(error);
    match error {
        RunError::PortInUse { address, holder } => {
            let report = match holder {
                Some(holder) => report.line(format!("{holder} listens there.")),
                None => report,
            };
            report.hint(format!(
                "Publish another port: -p {}:8000",
                address.port().checked_add(1).unwrap_or(8001)
            ))
        }
        RunError::Privileged { .. } => {
            report.hint("Publish another port, such as -p 8080:8000, and let a proxy have the privileged one")
        }
        RunError::Address { .. } => report.hint("Publish on an address of this host: -p 127.0.0.1:8000:8000"),
        RunError::User { .. } => report.hint("Write UID or UID:GID, such as 12345:0"),
        RunError::Volume { .. } => report.hint("Check who may write to the folder"),
        RunError::Child(error) => child(error),
    }
}

pub(crate) fn first_look(error: &FirstLookError) -> Report {
    match error {
        FirstLookError::Base(error) | FirstLookError::Postgres(PostgresError::Base(error)) => base(error),
        FirstLookError::Store(error) => storage(error),
        FirstLookError::Postgres(PostgresError::Child(error)) => child(error),
        FirstLookError::Postgres(PostgresError::Start(error)) => start(error),
        FirstLookError::Postgres(PostgresError::Io(_)) => storage(error),
        FirstLookError::Postgres(PostgresError::Init { output }) => {
            Report::new(Kind::Host, error.to_string()).tail(output)
        }
        FirstLookError::Postgres(PostgresError::NoAddress | PostgresError::Silent { .. }) => {
            Report::new(Kind::Host, error.to_string())
                .hint("Give it a database of yours: -e DATABASE_URL=...")
        }
    }
}
