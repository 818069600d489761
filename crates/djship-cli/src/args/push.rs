//! The command line of `djship push`.

use clap::Args;

#[derive(Debug, Args)]
#[command(
    override_usage = "djship push [OPTIONS] [IMAGE] DESTINATION",
    after_help = "Examples:\n  djship push shop registry.example/team/shop:1.4\n  \
                  djship build -t registry.example/team/shop:1.4 --push\n\n\
                  Logins are those of `docker login` and `podman login`. A layer that the repository has is not sent again."
)]
pub(crate) struct PushArgs {
    /// The image in the store; may be left out if it is named like the destination
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where it goes: `REGISTRY[:PORT]/NAME[:TAG]`
    #[arg(value_name = "DESTINATION")]
    pub(crate) destination: Option<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
