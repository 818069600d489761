//! `/etc/hosts` of containers.

use std::net::IpAddr;

use djship_engine::Container;

const FILE: &str = "/etc/hosts";

/// Gives a container `names`, its own host name, and what `below` says.
///
/// Its own name is there because settings ask for its address (`socket.gethostbyname(socket.gethostname())`, for
/// INTERNAL_IPS); Docker has it there as well.
fn write(container: &mut Container, names: &[(IpAddr, String)], below: &str) {
    let own = format!("127.0.0.1\t{}\n", container.hostname);
    let names: String = names.iter().map(|(address, name)| format!("{address}\t{name}\n")).collect();
    container.file(FILE, format!("{names}{below}{own}"));
}

/// For a container without a network.
pub(crate) fn isolated(container: &mut Container) {
    write(container, &[], "127.0.0.1\tlocalhost\n::1\tlocalhost\n");
}

/// For a container on the host's network: `names` before the host's own.
pub(crate) fn of_the_host(container: &mut Container, names: &[(IpAddr, String)]) {
    let own = fs_err::read_to_string(FILE);
    write(container, names, own.as_deref().unwrap_or("127.0.0.1\tlocalhost\n::1\tlocalhost\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_the_own_name_is_there() {
        let mut container = Container::new(["/"], ["true"]);
        container.hostname = "shop".to_owned();
        isolated(&mut container);
        of_the_host(&mut container, &[("127.70.1.2".parse().unwrap(), "db".to_owned())]);
        let files: Vec<_> = container.files.iter().filter(|file| file.target.as_os_str() == FILE).collect();
        assert_eq!(files.len(), 1);
        let text = String::from_utf8_lossy(&files[0].content);
        assert!(text.starts_with("127.70.1.2\tdb\n") && text.contains("127.0.0.1\tshop\n"), "{text}");
    }
}
