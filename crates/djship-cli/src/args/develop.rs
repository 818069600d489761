//! The arguments of the commands of the development environment.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  djship up\n  djship up -d ~/shop     then: djship -C ~/shop logs -f\n  \
                        djship up --port 9000"
)]
pub(crate) struct UpArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Run in the background; return when the first page can be served
    #[arg(short, long)]
    pub(crate) detach: bool,

    /// Port of the development server [default: the next free one from 8000]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,

    /// Fetch Debian's package index again even if it is recent
    #[arg(long)]
    pub(crate) refresh: bool,

    /// Show what child processes print, and more reasons
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Also remove the data of its services
    #[arg(long)]
    pub(crate) volumes: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  djship logs -f\n  djship logs postgres\n  djship logs polls     what `djship run -d polls` printed"
)]
pub(crate) struct LogsArgs {
    /// A program of the development environment, or a container of `djship run -d`
    pub(crate) name: Option<String>,

    /// Go on until it ends
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Show only the last lines
    #[arg(short = 'n', long, value_name = "NUMBER")]
    pub(crate) tail: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  djship exec web python -V\n  djship exec postgres psql -U postgres")]
pub(crate) struct ExecArgs {
    /// The program in whose container it runs
    pub(crate) program: String,

    /// Command and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  djship db                        psql on the project's database\n  \
                  djship db -c 'select count(*) from polls_poll'\n  djship db -- -d other -l    arguments of psql's own\n  \
                  djship db dump before.dump\n  djship db restore before.dump"
)]
pub(crate) struct DbArgs {
    #[command(subcommand)]
    pub(crate) what: Option<DbCommand>,

    /// Run this statement, and print what it answers
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub(crate) statement: Option<String>,

    /// Arguments of the client's own: psql, mariadb
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Write the database to a file: PostgreSQL's own format, or SQL for MariaDB
    Dump {
        /// The file; `-` is standard output
        file: PathBuf,
    },
    /// Replace the database by what a file holds: one of `djship db dump` or `pg_dump`, or SQL
    Restore {
        /// The file
        file: PathBuf,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}
