//! The daemon as a caller sees it: found, spoken to in a version that both know, asked one thing at a time.

use std::{io, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    address::Address,
    error::DockerError,
    http::{self, Body, Response},
};

/// The oldest version of the API that has everything (Docker 19.03, Podman 4).
const LOWEST: &str = "1.40";
/// The newest one that was tried.
const HIGHEST: &str = "1.47";
/// Longest answer that is kept whole, in bytes.
const LONGEST_ANSWER: u64 = 16 << 20;

/// A daemon. Clones are cheap, and the same daemon.
#[derive(Debug, Clone)]
pub(crate) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    /// Such as `1.41`.
    version: String,
    /// Podman, which knows most of the language.
    is_podman: bool,
}

/// What the daemon says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    #[serde(default, rename = "ApiVersion")]
    newest: String,
    #[serde(default, rename = "MinAPIVersion")]
    oldest: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

impl Client {
    /// Sees whether the daemon is there and of use.
    pub(crate) fn connect(address: Address) -> Result<Self, DockerError> {
        let what = "ask for the version";
        let asked = http::exchange(address.connect()?, "GET", "/version", Body::None);
        let response = checked(what, asked.map_err(DockerError::connection(what))?)?;
        let about: About = parsed(what, response)?;
        let wanted = machine();
        if (about.os.as_str(), about.arch.as_str()) != ("linux", wanted) {
            return Err(DockerError::Machine {
                address: address.to_string(),
                found: format!("{}/{}", about.os, about.arch),
                wanted: format!("linux/{wanted}"),
            });
        }
        let spoken = common(&about.oldest, &about.newest).ok_or_else(|| DockerError::Version {
            address: address.to_string(),
            version: about.newest.clone(),
            lowest: LOWEST,
            highest: HIGHEST,
        })?;
        let is_podman = about.components.iter().any(|component| component.name.starts_with("Podman"));
        Ok(Self(Arc::new(Inner { address, version: spoken, is_podman })))
    }

    pub(crate) fn daemon(&self) -> &Address {
        &self.0.address
    }

    /// Whether it is Podman.
    pub(crate) fn is_podman(&self) -> bool {
        self.0.is_podman
    }

    /// Asks, and takes everything but success as an error. `what` completes "cannot ... with Docker".
    pub(crate) fn ask(
        &self,
        what: &'static str,
        method: &str,
        path: &str,
        body: Body<'_>,
    ) -> Result<Response, DockerError> {
        checked(what, self.ask_openly(what, method, path, body)?)
    }

    /// The same with an answer of any status.
    pub(crate) fn ask_openly(
        &self,
        what: &'static str,
        method: &str,
        path: &str,
        body: Body<'_>,
    ) -> Result<Response, DockerError> {
        let path = format!("/v{}{path}", self.0.version);
        let stream = self.0.address.connect()?;
        http::exchange(stream, method, &path, body).map_err(DockerError::connection(what))
    }

    /// Asks with a document, or none, and reads the answer as one.
    pub(crate) fn document<T: DeserializeOwned>(
        &self,
        what: &'static str,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, DockerError> {
        let body = body.map_or(Body::None, |body| Body::Json(body.to_string().into_bytes()));
        parsed(what, self.ask(what, method, path, body)?)
    }

    /// Whether there is something at a path.
    pub(crate) fn has(&self, what: &'static str, path: &str) -> Result<bool, DockerError> {
        let response = self.ask_openly(what, "GET", path, Body::None)?;
        if response.status == 404 { Ok(false) } else { checked(what, response).map(|_| true) }
    }
}

/// The processor of this djship, and of the first process that it brings, in Docker's words.
pub(crate) fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn checked(what: &'static str, response: Response) -> Result<Response, DockerError> {
    let status = response.status;
    if status < 400 {
        return Ok(response);
    }
    let text = response.text(LONGEST_ANSWER).map_err(DockerError::connection(what))?;
    let message = match serde_json::from_slice::<Message>(&text) {
        Ok(message) => message.message,
        Err(_) => String::from_utf8_lossy(&text).trim().to_owned(),
    };
    Err(DockerError::Refused { what, status, message })
}

pub(crate) fn parsed<T: DeserializeOwned>(what: &'static str, response: Response) -> Result<T, DockerError> {
    match serde_json::from_reader(io::Read::take(response, LONGEST_ANSWER)) {
        Ok(document) => Ok(document),
        Err(error) if error.is_io() => Err(DockerError::Connection { what, source: error.into() }),
        Err(_) => Err(DockerError::Answer { what }),
    }
}

/// The newest version that both sides speak.
fn common(their_lowest: &str, their_highest: &str) -> Option<String> {
    let highest = numbers(their_highest)?.min(numbers(HIGHEST)?);
    // Podman does not say.
    let lowest = numbers(their_lowest).unwrap_or_default().max(numbers(LOWEST)?);
    (highest >= lowest).then(|| format!("{}.{}", highest.0, highest.1))
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A text as part of a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_spoken() {
        assert_eq!(common("1.12", "1.41").as_deref(), Some("1.41"));
        assert_eq!(common("", "1.41").as_deref(), Some("1.41"));
        assert_eq!(common("1.24", "1.50").as_deref(), Some(HIGHEST));
        assert_eq!(common("1.44", "1.52").as_deref(), Some(HIGHEST));
        assert_eq!(common("1.12", "1.39"), None);
        assert_eq!(common("1.60", "1.70"), None);
        assert_eq!(common("", ""), None);
    }
}
