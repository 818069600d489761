//! Addresses for clients.

use std::net::SocketAddr;

/// `SCHEME://USER:PASSWORD@ADDRESS/PATH`, with everything escaped that means something in an address.
pub(super) fn url(
    scheme: &str,
    user: Option<&str>,
    password: Option<&str>,
    address: SocketAddr,
    path: &str,
) -> String {
    let account = match (user, password) {
        (None, None) => String::new(),
        (user, None) => format!("{}@", escaped(user.unwrap_or_default())),
        (user, Some(password)) => format!("{}:{}@", escaped(user.unwrap_or_default()), escaped(password)),
    };
    format!("{scheme}://{account}{address}/{}", escaped(path))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_escaped() {
        let address = "127.70.1.2:5432".parse().unwrap();
        assert_eq!(
            url("postgres", Some("shop"), Some("p@s/s:ü"), address, "shop"),
            "postgres://shop:p%40s%2Fs%3A%C3%BC@127.70.1.2:5432/shop"
        );
        assert_eq!(url("redis", None, Some("x"), address, "0"), "redis://:x@127.70.1.2:5432/0");
        assert_eq!(url("redis", None, None, address, ""), "redis://127.70.1.2:5432/");
    }
}
