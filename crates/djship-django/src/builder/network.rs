//! The network, certificates and folders that an installing container is given.

use std::path::Path;

use djship_engine::{Container, Network};

use super::index_settings::IndexSettings;
use crate::hosts;
use crate::tools::Tools;

/// Gives a container the network, the host's certificates and the index settings.
pub(crate) fn online(container: &mut Container, tools: &Tools<'_>, settings: &IndexSettings) {
    if tools.host.offline {
        container.env("UV_OFFLINE", "1");
    } else {
        container.network = Network::Host;
    }
    for (name, value) in &settings.environment {
        container.env(name, value);
    }
    for folder in &settings.folders {
        container.bind_read_only(folder, folder);
    }
    hosts::of_the_host(container, &[]);
    if Path::new("/etc/resolv.conf").exists() {
        container.bind_read_only("/etc/resolv.conf", "/etc/resolv.conf");
    }
    if let Some(bundle) = &tools.host.ca_bundle {
        // As a file, so that the folder around it stays the root's own.
        container.bind_read_only(bundle, CERTIFICATES);
    }
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"] {
        container.env(name, CERTIFICATES);
    }
}

/// Where Debian keeps the certificates.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes a folder that containers may write to.
pub(crate) fn make_owned(folder: &Path, tools: &Tools<'_>) -> Result<(), std::io::Error> {
    fs_err::create_dir_all(folder)?;
    match tools.host.owner {
        // Never through a link: the folder around it may be a stranger's.
        Some(owner) => fs_err::os::unix::fs::lchown(folder, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}
