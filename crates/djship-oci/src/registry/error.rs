//! What can go wrong between here and a registry. What the registry says itself comes along, shortened, and without
//! anything that was secret on the way there.

use std::io;

use djship_store::fetch::FetchError;
use djship_store::unpack::UnpackError;
use djship_store::{Digest, StoreError};

use super::credentials::CredentialsError;
use super::reference::ReferenceError;
use crate::image::ImageError;
use crate::layer::LayerError;

/// A push or a pull that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name is none.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// An image is pushed to a name with a digest, which only the registry gives.
    #[error("cannot push to `{name}`: an image is pushed to a tag, and has its digest already")]
    PushToDigest {
        /// The name.
        name: String,
    },
    /// No connection, or a broken one, again and again.
    #[error("cannot reach the registry `{registry}`: {source}")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// What happened last.
        source: FetchError,
    },
    /// Its certificate is not trusted here.
    #[error("cannot trust the registry `{registry}`: {fault}")]
    Certificate {
        /// Host and port.
        registry: String,
        /// What is wrong with the certificate.
        fault: String,
    },
    /// It speaks plain HTTP, and is neither on this machine nor declared insecure.
    #[error("cannot use the registry `{registry}`: it does not speak TLS")]
    NotTls {
        /// Host and port.
        registry: String,
    },
    /// Its token server speaks plain HTTP, and passwords must not go there: not both are on this machine or declared insecure.
    #[error("cannot use the registry `{registry}`: its token server `{host}` is not reached over TLS")]
    PlainTokenServer {
        /// Host and port.
        registry: String,
        /// Those of the token server.
        host: String,
    },
    /// User and password are wrong.
    #[error("the registry `{registry}` does not accept the password of `{user}`")]
    WrongCredentials {
        /// Host and port.
        registry: String,
        /// Whose.
        user: String,
        /// The file or program that they came from.
        from: String,
        /// What the registry says.
        message: String,
    },
    /// Nobody may do this without saying who it is.
    #[error("the registry `{registry}` wants a login for `{repository}`")]
    LoginNeeded {
        /// Host and port.
        registry: String,
        /// The name in it.
        repository: String,
        /// What the registry says.
        message: String,
    },
    /// It is known who asks, and not allowed.
    #[error("the registry `{registry}` denies access to `{repository}`")]
    Denied {
        /// Host and port.
        registry: String,
        /// The name in it.
        repository: String,
        /// Who asked; `None` is anonymous.
        user: Option<String>,
        /// What the registry says.
        message: String,
    },
    /// There is no such repository, and the registry makes none by itself.
    #[error("the registry `{registry}` has no repository `{repository}`")]
    NoRepository {
        /// Host and port.
        registry: String,
        /// The name in it.
        repository: String,
        /// What the registry says.
        message: String,
    },
    /// There is no such image.
    #[error("the registry has no image `{image}`")]
    ManifestUnknown {
        /// The whole name.
        image: String,
        /// What the registry says.
        message: String,
    },
    /// The image is not there for this processor.
    #[error("the image `{image}` is not made for {wanted}")]
    NoPlatform {
        /// The whole name.
        image: String,
        /// `linux/amd64`.
        wanted: String,
        /// What it is made for.
        found: Vec<String>,
    },
    /// It takes no more, or nothing so large.
    #[error("the registry `{registry}` has no room for `{repository}` (status {status})")]
    Full {
        /// Host and port.
        registry: String,
        /// The name in it.
        repository: String,
        /// The HTTP status: 413 and 507 say different things.
        status: u16,
        /// What the registry says.
        message: String,
    },
    /// Too many requests, and waiting did not help.
    #[error("the registry `{registry}` answers no more requests for `{repository}` for now")]
    RateLimited {
        /// Host and port.
        registry: String,
        /// The name in it.
        repository: String,
        /// Who asked; `None` is anonymous.
        user: Option<String>,
        /// What the registry says.
        message: String,
    },
    /// Any other refusal.
    #[error("the registry `{registry}` refuses {what} (status {status})")]
    Rejected {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the registry says.
        message: String,
    },
    /// An answer that does not follow the protocol.
    #[error("cannot understand the registry `{registry}`: {what}: {reason}")]
    Protocol {
        /// Host and port.
        registry: String,
        /// Which answer.
        what: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A document that is not what it should be.
    #[error("cannot read {what} from `{registry}`: {source}")]
    Malformed {
        /// Host and port.
        registry: String,
        /// Which document.
        what: String,
        /// What is wrong where.
        source: serde_json::Error,
    },
    /// Content with another digest.
    #[error("cannot use {what} from `{registry}`: it has the digest {found} instead of {expected}")]
    WrongDigest {
        /// Host and port.
        registry: String,
        /// Which content.
        what: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Content of a kind that cannot be used.
    #[error("cannot use `{image}`: {what} of the kind `{media_type}` is not supported")]
    Unsupported {
        /// The whole name.
        image: String,
        /// What it is.
        what: &'static str,
        /// The media type, shortened.
        media_type: String,
    },
    /// More than is allowed.
    #[error("cannot use `{image}`: {what} has {size} bytes, more than {limit}")]
    TooLarge {
        /// The whole name.
        image: String,
        /// What it is.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// No credentials can be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Something that is to be sent, or was fetched, cannot be read here.
    #[error("cannot read the blob {digest}: {source}")]
    Blob {
        /// Its digest.
        digest: Digest,
        /// Why; names the file.
        source: io::Error,
    },
    /// A layer cannot be made or read.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A fetched layer cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] LayerArchiveError),
    /// The image's config does not fit.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// Whether the registry is fine, and does not let this be done: by nobody, or not by who asked.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::LoginNeeded { .. } | Self::Denied { .. } | Self::WrongCredentials { .. } => true,
            // A registry that only serves what it has knows no other method.
            Self::Rejected { status, .. } => *status == 405,
            _ => false,
        }
    }

    /// Whether the next request would end the same way, whatever it asks for.
    pub fn is_lasting(&self) -> bool {
        self.is_refusal()
            || matches!(
                self,
                Self::Unreachable { .. }
                    | Self::Certificate { .. }
                    | Self::NotTls { .. }
                    | Self::RateLimited { .. }
                    | Self::Full { .. }
                    | Self::NoRepository { .. }
                    | Self::Credentials(_)
            )
    }
}

/// The archive of a layer that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerArchiveError {
    /// The archive is damaged, or is none.
    #[error("cannot unpack the layer {digest}: {source}")]
    Archive {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        source: io::Error,
    },
    /// An entry has a name or a target that no tree holds.
    #[error("cannot unpack the layer {digest}: the entry `{entry}` {reason}")]
    Entry {
        /// The blob.
        digest: Digest,
        /// Its name, with what is not UTF-8 escaped, shortened.
        entry: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It holds more than is allowed.
    #[error("cannot unpack the layer {digest}: it is larger than {limit} bytes")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// The limit.
        limit: u64,
    },
    /// What is in it is not what the image's config says.
    #[error("cannot unpack the layer {digest}: its content has the digest {found} instead of {expected}")]
    WrongContent {
        /// The blob.
        digest: Digest,
        /// The diff id of the config.
        expected: Digest,
        /// The diff id of what came.
        found: Digest,
    },
    /// The guarded door refuses an entry.
    #[error("cannot unpack the layer {digest}: {source}")]
    Door {
        /// The blob.
        digest: Digest,
        /// Why.
        source: UnpackError,
    },
    /// What is unpacked cannot be saved.
    #[error("cannot keep the layer {digest}: {source}")]
    Save {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}
