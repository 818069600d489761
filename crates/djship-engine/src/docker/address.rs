//! Where the daemon is: as the `docker` command finds it.

use std::{
    fmt, io,
    net::TcpStream,
    path::{Path, PathBuf},
};

use djship_store::Digest;
use serde::{Deserialize, Serialize};

use super::{error::DockerError, ssh, stream::Stream, tls};

/// Where daemons of the whole machine listen.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// Where daemons of one user listen, below that user's run-time folder.
const USERS_SOCKETS: [&str; 2] = ["docker.sock", "podman/podman.sock"];
/// The context that stands for the usual socket.
const DEFAULT: &str = "default";

/// What decides which daemon is used, as the caller's environment says it.
#[derive(Debug, Clone, Default)]
pub struct DockerSettings {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// `DOCKER_CONFIG`, else `.docker` in the home folder.
    pub configuration: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` asks for TLS with `tcp://` addresses.
    pub tls: bool,
    /// `DOCKER_CERT_PATH`: the folder of `ca.pem`, `cert.pem` and `key.pem`; the configuration's folder without it.
    pub certificates: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where daemons of the user's own listen.
    pub runtime: Option<PathBuf>,
}

/// A daemon's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Address {
    Unix(PathBuf),
    Tcp { authority: String, tls: Option<PathBuf> },
    Ssh { destination: String, port: Option<u16> },
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp { authority, .. } => write!(formatter, "tcp://{authority}"),
            Self::Ssh { destination, port: Some(port) } => write!(formatter, "ssh://{destination}:{port}"),
            Self::Ssh { destination, port: None } => write!(formatter, "ssh://{destination}"),
        }
    }
}

/// What is of interest in `config.json`.
#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// What is of interest in a context's `meta.json`.
#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: std::collections::BTreeMap<String, Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    unverified: bool,
}

impl Address {
    /// A host that is given counts more than a context; without both, the first of the usual sockets that is there.
    pub(crate) fn find(settings: &DockerSettings) -> Result<Self, DockerError> {
        if let Some(host) = &settings.host {
            let own = settings.certificates.clone().or_else(|| settings.configuration.clone());
            return Self::parse(host, own.filter(|_| settings.tls));
        }
        let context =
            settings.context.clone().or_else(|| current_context(settings.configuration.as_deref()?));
        if let Some((name, folder)) =
            context.filter(|name| name != DEFAULT).zip(settings.configuration.as_deref())
        {
            return Self::of_context(&name, folder);
        }
        let users = settings.runtime.iter().flat_map(|folder| USERS_SOCKETS.map(|name| folder.join(name)));
        let all = SOCKETS.map(PathBuf::from).into_iter().chain(users);
        Ok(Self::Unix(all.into_iter().find(|socket| socket.exists()).unwrap_or_else(|| SOCKETS[0].into())))
    }

    fn of_context(name: &str, configuration: &Path) -> Result<Self, DockerError> {
        let place = Digest::of(name.as_bytes()).hex();
        let path = configuration.join("contexts/meta").join(&place).join("meta.json");
        let failed = |source| DockerError::Context { name: name.to_owned(), path: path.clone(), source };
        let text = fs_err::read(&path).map_err(failed)?;
        let meta: Meta = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        let endpoint = meta.endpoints.get("docker");
        if endpoint.is_some_and(|endpoint| endpoint.unverified) {
            return Err(DockerError::Unsupported { what: "a connection to whoever answers (SkipTLSVerify)" });
        }
        let host = endpoint.map_or("", |endpoint| &endpoint.host);
        let certificates = configuration.join("contexts/tls").join(place).join("docker");
        Self::parse(host, Some(certificates).filter(|folder| folder.is_dir()))
    }

    fn parse(text: &str, certificates: Option<PathBuf>) -> Result<Self, DockerError> {
        let unknown = || DockerError::Address { address: text.to_owned() };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some((kind @ ("tcp" | "http" | "https"), rest)) => {
                let authority = rest.trim_end_matches('/');
                if authority.is_empty() || authority.contains('/') {
                    return Err(unknown());
                }
                let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                let secured = kind == "https" || certificates.is_some();
                let usual = if secured { 2376 } else { 2375 };
                let authority = if port { authority.to_owned() } else { format!("{authority}:{usual}") };
                Ok(Self::Tcp { authority, tls: certificates })
            }
            Some(("ssh", rest)) => {
                let rest = rest.trim_end_matches('/');
                let (destination, port) = match rest.rsplit_once(':') {
                    Some((destination, port)) => (destination, Some(port.parse().map_err(|_| unknown())?)),
                    None => (rest, None),
                };
                // Nothing that `ssh` would take for an option or another word.
                let plain = !destination.starts_with('-')
                    && destination.chars().all(|c| c.is_ascii_alphanumeric() || "@._-".contains(c));
                if destination.is_empty() || !plain {
                    return Err(unknown());
                }
                Ok(Self::Ssh { destination: destination.to_owned(), port })
            }
            _ => Err(unknown()),
        }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Result<Stream, DockerError> {
        let connected = match self {
            Self::Unix(path) => Stream::unix(path),
            Self::Tcp { authority, tls: Some(certificates) } => tls::connect(authority, certificates)?,
            Self::Ssh { destination, port } => ssh::connect(destination, *port),
            Self::Tcp { authority, tls: None } => TcpStream::connect(authority).and_then(|stream| {
                stream.set_nodelay(true)?;
                Ok(Stream::of(stream.into()))
            }),
        };
        connected.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => DockerError::Denied { address: self.to_string() },
            _ => DockerError::NoDaemon { address: self.to_string(), source },
        })
    }
}

fn current_context(configuration: &Path) -> Option<String> {
    let text = fs_err::read(configuration.join("config.json")).ok()?;
    let configuration: Configuration = serde_json::from_slice(&text).ok()?;
    configuration.current_context.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(settings: &DockerSettings) -> String {
        Address::find(settings).unwrap().to_string()
    }

    #[test]
    fn the_host_counts_more_than_the_context_and_that_more_than_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let context = |name: &str, host: &str| {
            let place = folder.path().join("contexts/meta").join(Digest::of(name.as_bytes()).hex());
            fs_err::create_dir_all(&place).unwrap();
            let meta =
                format!("{{\"Name\":\"{name}\",\"Endpoints\":{{\"docker\":{{\"Host\":\"{host}\"}}}}}}");
            fs_err::write(place.join("meta.json"), meta).unwrap();
        };
        context("one", "unix:///one.sock");
        context("two", "tcp://two.example");
        fs_err::write(folder.path().join("config.json"), "{\"currentContext\":\"one\"}").unwrap();
        let mut settings =
            DockerSettings { configuration: Some(folder.path().to_owned()), ..DockerSettings::default() };
        assert_eq!(found(&settings), "unix:///one.sock");
        settings.context = Some("two".to_owned());
        assert_eq!(found(&settings), "tcp://two.example:2375");
        settings.context = Some("three".to_owned());
        assert!(
            matches!(Address::find(&settings), Err(DockerError::Context { name, .. }) if name == "three")
        );
        settings.host = Some("unix:///given.sock".to_owned());
        assert_eq!(found(&settings), "unix:///given.sock");
    }

    #[test]
    fn addresses_of_unknown_kinds_are_refused() {
        for text in [
            "",
            "x",
            "unix://relative",
            "tcp://",
            "tcp://a/b",
            "npipe:////./pipe/docker",
            "ssh://-oProxyCommand=x",
            "ssh://a b",
            "ssh://a:b",
        ] {
            let settings = DockerSettings { host: Some(text.to_owned()), ..DockerSettings::default() };
            assert!(matches!(Address::find(&settings), Err(DockerError::Address { .. })), "{text}");
        }
    }
}
