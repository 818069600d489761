//! Arguments of the commands that remove what is stored.

use std::time::Duration;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  djship rmi shop:1.3\n  djship rmi shop:1.3 shop:1.4\n  \
                        djship rmi --force 3f2a9c    an id, with all its names\n\n\
                        Layers stay until `djship cache prune`.")]
pub(crate) struct RmiArgs {
    /// Names of images, or the first digits of their ids
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// Remove an image by its id even if it has several names
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  djship cache\n  djship cache --json\n  djship cache prune --dry-run\n  \
                  djship cache prune --older-than 7d"
)]
pub(crate) struct CacheArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) what: Option<CacheCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Remove what no image, no environment and no recent build needs
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  djship cache prune                       unused for 30 days\n  \
                  djship cache prune --older-than 12h\n  \
                  djship cache prune --all --dry-run       what would go, and how much room it takes\n\n\
                  Images with a name stay (djship rmi), and so does the data of services (djship volumes rm). It is safe \
                  beside builds and environments that run.")]
pub(crate) struct PruneArgs {
    /// Remove also what was used recently: only what images and environments need stays
    #[arg(short, long, conflicts_with = "older_than")]
    pub(crate) all: bool,

    /// Remove what was not used for this long, such as 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
    pub(crate) older_than: Duration,

    /// Only say what would be removed
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  djship volumes\n  djship volumes rm shop-1f2e3d4c/postgres-17\n  \
                  djship volumes rm --orphaned     of projects whose folder is gone"
)]
pub(crate) struct VolumesArgs {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) what: Option<VolumesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VolumesCommand {
    /// Remove data of services for good
    Rm(RemoveVolumesArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  djship volumes rm shop-1f2e3d4c/postgres-17\n  \
                        djship volumes rm shop-1f2e3d4c          all of that project\n  \
                        djship volumes rm --orphaned --yes\n\n\
                        To keep the data: djship db dump FILE, in the project.")]
pub(crate) struct RemoveVolumesArgs {
    /// Names as `djship volumes` shows them, or the part before the `/`
    #[arg(value_name = "NAME", required_unless_present = "orphaned", conflicts_with = "orphaned")]
    pub(crate) names: Vec<String>,

    /// Those of projects whose folder is gone
    #[arg(long)]
    pub(crate) orphaned: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
