//! Where the proxy has its files from: its own folder first, then the mirror that apt uses on this machine and the index that
//! pip uses. Neither is named here; both programs are asked.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::links;
use crate::workspace::output_of;

/// An index is fetched again when the kept one is older: longer than any run, shorter than a day.
const INDEX_AGE: Duration = Duration::from_hours(6);

/// What apt's configuration does not have is taken from where Debian itself sends people who have no mirror.
const DEFAULT_MAIN: &str = "http://ftp.debian.org/debian";
const DEFAULT_SECURITY: &str = "http://ftp.debian.org/debian-security";

/// The index that pip would ask: variables, configuration files, and its own default. Only pip knows.
const ASK_PIP: &str = "\
from pip._internal.commands import create_command
print(create_command('download').parse_args([])[0].index_url)";

#[derive(Debug)]
pub(super) struct Upstream {
    kept: PathBuf,
    bases: Option<Bases>,
    missing: Mutex<BTreeSet<String>>,
    network: Mutex<Network>,
}

#[derive(Debug)]
struct Bases {
    main: String,
    security: String,
    index: String,
}

/// An answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The content of this file.
    File(PathBuf),
    /// A page of the index, its links leading through the proxy.
    Page(String),
    Missing,
}

/// What went over the network.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Network {
    pub(super) requests: u32,
    pub(super) bytes: u64,
    /// Of all requests, added up: those at the same time count each.
    pub(super) time: Duration,
}

impl std::ops::Add for Network {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            bytes: self.bytes + other.bytes,
            time: self.time + other.time,
        }
    }
}

impl Upstream {
    pub(super) fn of_this_machine(kept: &Path) -> Result<Self> {
        let index = output_of(Command::new("python3").args(["-c", ASK_PIP]))
            .context("cannot ask pip for its index")?;
        let index = index.trim().trim_end_matches('/').to_owned();
        if index.contains('@') {
            bail!(
                "pip's index needs a password, which the proxy does not pass on; set PIP_INDEX_URL to one that does not"
            );
        }
        let (main, security) = debian_bases()?;
        let bases = Bases {
            main: main.unwrap_or_else(|| DEFAULT_MAIN.to_owned()),
            security: security.unwrap_or_else(|| DEFAULT_SECURITY.to_owned()),
            index,
        };
        Ok(Self { bases: Some(bases), ..Self::kept_only(kept) })
    }

    /// Serves only what is kept already.
    pub(super) fn kept_only(kept: &Path) -> Self {
        Self { kept: kept.to_owned(), bases: None, missing: Mutex::default(), network: Mutex::default() }
    }

    pub(super) fn take_network(&self) -> Network {
        std::mem::take(&mut *self.network.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers `main/..`, `security/..`, `index/NAME/` and `file/SCHEME/HOST/..`.
    pub(super) fn get(&self, path: &str) -> Result<Answer> {
        let (root, rest) = path.split_once('/').unwrap_or((path, ""));
        let base = |pick: fn(&Bases) -> &String| self.bases.as_ref().map(pick);
        match root {
            "main" | "security" => {
                // Debian's file names hold characters that only some clients escape.
                let rest = links::decode(rest);
                let base = base(if root == "main" { |bases| &bases.main } else { |bases| &bases.security });
                let url = base.map(|base| format!("{base}/{rest}"));
                self.file(&format!("mirror/{root}/{rest}"), url)
            }
            "file" => {
                let url = rest.split_once('/').map(|(scheme, rest)| format!("{scheme}://{rest}"));
                self.file(&format!("index/file/{rest}"), url.filter(|_| self.bases.is_some()))
            }
            "index" => {
                let name = rest.trim_matches('/');
                let page = base(|bases| &bases.index).map(|index| format!("{index}/{name}/"));
                match self.file(&format!("index/simple/{name}.html"), page.clone())? {
                    Answer::File(file) => {
                        let text = fs_err::read_to_string(file)?;
                        Ok(Answer::Page(links::through_proxy(&text, &page.unwrap_or_default())))
                    }
                    answer => Ok(answer),
                }
            }
            _ => Ok(Answer::Missing),
        }
    }

    /// The file that is kept as `name`, fetched from `url` first when there is none or an old one.
    fn file(&self, name: &str, url: Option<String>) -> Result<Answer> {
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(Answer::Missing);
        }
        let kept = self.kept.join(name);
        if is_fresh(&kept, name) {
            return Ok(Answer::File(kept));
        }
        let Some(url) = url else { return Ok(Answer::Missing) };
        let missing = || self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing().contains(name) {
            return Ok(Answer::Missing);
        }
        if self.fetch(&url, &kept)? {
            return Ok(Answer::File(kept));
        }
        missing().insert(name.to_owned());
        Ok(Answer::Missing)
    }

    /// Fetches one file; false when there is none.
    fn fetch(&self, url: &str, kept: &Path) -> Result<bool> {
        let since = Instant::now();
        let folder = kept.parent().context("a file lies in a folder")?;
        fs_err::create_dir_all(folder)?;
        // Two requests for one file at the same time: each writes its own, and the last one is kept.
        let thread = format!("{:?}", std::thread::current().id());
        let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
        let temporary = folder.join(format!(".{}-{digits}.part", std::process::id()));
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--location", "--retry", "3", "--connect-timeout", "30"]);
        // The index may answer in several forms; the links are read from this one.
        curl.args(["--header", "Accept: text/html, */*;q=0.1"]);
        curl.args(["--write-out", "%{http_code}", "--config", "-", "--output"]).arg(&temporary);
        curl.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = curl.spawn().context("cannot start curl")?;
        // Not an argument, so that no other user sees the address.
        writeln!(child.stdin.take().context("curl has a standard input")?, "url = \"{url}\"")?;
        let output = child.wait_with_output()?;
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        network.requests += 1;
        network.time += since.elapsed();
        if output.status.success() && status == "200" {
            network.bytes += fs_err::metadata(&temporary)?.len();
            fs_err::rename(&temporary, kept)?;
            return Ok(true);
        }
        let _ = fs_err::remove_file(&temporary);
        if output.status.success() && status == "404" {
            return Ok(false);
        }
        bail!("curl ended with {}, and the server answered with status {status}", output.status)
    }
}

/// Whether the kept file can be served: packages, and indexes named after their digest, never change.
fn is_fresh(kept: &Path, name: &str) -> bool {
    let Ok(metadata) = fs_err::metadata(kept) else { return false };
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    let is_fixed = name.contains("/pool/") || name.contains("/by-hash/") || name.starts_with("index/file/");
    metadata.is_file() && (is_fixed || age < INDEX_AGE)
}

/// The bases of Debian's main and security archives: the variables that djship reads, or what apt says.
fn debian_bases() -> Result<(Option<String>, Option<String>)> {
    let format = "$(ORIGIN) $(LABEL) $(REPO_URI)";
    let listing = output_of(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let given = |variable: &str| std::env::var(variable).ok().filter(|value| !value.is_empty());
    let listed = |start: &str| listing.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
    let base = |variable: &str, start: &str| {
        given(variable).or_else(|| listed(start)).map(|base| base.trim_end_matches('/').to_owned())
    };
    Ok((
        base("DJSHIP_DEBIAN_MIRROR", "Debian Debian "),
        base("DJSHIP_DEBIAN_SECURITY_MIRROR", "Debian Debian-Security "),
    ))
}
