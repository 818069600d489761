//! Who asks a registry. Where passwords come from is not this library's business: it asks a [`Credentials`].

use std::fmt;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a registry is told about who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user; empty for an identity token without one.
    pub user: String,
    /// What proves it.
    pub secret: Secret,
    /// Where this was found: a file, or a helper program.
    pub from: String,
}

/// What proves who somebody is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password, or a token that takes its place.
    Password(String),
    /// A token that a token server changes into another one.
    IdentityToken(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("from", &self.from).finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl Login {
    /// The header `Authorization` for a server that takes passwords.
    pub(super) fn basic(&self) -> Option<String> {
        match &self.secret {
            Secret::Password(password) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{}:{password}", self.user))))
            }
            Secret::IdentityToken(_) => None,
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        let (Secret::Password(secret) | Secret::IdentityToken(secret)) = &self.secret;
        self.user.is_empty() && secret.is_empty()
    }

    /// Everything that must not be shown, longest first.
    pub(super) fn secrets(&self) -> Vec<String> {
        let (Secret::Password(secret) | Secret::IdentityToken(secret)) = &self.secret;
        let encoded = self.basic().and_then(|header| header.strip_prefix("Basic ").map(str::to_owned));
        encoded.into_iter().chain([secret.clone()]).filter(|secret| !secret.is_empty()).collect()
    }
}

/// Knows who asks.
pub trait Credentials: Sync {
    /// What `registry` (host and port) is told about who asks for `repository`; `None` is anonymous. Asked only when the
    /// registry wants to know.
    fn find(&self, registry: &str, repository: &str) -> Result<Option<Login>, CredentialsError>;
}

/// Everybody is anonymous.
impl Credentials for () {
    fn find(&self, _: &str, _: &str) -> Result<Option<Login>, CredentialsError> {
        Ok(None)
    }
}

/// Credentials that cannot be had. No password is in any of these.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("cannot read the credentials in `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not JSON of the right form.
    #[error("cannot read the credentials in `{}`: no such form at line {line}, column {column}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// An entry is not what `docker login` writes.
    #[error("cannot read the credentials in `{}`: the entry `{entry}` is not base64 of `user:password`", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The registry that it is for.
        entry: String,
    },
    /// A helper program cannot be run.
    #[error("cannot run the credential helper `{program}`: {source}")]
    Helper {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A helper program fails.
    #[error("cannot get credentials from `{program}`: {message}")]
    HelperFailed {
        /// The program.
        program: String,
        /// What it said, or what is wrong with its answer.
        message: String,
    },
}
