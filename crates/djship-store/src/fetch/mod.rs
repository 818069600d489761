//! Downloads: blocking, over kept-alive connections, with limits, retries and an expected digest.
//!
//! One [`Fetcher`] serves any number of threads. Proxies, certificates and "offline" come in as values; nothing is read
//! from the environment.

mod address;
mod error;
mod exchange;
mod forward;

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

use address::Address;
pub use address::mask;
pub use error::FetchError;
pub use exchange::{Answer, Method, Request, TlsFault, is_loopback, is_same_origin, resolve};

use crate::digest::Digest;
use crate::store::{BUFFER, Store, StoreError};

/// Hears how many bytes came.
pub trait Progress: Sync {
    /// `bytes` more have come.
    fn add(&self, bytes: u64);

    /// `bytes` that were counted are thrown away, and come again.
    fn take_back(&self, bytes: u64) {
        let _ = bytes;
    }
}

/// Nobody is told.
impl Progress for () {
    fn add(&self, _: u64) {}
}

/// How to download.
#[derive(Clone)]
pub struct FetchOptions {
    /// Sent with every request.
    pub user_agent: String,
    /// A PEM file of certificate authorities to trust instead of the platform's.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy for `http` addresses, as a URL.
    pub http_proxy: Option<String>,
    /// The proxy for `https` addresses, as a URL.
    pub https_proxy: Option<String>,
    /// Hosts that are reached without a proxy: `example.org` with everything below it, or `*`.
    pub no_proxy: Vec<String>,
    /// How often a failed download is tried again.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each.
    pub pause: Duration,
    /// How long a server may be silent.
    pub timeout: Duration,
    /// Whether every download is refused.
    pub offline: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("djship/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_bundle: None,
            http_proxy: None,
            https_proxy: None,
            no_proxy: Vec::new(),
            retries: 3,
            pause: Duration::from_millis(250),
            timeout: Duration::from_secs(30),
            offline: false,
        }
    }
}

/// The longest pause between two tries, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How many redirects in a row are followed.
const REDIRECTS: usize = 5;

/// Downloads.
pub struct Fetcher {
    direct: Agent,
    /// For `http` through a proxy.
    http: Option<Agent>,
    /// For `https` through a proxy.
    https: Option<Agent>,
    options: FetchOptions,
}

impl fmt::Debug for FetchOptions {
    /// Proxies may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchOptions")
            .field("ca_bundle", &self.ca_bundle)
            .field("http_proxy", &self.http_proxy.as_deref().map(mask))
            .field("https_proxy", &self.https_proxy.as_deref().map(mask))
            .field("no_proxy", &self.no_proxy)
            .field("retries", &self.retries)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Why one try failed.
enum Failure {
    /// It may work the next time, after this pause if the server named one.
    Passing(FetchError, Option<Duration>),
    /// It will not.
    Final(FetchError),
}

impl Fetcher {
    /// Reads the certificates; opens no connection.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let roots = match &options.ca_bundle {
            None => RootCerts::PlatformVerifier,
            Some(path) => RootCerts::Specific(Arc::new(read_certificates(path)?)),
        };
        // Redirects are followed here, because another address may need another proxy.
        let config = |proxy| {
            Agent::config_builder()
                .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
                .proxy(proxy)
                .user_agent(&options.user_agent)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .input_buffer_size(BUFFER)
                .output_buffer_size(BUFFER)
                .max_idle_connections(32)
                .max_idle_connections_per_host(16)
                .timeout_connect(Some(options.timeout))
                .timeout_recv_response(Some(options.timeout))
                .timeout_per_read(Some(options.timeout))
                .timeout_per_write(Some(options.timeout))
                .build()
        };
        let tunnel = |proxy: &str| {
            let wrong = |_| FetchError::Proxy { proxy: mask(proxy) };
            ureq::Proxy::new(proxy).map(|proxy| Agent::new_with_config(config(Some(proxy)))).map_err(wrong)
        };
        let http = options.http_proxy.as_deref().map(|proxy| {
            let wrong = || FetchError::Proxy { proxy: mask(proxy) };
            let address = Address::parse_proxy(proxy).map_err(|_| wrong())?;
            // A proxy that is itself reached by TLS is only supported as a tunnel.
            if address.is_https() {
                return tunnel(proxy);
            }
            let uri = address.plain().parse().map_err(|_| wrong())?;
            Ok(forward::agent(config(None), uri, address.authorization()))
        });
        Ok(Self {
            direct: config(None).into(),
            http: http.transpose()?,
            https: options.https_proxy.as_deref().map(tunnel).transpose()?,
            options,
        })
    }

    /// How it downloads.
    pub fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// Whether every download is refused.
    pub fn is_offline(&self) -> bool {
        self.options.offline
    }

    /// The body of `url`, of at most `limit` bytes.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        let address = self.address(url)?;
        self.repeat(|| {
            let mut body = Vec::new();
            self.stream(&address, limit, &mut body, &()).map(|_| body)
        })
    }

    /// Where the blob `expected` is in `store`, downloaded from `url` if it is not there yet; `size` is its exact
    /// length in bytes. With a blob that is there, nothing is asked of the network.
    pub fn get_blob(
        &self,
        url: &str,
        expected: &Digest,
        size: u64,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        if let Some(path) = store.find(crate::Bucket::Blobs, expected) {
            progress.add(size);
            return Ok(path);
        }
        let address = self.address(url)?;
        self.repeat(|| {
            let result = store.insert_blob(expected, size, |writer| {
                let found = self.stream(&address, size, writer, progress)?;
                if found == size {
                    return Ok(());
                }
                progress.take_back(found);
                let url = address.masked();
                Err(Attempt::Failed(Failure::Passing(
                    FetchError::WrongSize { url, expected: size, found },
                    None,
                )))
            });
            result.map_err(|attempt| attempt.about(&address))
        })
    }

    /// Refuses what can be refused without asking anybody.
    fn address(&self, url: &str) -> Result<Address, FetchError> {
        let address = Address::parse(url)?;
        if self.options.offline { Err(FetchError::Offline { url: address.masked() }) } else { Ok(address) }
    }

    /// Tries until it works, fails for good, or was retried often enough.
    fn repeat<T>(&self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, FetchError> {
        let mut pause = self.options.pause;
        let mut left = self.options.retries;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Failure::Passing(_, wanted)) if left > 0 => {
                    std::thread::sleep(wanted.unwrap_or(pause).min(LONGEST_PAUSE));
                    pause *= 2;
                    left -= 1;
                }
                Err(Failure::Passing(error, _) | Failure::Final(error)) => return Err(error),
            }
        }
    }

    /// Writes the body to `writer`; returns its length.
    fn stream(
        &self,
        address: &Address,
        limit: u64,
        writer: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<u64, Failure> {
        let response = self.request(address)?;
        let url = || address.masked();
        let too_large = || Failure::Final(FetchError::TooLarge { url: url(), limit });
        if response.body().content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER];
        let mut counted = 0;
        loop {
            let failure = match body.read(&mut buffer) {
                Ok(0) => return Ok(counted),
                Ok(read) => {
                    counted += read as u64;
                    progress.add(read as u64);
                    match writer.write_all(&buffer[..read]) {
                        _ if counted > limit => too_large(),
                        Ok(()) => continue,
                        Err(source) => Failure::Final(FetchError::Write { url: url(), source }),
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => Failure::Passing(FetchError::Body { url: url(), source }, None),
            };
            progress.take_back(counted);
            return Err(failure);
        }
    }

    /// The answer with the content, after redirects.
    fn request(&self, address: &Address) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut address = address.clone();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&address)?;
            let status = response.status().as_u16();
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            match (status, header("Location")) {
                (200, _) => return Ok(response),
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    address = address.redirected(location).map_err(Failure::Final)?;
                    continue;
                }
                _ => {}
            }
            let error = FetchError::Status { url: address.masked(), status };
            if status < 500 && !matches!(status, 408 | 429) {
                return Err(Failure::Final(error));
            }
            let wanted = header("Retry-After").and_then(|text| text.trim().parse().ok());
            return Err(Failure::Passing(error, wanted.map(Duration::from_secs)));
        }
        let reason = "it redirects too often";
        Err(Failure::Final(FetchError::Address { url: address.masked(), reason }))
    }

    /// What reaches an address: directly or by a proxy.
    fn agent(&self, address: &Address) -> &Agent {
        let proxied = if address.is_https() { &self.https } else { &self.http };
        match proxied {
            Some(agent) if !address.is_direct(&self.options.no_proxy) => agent,
            _ => &self.direct,
        }
    }

    /// One question, one answer.
    fn ask(&self, address: &Address) -> Result<ureq::http::Response<ureq::Body>, Failure> {
        let mut request = self.agent(address).get(address.plain());
        if let Some(credentials) = address.authorization() {
            request = request.header("Authorization", credentials);
        }
        request.call().map_err(|source| {
            let passing = is_passing(&source);
            let error = FetchError::Network { url: address.masked(), source: Box::new(source) };
            if passing { Failure::Passing(error, None) } else { Failure::Final(error) }
        })
    }
}

/// What ends one `insert_blob`.
enum Attempt {
    Store(StoreError),
    Failed(Failure),
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Attempt {
    fn about(self, address: &Address) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Store(StoreError::WrongDigest { expected, found }) => {
                Failure::Final(FetchError::WrongDigest { url: address.masked(), expected, found })
            }
            Self::Store(source) => Failure::Final(FetchError::Store { url: address.masked(), source }),
        }
    }
}

/// Whether the same request may succeed in a moment.
fn is_passing(error: &ureq::Error) -> bool {
    match error {
        // A certificate that is not trusted does not become so.
        ureq::Error::Io(source) => !matches!(source.kind(), std::io::ErrorKind::InvalidData),
        ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<Certificate<'static>>, FetchError> {
    let text =
        fs_err::read(path).map_err(|source| FetchError::CertificateFile { path: path.to_owned(), source })?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        Err(FetchError::NoCertificates { path: path.to_owned() })
    } else {
        Ok(certificates)
    }
}
