//! No file names the host of a package registry: mirrors, indexes and their proxies come from the user's own
//! configuration, and the one built-in default is `ftp.debian.org`.
//!
//! The hosts cannot be spelled here either, so they are kept as digests; the ones that this machine is configured
//! for are read when the law is checked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::{Source, Violation};

/// SHA-256 of the names of well-known package hosts, in lower case; `cargo xtask laws --fingerprint HOST` prints one.
/// A host below one of these names counts as well.
const FINGERPRINTS: [&str; 28] = [
    "00a7dc5a0cc388586b8665846e7d8ae94a6dd096f2aa1aa3b4aab4ac484f998a",
    "04280276b5029dcaa286ca72bd5e38a2277e5bae4001851d2b7b9cd2d21c4746",
    "15bdb44dafa6843b1e260ba626cb18b8d49581827a759b8102812b61cc522c83",
    "1ba4e37997a2e986efa6cd844e43fd25b9e816359d31612baa9c18b71e3b5294",
    "247ad8f24e0f97a023696e644430603787abf8c183e131af610613ad98757d9c",
    "26b795f2a123f2a2ae16327ac90c1404ee62c7879b706cdf5cc4caf1fca42d3a",
    "2c77714df232b07f0e8ff768526d166e1a94e606d989d4608c3f1713a0712ae5",
    "2e97613f5a81eaa4f8a58f552a005713c0c8f333e026efb7771ad28429532374",
    "317d2d52829b78129d2c9e43d001899f0c8d30968bae00b848a47154df56b0ca",
    "326d91baabcc3b98723d4abf08b73527d7ab952351d3a038f8cce7bebde6aa74",
    "38556c86197384ee3faecf18a6e13cf128c7f818f0e0c623fd8de975b3a5e0bf",
    "3ca29e55be4befa48f875d24c27f9bed32fe06588819ed6264084b6670a1ebb0",
    "43c04ed1dabe979b9c552549bf0ab023abd3e1cc6d5ff7f42cfa2296b0973a67",
    "4b602daf23ba29744134c9ed719fd67273a10391723afb78376c9aa5663e8396",
    "4db460c55b85212e50a70cadcb10c5fc3c32382ed9896a3730423469d2e05619",
    "62f256676f138898cceaf949b873418772bcd271961225c6de34f6443d2c6ccb",
    "71741fe2460a615058687c4585f665af5e825968e51a512ffb14c6f2684a397d",
    "789e46d79514e28093cabe2bb4a0798266f584b0e508ef269ebabb6e57859290",
    "8454fabc8b6309019c8b0d10a414a7c0f0bcdf3222f5285e7d8da9eb6c9e0c93",
    "8743857e3ea00fd1c64bbc68b8af241954ad2c285e7a60340eec7ea5dcb200db",
    "87d14f070cb9686970d008f9f94e668075fd37620381409858bf040ae1271d51",
    "8b5bb5eb9d758455b8635855cf8aaf05b68775e3f83f0291e800ef338fb9783c",
    "9da5f32d964125123cc368f231b473bea59307f811c7b9b2e731601e586b82b5",
    "a0f007d863a0ed19c5bd996ef6eaab194af2f1ac685c0f71a75270a0366f8983",
    "a4aa2ac280bb8d1a0ce7a1be5a7bfb10292b49fe9435ad5cff19f421f3c70e41",
    "d6d7019ca9fcbf07c769e445342515ef0c92e4f18a96adbb3bf6460f5b0ba17f",
    "e514b0d3b0562f54b6622ba95659592c26a4f6473677346ffba9e876eee160ef",
    "e680c440a2e92079ab1bf7a927e8d3920f1bcd173c0487e28e020110b2e59efc",
];

/// Hosts of Debian's that serve no packages by themselves; the first is where the built-in mirror is.
const DEBIAN_HOSTS: [&str; 7] = ["ftp", "www", "wiki", "bugs", "lists", "manpages", "salsa"];

/// Cargo writes the registry into its lock file by itself.
const EXEMPT: [&str; 1] = ["Cargo.lock"];

pub(super) fn check(sources: &[Source], machine_hosts: &[String]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources.iter().filter(|source| !EXEMPT.contains(&source.path.as_str())) {
        for (index, line) in source.text.lines().enumerate() {
            // The host itself is not repeated: what a check prints may end up in a file.
            if let Some(what) = host_names(line).find_map(|host| judge(&host, machine_hosts)) {
                violations.push(Violation::new(&source.path, index + 1, format!("names {what}")));
            }
        }
    }
    violations
}

/// The fingerprint of a host name.
pub(crate) fn fingerprint(host: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(host.to_ascii_lowercase()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn judge(host: &str, machine_hosts: &[String]) -> Option<&'static str> {
    if machine_hosts.iter().any(|known| known == host) {
        return Some("a package host that this machine is configured for");
    }
    if let Some(label) = host.strip_suffix(".debian.org")
        && !DEBIAN_HOSTS.contains(&label)
    {
        return Some("a host of Debian's other than the built-in mirror");
    }
    let mut name = host;
    while name.contains('.') {
        if FINGERPRINTS.contains(&fingerprint(name).as_str()) {
            return Some("the host of a package registry");
        }
        name = name.split_once('.').map_or("", |(_, parent)| parent);
    }
    None
}

/// Everything in a line that could be a host name, in lower case.
fn host_names(line: &str) -> impl Iterator<Item = String> {
    line.split(|character: char| !(character.is_ascii_alphanumeric() || character == '.' || character == '-'))
        .map(|word| word.trim_matches(['.', '-']).to_ascii_lowercase())
        // Shortest package hosts have two labels, and a top-level domain is letters.
        .filter(|word| {
            word.rsplit_once('.')
                .is_some_and(|(_, top)| top.len() > 1 && top.bytes().all(|byte| byte.is_ascii_lowercase()))
        })
}

/// The package hosts in this machine's configuration of apt, pip, uv, npm and cargo. Public code hosts and loopback
/// addresses are left out.
pub(super) fn machine_hosts() -> Vec<String> {
    let mut hosts = BTreeSet::new();
    for (name, value) in std::env::vars() {
        let name = name.to_ascii_uppercase();
        let is_index =
            name.starts_with("PIP_") || name.starts_with("UV_") || name.starts_with("CARGO_REGISTRIES_");
        if is_index || name == "NPM_CONFIG_REGISTRY" {
            hosts.extend(url_hosts(&value));
        }
    }
    for file in configuration_files() {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
            hosts.extend(url_hosts(line));
        }
    }
    hosts.into_iter().collect()
}

fn configuration_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        ["/etc/apt/sources.list", "/etc/pip.conf", "/etc/npmrc", "/etc/uv/uv.toml"].map(PathBuf::from).into();
    if let Ok(entries) = fs_err::read_dir("/etc/apt/sources.list.d") {
        files.extend(
            entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|end| end == "list" || end == "sources")),
        );
    }
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        let names =
            [".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".npmrc", ".cargo/config.toml"];
        files.extend(names.map(|name| home.join(name)));
    }
    files
}

/// The hosts of the URLs in a text.
fn url_hosts(text: &str) -> Vec<String> {
    const PUBLIC: [&str; 4] = ["ftp.debian.org", "github.com", "gitlab.com", "localhost"];
    text.split("://")
        .skip(1)
        .filter_map(|rest| {
            let authority = rest.split(['/', ' ', '"', '\'', ']', ',', '?']).next()?;
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let host = host.split(':').next()?.to_ascii_lowercase();
            let is_name = host_names(&host).any(|name| name == host);
            (is_name && !PUBLIC.contains(&host.as_str())).then_some(host)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str, machine: &[&str]) -> Vec<String> {
        let machine: Vec<String> = machine.iter().map(|host| (*host).to_owned()).collect();
        check(&Source::literals(&[(path, text)]), &machine).iter().map(Violation::to_string).collect()
    }

    /// Spelled backwards, because this file obeys the law too.
    fn host(backwards: &[&str]) -> String {
        backwards.iter().rev().copied().collect::<Vec<_>>().join(".")
    }

    #[test]
    fn registries_are_known_by_fingerprint() {
        for name in
            [host(&["org", "pypi"]), host(&["io", "crates", "static"]), host(&["ORG", "npmjs", "Registry"])]
        {
            assert_eq!(
                found("README.md", &format!("\nsee https://{name}/simple"), &[]),
                ["README.md:2: names the host of a package registry"]
            );
            assert!(found("Cargo.lock", &name, &[]).is_empty());
        }
        assert!(found("README.md", "https://example.org/pypi and self.crates.iter()", &[]).is_empty());
    }

    #[test]
    fn debian_has_one_name() {
        assert!(
            found("a.rs", "http://ftp.debian.org/debian and https://wiki.debian.org/Multiarch", &[])
                .is_empty()
        );
        for first in ["deb", "security", "ftp.de", "mirror"] {
            let name = format!("{first}.{}", host(&["org", "debian"]));
            assert_eq!(found("a.rs", &name, &[]).len(), 1, "{first}");
        }
    }

    #[test]
    fn hosts_of_this_machine_are_found_anywhere() {
        let machine = ["mirror.corp.example"];
        assert_eq!(
            found("deny.toml", "url = \"https://user@Mirror.corp.example:8443/simple\"", &machine),
            ["deny.toml:1: names a package host that this machine is configured for"]
        );
    }

    #[test]
    fn urls_in_configuration_give_hosts() {
        let line = "index-url = https://token:x@mirror.corp.example:8443/simple http://127.0.0.1:3141/ http://ftp.debian.org/debian";
        assert_eq!(url_hosts(line), ["mirror.corp.example"]);
        assert_eq!(url_hosts("deb [signed-by=/a] http://apt.example/debian trixie main"), ["apt.example"]);
    }
}
