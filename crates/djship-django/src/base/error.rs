//! Why no Debian root can be made.

macro_rules! base_errors {
    ($($(#[$doc:meta])* $name:ident($error:ty),)*) => {
        /// Why no root can be made.
        #[derive(Debug, thiserror::Error)]
        pub enum BaseError {
            $($(#[$doc])* #[error(transparent)] $name(#[from] $error),)*
        }
    };
}

base_errors! {
    /// The archive's indexes cannot be had or are not to be trusted.
    Archive(djship_deb::archive::ArchiveError),
    /// A keyring of a setting cannot be read.
    Keyring(djship_deb::keyring::KeyringError),
    /// A mirror of a setting is no address.
    Mirror(djship_deb::sources::ParseMirrorError),
    /// The host's apt configuration cannot be read.
    Sources(djship_deb::sources::ReadSourcesError),
    /// The packages do not fit together.
    Closure(djship_deb::closure::ClosureError),
    /// A package that the project asks for cannot be had.
    Asked(super::asked::AskedError),
    /// The image of the project's choice does not serve.
    Image(super::BaseImageError),
    /// A package cannot be had.
    Packages(djship_deb::deb::FetchPackagesError),
    /// The packages do not make a root.
    Compose(djship_deb::ComposeError),
    /// A root cannot be kept.
    Keep(crate::laid::KeepError),
    /// A layer cannot be made.
    Layer(djship_oci::layer::LayerError),
    /// The standard library cannot be compiled.
    Bytecode(crate::bytecode::BytecodeError),
    /// The store failed.
    Store(djship_store::StoreError),
    /// A file operation failed.
    Io(std::io::Error),
}
