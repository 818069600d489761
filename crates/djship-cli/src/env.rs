//! Every environment variable that djship reads, in one place. Libraries get values, never the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use djship_engine::DockerSettings;

/// Moves everything that djship keeps: store, images, volumes.
pub(crate) const HOME: &str = "DJSHIP_HOME";
/// The Debian mirror for the main archive, such as `http://mirror.example/debian`.
pub(crate) const DEBIAN_MIRROR: &str = "DJSHIP_DEBIAN_MIRROR";
/// The Debian mirror for the security archive.
pub(crate) const DEBIAN_SECURITY_MIRROR: &str = "DJSHIP_DEBIAN_SECURITY_MIRROR";
/// Further keyrings that Debian indexes may be signed with, separated by `:`.
pub(crate) const DEBIAN_KEYRINGS: &str = "DJSHIP_DEBIAN_KEYRINGS";
/// Where images with short names are: `HOST[:PORT][/PATH]`.
pub(crate) const REGISTRY: &str = "DJSHIP_REGISTRY";
/// Registries that may be spoken with by plain HTTP, separated by commas. Those on this machine always may.
pub(crate) const INSECURE_REGISTRIES: &str = "DJSHIP_INSECURE_REGISTRIES";
/// The repository of what builds share, or `none`.
pub(crate) const CACHE: &str = "DJSHIP_CACHE";
/// Use no network.
pub(crate) const OFFLINE: &str = "DJSHIP_OFFLINE";

/// What runs containers, when no option says it.
pub(crate) const ENGINE: &str = "DJSHIP_ENGINE";

/// Variables that tell pip and uv where packages are and how to reach them; passed into the builder, never shipped.
const INSTALLER_PREFIXES: &[&str] = &["PIP_", "UV_"];
const PROXY: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// The value of a variable; unset and empty are the same.
pub(crate) fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The value of a variable as text.
pub(crate) fn text(name: &str) -> Option<String> {
    get(name).and_then(|value| value.into_string().ok())
}

/// The hosts of [`INSECURE_REGISTRIES`].
pub(crate) fn insecure_registries() -> Vec<String> {
    let list = text(INSECURE_REGISTRIES).unwrap_or_default();
    list.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

/// Everything that is exported, as far as it is text.
pub(crate) fn exported() -> std::collections::BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where djship keeps everything, without links on the way: as root, the engine follows none in what others may own.
pub(crate) fn home(is_root: bool) -> PathBuf {
    let home = home_as_named(is_root);
    // One that is not there yet is made as it is named.
    fs_err::canonicalize(&home).unwrap_or(home)
}

fn home_as_named(is_root: bool) -> PathBuf {
    if let Some(home) = get(HOME) {
        return PathBuf::from(home);
    }
    if is_root && get("XDG_DATA_HOME").is_none() {
        return PathBuf::from("/var/lib/djship");
    }
    let data = get("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| get("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    data.unwrap_or_else(|| PathBuf::from("/tmp")).join("djship")
}

/// What pip and uv are told on this host.
pub(crate) fn installer() -> Vec<(String, String)> {
    let relevant = |name: &str| {
        INSTALLER_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || PROXY.contains(&name)
    };
    variables_where(relevant)
}

fn variables_where(relevant: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| relevant(name) && !value.is_empty())
        .collect();
    found.sort();
    found
}

/// What tells npm where packages are, and who asks for them. Its other settings name places of this host.
pub(crate) fn npm() -> Vec<(String, String)> {
    let relevant = |name: &str| {
        let lower = name.to_lowercase();
        let setting = lower.strip_prefix("npm_config_").unwrap_or_default();
        ["registry", "strict_ssl", "proxy", "https_proxy", "noproxy"].contains(&setting)
            || setting.starts_with("fetch_")
            || ["NPM_TOKEN", "NODE_AUTH_TOKEN"].contains(&name)
            || PROXY.contains(&name)
    };
    variables_where(relevant)
}

/// npm's configuration files, weakest first.
pub(crate) fn npm_configuration() -> Vec<PathBuf> {
    let own = get("HOME").map(|home| PathBuf::from(home).join(".npmrc"));
    let mut files = vec![PathBuf::from("/etc/npmrc")];
    files.extend(get("NPM_CONFIG_USERCONFIG").map(PathBuf::from).or(own));
    files.retain(|file| file.is_file());
    files
}

/// Where the `docker` command would find its daemon.
pub(crate) fn docker() -> DockerSettings {
    let home = || get("HOME").map(|home| PathBuf::from(home).join(".docker"));
    DockerSettings {
        host: text("DOCKER_HOST"),
        context: text("DOCKER_CONTEXT"),
        configuration: get("DOCKER_CONFIG").map(PathBuf::from).or_else(home),
        tls: get("DOCKER_TLS_VERIFY").is_some(),
        certificates: get("DOCKER_CERT_PATH").map(PathBuf::from),
        runtime: get("XDG_RUNTIME_DIR").map(PathBuf::from),
    }
}

/// The certificates that this host trusts, as one file.
pub(crate) fn ca_bundle() -> Option<PathBuf> {
    let named = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"]
        .iter()
        .filter_map(|name| get(name));
    let usual =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    named.map(PathBuf::from).chain(usual.iter().map(PathBuf::from)).find(|file| file.is_file())
}

/// pip's own configuration files on this host, in pip's order.
pub(crate) fn pip_configuration() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/pip.conf")];
    if let Some(home) = get("HOME").map(PathBuf::from) {
        files.push(home.join(".pip/pip.conf"));
        let config = get("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(get("PIP_CONFIG_FILE").map(PathBuf::from));
    files.retain(|file| file.is_file());
    files
}

/// The files that `docker login` and `podman login` write, in the order in which they count.
pub(crate) fn registry_logins() -> Vec<PathBuf> {
    let folder = |name, file| get(name).map(|folder| PathBuf::from(folder).join(file));
    let home = |file| folder("HOME", file);
    let docker = folder("DOCKER_CONFIG", "config.json").or_else(|| home(".docker/config.json"));
    let podman = [
        get("REGISTRY_AUTH_FILE").map(PathBuf::from),
        folder("XDG_RUNTIME_DIR", "containers/auth.json"),
        folder("XDG_CONFIG_HOME", "containers/auth.json").or_else(|| home(".config/containers/auth.json")),
    ];
    docker.into_iter().chain(podman.into_iter().flatten()).collect()
}

/// The program of that name on PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = get("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
