//! Plain `http` through a proxy: the whole address goes into the request line (RFC 9112, 3.2.2).
//!
//! ureq only knows tunnels (`CONNECT`), and proxies commonly refuse those to any port but 443. So the agent for such
//! requests connects to the proxy whatever the host is, and completes each request line on its way out. Connectors are
//! outside ureq's promise of stable versions; this is the one place that uses them.

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};
use ureq::{Agent, Error, config::Config};

/// An agent whose every connection goes to `proxy`, with the `Authorization` text for it.
pub(super) fn agent(config: Config, proxy: Uri, authorization: Option<&str>) -> Agent {
    let extra = authorization.map_or(String::new(), |text| format!("Proxy-Authorization: {text}\r\n"));
    let connector = ().chain(TcpConnector::default()).chain(CompleteLines { extra });
    Agent::with_parts(config, connector, ToProxy { proxy, inner: DefaultResolver::default() })
}

/// Answers every question with the proxy's addresses.
#[derive(Debug)]
struct ToProxy {
    proxy: Uri,
    inner: DefaultResolver,
}

impl Resolver for ToProxy {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        self.inner.resolve(&self.proxy, config, timeout)
    }
}

/// Wraps a connection to the proxy.
struct CompleteLines {
    /// Header lines for the proxy. May hold a password, hence no derived `Debug`.
    extra: String,
}

impl std::fmt::Debug for CompleteLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompleteLines").finish_non_exhaustive()
    }
}

impl<In: Transport> Connector<In> for CompleteLines {
    type Out = Forwarded<In>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let authority = details.uri.authority().map(ToString::to_string).unwrap_or_default();
        let origin = format!("http://{authority}");
        Ok(chained.map(|inner| Forwarded { inner, origin, extra: self.extra.clone(), body_left: 0 }))
    }
}

/// A connection whose requests name the whole address.
struct Forwarded<In> {
    inner: In,
    origin: String,
    extra: String,
    /// Bytes that belong to the body of the request on its way.
    body_left: u64,
}

impl<In> std::fmt::Debug for Forwarded<In> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarded").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl<In: Transport> Transport for Forwarded<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    /// What goes out is one whole head, or a part of a body whose length its head has said.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.body_left > 0 {
            self.body_left = self.body_left.saturating_sub(amount as u64);
            return self.inner.transmit_output(amount, timeout);
        }
        let output = self.inner.buffers().output();
        let head = &output[..amount];
        let target = head.iter().position(|byte| *byte == b' ').map(|space| space + 1);
        let line_end = head.windows(2).position(|pair| pair == b"\r\n").map(|end| end + 2);
        let (Some(target), Some(line_end)) = (target, line_end) else {
            return Err(Error::BadUri("a request without a request line".to_owned()));
        };
        self.body_left = body_after(head);
        let head = [
            &head[..target],
            self.origin.as_bytes(),
            &head[target..line_end],
            self.extra.as_bytes(),
            &head[line_end..],
        ]
        .concat();
        let Some(room) = output.get_mut(..head.len()) else {
            return Err(Error::BadUri("an address that is too long for a proxy".to_owned()));
        };
        room.copy_from_slice(&head);
        self.inner.transmit_output(head.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// How much of the body follows, in bytes, after what has been sent.
fn body_after(sent: &[u8]) -> u64 {
    let end = sent.windows(4).position(|four| four == b"\r\n\r\n").map_or(sent.len(), |end| end + 4);
    let head = String::from_utf8_lossy(&sent[..end]).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<u64>().ok());
    length.unwrap_or(0).saturating_sub((sent.len() - end) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_much_body_follows() {
        assert_eq!(body_after(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
        assert_eq!(body_after(b"PUT / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"), 12);
        assert_eq!(body_after(b"PUT / HTTP/1.1\r\ncontent-length: 12\r\n\r\nabc"), 9);
    }
}
