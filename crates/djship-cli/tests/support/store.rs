//! A store, judged from outside: nothing in the making is left, and every entry is what its description says.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use djship_store::{Digest, FileTree, Node};

/// Names in the store's folder for work in progress.
pub(crate) fn unfinished(home: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(home.join("tmp")).into_iter().flatten();
    entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
}

/// Checks that every laid-out entry is complete, and that every file named after its content has that content.
pub(crate) fn verify(home: &Path) -> Result<()> {
    for bucket in ["packages-v1", "roots-v1", "layers-v1", "outputs-v1"] {
        for folder in children(&home.join(bucket))? {
            if folder.join("descriptor.json").exists() {
                verify_compressed(&folder)?;
                continue;
            }
            let tree = FileTree::load(&folder)?;
            for (path, entry) in tree.iter() {
                let Node::File { digest, size, at } = &entry.node else { continue };
                let place = || format!("{path} in {}", folder.display());
                let metadata = fs_err::metadata(at).with_context(place)?;
                ensure!(metadata.len() == *size, "{} has {} of {size} bytes", place(), metadata.len());
                // A layer's files are the packages' files, under further names.
                if bucket == "packages-v1" || bucket == "outputs-v1" {
                    ensure!(Digest::of(&fs_err::read(at)?) == *digest, "{} has another content", place());
                }
            }
        }
    }
    for shard in children(&home.join("blobs-v1"))? {
        for file in children(&shard)? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ensure!(
                Digest::of(&fs_err::read(&file)?).hex() == name,
                "{} has another content",
                file.display()
            );
        }
    }
    Ok(())
}

/// A layer as it is transferred, beside its description.
fn verify_compressed(folder: &Path) -> Result<()> {
    let descriptor: serde_json::Value =
        serde_json::from_slice(&fs_err::read(folder.join("descriptor.json"))?)?;
    let content = fs_err::read(folder.join("layer.tar.gz"))?;
    let digest = Digest::of(&content).to_string();
    ensure!(
        descriptor["digest"] == digest.as_str(),
        "{} has another content than {descriptor}",
        folder.display()
    );
    Ok(())
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    fs_err::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}
