//! Networks of the container's own: what it takes to reach the world from one.

use std::path::PathBuf;

use super::{Check, Finding, Severity, identities::find_tool};

pub(super) fn own_network(tool_path: &[PathBuf]) -> Finding {
    let check = Check::OwnNetwork;
    let tunnel = std::fs::File::options().read(true).write(true).open("/dev/net/tun");
    let why = "Containers use the host's network by default, which needs nothing. With a network of their own they reach \
               nothing outside.";
    match (find_tool(tool_path, "pasta"), tunnel) {
        (Some(_), Ok(_)) => Finding::good(check, "`pasta` and /dev/net/tun are usable"),
        (None, _) => Finding::new(check, Severity::Notice, "`pasta` is not installed", why)
            .mend("sudo apt-get install passt"),
        (Some(_), Err(error)) => {
            Finding::new(check, Severity::Notice, format!("/dev/net/tun is not usable: {error}"), why)
                .mend("sudo chmod 0666 /dev/net/tun")
        }
    }
}
