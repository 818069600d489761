//! One request and its answer, for protocols that need more than downloads: any method, headers and a body; every status is
//! an answer, nothing is tried again, and no redirect is followed.

use std::fmt;
use std::io::{Read, Write};
use std::time::Duration;

use ureq::http;
use ureq::{Agent, AsSendBody, SendBody};

use super::address::Address;
use super::{FetchError, Fetcher, Progress, is_passing};
use crate::store::BUFFER;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The content.
    Get,
    /// The headers of the content.
    Head,
    /// Something new.
    Post,
    /// Something at its place.
    Put,
    /// A part of something.
    Patch,
    /// That it goes.
    Delete,
}

/// One request.
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// Where; credentials in it are not sent.
    pub url: &'a str,
    /// Headers by name. They may hold credentials.
    pub headers: &'a [(&'a str, String)],
    /// The content and its exact length in bytes.
    pub body: Option<(&'a mut dyn Read, u64)>,
    /// How long the server may think when it has everything; `None` is the usual time.
    pub patience: Option<Duration>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

/// An answer whose body has not been read yet.
pub struct Answer {
    response: http::Response<ureq::Body>,
    /// The address, masked.
    url: String,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("url", &self.url)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Sends one request. What is on this machine is reached without a proxy.
    pub fn exchange(&self, request: Request<'_>) -> Result<Answer, FetchError> {
        let address = self.address(request.url)?;
        let url = address.masked();
        let network = |source| FetchError::Network { url: url.clone(), source: Box::new(source) };
        let agent = if address.is_loopback() { &self.direct } else { self.agent(&address) };
        let mut builder = http::Request::builder().method(request.method.to_http()).uri(address.plain());
        for (name, value) in request.headers {
            builder = builder.header(*name, value);
        }
        let response = match request.body {
            Some((reader, length)) => {
                let builder = builder.header(http::header::CONTENT_LENGTH, length);
                run(agent, builder.body(SendBody::from_reader(reader)), request.patience)
            }
            None => run(agent, builder.body(()), request.patience),
        };
        Ok(Answer { response: response.map_err(network)?, url })
    }
}

fn run(
    agent: &Agent,
    request: Result<http::Request<impl AsSendBody>, http::Error>,
    patience: Option<Duration>,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let request = request?;
    match patience {
        Some(_) => agent.run(agent.configure_request(request).timeout_recv_response(patience).build()),
        None => agent.run(request),
    }
}

impl Method {
    fn to_http(self) -> http::Method {
        match self {
            Self::Get => http::Method::GET,
            Self::Head => http::Method::HEAD,
            Self::Post => http::Method::POST,
            Self::Put => http::Method::PUT,
            Self::Patch => http::Method::PATCH,
            Self::Delete => http::Method::DELETE,
        }
    }
}

impl Answer {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Who answered: the address, masked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Every header of that name that is text.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// The length that the server promises, in bytes.
    pub fn length(&self) -> Option<u64> {
        self.header("Content-Length")?.trim().parse().ok()
    }

    /// The whole body, of at most `limit` bytes.
    pub fn bytes(self, limit: u64) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        self.copy_to(&mut body, limit, &())?;
        Ok(body)
    }

    /// The first `limit` bytes of the body, or what came of them: for what is only shown.
    pub fn start(self, limit: u64) -> Vec<u8> {
        let mut body = Vec::new();
        // What broke off is still worth showing.
        let _ = self.response.into_body().into_reader().take(limit).read_to_end(&mut body);
        body
    }

    /// Writes the body, of at most `limit` bytes, to `writer`; returns its length.
    pub fn copy_to(
        self,
        writer: &mut dyn Write,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<u64, FetchError> {
        let url = self.url;
        if self.response.body().content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLarge { url, limit });
        }
        let mut body = self.response.into_body().into_reader();
        let mut buffer = vec![0; BUFFER];
        let mut counted = 0;
        let failure = loop {
            match body.read(&mut buffer) {
                Ok(0) => return Ok(counted),
                Ok(read) => {
                    counted += read as u64;
                    progress.add(read as u64);
                    if counted > limit {
                        break FetchError::TooLarge { url, limit };
                    }
                    if let Err(source) = writer.write_all(&buffer[..read]) {
                        break FetchError::Write { url, source };
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => break FetchError::Body { url, source },
            }
        };
        progress.take_back(counted);
        Err(failure)
    }
}

/// Why a server's TLS was not good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// Nobody that is trusted here signed its certificate, or it is for another host or time. In words.
    Certificate(String),
    /// It does not speak TLS at all.
    NotTls,
}

impl FetchError {
    /// Whether the same request may succeed in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Network { source, .. } => is_passing(source),
            Self::Body { .. } | Self::WrongSize { .. } => true,
            _ => false,
        }
    }

    /// What is wrong with the server's TLS, if that is why it failed.
    pub fn tls_fault(&self) -> Option<TlsFault> {
        let Self::Network { source, .. } = self else { return None };
        let fault = match &**source {
            ureq::Error::Rustls(fault) => fault,
            ureq::Error::Io(source) => source.get_ref()?.downcast_ref::<rustls::Error>()?,
            _ => return None,
        };
        match fault {
            rustls::Error::InvalidCertificate(_) => Some(TlsFault::Certificate(fault.to_string())),
            rustls::Error::InvalidMessage(_) => Some(TlsFault::NotTls),
            _ => None,
        }
    }
}

/// Where `location`, the header of an answer from `base`, leads: absolute or relative, its query as it is. From an address
/// with TLS it may not lead to one without.
pub fn resolve(base: &str, location: &str) -> Result<String, FetchError> {
    Ok(Address::parse(base)?.redirected(location)?.plain().to_owned())
}

/// Whether two addresses have the same scheme, host and port, so that credentials for one are for the other.
pub fn is_same_origin(one: &str, other: &str) -> bool {
    let origin = |url: &str| Address::parse(url).ok().map(|address| address.origin());
    origin(one).is_some_and(|one| origin(other) == Some(one))
}

/// Whether a host, with or without a port, is this machine by its name or address.
pub fn is_loopback(host: &str) -> bool {
    Address::parse(&format!("http://{host}")).is_ok_and(|address| address.is_loopback())
}
