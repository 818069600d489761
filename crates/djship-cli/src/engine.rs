//! What runs containers: djship itself, or Docker.

use clap::ValueEnum as _;
use djship_engine::{Docker, Engine, doctor};
use djship_store::Store;

use crate::args::{Cli, Command, EngineChoice};
use crate::env;
use crate::errors::{self, Kind, Report};

/// The engine that the option or the variable names; otherwise the embedded one, or Docker where that one does not work.
pub(crate) fn choose(cli: &Cli, embedded: Engine, store: &Store) -> Result<Engine, Report> {
    if !runs_containers(&cli.command) {
        return Ok(embedded);
    }
    match choice(cli)? {
        EngineChoice::Embedded => Ok(embedded),
        EngineChoice::Docker => {
            let docker = Docker::connect(&env::docker()).map_err(|error| errors::docker(&error))?;
            Ok(with(embedded, docker, &cli.command))
        }
        EngineChoice::Auto => {
            let Err(error) = works(&embedded, store) else { return Ok(embedded) };
            // Without a daemon the embedded engine says better what is missing.
            let Ok(docker) = Docker::connect(&env::docker()) else { return Ok(embedded) };
            if !cli.quiet {
                anstream::eprintln!(
                    "Docker runs the containers: djship's own engine does not work here ({error})"
                );
            }
            Ok(with(embedded, docker, &cli.command))
        }
    }
}

fn choice(cli: &Cli) -> Result<EngineChoice, Report> {
    match (cli.engine, env::text(env::ENGINE)) {
        (Some(choice), _) => Ok(choice),
        (None, None) => Ok(EngineChoice::Auto),
        (None, Some(text)) => EngineChoice::from_str(&text, false).map_err(|_| {
            Report::new(Kind::Usage, format!("cannot use `{text}` from {} as an engine", env::ENGINE))
                .hint("Use auto, embedded or docker")
        }),
    }
}

fn with(engine: Engine, docker: Docker, command: &Command) -> Engine {
    // A build takes what it makes out of its containers, so its daemon may be anywhere.
    let lasts = matches!(command, Command::Up(_) | Command::Run(_) | Command::Manage { .. } | Command::Shell);
    engine.with_docker(if lasts { docker.showing_folders() } else { docker })
}

/// What enters a container goes where that one is.
fn runs_containers(command: &Command) -> bool {
    !matches!(command, Command::Images | Command::Doctor(_) | Command::Exec(_) | Command::Db(_))
}

/// Whether the embedded engine works. A success is remembered until the machine starts again.
fn works(engine: &Engine, store: &Store) -> Result<(), djship_engine::StartError> {
    let boot = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let now = format!("{boot}{}\n", rustix::process::geteuid().as_raw());
    let place = store.root().join("engine");
    if !boot.is_empty() && fs_err::read_to_string(&place).is_ok_and(|then| then == now) {
        return Ok(());
    }
    doctor::try_one(engine, &engine.scratch)?;
    // Looked at again when it cannot be written.
    let _ = djship_store::atomic::write_quickly(&place, now.as_bytes());
    Ok(())
}
