//! Stand-ins for two public images, made from Debian's packages with this machine's certificates and package settings inside,
//! and named as the public ones are. They take a minute once, and are kept in the cache of the tests.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Docker, output_of};
use crate::cache::cache_dir;
use crate::mirror::upstream;
use crate::needs::{self, Missing};

pub(super) const CODENAME: &str = "trixie";
pub(super) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Made again when this changes.
const FORM: u32 = 2;

/// What making the stand-ins needs.
pub(super) fn needed() -> Result<(), Missing> {
    needs::program("mmdebstrap")?;
    needs::path(KEYRING).map(drop)
}

impl Docker {
    /// What making [`Docker::debian_slim`] and [`Docker::postgres`] needs.
    pub fn images_needed() -> Result<(), Missing> {
        super::needed()?;
        needed()
    }

    /// A small Debian with apt, called `debian:trixie-slim`.
    pub fn debian_slim(&self) -> Result<()> {
        self.import("slim", "", "debian:trixie-slim", "CMD [\"bash\"]")
    }

    /// PostgreSQL with `POSTGRES_USER` and `POSTGRES_PASSWORD`, called `postgres:17`.
    pub fn postgres(&self) -> Result<()> {
        self.import("postgres", "postgresql", "postgres:17", include_str!("postgres.Dockerfile"))
    }

    fn import(&self, root: &str, packages: &str, name: &str, config: &str) -> Result<()> {
        let file = made(root, packages)?;
        output_of(self.client(["import"]).arg(&file).arg(format!("stand-in-{root}")))?;
        let mut build = self.client(["build", "--quiet", "--tag", name, "-"]);
        let mut child = build.env("DOCKER_BUILDKIT", "0").stdin(Stdio::piped()).spawn()?;
        let text = format!("FROM stand-in-{root}\n{config}\n");
        child.stdin.take().context("a pipe")?.write_all(text.as_bytes())?;
        ensure!(child.wait()?.success(), "cannot make {name}");
        Ok(())
    }
}

/// A root file system as an archive, made at the first time.
fn made(name: &str, packages: &str) -> Result<PathBuf> {
    let folder = cache_dir()?.join("docker");
    fs_err::create_dir_all(&folder)?;
    let file = folder.join(format!("{CODENAME}-{name}-{FORM}.tar"));
    if file.is_file() {
        return Ok(file);
    }
    let place = tempfile::Builder::new().prefix("djship-root-").tempdir_in(&folder)?;
    let (main, security) = upstream::bases();
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io"])
        .arg(format!("--keyring={KEYRING}"));
    // The usual images are without documentation as well.
    command.args(["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]);
    if !packages.is_empty() {
        command.arg(format!("--include={packages}"));
        let script = place.path().join("database.sh");
        fs_err::write(&script, include_str!("database.sh"))?;
        command.arg(format!("--customize-hook=copy-in {} /", script.display()));
    }
    for (source, folder) in settings(place.path())? {
        let make = format!("--customize-hook=mkdir -p \"$1{folder}\"");
        command.arg(make).arg(format!("--customize-hook=copy-in {} {folder}", source.display()));
    }
    let made = place.path().join("root.tar");
    command.arg(CODENAME).arg(&made);
    command.arg(format!("deb {main} {CODENAME} main")).arg(format!("deb {main} {CODENAME}-updates main"));
    command.arg(format!("deb {security} {CODENAME}-security main"));
    output_of(&mut command)?;
    fs_err::rename(&made, &file)?;
    Ok(file)
}

/// What of this machine an image needs in order to reach Debian's and Python's packages from here, and the folder of each.
fn settings(place: &Path) -> Result<Vec<(PathBuf, &'static str)>> {
    const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
    let mut found = Vec::new();
    if Path::new(BUNDLE).is_file() {
        found.push((PathBuf::from(BUNDLE), "/etc/ssl/certs"));
        // The package `ca-certificates` makes the bundle anew, with what it finds here.
        let own = place.join("this-machine.crt");
        fs_err::copy(BUNDLE, &own)?;
        found.push((own, "/usr/local/share/ca-certificates"));
        let bundle = place.join("90certificates");
        fs_err::write(&bundle, format!("Acquire::https::CAInfo \"{BUNDLE}\";\n"))?;
        found.push((bundle, "/etc/apt/apt.conf.d"));
    }
    // As in the public image: what a build makes need not outlast a power cut.
    let speed = place.join("docker-apt-speedup");
    fs_err::write(&speed, "force-unsafe-io\n")?;
    found.push((speed, "/etc/dpkg/dpkg.cfg.d"));
    // What this machine says in variables stands in a file there.
    let pip = place.join("pip.conf");
    let own = fs_err::read_to_string("/etc/pip.conf").unwrap_or_else(|_| "[global]\n".to_owned());
    let mut text = own.clone();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("[install]\n");
    for (key, variable) in
        [("index-url", "PIP_INDEX_URL"), ("extra-index-url", "PIP_EXTRA_INDEX_URL"), ("cert", "PIP_CERT")]
    {
        let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
        if let Some(value) = value {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    fs_err::write(&pip, text).context("cannot write pip.conf")?;
    found.push((pip, "/etc"));
    let proxy = Path::new("/etc/apt/apt.conf");
    if proxy.is_file() {
        found.push((proxy.to_owned(), "/etc/apt"));
    }
    Ok(found)
}
