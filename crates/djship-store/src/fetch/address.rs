//! An address to download from, with its credentials kept apart so that nothing prints them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use super::FetchError;

/// A checked `http` or `https` address.
#[derive(Clone)]
pub(super) struct Address {
    /// Without credentials.
    plain: String,
    /// Lower case.
    host: String,
    is_https: bool,
    /// The whole `Authorization` header.
    authorization: Option<String>,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, FetchError> {
        let wrong = |reason| FetchError::Address { url: mask(url), reason };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it is no URL"))?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("only http and https are understood")),
        };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(wrong("it holds a space or a control character"));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo, host_and_port) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let host = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host_and_port.split(':').next().unwrap_or_default(),
        };
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let authorization = userinfo.map(|userinfo| {
            let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
            let mut pair: Vec<u8> = percent_decode_str(user).collect();
            pair.push(b':');
            pair.extend(percent_decode_str(password));
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self {
            plain: format!("{scheme}://{host_and_port}{path}"),
            host: host.to_ascii_lowercase(),
            is_https,
            authorization,
        })
    }

    /// What is sent: no credentials in it.
    pub(super) fn plain(&self) -> &str {
        &self.plain
    }

    /// What may be printed.
    pub(super) fn masked(&self) -> String {
        let masked = mask(&self.plain);
        match masked.split_once("://") {
            Some((scheme, rest)) if self.authorization.is_some() => format!("{scheme}://****@{rest}"),
            _ => masked,
        }
    }

    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// Scheme, host and port, the usual port written out.
    pub(super) fn origin(&self) -> (bool, String, String) {
        let rest = self.plain.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
        let usual = if self.is_https { "443" } else { "80" };
        let port = after_host.rsplit_once(':').map_or(usual, |(_, port)| port);
        (self.is_https, self.host.clone(), port.to_owned())
    }

    /// Whether the host is this machine by its name or its address.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The address of a proxy, which is often given without a scheme.
    pub(super) fn parse_proxy(text: &str) -> Result<Self, FetchError> {
        if text.contains("://") { Self::parse(text) } else { Self::parse(&format!("http://{text}")) }
    }

    /// Where a redirect leads. Credentials are for the first server only, and what was asked for over TLS is not then
    /// taken without.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, FetchError> {
        let (scheme, rest) = self.plain.split_once("://").unwrap_or_default();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let target = if location.contains("://") {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
            format!("{scheme}://{authority}{folder}{location}")
        };
        let target = Self { authorization: None, ..Self::parse(&target)? };
        if self.is_https && !target.is_https {
            let reason = "it redirects to an address without TLS";
            return Err(FetchError::Address { url: self.masked(), reason });
        }
        Ok(target)
    }

    /// Whether one of these patterns says that the host is reached without a proxy.
    pub(super) fn is_direct(&self, no_proxy: &[String]) -> bool {
        no_proxy.iter().any(|pattern| {
            let pattern = pattern.trim().to_ascii_lowercase();
            let domain = pattern.trim_start_matches("*.").trim_start_matches('.');
            pattern == "*"
                || self.host == domain
                || self
                    .host
                    .strip_suffix(domain)
                    .is_some_and(|rest| !domain.is_empty() && rest.ends_with('.'))
        })
    }
}

/// An address that may be printed: `****` for user and password, and for the values of a query (signed links carry their
/// secret there).
pub fn mask(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("****@{host}"),
        None => authority.to_owned(),
    };
    let path = match path.split_once('?') {
        Some((path, _)) => format!("{path}?****"),
        None => path.to_owned(),
    };
    format!("{scheme}{authority}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let address = Address::parse("https://me:s%40cret@mirror.test:8443/a/b?sig=s3cret").unwrap();
        assert_eq!(address.plain(), "https://mirror.test:8443/a/b?sig=s3cret");
        assert_eq!(address.authorization(), Some("Basic bWU6c0BjcmV0"));
        assert_eq!(address.masked(), "https://****@mirror.test:8443/a/b?****");
        assert_eq!(mask("http://me:s@cret@host/x"), "http://****@host/x");
        assert_eq!(mask("me:cret@host"), "****@host");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_a_password() {
        for url in
            ["ftp://me:cret@host/", "host/file", "http:///x", "http://me:cret@/x", "http://h/a b?q=cret"]
        {
            let error = Address::parse(url).err().unwrap();
            assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
        }
    }

    #[test]
    fn hosts_say_that_they_need_no_proxy() {
        let no_proxy = ["internal.test", ".lan", "::1", " "].map(str::to_owned);
        let is_direct = |url: &str| Address::parse(url).unwrap().is_direct(&no_proxy);
        for url in
            ["http://a.INTERNAL.test:80/x", "http://internal.test/", "http://box.lan/", "http://[::1]:80/"]
        {
            assert!(is_direct(url), "{url}");
        }
        for url in ["http://mirror.test/x", "http://notinternal.test/x", "http://lan.test/"] {
            assert!(!is_direct(url), "{url}");
        }
        assert!(Address::parse("http://any/").unwrap().is_direct(&["*".to_owned()]));
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        let same = super::super::is_same_origin;
        assert!(same("https://Host.test/a", "https://host.test:443/b?c"));
        assert!(same("http://[::1]:80/", "http://[::1]/"));
        for other in ["http://host.test/", "https://host.test:8/", "https://host.test.evil/", "nothing"] {
            assert!(!same("https://host.test/", other), "{other}");
        }
        for (host, is_loopback) in
            [("localhost:5000", true), ("127.3.2.1", true), ("[::1]:5000", true), ("127.0.0.1.test", false)]
        {
            assert_eq!(super::super::is_loopback(host), is_loopback, "{host}");
        }
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let from = Address::parse("https://me:cret@host.test:8/a/b?x=/y").unwrap();
        for (location, target) in [
            ("c", "https://host.test:8/a/c"),
            ("/c?d", "https://host.test:8/c?d"),
            ("//other.test/c", "https://other.test/c"),
            ("https://other.test/c", "https://other.test/c"),
        ] {
            let to = from.redirected(location).unwrap();
            assert_eq!((to.plain(), to.authorization()), (target, None));
        }
        for location in ["http://host.test/", "ftp://host.test/", "a b"] {
            assert!(from.redirected(location).is_err(), "{location}");
        }
        assert_eq!(
            Address::parse("http://host.test").unwrap().redirected("x").unwrap().plain(),
            "http://host.test/x"
        );
    }
}
