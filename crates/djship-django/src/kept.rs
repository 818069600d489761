//! Layers that are made once per input.

use std::str::FromStr as _;
use std::time::Instant;

use djship_oci::Layer;
use djship_oci::layer::LayerError;
use djship_store::{Bucket, Digest, FileTree, StoreError};

use crate::shared::{self, Share};
use crate::tools::Tools;

/// The layer that was made from `key`, or made now by `make`.
pub(crate) fn layer<E>(
    tools: &Tools<'_>,
    key: &Digest,
    make: impl FnOnce() -> Result<FileTree, E>,
) -> Result<Layer, E>
where
    E: From<LayerError> + From<StoreError> + From<std::io::Error>,
{
    match find::<E>(tools, key)? {
        Some(layer) => Ok(layer),
        None => self::make(tools, key, None, make),
    }
}

/// The layer that was made from `key`, if it is in the store.
pub(crate) fn find<E>(tools: &Tools<'_>, key: &Digest) -> Result<Option<Layer>, E>
where
    E: From<LayerError> + From<std::io::Error>,
{
    let Some(file) = tools.store.find(Bucket::Facts, key) else { return Ok(None) };
    let Ok(tree) = Digest::from_str(fs_err::read_to_string(file)?.trim()) else { return Ok(None) };
    Ok(Layer::find(tools.store, &tree)?)
}

/// The layer of `key`, which is not in the store: the one that is shared, or made now by `make`. What is remembered is the
/// digest of its tree, so two inputs with one result have one layer.
pub(crate) fn make<E>(
    tools: &Tools<'_>,
    key: &Digest,
    share: Option<&Share>,
    make: impl FnOnce() -> Result<FileTree, E>,
) -> Result<Layer, E>
where
    E: From<LayerError> + From<StoreError> + From<std::io::Error>,
{
    let layer = if let Some(layer) = share.and_then(|share| shared::layer(tools, share)) {
        layer
    } else {
        let since = Instant::now();
        let layer = Layer::keep(tools.store, &make()?)?;
        if let Some(share) = share {
            shared::put(tools, share, since.elapsed(), (), Some(&layer.tree));
        }
        layer
    };
    let digest = layer.tree.digest().to_string();
    tools.store.insert_file(Bucket::Facts, key, |writer| -> Result<(), E> {
        Ok(writer.write_all(digest.as_bytes())?)
    })?;
    Ok(layer)
}
