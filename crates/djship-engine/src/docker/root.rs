//! Roots as images of the daemon's: each stack of folders is loaded once, one layer for each folder.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use djship_store::{
    Digest, FileTree,
    saved::{BYTES, ENTRIES},
};
use serde_json::{Value, json};

use super::{
    client::{Client, escaped},
    error::DockerError,
    http::Body,
    init, load,
};

/// What images of roots are called; the tag is what they were made of.
const NAME: &str = "djship-root";
/// Images of roots that are kept: older ones are removed when a new one comes.
const KEPT: usize = 32;
/// The label that says what an image was made of, bottom first.
const PARTS: &str = "djship.parts";

/// The images that are known to be there. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<Vec<String>>>);

impl Known {
    fn has(&self, image: &str) -> bool {
        self.0.lock().is_ok_and(|known| known.iter().any(|known| known == image))
    }

    fn add(&self, image: &str) {
        if let Ok(mut known) = self.0.lock() {
            known.push(image.to_owned());
        }
    }
}

/// One folder of a root.
struct Part {
    folder: PathBuf,
    /// Stands for its entries.
    digest: Digest,
}

/// The image of these folders (first is topmost), loaded if the daemon has it not.
pub(crate) fn image(client: &Client, known: &Known, lowers: &[PathBuf]) -> Result<String, DockerError> {
    let parts: Vec<Part> = lowers.iter().rev().map(|lower| Part::of(lower)).collect::<Result<_, _>>()?;
    // The first process is the lowest part.
    let mut digests = vec![Digest::of(init::PROGRAM).to_string()];
    digests.extend(parts.iter().map(|part| part.digest.to_string()));
    let key = format!("djship root, form 1\n{}\n", digests.join("\n"));
    let image = format!("{NAME}:{}", Digest::of(key.as_bytes()).hex());
    if known.has(&image) {
        return Ok(image);
    }
    if !client.has("look for a root", &format!("/images/{image}/json"))? {
        let images = images(client);
        let label = (PARTS, digests.join(","));
        let load = |there: &[String]| {
            let absent = parts.iter().skip(there.len().saturating_sub(1));
            let trees = absent.map(|part| Ok((part.folder.clone(), tree(&part.folder)?)));
            load::image(client, &image, &label, there, &trees.collect::<Result<Vec<_>, DockerError>>()?)
        };
        // An edited project changes the topmost layer only: what is below is there.
        let there = layers_there(client, &images, &digests);
        match load(&there) {
            // Daemons that keep images in another way want all of it.
            Err(DockerError::Refused { .. }) if !there.is_empty() => load(&[])?,
            loaded => loaded?,
        }
        sweep(client, &images);
    }
    known.add(&image);
    Ok(image)
}

impl Part {
    fn of(folder: &Path) -> Result<Self, DockerError> {
        // Beside a tree of the store's stands what is in it, also what its owners are.
        let digest = match described(folder) {
            Some(beside) => fs_err::read(beside.join(ENTRIES)).map(|text| Digest::of(&text)),
            None => return Ok(Self { folder: folder.to_owned(), digest: tree(folder)?.digest() }),
        };
        let digest = digest
            .map_err(|error| DockerError::Root { path: folder.to_owned(), reason: error.to_string() })?;
        Ok(Self { folder: folder.to_owned(), digest })
    }
}

/// The folder that describes a tree of the store's.
fn described(folder: &Path) -> Option<&Path> {
    let beside = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == BYTES))?;
    beside.join(ENTRIES).is_file().then_some(beside)
}

fn tree(folder: &Path) -> Result<FileTree, DockerError> {
    let failed = |reason: String| DockerError::Root { path: folder.to_owned(), reason };
    match described(folder) {
        Some(beside) => FileTree::load(beside).map_err(|error| failed(error.to_string())),
        None => FileTree::scan(folder).map_err(|error| failed(error.to_string())),
    }
}

/// The roots that the daemon has; none when it does not say.
fn images(client: &Client) -> Vec<Value> {
    let filters = escaped(&json!({ "reference": [NAME] }).to_string());
    client
        .document("list the roots", "GET", &format!("/images/json?filters={filters}"), None)
        .unwrap_or_default()
}

/// The digests of the layers that the daemon has of these parts, from the lowest on, as far as an image begins like them.
fn layers_there(client: &Client, images: &[Value], parts: &[String]) -> Vec<String> {
    let shared = |image: &Value| {
        let theirs = image["Labels"][PARTS].as_str().unwrap_or_default();
        theirs.split(',').zip(parts).take_while(|(theirs, ours)| theirs == ours).count()
    };
    let Some(nearest) = images.iter().max_by_key(|image| shared(image)) else { return Vec::new() };
    let (Some(id), count) = (nearest["Id"].as_str(), shared(nearest)) else { return Vec::new() };
    let found = client.document::<Value>("look for a root", "GET", &format!("/images/{id}/json"), None);
    let layers = found.map(|found| found["RootFS"]["Layers"].clone()).unwrap_or_default();
    let layers = layers.as_array().map_or(&[][..], Vec::as_slice);
    layers.iter().take(count).filter_map(|layer| layer.as_str().map(str::to_owned)).collect()
}

/// Removes roots that have not been made for long. What a container uses stays, and failing harms nobody.
fn sweep(client: &Client, images: &[Value]) {
    let mut found: Vec<(i64, &str)> = images
        .iter()
        .filter_map(|image| Some((image["Created"].as_i64()?, image["RepoTags"].get(0)?.as_str()?)))
        .collect();
    found.sort_unstable();
    let old = found.len().saturating_sub(KEPT);
    for (_, name) in &found[..old] {
        let _ = client.ask("remove a root", "DELETE", &format!("/images/{name}"), Body::None);
    }
}

#[cfg(test)]
mod tests {
    use djship_store::{Entry, TreePath};

    use super::*;

    #[test]
    fn a_tree_of_the_store_is_known_by_its_description_and_any_other_by_its_content() {
        let place = tempfile::tempdir().unwrap();
        let fs = place.path().join("entry").join(BYTES);
        fs_err::create_dir_all(&fs).unwrap();
        fs_err::write(fs.join("a"), "1").unwrap();
        let by_content = Part::of(&fs).unwrap().digest;
        let mut described = FileTree::scan(&fs).unwrap();
        described.insert(TreePath::parse("etc").unwrap(), Entry::dir().owned_by(7, 7));
        described.save(&place.path().join("entry")).unwrap();
        assert_ne!(Part::of(&fs).unwrap().digest, by_content);
        assert_eq!(tree(&fs).unwrap().get("etc").unwrap().uid, 7);
    }
}
