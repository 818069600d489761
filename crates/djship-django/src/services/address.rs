//! An address of the project's own in 127.0.0.0/8, so that two projects never meet on a port.

use std::net::Ipv4Addr;
use std::path::Path;

use djship_store::Digest;

/// The address of the project in `folder`; `attempt` counts up when one is taken.
pub fn of_project(folder: &Path, attempt: u8) -> Ipv4Addr {
    let mut bytes = folder.as_os_str().as_encoded_bytes().to_vec();
    bytes.push(attempt);
    let digest = Digest::of(&bytes);
    let [a, b, c, ..] = *digest.as_bytes();
    // Neither the network's first addresses, which people use by hand, nor its last one.
    Ipv4Addr::new(127, 64 + a % 128, b, 1 + c % 254)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_loopback_stable_and_different() {
        let address = of_project(Path::new("/home/ada/shop"), 0);
        assert!(address.is_loopback());
        assert_eq!(address, of_project(Path::new("/home/ada/shop"), 0));
        assert_ne!(address, of_project(Path::new("/home/ada/blog"), 0));
        assert_ne!(address, of_project(Path::new("/home/ada/shop"), 1));
    }
}
