//! Where the loopback mirror has its files from: its own folder first, then the mirror that this machine's apt uses.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ureq::tls::{RootCerts, TlsConfig};

/// An index is fetched again when the kept one is older: longer than a run of the suite, shorter than a day.
const INDEX_AGE: Duration = Duration::from_hours(6);

/// Larger than any package that a test needs.
const LARGEST_FILE: u64 = 512 * 1024 * 1024;

/// What Debian itself tells people to use when they have no mirror.
const DEFAULT_MAIN: &str = "http://ftp.debian.org/debian";
const DEFAULT_SECURITY: &str = "http://ftp.debian.org/debian-security";

/// The bases of the main and the security archive: what djship is told, or what this machine's apt uses.
pub(crate) fn bases() -> (String, String) {
    let (apt_main, apt_security) = apt_bases(Path::new("/etc/apt"));
    let base = |variable: &str, apt: Option<String>, default: &str| {
        let given = std::env::var(variable).ok().filter(|value| !value.is_empty());
        given.or(apt).unwrap_or_else(|| default.to_owned()).trim_end_matches('/').to_owned()
    };
    let main = base("DJSHIP_DEBIAN_MIRROR", apt_main, DEFAULT_MAIN);
    (main, base("DJSHIP_DEBIAN_SECURITY_MIRROR", apt_security, DEFAULT_SECURITY))
}

#[derive(Debug)]
pub(super) struct Upstream {
    kept: PathBuf,
    /// Bases of the main and the security archive; none for a mirror that asks nobody.
    bases: Option<(String, String)>,
    agent: ureq::Agent,
}

impl Upstream {
    /// Keeps files in `kept`; asks the mirrors in the variables that djship reads, or those of apt.
    pub(super) fn of_this_machine(kept: PathBuf) -> Result<Self> {
        fs_err::create_dir_all(&kept)?;
        Ok(Self { bases: Some(bases()), ..Self::kept_only(kept) })
    }

    /// Serves only what is kept already.
    pub(super) fn kept_only(kept: PathBuf) -> Self {
        let config = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .timeout_connect(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Self { kept, bases: None, agent: config.into() }
    }

    /// The content of `main/PATH` or `security/PATH`; `None` when there is no such file.
    pub(super) fn get(&self, path: &str) -> Result<Option<Vec<u8>>> {
        // Debian's file names hold characters that clients escape: `~`, `+`.
        let path = decode(path);
        if !Path::new(&path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(None);
        }
        let kept = self.kept.join(&path);
        if is_fresh(&kept, &path) {
            return Ok(Some(fs_err::read(kept)?));
        }
        let Some((main, security)) = &self.bases else { return Ok(None) };
        let url = match path.split_once('/') {
            Some(("main", rest)) => format!("{main}/{rest}"),
            Some(("security", rest)) => format!("{security}/{rest}"),
            _ => return Ok(None),
        };
        let Some(content) = self.fetch(&url)? else { return Ok(None) };
        self.keep(&kept, &content)?;
        Ok(Some(content))
    }

    fn fetch(&self, url: &str) -> Result<Option<Vec<u8>>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.fetch_once(url) {
                // The network between here and there is not what the tests are about.
                Err(error) if tries < 3 => eprintln!("trying again after {error:#}"),
                outcome => return outcome,
            }
        }
    }

    fn fetch_once(&self, url: &str) -> Result<Option<Vec<u8>>> {
        let mut response = self.agent.get(url).call().context("cannot ask the mirror of this machine")?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            status => bail!("the mirror of this machine answers with status {status}"),
        }
        let content = response.body_mut().with_config().limit(LARGEST_FILE).read_to_vec();
        Ok(Some(content.context("cannot read from the mirror of this machine")?))
    }

    /// Other test processes write the same files: each writes its own and renames it.
    fn keep(&self, kept: &Path, content: &[u8]) -> Result<()> {
        fs_err::create_dir_all(kept.parent().context("a file lies in a folder")?)?;
        let temporary = tempfile::NamedTempFile::new_in(&self.kept)?;
        fs_err::write(temporary.path(), content)?;
        temporary.persist(kept)?;
        Ok(())
    }
}

/// Whether the kept file can be served: files in the pool, and indexes named after their digest, never change.
fn is_fresh(kept: &Path, path: &str) -> bool {
    let Ok(metadata) = fs_err::metadata(kept) else { return false };
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
    metadata.is_file() && (path.contains("/pool/") || path.contains("/by-hash/") || age < INDEX_AGE)
}

/// Undoes `%7E`.
fn decode(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut parts = path.split('%');
    decoded.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let byte = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        if let Some(byte) = byte {
            decoded.push(char::from(byte));
            decoded.push_str(&part[2..]);
        } else {
            decoded.push('%');
            decoded.push_str(part);
        }
    }
    decoded
}

/// The bases of Debian's main and security archives in apt's configuration.
fn apt_bases(apt: &Path) -> (Option<String>, Option<String>) {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = fs_err::read_dir(apt.join("sources.list.d")) {
        let mut more: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more.into_iter().filter(|file| {
            file.extension().is_some_and(|extension| extension == "list" || extension == "sources")
        }));
    }
    let text: Vec<String> = files.iter().filter_map(|file| fs_err::read_to_string(file).ok()).collect();
    find_bases(&text.join("\n\n"))
}

/// Debian's own archives end in `/debian` and `/debian-security`, whatever host they are on.
fn find_bases(text: &str) -> (Option<String>, Option<String>) {
    let urls: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
        .map(|url| url.trim_end_matches('/'))
        .collect();
    let ending = |end: &str| urls.iter().find(|url| url.ends_with(end)).map(|url| (*url).to_owned());
    (ending("/debian"), ending("/debian-security"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_found_in_both_forms_of_sources() {
        let lines = "# deb http://old.example/debian x main\ndeb [arch=amd64] http://a.example/debian/ trixie main\n\
                     deb http://a.example/debian-security trixie-security main\ndeb http://b.example/ubuntu noble main";
        let paragraphs = "Types: deb\nURIs: http://a.example/debian\nSuites: x\n\nURIs: http://a.example/debian-security/\n";
        for text in [lines, paragraphs] {
            let (main, security) = find_bases(text);
            assert_eq!(main.as_deref(), Some("http://a.example/debian"));
            assert_eq!(security.as_deref(), Some("http://a.example/debian-security"));
        }
        assert_eq!(find_bases("deb http://b.example/ubuntu noble main"), (None, None));
    }

    #[test]
    fn escaped_names_are_read_and_nothing_leads_out() {
        assert_eq!(decode("main/pool/a_1%2bb%7E1.deb%"), "main/pool/a_1+b~1.deb%");
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("outside"), "secret").unwrap();
        fs_err::create_dir_all(folder.path().join("kept/main/pool")).unwrap();
        let upstream = Upstream::kept_only(folder.path().join("kept"));
        assert_eq!(upstream.get("main/pool/%2e%2e/../../../outside").unwrap(), None);
        assert_eq!(upstream.get("main/pool/missing").unwrap(), None);
    }
}
