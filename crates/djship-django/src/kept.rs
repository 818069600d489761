//! Layers that are made once per input.

use std::str::FromStr as _;

use djship_oci::Layer;
use djship_oci::layer::LayerError;
use djship_store::{Bucket, Digest, FileTree, StoreError};

use crate::tools::Tools;

/// The layer that was made from `key`, or made now by `make`. What is remembered is the digest of its tree, so two inputs
/// with one result share one layer.
pub(crate) fn layer<E>(
    tools: &Tools<'_>,
    key: &Digest,
    make: impl FnOnce() -> Result<FileTree, E>,
) -> Result<Layer, E>
where
    E: From<LayerError> + From<StoreError> + From<std::io::Error>,
{
    if let Some(file) = tools.store.find(Bucket::Facts, key)
        && let Ok(tree) = Digest::from_str(fs_err::read_to_string(file)?.trim())
        && let Some(layer) = Layer::find(tools.store, &tree)?
    {
        return Ok(layer);
    }
    let tree = make()?;
    let layer = Layer::keep(tools.store, &tree)?;
    let digest = tree.digest().to_string();
    tools.store.insert_file(Bucket::Facts, key, |writer| -> Result<(), E> {
        Ok(writer.write_all(digest.as_bytes())?)
    })?;
    Ok(layer)
}
