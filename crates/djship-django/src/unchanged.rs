//! The build that has nothing to do: a walk over what the last one looked at.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use djship_oci::ImageStore;
use djship_store::{Digest, Store, StoreError, atomic};

use crate::application::Snapshot;
use crate::base::FRESH;
use crate::build::{BuildOptions, Summary};
use crate::laid::Key;
use crate::plan::Plan;
use crate::stamp::{Stamp, now};
use crate::tools::{Host, Tools};

#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    inputs: Digest,
    time: i128,
    looked_at: Vec<(PathBuf, Option<Stamp>)>,
    summary: Summary,
}

impl Remembered {
    /// Whether everything that was looked at is as it was.
    fn is_same(&self) -> bool {
        let is_same = |(path, stamp): &(PathBuf, Option<Stamp>)| {
            path.symlink_metadata().ok().map(|metadata| Stamp::of(&metadata)) == *stamp
        };
        self.looked_at.iter().all(is_same)
    }
}

/// Whether the project in `folder` is as its last build found it; `None` when nobody remembers.
pub(crate) fn is_as_built(root: &Path, folder: &Path) -> Option<bool> {
    let remembered: Remembered = serde_json::from_slice(&fs_err::read(file(root, folder)).ok()?).ok()?;
    Some(remembered.is_same())
}

/// The last build's image, when the same build now would make the same: nothing that it looked at has changed, Debian's
/// indexes are still fresh, and the image is there under its name.
pub fn find(store: &Store, host: &Host, folder: &Path, options: &BuildOptions) -> Option<Summary> {
    if host.debian.refresh {
        return None;
    }
    let folder = fs_err::canonicalize(folder).ok()?;
    let remembered: Remembered =
        serde_json::from_slice(&fs_err::read(file(store.root(), &folder)).ok()?).ok()?;
    let age = now() - remembered.time;
    let is_fresh = u128::try_from(age).is_ok_and(|age| age < FRESH.as_nanos());
    if !is_fresh || remembered.inputs != inputs(host, options) {
        return None;
    }
    if !remembered.is_same() {
        return None;
    }
    let image = ImageStore::new(store).find(&remembered.summary.name).ok()?;
    (image.id == remembered.summary.id).then_some(remembered.summary)
}

/// Remembers a build for [`find`].
pub(crate) fn remember(
    tools: &Tools<'_>,
    folder: &Path,
    options: &BuildOptions,
    plan: &Plan,
    snapshot: &Snapshot,
    summary: &Summary,
) -> Result<(), StoreError> {
    let Ok(folder) = fs_err::canonicalize(folder) else { return Ok(()) };
    let path = file(tools.store.root(), &folder);
    let time = now();
    let failed = |source| StoreError::Io { verb: "remember", path: path.clone(), source };
    let looked_at: Vec<_> = snapshot
        .looked_at
        .iter()
        .cloned()
        .chain(read_for_plan(plan))
        .map(|path| {
            let stamp = path.symlink_metadata().ok().map(|metadata| Stamp::of(&metadata));
            (path, stamp)
        })
        .collect();
    // What changed a moment ago may change again unseen; what changed since the snapshot is not in the image.
    if looked_at.iter().any(|(_, stamp)| stamp.is_some_and(|stamp| !stamp.is_settled(snapshot.time))) {
        return match fs_err::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        };
    }
    let remembered =
        Remembered { inputs: inputs(tools.host, options), time, looked_at, summary: summary.clone() };
    let text = serde_json::to_vec(&remembered).map_err(io::Error::other).map_err(failed)?;
    atomic::write_quickly(&path, &text).map_err(failed)
}

/// Files that a plan and a selection read although they need not ship, there or not.
fn read_for_plan(plan: &Plan) -> Vec<PathBuf> {
    const NAMES: &[&str] = &[
        ".python-version",
        "runtime.txt",
        "Pipfile",
        "Procfile",
        "pyproject.toml",
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "pylock.toml",
        "setup.py",
        "setup.cfg",
        "djship.toml",
        "Aptfile",
    ];
    let top = &plan.project.folder;
    let mut files: Vec<PathBuf> = plan.dependencies.value.files().iter().map(|file| top.join(file)).collect();
    for folder in plan.project.folders() {
        files.extend(NAMES.iter().map(|name| top.join(&folder).join(name)));
    }
    files.extend([top.join(".dockerignore"), top.join(".git/info/exclude")]);
    // Git's ignore files count from the repository's top on.
    files.extend(top.ancestors().skip(1).take(8).map(|above| above.join(".gitignore")));
    files
}

/// Everything else that decides what is built.
fn inputs(host: &Host, options: &BuildOptions) -> Digest {
    let program = fs_err::metadata("/proc/self/exe").map(|metadata| format!("{:?}", Stamp::of(&metadata)));
    let mut key = Key::new("build, form 1").part(program.unwrap_or_default()).part(format!("{options:?}"));
    key = key.part(format!("{:?}", host.debian)).part(format!("{:?}", host.registries.default));
    for (name, value) in host.installer.iter().chain(&host.npm) {
        key = key.part(name).part(value);
    }
    for file in host.pip_configuration.iter().chain(&host.npm_configuration) {
        key = key.part(fs_err::read(file).unwrap_or_default());
    }
    key.digest()
}

/// What is remembered of builds and their steps and has not been used since `unused_since`: all of it can be made anew. What
/// says that a build whose image is still there has nothing to do is left out.
pub fn outdated(store: &Store, unused_since: SystemTime) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(store.root().join("last")).into_iter().flatten().flatten();
    let is_old = |path: &PathBuf| {
        let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file);
        let time = metadata.and_then(|metadata| metadata.modified().ok());
        time.is_some_and(|time| time < unused_since)
    };
    let is_needed = |path: &PathBuf| {
        let text = fs_err::read(path).ok();
        let remembered = text.and_then(|text| serde_json::from_slice::<Remembered>(&text).ok());
        remembered.is_some_and(|remembered| {
            let image = ImageStore::new(store).find(&remembered.summary.name);
            image.is_ok_and(|image| image.id == remembered.summary.id)
        })
    };
    entries.map(|entry| entry.path()).filter(is_old).filter(|path| !is_needed(path)).collect()
}

fn file(root: &Path, folder: &Path) -> PathBuf {
    let key = Key::new("builds, form 1").part(folder.as_os_str().as_encoded_bytes()).digest();
    root.join("last").join(format!("build-{}.json", &key.hex()[..16]))
}
