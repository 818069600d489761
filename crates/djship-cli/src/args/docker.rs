//! The arguments of what leads to Docker and Podman.

use std::path::PathBuf;

use clap::Args;

/// Who keeps images on this machine besides djship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    Docker,
    Podman,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  djship context -o docker-build-context.tar.gz examples/polls\n  \
                        docker build --tag polls - < docker-build-context.tar.gz\n  \
                        djship context -o - . | ssh server docker build --tag shop -")]
pub(crate) struct ContextArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// The file; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: String,

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
#[command(after_help = "Examples:\n  djship eject\n  djship eject --force examples/polls")]
pub(crate) struct EjectArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Overwrite files that are there, without asking
    #[arg(long)]
    pub(crate) force: bool,

    /// Fetch Debian's package index again even if it is recent
    #[arg(long)]
    pub(crate) refresh: bool,

    /// Show what child processes print, and more reasons
    #[arg(short, long)]
    pub(crate) verbose: bool,
}
