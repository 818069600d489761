//! Stand-ins for public images to build on: a Debian of the older release with its Python below `/usr/local`, made from Debian's
//! packages, and variants of it. The large layers take two minutes once, and are kept in the cache of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use djship_store::Digest;

use crate::cache::cache_dir;
use crate::docker::output_of;
use crate::mirror::upstream;
use crate::needs::{self, Missing};

/// The release of the images.
pub const CODENAME: &str = "bookworm";
/// The version of their Python.
pub const PYTHON: &str = "3.11";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Made again when this, or the script, changes.
const FORM: u32 = 1;
const SCRIPT: &str = include_str!("python_image.sh");
/// What Debian's Python and its modules are linked with, which stays when it goes.
const LIBRARIES: &str =
    "libexpat1,libsqlite3-0,libssl3,libffi8,libreadline8,libncursesw6,libuuid1,libnsl2,libtirpc3";

/// What an image is made of.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// The Debian, without a Python.
    pub debian: bool,
    /// The Python below `/usr/local`.
    pub python: bool,
    /// Files of a last layer: path and text. `->` begins the target of a link.
    pub files: Vec<(&'static str, String)>,
    /// Another processor than this one.
    pub architecture: Option<&'static str>,
}

impl Recipe {
    /// What `python:3.11-slim` would be.
    pub fn python() -> Self {
        Self { debian: true, python: true, ..Self::default() }
    }

    /// The same with one more file.
    #[must_use]
    pub fn with(mut self, path: &'static str, text: impl Into<String>) -> Self {
        self.files.push((path, text.into()));
        self
    }
}

/// What making and pushing them needs.
pub fn needed() -> Result<(), Missing> {
    needs::root()?;
    for program in ["docker-registry", "skopeo", "mmdebstrap", "gzip", "tar"] {
        needs::program(program)?;
    }
    needs::path(KEYRING).map(drop)
}

/// Makes an image and pushes it to `name` (host, port, path and tag) over plain HTTP; the digest of its manifest.
pub fn push(recipe: &Recipe, name: &str) -> Result<String> {
    let place = tempfile::tempdir()?;
    let layout = place.path().join("layout");
    fs_err::create_dir_all(layout.join("blobs/sha256"))?;
    let mut layers = Vec::new();
    let made = if recipe.debian || recipe.python { Some(made()?) } else { None };
    for (file, wanted) in [("root.tar", recipe.debian), ("top.tar", recipe.python)] {
        if let Some(folder) = made.as_ref().filter(|_| wanted) {
            layers.push(folder.join(file));
        }
    }
    if !recipe.files.is_empty() || layers.is_empty() {
        let folder = place.path().join("files");
        fs_err::create_dir(&folder)?;
        for (path, text) in &recipe.files {
            let path = folder.join(path);
            fs_err::create_dir_all(path.parent().context("a file lies in a folder")?)?;
            match text.strip_prefix("->") {
                Some(target) => fs_err::os::unix::fs::symlink(target, path)?,
                None => fs_err::write(path, text)?,
            }
        }
        layers.push(packed(&folder, &place.path().join("files.tar"))?);
    }
    let (mut descriptors, mut ids) = (Vec::new(), Vec::new());
    for plain in &layers {
        ids.push(digest(plain)?.0.to_string());
        let compressed = plain.with_extension("tar.gz");
        let (digest, size) = blob(&layout, &compressed)?;
        descriptors.push(serde_json::json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size,
        }));
    }
    let config = serde_json::json!({
        "architecture": recipe.architecture.unwrap_or("amd64"), "os": "linux",
        "config": {
            "Env": [
                "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=en_US.UTF-8", format!("PYTHON_VERSION={PYTHON}"),
            ],
            "Entrypoint": ["/nothing"], "Cmd": ["python3"], "User": "root",
        },
        "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let (digest, size) = text(&layout, &config)?;
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size },
        "layers": descriptors,
    });
    let (digest, size) = text(&layout, &manifest)?;
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
        }],
    });
    fs_err::write(layout.join("index.json"), index.to_string())?;
    fs_err::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
    let mut command = Command::new("skopeo");
    command.args(["copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests"]);
    command.arg(format!("oci:{}", layout.display())).arg(format!("docker://{name}"));
    output_of(&mut command)?;
    Ok(digest)
}

/// The folder of the large layers.
fn made() -> Result<PathBuf> {
    let id = Digest::of(SCRIPT.as_bytes());
    let folder = cache_dir()?.join("base-images").join(format!("{CODENAME}-{FORM}-{}", &id.hex()[..8]));
    if folder.is_dir() {
        return Ok(folder);
    }
    let parent = folder.parent().context("the cache is a folder")?;
    fs_err::create_dir_all(parent)?;
    let work = tempfile::tempdir_in(parent)?;
    let path = |name: &str| work.path().join(name);
    let (script, top) = (path("script.sh"), path("top"));
    fs_err::write(&script, SCRIPT)?;
    fs_err::create_dir(&top)?;
    let (main, _) = upstream::bases();
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"]);
    command.arg(format!("--keyring={KEYRING}"));
    command.args(["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]);
    command.arg(format!(
        "--include=ca-certificates,netbase,tzdata,python3,python3-pip,python3-setuptools,libpython3-dev,{LIBRARIES}"
    ));
    command.arg(format!("--customize-hook=sh {} \"$1\" {}", script.display(), top.display()));
    command.arg(CODENAME).arg(path("root.tar"));
    // Without updates: what is compiled needs some of its libraries in a later version, as it happens to every image.
    command.arg(format!("deb {main} {CODENAME} main"));
    output_of(&mut command)?;
    packed(&top, &path("top.tar"))?;
    output_of(Command::new("gzip").args(["--keep", "--no-name", "-1"]).arg(path("root.tar")))?;
    fs_err::remove_dir_all(&top)?;
    fs_err::remove_file(&script)?;
    match fs_err::rename(work.path(), &folder) {
        Err(error) if !folder.is_dir() => Err(error.into()),
        _ => Ok(folder),
    }
}

/// The folder as an archive, `FILE` and `FILE.gz`.
fn packed(folder: &Path, file: &Path) -> Result<PathBuf> {
    let mut command = Command::new("tar");
    command.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=2024-01-01T00:00:00Z",
    ]);
    output_of(command.arg("--file").arg(file).arg("--directory").arg(folder).args(["--create", "."]))?;
    output_of(Command::new("gzip").args(["--keep", "--no-name", "-1"]).arg(file))?;
    Ok(file.to_owned())
}

fn digest(file: &Path) -> Result<(Digest, u64)> {
    Ok(Digest::of_reader(fs_err::File::open(file)?)?)
}

/// Puts a file into the layout; its digest and size.
fn blob(layout: &Path, file: &Path) -> Result<(String, u64)> {
    let (digest, size) = digest(file)?;
    let place = layout.join("blobs/sha256").join(digest.hex());
    if fs_err::hard_link(file, &place).is_err() {
        fs_err::copy(file, &place)?;
    }
    ensure!(size > 0, "{} is empty", file.display());
    Ok((digest.to_string(), size))
}

fn text(layout: &Path, value: &serde_json::Value) -> Result<(String, u64)> {
    let text = value.to_string();
    let digest = Digest::of(text.as_bytes());
    fs_err::write(layout.join("blobs/sha256").join(digest.hex()), &text)?;
    Ok((digest.to_string(), text.len() as u64))
}
