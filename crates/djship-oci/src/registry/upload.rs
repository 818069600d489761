//! One blob to a registry: not at all if it is there, by a mount if it is elsewhere in the registry, else by an upload that
//! survives a broken connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use djship_store::Digest;
use djship_store::fetch::{Answer, Method, resolve};

use super::error::RegistryError;
use super::session::{Call, Content, Session};

/// Up to this size, in bytes, a blob goes in one request; what is larger goes in a way that can be continued.
const AT_ONCE: u64 = 1024 * 1024;
/// How often one upload is continued or begun again.
const TRIES: u32 = 4;

/// A blob that is to be in the registry.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) source: Source,
    /// What it is, for errors: `the layer sha256:...`.
    pub(super) what: String,
}

/// Where its bytes are.
#[derive(Debug)]
pub(super) enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// How a blob got to where it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was there.
    Present,
    /// It was in another repository of the registry.
    Mounted,
    /// It was sent.
    Sent,
}

/// How one try ended.
enum Try {
    Done,
    /// So much is there, and more goes to this address.
    Continue(String, u64),
    /// From the beginning; what is wrong otherwise.
    Again(RegistryError),
}

impl Session<'_> {
    /// Whether the blob is in the repository.
    pub(super) fn has_blob(&self, blob: &Blob, scopes: &[String]) -> Result<bool, RegistryError> {
        let to = format!("/v2/{}/blobs/{}", self.repository(), blob.digest);
        let call = Call { method: Method::Head, to: &to, headers: &[], content: None, scopes, again: true };
        let answer = self.send(&call)?;
        match answer.status() {
            200 => Ok(true),
            404 => Ok(false),
            // A storage that does not answer such questions. It is sent again then.
            _ if !self.is_own(&answer) => Ok(false),
            _ => Err(self.refused(answer, &blob.what)),
        }
    }

    /// Has the blob in the repository. `elsewhere` may be a repository of the same registry that has it.
    pub(super) fn put_blob(&self, blob: &Blob, elsewhere: Option<&str>) -> Result<Way, RegistryError> {
        let scopes = [self.scope("pull,push")];
        if self.has_blob(blob, &scopes)? {
            return Ok(Way::Present);
        }
        let mut started = None;
        if let Some(from) = elsewhere.filter(|from| *from != self.repository()) {
            match self.mount(blob, from) {
                Some(Mount::Done) => return Ok(Way::Mounted),
                Some(Mount::Upload(location)) => started = Some(location),
                None => {}
            }
        }
        self.upload(blob, started, &scopes)?;
        Ok(Way::Sent)
    }

    /// Asks whether uploads are let in: one is begun, and given up.
    pub(super) fn may_upload(&self) -> Result<(), RegistryError> {
        let scopes = [self.scope("pull,push")];
        let to = format!("/v2/{}/blobs/uploads/", self.repository());
        let answer = self.send(&post(&to, &scopes))?;
        if answer.status() != 202 {
            return Err(self.refused(answer, "an upload"));
        }
        let location = self.location(&answer, &to)?;
        let (method, scopes) = (Method::Delete, &scopes);
        // A registry that does not know this forgets the upload by itself.
        let _ = self.send(&Call { method, to: &location, headers: &[], content: None, scopes, again: false });
        Ok(())
    }

    /// Asks for the blob of another repository. Whatever goes wrong here, a plain upload is still possible.
    fn mount(&self, blob: &Blob, from: &str) -> Option<Mount> {
        let scopes = [self.scope("pull,push"), format!("repository:{from}:pull")];
        let to = format!("/v2/{}/blobs/uploads/?mount={}&from={from}", self.repository(), blob.digest);
        let answer = self.send(&post(&to, &scopes)).ok()?;
        match answer.status() {
            201 => Some(Mount::Done),
            202 => self.location(&answer, &to).ok().map(Mount::Upload),
            _ => None,
        }
    }

    fn upload(&self, blob: &Blob, started: Option<String>, scopes: &[String]) -> Result<(), RegistryError> {
        let mut next = started.map(|location| (location, 0));
        let mut failure = None;
        for tried in 0..TRIES {
            if tried > 0 {
                self.pause(tried);
            }
            let (location, offset) = match next.take() {
                Some(position) => position,
                None => (self.begin(blob, scopes)?, 0),
            };
            match self.attempt(blob, &location, offset, scopes)? {
                Try::Done => return Ok(()),
                Try::Continue(location, offset) => next = Some((location, offset)),
                Try::Again(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| RegistryError::Protocol {
            registry: self.registry().to_owned(),
            what: blob.what.clone(),
            reason: "the connection broke again and again in the middle of the upload",
        }))
    }

    fn pause(&self, tried: u32) {
        let pause = self.fetcher().options().pause * 2u32.saturating_pow(tried - 1);
        std::thread::sleep(pause.min(Duration::from_secs(10)));
    }

    /// Begins an upload; returns where it goes.
    fn begin(&self, blob: &Blob, scopes: &[String]) -> Result<String, RegistryError> {
        let to = format!("/v2/{}/blobs/uploads/", self.repository());
        let answer = self.send(&post(&to, scopes))?;
        if answer.status() == 202 {
            self.location(&answer, &to)
        } else {
            Err(self.refused(answer, &blob.what))
        }
    }

    /// Sends the blob from `offset`, and ends the upload.
    fn attempt(
        &self,
        blob: &Blob,
        location: &str,
        offset: u64,
        scopes: &[String],
    ) -> Result<Try, RegistryError> {
        if blob.size <= AT_ONCE && offset == 0 {
            return self.finish(blob, location, Some(blob.content(0)), scopes);
        }
        let mut headers = vec![("Content-Type", "application/octet-stream".to_owned())];
        if offset > 0 {
            headers.push(("Content-Range", format!("{offset}-{}", blob.size - 1)));
        }
        let content = Some(blob.content(offset));
        let call =
            Call { method: Method::Patch, to: location, headers: &headers, content, scopes, again: false };
        let answer = match self.send(&call) {
            Err(error) if is_broken(&error) => return Ok(self.position(blob, location, scopes, error)),
            result => result?,
        };
        match answer.status() {
            // The registry took everything; some say in `Range` what they had before.
            200..=204 => {
                let location = match answer.header("Location") {
                    Some(_) => self.location(&answer, location)?,
                    None => location.to_owned(),
                };
                self.finish(blob, &location, None, scopes)
            }
            408 | 500..=599 if answer.status() != 507 => {
                let error = self.refused(answer, &blob.what);
                match error {
                    RegistryError::Full { .. } => Err(error),
                    error => Ok(self.position(blob, location, scopes, error)),
                }
            }
            // It has forgotten the upload, or is somewhere else in it.
            400 | 404 | 409 | 416 => Ok(Try::Again(self.refused(answer, &blob.what))),
            _ => Err(self.refused(answer, &blob.what)),
        }
    }

    /// Ends the upload at `location`, with the content if there is any left.
    fn finish(
        &self,
        blob: &Blob,
        location: &str,
        content: Option<Content<'_>>,
        scopes: &[String],
    ) -> Result<Try, RegistryError> {
        // What is in the query stays as it is: some registries keep their state there.
        let separator = if location.contains('?') { '&' } else { '?' };
        let to = format!("{location}{separator}digest=sha256:{}", blob.digest.hex());
        let headers = [("Content-Type", "application/octet-stream".to_owned())];
        let content = Some(content.unwrap_or(Content::Bytes(&[])));
        let call = Call { method: Method::Put, to: &to, headers: &headers, content, scopes, again: false };
        let answer = match self.send(&call) {
            // It may have arrived all the same.
            Err(error) if is_broken(&error) => {
                return Ok(if self.has_blob(blob, scopes)? { Try::Done } else { Try::Again(error) });
            }
            result => result?,
        };
        match answer.status() {
            200..=204 => Ok(Try::Done),
            400 | 404 | 408 | 409 | 416 | 500..=599 if answer.status() != 507 => {
                let error = self.refused(answer, &blob.what);
                if matches!(error, RegistryError::Full { .. }) {
                    return Err(error);
                }
                blob.check()?;
                Ok(Try::Again(error))
            }
            _ => Err(self.refused(answer, &blob.what)),
        }
    }

    /// Where a broken upload can go on.
    fn position(&self, blob: &Blob, location: &str, scopes: &[String], broken: RegistryError) -> Try {
        let call =
            Call { method: Method::Get, to: location, headers: &[], content: None, scopes, again: true };
        let Ok(answer) = self.send(&call) else { return Try::Again(broken) };
        let range = answer.header("Range").and_then(received);
        match (answer.status(), range) {
            // `0-0` is what some say for nothing. One byte is soon sent again.
            (200 | 204, Some(received)) if received > 1 && received < blob.size => {
                let next = answer
                    .header("Location")
                    .map_or(Ok(location.to_owned()), |_| self.location(&answer, location));
                next.map_or(Try::Again(broken), |next| Try::Continue(next, received))
            }
            _ => Try::Again(broken),
        }
    }

    /// Where an answer to a request for `asked` says that the upload goes on.
    fn location(&self, answer: &Answer, asked: &str) -> Result<String, RegistryError> {
        let protocol = |reason| RegistryError::Protocol {
            registry: self.registry().to_owned(),
            what: "the address of an upload".to_owned(),
            reason,
        };
        let location = answer.header("Location").ok_or_else(|| protocol("there is none"))?;
        let asked =
            if asked.starts_with('/') { format!("{}{asked}", self.known_base()) } else { asked.to_owned() };
        resolve(&asked, location).map_err(|source| self.unreachable(source))
    }
}

enum Mount {
    Done,
    /// The registry would rather have an upload, which has begun.
    Upload(String),
}

fn post<'a>(to: &'a str, scopes: &'a [String]) -> Call<'a> {
    let content = Some(Content::Bytes(&[]));
    Call { method: Method::Post, to, headers: &[], content, scopes, again: true }
}

/// Whether the connection broke, rather than that something is wrong with it.
fn is_broken(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Unreachable { source, .. } if source.is_passing())
}

/// How many bytes `0-N` or `bytes=0-N` says are there: `N` counts.
fn received(range: &str) -> Option<u64> {
    let range = range.trim();
    let (first, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    (first.trim() == "0").then(|| last.trim().parse::<u64>().ok()?.checked_add(1))?
}

impl Blob {
    fn content(&self, offset: u64) -> Content<'_> {
        match &self.source {
            Source::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Content::Bytes(&bytes[start..])
            }
            Source::File(path) => Content::File { path, offset, length: self.size - offset },
        }
    }

    /// Whether the bytes here still are what the digest says.
    fn check(&self) -> Result<(), RegistryError> {
        let Source::File(path) = &self.source else { return Ok(()) };
        let failed = |source| RegistryError::Blob { digest: self.digest, source };
        let (found, _) = Digest::of_reader(fs_err::File::open(path).map_err(failed)?).map_err(failed)?;
        if found == self.digest {
            return Ok(());
        }
        let folder = Path::new(path).to_owned();
        Err(crate::layer::LayerError::Changed { folder, expected: self.digest, found }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_how_much_is_there() {
        for (range, bytes) in [
            ("0-0", Some(1)),
            ("0-1023", Some(1024)),
            ("bytes=0-9", Some(10)),
            (" 0-9 ", Some(10)),
            ("5-9", None),
            ("0-", None),
            ("0--1", None),
            ("0-18446744073709551615", None),
            ("", None),
        ] {
            assert_eq!(received(range), bytes, "{range}");
        }
    }
}
