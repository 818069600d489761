//! One repository of one registry, and how it is spoken with: the scheme, who asks, redirects, and patience.

use std::collections::BTreeMap;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use djship_store::fetch::{
    Answer, FetchError, Fetcher, Method, Progress, Request, TlsFault, is_loopback, is_same_origin, mask,
    resolve,
};

use super::Client;
use super::challenge::Offer;
use super::credentials::Login;
use super::error::RegistryError;
use super::reference::Reference;
use super::token::Wanted;

/// The longest pause between two tries, whatever the registry asks for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How many redirects in a row are followed.
const REDIRECTS: usize = 5;
/// How long a registry may think about something large: some copy it once more when it is complete.
const PATIENCE: Duration = Duration::from_mins(5);

/// From this size on, in bytes, content waits until the registry wants it.
const LARGE: u64 = 1024 * 1024;

/// One repository of one registry. Serves any number of threads.
pub(super) struct Session<'a> {
    client: &'a Client<'a>,
    registry: String,
    repository: String,
    /// Hears of the bytes of files that are sent.
    progress: &'a dyn Progress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Scheme, host and port.
    base: Option<String>,
    offer: Option<Offer>,
    /// Whether it was asked who asks.
    is_known: bool,
    login: Option<Login>,
    /// Tokens by their scopes.
    tokens: BTreeMap<String, String>,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Bytes(&'a [u8]),
    /// A file from `offset`, with `length` bytes behind it.
    File {
        path: &'a Path,
        offset: u64,
        length: u64,
    },
}

/// One request to a registry.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// A path that begins with a slash, or a whole URL.
    pub(super) to: &'a str,
    pub(super) headers: &'a [(&'a str, String)],
    pub(super) content: Option<Content<'a>>,
    /// What must be allowed.
    pub(super) scopes: &'a [String],
    /// Whether it may be sent again after a broken connection or a passing failure.
    pub(super) again: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(client: &'a Client<'a>, name: &Reference, progress: &'a dyn Progress) -> Self {
        let (registry, repository) = (name.registry().to_owned(), name.repository().to_owned());
        Self { client, registry, repository, progress, state: Mutex::default() }
    }

    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    pub(super) fn fetcher(&self) -> &Fetcher {
        self.client.fetcher
    }

    /// `repository:NAME:ACTIONS`.
    pub(super) fn scope(&self, actions: &str) -> String {
        format!("repository:{}:{actions}", self.repository)
    }

    /// Whether the user declared that this host may be spoken with without TLS.
    pub(super) fn is_declared(&self, host: &str) -> bool {
        self.client.options.insecure.iter().any(|declared| declared.eq_ignore_ascii_case(host))
    }

    /// Whether this registry may be spoken with without TLS.
    pub(super) fn may_be_plain(&self) -> bool {
        is_loopback(&self.registry) || self.is_declared(&self.registry)
    }

    /// The answer, whatever its status. Says who asks when the registry wants to know.
    pub(super) fn send(&self, call: &Call<'_>) -> Result<Answer, RegistryError> {
        let base = self.base()?;
        let url = if call.to.starts_with('/') { format!("{base}{}", call.to) } else { call.to.to_owned() };
        let mut authorization = self.authorization(call.scopes)?;
        let mut first = true;
        loop {
            let answer = self
                .steadily(call.again, || self.follow(&base, &url, call, authorization.as_deref()))
                .map_err(|source| self.unreachable(source))?;
            // What somebody else asks for, after a redirect, is not for us to tell.
            if answer.status() != 401 || !first || !self.is_own(&answer) {
                return Ok(answer);
            }
            first = false;
            let offer = Offer::best(answer.headers("WWW-Authenticate"));
            if !self.learn(offer, call.scopes, authorization.is_some()) {
                return Ok(answer);
            }
            authorization = self.authorization(call.scopes)?;
            if authorization.is_none() {
                return Ok(answer);
            }
        }
    }

    /// Whether the registry itself answered, and not a storage that it redirected to.
    pub(super) fn is_own(&self, answer: &Answer) -> bool {
        is_same_origin(&self.known_base(), answer.url())
    }

    /// Takes an offer in; whether another try can do better.
    fn learn(&self, offer: Option<Offer>, scopes: &[String], was_told: bool) -> bool {
        let mut state = self.lock();
        if offer.is_some() {
            state.offer = offer;
        }
        match state.offer {
            Some(Offer::Basic) => !was_told,
            // A token does not last.
            Some(Offer::Bearer { .. }) => {
                state.tokens.remove(&scopes.join(" "));
                true
            }
            None => false,
        }
    }

    /// The header `Authorization`, as far as the registry is known to want one.
    fn authorization(&self, scopes: &[String]) -> Result<Option<String>, RegistryError> {
        let mut state = self.lock();
        let Some(offer) = state.offer.clone() else { return Ok(None) };
        if !state.is_known {
            state.login = self.client.credentials.find(&self.registry, &self.repository)?;
            state.is_known = true;
        }
        let login = state.login.clone();
        let (realm, service, scope) = match offer {
            Offer::Basic => return Ok(login.as_ref().and_then(Login::basic)),
            Offer::Bearer { realm, service, scope } => (realm, service, scope),
        };
        let key = scopes.join(" ");
        if let Some(token) = state.tokens.get(&key) {
            return Ok(Some(format!("Bearer {token}")));
        }
        let asked: Vec<String> =
            if scopes.is_empty() { scope.into_iter().collect() } else { scopes.to_vec() };
        // Under the lock, so that threads that start together ask once.
        let wanted =
            Wanted { realm: &realm, service: service.as_deref(), scopes: &asked, login: login.as_ref() };
        // Who asks is known to refusals only by the state, which is locked here.
        let token = self.ask_token(&wanted)?;
        state.tokens.insert(key, token.clone());
        Ok(Some(format!("Bearer {token}")))
    }

    /// Sends once, and follows redirects. Credentials are for the registry alone.
    fn follow(
        &self,
        base: &str,
        url: &str,
        call: &Call<'_>,
        authorization: Option<&str>,
    ) -> Result<Answer, FetchError> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let mut headers: Vec<(&str, String)> = call.headers.to_vec();
            if let Some(authorization) = authorization.filter(|_| is_same_origin(base, &url)) {
                headers.push(("Authorization", authorization.to_owned()));
            }
            let answer = self.once(&url, call, &headers)?;
            let reads = matches!(call.method, Method::Get | Method::Head);
            let target = match (answer.status(), answer.header("Location")) {
                (301..=303, Some(location)) if reads => resolve(&url, location)?,
                (307 | 308, Some(location)) => resolve(&url, location)?,
                _ => return Ok(answer),
            };
            url = target;
        }
        Err(FetchError::Address { url: mask(&url), reason: "it redirects too often" })
    }

    fn once(&self, url: &str, call: &Call<'_>, headers: &[(&str, String)]) -> Result<Answer, FetchError> {
        let mut request = Request { method: call.method, url, headers, body: None, patience: None };
        match call.content {
            None => self.fetcher().exchange(request),
            Some(Content::Bytes(bytes)) => {
                let mut reader = bytes;
                request.body = Some((&mut reader, bytes.len() as u64));
                request.patience = Some(PATIENCE);
                self.fetcher().exchange(request)
            }
            Some(Content::File { path, offset, length }) => {
                let part = (path, offset, length);
                if length < LARGE {
                    return self.once_with_file(url, call.method, headers, part);
                }
                // A refusal comes before the content, then, and not instead of a connection that breaks under it.
                let mut careful = headers.to_vec();
                careful.push(("Expect", "100-continue".to_owned()));
                let answer = self.once_with_file(url, call.method, &careful, part)?;
                // Some do not know what that means, and must say so.
                if answer.status() == 417 {
                    return self.once_with_file(url, call.method, headers, part);
                }
                Ok(answer)
            }
        }
    }

    fn once_with_file(
        &self,
        url: &str,
        method: Method,
        headers: &[(&str, String)],
        (path, offset, length): (&Path, u64, u64),
    ) -> Result<Answer, FetchError> {
        let unreadable = |source| FetchError::Write { url: mask(url), source };
        let mut file = fs_err::File::open(path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(offset)).map_err(unreadable)?;
        let mut reader = Counted { inner: file.take(length), bytes: 0, progress: self.progress };
        let (body, patience): (Option<(&mut dyn Read, u64)>, _) =
            (Some((&mut reader, length)), Some(PATIENCE));
        let answer = self.fetcher().exchange(Request { method, url, headers, body, patience });
        if !answer.as_ref().is_ok_and(|answer| answer.status() < 300) {
            self.progress.take_back(reader.bytes);
        }
        answer
    }

    /// Tries until there is an answer that is worth one, or often enough. Without `again` only what the registry did not
    /// even look at is repeated.
    pub(super) fn steadily(
        &self,
        again: bool,
        mut attempt: impl FnMut() -> Result<Answer, FetchError>,
    ) -> Result<Answer, FetchError> {
        let options = self.fetcher().options();
        let (mut left, mut pause) = (options.retries, options.pause);
        loop {
            let wait = match attempt() {
                Ok(answer) if left > 0 && answer.status() == 429 => {
                    wanted_pause(&answer).unwrap_or(pause * 4)
                }
                Ok(answer) if left > 0 && again && matches!(answer.status(), 408 | 500 | 502..=504) => {
                    wanted_pause(&answer).unwrap_or(pause)
                }
                Err(error) if left > 0 && again && error.is_passing() => pause,
                result => return result,
            };
            std::thread::sleep(wait.min(LONGEST_PAUSE));
            pause *= 2;
            left -= 1;
        }
    }

    /// Scheme, host and port; asks the registry once. What is on this machine mostly speaks plain HTTP.
    fn base(&self) -> Result<String, RegistryError> {
        if let Some(base) = &self.lock().base {
            return Ok(base.clone());
        }
        let on_this_machine = is_loopback(&self.registry);
        let schemes: &[&str] = match (on_this_machine, self.may_be_plain()) {
            (true, _) => &["http", "https"],
            (false, true) => &["https", "http"],
            (false, false) => &["https"],
        };
        let mut failure = None;
        for scheme in schemes {
            let base = format!("{scheme}://{}", self.registry);
            let url = format!("{base}/v2/");
            let ask = || {
                let headers = &[];
                let request = Request { method: Method::Get, url: &url, headers, body: None, patience: None };
                self.fetcher().exchange(request)
            };
            match self.steadily(!on_this_machine, ask) {
                // This is how servers that want TLS answer to plain HTTP.
                Ok(answer) if *scheme == "http" && answer.status() == 400 => {}
                Ok(answer) => {
                    let mut state = self.lock();
                    state.offer = Offer::best(answer.headers("WWW-Authenticate"));
                    state.base = Some(base.clone());
                    return Ok(base);
                }
                Err(error) if matches!(error.tls_fault(), Some(TlsFault::Certificate(_))) => {
                    return Err(self.unreachable(error));
                }
                Err(error) => {
                    // The first failure is that of the likelier scheme, unless it only was the wrong scheme.
                    failure =
                        failure.filter(|known: &FetchError| known.tls_fault().is_none()).or(Some(error));
                }
            }
        }
        Err(match failure {
            Some(source) => self.unreachable(source),
            None => RegistryError::NotTls { registry: self.registry.clone() },
        })
    }

    /// Scheme, host and port, after the first answer.
    pub(super) fn known_base(&self) -> String {
        self.lock().base.clone().unwrap_or_default()
    }

    /// Whether user and password go with every request.
    pub(super) fn wants_passwords(&self) -> bool {
        self.lock().offer == Some(Offer::Basic)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asked, if the registry was told.
    pub(super) fn login(&self) -> Option<Login> {
        self.lock().login.clone()
    }

    /// Everything that must not be shown.
    pub(super) fn secrets(&self) -> Vec<String> {
        let state = self.lock();
        let login = state.login.iter().flat_map(Login::secrets);
        login.chain(state.tokens.values().cloned()).collect()
    }
}

/// Tells how much has been read.
struct Counted<'a, R> {
    inner: R,
    bytes: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        self.progress.add(read as u64);
        Ok(read)
    }
}

fn wanted_pause(answer: &Answer) -> Option<Duration> {
    answer.header("Retry-After")?.trim().parse().ok().map(Duration::from_secs)
}
