//! Names of images, as Docker and registries have them.

use std::fmt;
use std::str::FromStr;

/// What is taken when no tag is given.
const DEFAULT_TAG: &str = "latest";
/// Docker's own spelling of "no registry", which its containerd store expects in archives. Nothing is fetched from it.
pub(crate) const NO_REGISTRY: &str = "docker.io";

/// The name of an image with its tag: `shop`, `shop:1.2`, `registry.example:5000/team/shop:1.2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    /// Host and port of a registry.
    registry: Option<String>,
    repository: String,
    tag: String,
}

/// A text that is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use `{text}` as an image name: {reason}")]
pub struct NameError {
    /// The text, shortened to 300 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: NameFault,
}

/// What is wrong with an image name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing where a name should be.
    #[error("the name is empty")]
    Empty,
    /// A name with capitals.
    #[error("the name must be lower case")]
    UpperCase,
    /// A part of the name is malformed.
    #[error("each part of the name is `a-z 0-9`, with single `.`, `_`, `__` or any number of `-` between")]
    Repository,
    /// The registry's host is malformed.
    #[error("the registry must be a host name, with or without a port")]
    Registry,
    /// The tag is malformed.
    #[error("a tag is 1 to 128 of `a-z A-Z 0-9 _ . -`, the first neither `.` nor `-`")]
    Tag,
    /// A digest instead of a tag.
    #[error("an image is given a tag here, not a digest")]
    Digest,
    /// A digest that is none.
    #[error("a digest is `sha256:` and 64 of `0-9 a-f`")]
    MalformedDigest,
    /// Too long.
    #[error("the name is longer than 255 characters")]
    TooLong,
}

impl ImageName {
    /// Host and port of the registry, if one is named.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The name without registry and tag.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The same image with another tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, NameError> {
        if !is_tag(tag) {
            return Err(NameError { text: tag.chars().take(300).collect(), reason: NameFault::Tag });
        }
        Ok(Self { tag: tag.to_owned(), ..self.clone() })
    }

    /// The name with nothing left out, as containerd stores it.
    pub fn canonical(&self) -> String {
        let Self { registry, repository, tag } = self;
        match registry {
            Some(registry) => format!("{registry}/{repository}:{tag}"),
            None if repository.contains('/') => format!("{NO_REGISTRY}/{repository}:{tag}"),
            None => format!("{NO_REGISTRY}/library/{repository}:{tag}"),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |reason| NameError { text: text.chars().take(300).collect(), reason };
        if text.contains('@') {
            return Err(wrong(NameFault::Digest));
        }
        // A colon after the last slash begins the tag; one before it, a port.
        let last = text.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match text[last..].split_once(':') {
            Some((_, tag)) => (&text[..text.len() - tag.len() - 1], tag),
            None => (text, DEFAULT_TAG),
        };
        if name.is_empty() {
            return Err(wrong(NameFault::Empty));
        }
        if name.len() > 255 {
            return Err(wrong(NameFault::TooLong));
        }
        if !is_tag(tag) {
            return Err(wrong(NameFault::Tag));
        }
        // Docker's rule: the first part is a host if it looks like one.
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), rest),
            _ => (None, name),
        };
        if registry.is_some_and(|host| !is_host(host)) {
            return Err(wrong(NameFault::Registry));
        }
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong(NameFault::UpperCase));
        }
        if !repository.split('/').all(is_part) {
            return Err(wrong(NameFault::Repository));
        }
        let registry = registry.filter(|host| *host != NO_REGISTRY).map(str::to_owned);
        let plain =
            repository.strip_prefix("library/").filter(|rest| registry.is_none() && !rest.contains('/'));
        Ok(Self { registry, repository: plain.unwrap_or(repository).to_owned(), tag: tag.to_owned() })
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

pub(crate) fn is_host(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_end = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return is_end && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

/// One part between slashes: runs of letters and digits, with one separator between two runs.
pub(crate) fn is_part(part: &str) -> bool {
    let word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let mut rest = part;
    loop {
        let run = rest.trim_start_matches(word);
        if run.len() == rest.len() {
            return false;
        }
        if run.is_empty() {
            return true;
        }
        let after = run.trim_start_matches(|character: char| !word(character));
        let separator = &run[..run.len() - after.len()];
        if !matches!(separator, "." | "_" | "__") && separator.bytes().any(|byte| byte != b'-') {
            return false;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, shown, canonical) in [
            ("shop", "shop:latest", "docker.io/library/shop:latest"),
            ("shop:1.2-rc_1", "shop:1.2-rc_1", "docker.io/library/shop:1.2-rc_1"),
            ("team/shop", "team/shop:latest", "docker.io/team/shop:latest"),
            ("docker.io/library/shop:x", "shop:x", "docker.io/library/shop:x"),
            ("localhost/shop", "localhost/shop:latest", "localhost/shop:latest"),
            (
                "reg.test:5000/a/b__c/d--e.f:T",
                "reg.test:5000/a/b__c/d--e.f:T",
                "reg.test:5000/a/b__c/d--e.f:T",
            ),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.canonical().as_str()), (shown, canonical));
            assert_eq!(name.to_string().parse::<ImageName>().unwrap(), name);
        }
    }

    #[test]
    fn malformed_names_say_what_is_wrong() {
        for (text, reason) in [
            ("", NameFault::Empty),
            (":tag", NameFault::Empty),
            ("Shop", NameFault::UpperCase),
            ("shop:", NameFault::Tag),
            ("shop:.x", NameFault::Tag),
            ("shop:a b", NameFault::Tag),
            ("shop:a:b", NameFault::Tag),
            (&format!("shop:{}", "x".repeat(129)), NameFault::Tag),
            ("shop@sha256:00", NameFault::Digest),
            ("shop//x", NameFault::Repository),
            ("-shop", NameFault::Repository),
            ("shop-", NameFault::Repository),
            ("sh..op", NameFault::Repository),
            ("sh___op", NameFault::Repository),
            ("../shop", NameFault::Registry),
            ("shöp", NameFault::Repository),
            ("reg:port/shop", NameFault::Registry),
            ("reg.test:5000/", NameFault::Repository),
            (&"x".repeat(256), NameFault::TooLong),
        ] {
            assert_eq!(text.parse::<ImageName>().unwrap_err().reason, reason, "{text}");
        }
    }
}
