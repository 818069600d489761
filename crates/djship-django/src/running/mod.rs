//! Running a production image, as Docker would: read-only root, volumes on what the project writes to, the host's network.

pub mod first_look;
mod ports;
mod volumes;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use djship_engine::{Container, Network, RunUser};
use djship_oci::records::StoredImage;
use djship_oci::{Image, ImageConfig};
use djship_store::saved::BYTES;

pub use ports::{Holder, Unavailable, available, check_free, is_listened_on};
pub use volumes::{exist as has_volumes, remove as remove_volumes};

use crate::application::layer::OPEN_FOLDERS;
use crate::build::mounted;
use crate::hosts;
use crate::tools::Tools;

/// How a container of an image is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The container's name: its volumes are found again by it.
    pub name: String,
    /// Variables; they win over the image's.
    pub env: BTreeMap<String, String>,
    /// Where the server listens.
    pub publish: SocketAddr,
    /// Mounts that were asked for.
    pub mounts: Vec<Mount>,
    /// Another user than the image's.
    pub user: Option<RunUser>,
    /// Make the image's volumes read-only as well.
    pub read_only: bool,
    /// Empty temporary file systems.
    pub tmpfs: Vec<PathBuf>,
    /// Arguments of the entry point; the image's own when empty.
    pub command: Vec<String>,
    /// Further names in `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
    /// Where the container's volumes are, when they are thrown away with it.
    pub volumes: Option<PathBuf>,
}

/// What of an image is needed to run it: no tree is read.
#[derive(Debug, Clone)]
pub struct Runnable {
    /// Its id.
    pub id: djship_store::Digest,
    /// How its containers run.
    pub config: ImageConfig,
    /// The folders of its layers as an overlay takes them, topmost first.
    pub lowers: Vec<PathBuf>,
}

impl Runnable {
    /// Whether the project writes into folders of code.
    pub fn has_open_folders(&self) -> bool {
        self.config.labels.get(OPEN_FOLDERS).is_some_and(|folders| !folders.is_empty())
    }
}

impl From<&Image> for Runnable {
    fn from(image: &Image) -> Self {
        Self { id: image.id, config: image.config.clone(), lowers: mounted(image) }
    }
}

impl From<StoredImage> for Runnable {
    fn from(image: StoredImage) -> Self {
        Self {
            id: image.id,
            config: image.config,
            lowers: image.layers.iter().rev().map(|layer| layer.folder.join(BYTES)).collect(),
        }
    }
}

/// A folder of the host, or a named volume, in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The host's folder or file, absolute.
    pub source: PathBuf,
    /// The place in the container, absolute.
    pub target: PathBuf,
    /// Nothing may be changed.
    pub read_only: bool,
}

/// Why an image cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Somebody listens there.
    #[error("cannot listen on {address}: the port is in use")]
    PortInUse {
        /// The address.
        address: SocketAddr,
        /// Who, where that can be seen.
        holder: Option<Holder>,
    },
    /// The port is for root alone, and no container runs as root.
    #[error(
        "cannot listen on {address}: ports below {first} are privileged, and djship runs nothing as root"
    )]
    Privileged {
        /// The address.
        address: SocketAddr,
        /// The first port that everybody may use.
        first: u16,
    },
    /// The kernel refuses the address.
    #[error("cannot listen on {address}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The image names a user that is no pair of numbers.
    #[error("cannot run as `{user}`: only numeric users are supported")]
    User {
        /// As it is written.
        user: String,
    },
    /// A volume cannot be prepared.
    #[error("cannot prepare the volume `{}`", path.display())]
    Volume {
        /// The folder on the host.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A one-off container failed to run.
    #[error(transparent)]
    Child(#[from] crate::child::ChildError),
}

/// The commands of the entry point that are guarded; everything else is a one-off.
const OWN_COMMANDS: &[&str] = &["web", "worker", "beat", "release", "migrate"];

/// The container of an image with these options.
pub fn container(tools: &Tools<'_>, image: &Runnable, options: &RunOptions) -> Result<Container, RunError> {
    let config = &image.config;
    let command = if options.command.is_empty() { &config.command } else { &options.command };
    let serves = command.first().is_some_and(|first| first == "web");
    if serves {
        ports::check_free(options.publish)?;
    }
    let mut container =
        Container::new(image.lowers.iter().cloned(), config.entrypoint.iter().chain(command).cloned());
    container.network = Network::Host;
    container.user = options.user.map_or_else(|| user(config), Ok)?;
    container.cwd =
        if config.working_dir.is_empty() { "/".into() } else { config.working_dir.clone().into() };
    container.hostname = options.name.chars().take(63).collect();
    for (name, value) in config.env.iter().chain(&options.env) {
        container.env(name, value);
    }
    // The engine has its own first process, so the image's is only asked to reap what is its own.
    container.env("TINI_SUBREAPER", "1");
    container.env.entry("HOME".to_owned()).or_insert_with(|| "/tmp".to_owned());
    if serves {
        container.env("PORT", options.publish.port().to_string());
        container.env("DJSHIP_BIND", options.publish.ip().to_string());
    }
    if command.first().is_some_and(|first| OWN_COMMANDS.contains(&first.as_str())) {
        // Needs no more of the host than its network.
        container.ptrace = false;
    }
    volumes::mount(tools, image, options, &mut container)?;
    for target in &options.tmpfs {
        container.tmpfs(target, 0o1777, None);
    }
    hosts::of_the_host(&mut container, &options.hosts);
    if Path::new("/etc/resolv.conf").exists() {
        container.bind_read_only("/etc/resolv.conf", "/etc/resolv.conf");
    }
    Ok(container)
}

/// Reads `UID[:GID]`; the group is the user's number when it is missing, as in our images.
pub fn parse_user(text: &str) -> Result<RunUser, RunError> {
    let wrong = || RunError::User { user: text.to_owned() };
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    Ok(RunUser { uid: uid.parse().map_err(|_| wrong())?, gid: gid.parse().map_err(|_| wrong())? })
}

fn user(config: &ImageConfig) -> Result<RunUser, RunError> {
    parse_user(if config.user.is_empty() { "0:0" } else { &config.user })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!(parse_user("12345:0").unwrap(), RunUser { uid: 12345, gid: 0 });
        assert_eq!(parse_user("1000").unwrap(), RunUser { uid: 1000, gid: 1000 });
        assert!(parse_user("www-data").is_err());
    }
}
