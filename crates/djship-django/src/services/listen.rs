//! Where a server listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ServiceError;
use super::wanted::PlannedServer;
use crate::running::{Unavailable, available};

/// The environment's address, and those that settings have fixed.
pub(super) fn addresses(server: &PlannedServer, address: Ipv4Addr) -> Vec<SocketAddr> {
    let mut all = vec![IpAddr::V4(address)];
    for wanted in server.wanted.iter().filter(|wanted| wanted.is_local()) {
        let local: IpAddr = match wanted.host.as_str() {
            "::1" => Ipv6Addr::LOCALHOST.into(),
            _ => Ipv4Addr::LOCALHOST.into(),
        };
        if !all.contains(&local) {
            all.push(local);
        }
    }
    all.into_iter().map(|ip| SocketAddr::new(ip, server.port)).collect()
}

/// Whether `service` can listen on all of these.
pub(super) fn check(service: &str, addresses: &[SocketAddr]) -> Result<(), ServiceError> {
    for address in addresses {
        let (service, address) = (service.to_owned(), *address);
        available(address).map_err(|why| match why {
            Unavailable::InUse(holder) => ServiceError::PortInUse { service, address, holder },
            Unavailable::Privileged(first) => ServiceError::Privileged { service, address, first },
            Unavailable::Refused(source) => ServiceError::Address { service, address, source },
        })?;
    }
    Ok(())
}

/// The addresses without their port, with `between` in between.
pub(super) fn joined(addresses: &[SocketAddr], between: &str) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(between)
}
