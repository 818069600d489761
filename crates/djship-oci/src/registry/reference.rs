//! Names of images in registries: `registry[:port]/path[:tag][@digest]`.

use std::fmt;

use djship_store::Digest;

use crate::name::{ImageName, NO_REGISTRY, NameError, NameFault, is_host, is_part};

/// Where an image is: a registry, a repository in it, and a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that names no image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A short name, and nothing that says which registry it is in.
    #[error(
        "cannot tell in which registry `{text}` is: the name holds no host, and no registry is configured"
    )]
    NoRegistry {
        /// The name as it was given.
        text: String,
    },
    /// Docker's word for its own registry, which is not the host that answers for it.
    #[error(
        "cannot use `{text}`: `{NO_REGISTRY}` is a word of Docker's for no registry in particular, and no host"
    )]
    NoHost {
        /// The name as it was given.
        text: String,
    },
    /// The registry of short names is not one.
    #[error("cannot use `{text}` as the registry of short names: write HOST, HOST:PORT or HOST/PATH")]
    Default {
        /// As it is configured, shortened to 300 characters.
        text: String,
    },
}

impl Reference {
    /// Reads a name. One without a host is looked for below `default`, the registry that the user configured, written as
    /// `HOST[:PORT][/PATH]`; there is no other default.
    pub fn parse(text: &str, default: Option<&str>) -> Result<Self, ReferenceError> {
        let shortened = || text.chars().take(300).collect::<String>();
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let wrong = |_| NameError { text: shortened(), reason: NameFault::MalformedDigest };
                (name, Some(digest.parse::<Digest>().map_err(wrong)?))
            }
            None => (text, None),
        };
        if name.strip_prefix(NO_REGISTRY).is_some_and(|rest| rest.starts_with('/')) {
            return Err(ReferenceError::NoHost { text: shortened() });
        }
        let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let name: ImageName = name.parse()?;
        let tag = (digest.is_none() || has_tag).then(|| name.tag().to_owned());
        let (registry, repository) = match (name.registry(), default) {
            (Some(registry), _) => (registry.to_owned(), name.repository().to_owned()),
            (None, Some(default)) => below(default, name.repository())?,
            (None, None) => return Err(ReferenceError::NoRegistry { text: shortened() }),
        };
        Ok(Self { registry, repository, tag, digest })
    }

    /// Host and port of the registry.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; absent when only a digest is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, if it is given. It counts, not the tag beside it.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What the registry is asked for: the digest or the tag.
    pub(super) fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Registry and repository of the short name `repository` when short names are below `default`.
fn below(default: &str, repository: &str) -> Result<(String, String), ReferenceError> {
    let trimmed = default.trim_end_matches('/');
    let (host, path) = trimmed.split_once('/').map_or((trimmed, None), |(host, path)| (host, Some(path)));
    if !is_host(host) || path.is_some_and(|path| !path.split('/').all(is_part)) {
        return Err(ReferenceError::Default { text: default.chars().take(300).collect() });
    }
    let repository = path.map_or_else(|| repository.to_owned(), |path| format!("{path}/{repository}"));
    Ok((host.to_owned(), repository))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "00a7dc5a0cc388586b8665846e7d8ae94a6dd096f2aa1aa3b4aab4ac484f998a";

    #[test]
    fn a_word_of_dockers_is_no_host() {
        for default in [None, Some("reg.test")] {
            let error = Reference::parse("docker.io/me/shop:1", default).unwrap_err();
            assert!(matches!(error, ReferenceError::NoHost { .. }), "{error}");
        }
    }

    #[test]
    fn names_are_read_and_written() {
        let with_digest = format!("reg.test/a/b@sha256:{HEX}");
        let with_both = format!("reg.test:5000/a:1@sha256:{HEX}");
        for (text, default, shown) in [
            ("reg.test:5000/team/shop", None, "reg.test:5000/team/shop:latest"),
            ("localhost/shop:1", None, "localhost/shop:1"),
            ("[::1]:5000/shop:1", None, "[::1]:5000/shop:1"),
            ("python:3.12-slim", Some("reg.test"), "reg.test/python:3.12-slim"),
            ("python", Some("reg.test:5000/mirror/library/"), "reg.test:5000/mirror/library/python:latest"),
            ("team/shop", Some("registry"), "registry/team/shop:latest"),
            (with_digest.as_str(), None, with_digest.as_str()),
            (with_both.as_str(), None, with_both.as_str()),
        ] {
            let reference = Reference::parse(text, default).unwrap();
            assert_eq!(reference.to_string(), shown);
        }
        let reference = Reference::parse(&with_both, None).unwrap();
        assert_eq!(reference.wanted(), format!("sha256:{HEX}"));
        assert_eq!((reference.registry(), reference.tag()), ("reg.test:5000", Some("1")));
    }

    #[test]
    fn no_registry_is_guessed() {
        for text in ["python:3.12-slim", "team/shop"] {
            let error = Reference::parse(text, None).unwrap_err();
            assert_eq!(error, ReferenceError::NoRegistry { text: text.to_owned() });
        }
        for default in ["https://reg.test", "", "reg.test/UP", "reg.test:x", "a b"] {
            let error = Reference::parse("python", Some(default)).unwrap_err();
            assert!(matches!(error, ReferenceError::Default { .. }), "{default}");
        }
    }

    #[test]
    fn malformed_names_say_what_is_wrong() {
        for (text, reason) in [
            ("reg.test/shop:", NameFault::Tag),
            ("reg.test/shop:a b", NameFault::Tag),
            ("reg.test/Shop:1", NameFault::UpperCase),
            ("reg.test/shop@sha256:00", NameFault::MalformedDigest),
            ("reg.test/shop@sha512:00", NameFault::MalformedDigest),
            ("reg.test/shop@a@b", NameFault::MalformedDigest),
            ("https://reg.test/shop", NameFault::Registry),
            ("[::1/shop", NameFault::Registry),
            ("reg.test/", NameFault::Repository),
        ] {
            let error = Reference::parse(text, None).unwrap_err();
            let ReferenceError::Name(error) = error else { panic!("{text}: {error}") };
            assert_eq!(error.reason, reason, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_reads_the_same_when_written(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(reference) = Reference::parse(&text, Some("reg.test:5000/x")) {
                prop_assert_eq!(Reference::parse(&reference.to_string(), None).unwrap(), reference);
            }
        }
    }
}
