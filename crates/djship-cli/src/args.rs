//! The command line.

mod develop;
mod docker;
mod push;
mod stored;

use std::path::PathBuf;

pub(crate) use stored::{
    CacheArgs, CacheCommand, PruneArgs, RemoveVolumesArgs, RmiArgs, VolumesArgs, VolumesCommand,
};

use clap::{Args, Parser, Subcommand};

pub(crate) use develop::{DbArgs, DbCommand, DownArgs, ExecArgs, LogsArgs, StatusArgs, UpArgs};
pub(crate) use docker::{ContextArgs, EjectArgs, Tool};
pub(crate) use push::PushArgs;

/// Develop a Django project, and ship it as a clean image, with nothing but this program.
#[derive(Debug, Parser)]
#[command(
    name = "djship",
    version,
    about = "Develop a Django project, and ship it as a clean image, with nothing but this program",
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  djship up                           the whole development environment\n  \
                  djship run --try examples/polls     build, then look at it on http://localhost:8000\n  \
                  djship build . -t shop:1.4          build the production image\n  \
                  djship plan                         see what would be done, and why"
)]
pub(crate) struct Cli {
    /// Work in this folder instead of the current one
    #[arg(short = 'C', long = "directory", global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,

    /// Use no network; what is needed must be in the store
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// What runs containers [default: auto, or DJSHIP_ENGINE]
    #[arg(long, global = true, value_enum, value_name = "ENGINE")]
    pub(crate) engine: Option<EngineChoice>,

    /// Show what child processes print, and more reasons
    // Not global: `djship run -v` is a volume, as in Docker.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Print only errors and results
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineChoice {
    /// The embedded engine, or Docker where that one cannot work
    Auto,
    /// djship itself
    Embedded,
    /// Docker or Podman: the daemon that the `docker` command would use
    Docker,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the development environment of a project, and keep it running
    Up(UpArgs),
    /// Stop the development environment
    Down(DownArgs),
    /// Say what runs in the development environment, and where
    Status(StatusArgs),
    /// Show what the development environment, or a container in the background, printed
    Logs(LogsArgs),
    /// Run a command in a running container of the development environment
    Exec(ExecArgs),
    /// Connect this terminal with a program of the development environment, such as a debugger in `web`
    Attach {
        /// The program
        #[arg(default_value = "web")]
        program: String,
    },
    /// Run `manage.py` in the development environment
    Manage {
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        arguments: Vec<String>,
    },
    /// Open a shell in the development environment
    Shell,
    /// Open the database of the development environment, or save or restore it
    Db(DbArgs),
    /// Show what was detected, and where each value came from
    Plan(PlanArgs),
    /// Build the production image of a project
    Build(BuildArgs),
    /// Build, and write the image as what `docker build` makes it from
    Context(ContextArgs),
    /// Write plain files for Docker and Compose, to go on without djship
    Eject(EjectArgs),
    /// Run a production image, as Docker would
    Run(RunArgs),
    /// Push an image to a registry
    Push(PushArgs),
    /// List the images in the store
    Images,
    /// Remove images, or names of images
    Rmi(RmiArgs),
    /// Say what is stored, and remove what nothing needs
    Cache(CacheArgs),
    /// List the data of services of all projects, and remove it
    Volumes(VolumesArgs),
    /// List the containers in the background, and the development environments
    Ps,
    /// Stop a container in the background
    Stop {
        /// Its name
        name: String,
    },
    /// Say what this host can and cannot do
    Doctor(DoctorArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  djship plan\n  djship plan --explain python     every alternative, and why not\n  \
                        djship plan shop --json          {\"python\": {\"value\": \"3.13\", \"origin\": \"...\"}, ...}\n\n\
                        What only Django can tell comes from the last build; before one, its value is null,\n\
                        and its origin says that it is asked in a build. The keys stay: name, manage.py,\n\
                        python, debian, dependencies, packages, settings, server, commands, databases,\n\
                        static, writable, variables, build-env, files, left-out, include."
)]
pub(crate) struct PlanArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Say where this value came from, and what else was looked at
    #[arg(long, value_name = "KEY")]
    pub(crate) explain: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  djship build\n  djship build shop -t shop:1.4\n  \
                        djship build . --load docker          then: docker run ... shop\n  \
                        djship build . -o archive:shop.tar    then: docker load -i shop.tar\n  \
                        djship build . -o layout:shop.oci     then: skopeo copy oci:shop.oci docker://...")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Name of the image [default: the folder's name, tag `latest`]
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub(crate) tag: Option<String>,

    /// Also write the image: `layout:DIR` (OCI layout), `archive:FILE` (for docker load) or `context:FILE` (for docker build)
    #[arg(short, long, value_name = "KIND:PATH")]
    pub(crate) output: Vec<String>,

    /// Also push the image; its name says where to: `-t REGISTRY/NAME:TAG`
    #[arg(long)]
    pub(crate) push: bool,
    /// Also load the image into the local Docker or Podman
    #[arg(long, value_name = "TOOL")]
    pub(crate) load: Vec<Tool>,

    /// Take base and dependencies from this repository of a registry, and put them there; `none` for neither
    /// [default: DJSHIP_CACHE, or what the project says]
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) cache: Option<String>,

    /// Skip `manage.py check` and the import check of the finished image
    #[arg(long)]
    pub(crate) no_check: bool,

    /// Fetch Debian's package index again even if it is recent
    #[arg(long)]
    pub(crate) refresh: bool,

    /// Show what child processes print, and more reasons
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  djship run --try .\n  djship run shop -e DJANGO_SECRET_KEY=... -p 8080:8000\n  \
                        djship run shop -- python manage.py check --deploy\n  djship run shop -- migrate"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct RunArgs {
    /// An image's name, or a project's folder (which is built first)
    #[arg(value_name = "IMAGE|PATH", default_value = ".")]
    pub(crate) what: String,

    /// First look: a throw-away secret key and PostgreSQL, migrated; `localhost` among the allowed hosts
    #[arg(long = "try")]
    pub(crate) first_look: bool,

    /// Set a variable; without a value, take it from the environment
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,

    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,

    /// Publish on the host, on 127.0.0.1 unless an address is given
    #[arg(short, long, value_name = "[ADDRESS:]HOST[:CONTAINER]")]
    pub(crate) publish: Option<String>,

    /// Mount a folder or a named volume
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]")]
    pub(crate) volume: Vec<String>,

    /// Run as this user
    #[arg(short, long, value_name = "UID[:GID]")]
    pub(crate) user: Option<String>,

    /// Mount volumes of the image read-only as well; the root always is
    #[arg(long)]
    pub(crate) read_only: bool,

    /// Mount an empty temporary file system
    #[arg(long, value_name = "TARGET")]
    pub(crate) tmpfs: Vec<String>,

    /// Run in the background
    #[arg(short, long)]
    pub(crate) detach: bool,

    /// Name of the container [default: the image's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Remove the volumes that this run makes when it ends; those that were there before stay
    #[arg(long)]
    pub(crate) rm: bool,

    /// Take base and dependencies from this repository of a registry, and put them there; `none` for neither
    /// [default: DJSHIP_CACHE, or what the project says]
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) cache: Option<String>,

    /// Show what child processes print, and more reasons
    #[arg(long)]
    pub(crate) verbose: bool,

    /// Command instead of `web`
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Cli {
    /// Whether more is to be shown, wherever the flag stands.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
            || match &self.command {
                Command::Build(args) => args.verbose,
                Command::Context(args) => args.verbose,
                Command::Eject(args) => args.verbose,
                Command::Run(args) => args.verbose,
                Command::Up(args) => args.verbose,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn the_databases_client_keeps_its_own_arguments() {
        let parse = |words: &[&str]| {
            let cli = Cli::try_parse_from(["djship", "db"].iter().chain(words)).ok()?;
            let Command::Db(db) = cli.command else { panic!() };
            Some(db)
        };
        let db = parse(&["--", "-d", "other", "-c", "select 1"]).unwrap();
        assert_eq!(db.arguments, ["-d", "other", "-c", "select 1"]);
        let db = parse(&["-c", "select 1", "--", "-At"]).unwrap();
        assert_eq!((db.statement.as_deref(), db.arguments), (Some("select 1"), vec!["-At".to_owned()]));
        assert!(matches!(parse(&["dump", "-"]).unwrap().what, Some(DbCommand::Dump { .. })));
        assert!(parse(&["-c", "select 1", "dump", "x"]).is_none());
    }

    #[test]
    fn a_one_off_command_keeps_its_own_flags() {
        let cli = Cli::parse_from([
            "djship",
            "run",
            "polls",
            "-e",
            "A=b",
            "--",
            "python",
            "manage.py",
            "check",
            "--deploy",
        ]);
        let Command::Run(run) = cli.command else { panic!() };
        assert_eq!(run.command, ["python", "manage.py", "check", "--deploy"]);
        assert_eq!(run.env, ["A=b"]);
    }
}
