//! What preparing every kind of server comes to: a root, a container, a volume with data in it.

use std::net::SocketAddr;
use std::path::Path;

use djship_deb::package::Package;
use djship_engine::Container;

use super::container::{self, DATA};
use super::server::{Place, ServiceNote};
use super::volume::Volume;
use super::{ServiceError, start};
use crate::base::{Roots, ServiceRoot};
use crate::child;
use crate::tools::Tools;

/// What a server is made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) tools: &'a Tools<'a>,
    pub(super) roots: &'a Roots<'a>,
    pub(super) place: &'a Place<'a>,
    /// The server's name.
    pub(super) name: &'a str,
    /// Where it listens.
    pub(super) listen: &'a [SocketAddr],
}

impl Making<'_> {
    /// A package of a root.
    pub(super) fn package<'r>(&self, root: &'r ServiceRoot, name: &str) -> Result<&'r Package, ServiceError> {
        root.package(name)
            .ok_or_else(|| ServiceError::Package { service: self.name.to_owned(), package: name.to_owned() })
    }

    /// The container that the server runs in.
    pub(super) fn container(&self, root: &ServiceRoot, argv: Vec<String>, account: &str) -> Container {
        container::server(root.fs(), argv, account, self.place.names)
    }

    /// The server's volume; a new one is filled by `make`, from the volume and an empty folder in it.
    pub(super) fn volume(
        &self,
        major: &str,
        package: &str,
        make: impl FnOnce(&Volume, &Path) -> Result<(), ServiceError>,
    ) -> Result<(Volume, Vec<ServiceNote>), ServiceError> {
        let failed = |error| ServiceError::volume(self.name, error);
        let volume =
            Volume::open(self.place.volumes, self.name, major, self.tools.host.owner).map_err(failed)?;
        let mut notes = Vec::new();
        if volume.is_new() {
            volume.fill(|folder| make(&volume, folder))?;
            notes.push(ServiceNote::NewVolume);
        }
        volume.record(self.name, major, package).map_err(failed)?;
        Ok((volume, notes))
    }

    /// Has a program fill the folder of a new volume.
    pub(super) fn fill(
        &self,
        volume: &Volume,
        folder: &Path,
        mut step: Container,
    ) -> Result<(), ServiceError> {
        step.bind(folder, DATA);
        let running = start::holding(self.tools.engine, &step, &[volume.lock()])?;
        let finished = child::follow(self.tools, running)?;
        if finished.success() {
            return Ok(());
        }
        Err(ServiceError::init(self.name, volume.path().to_owned(), finished.tail(20)))
    }
}

/// The first `parts` numbers of a Debian package's upstream version: `17`, `11.8`.
pub(super) fn series(package: &Package, parts: usize) -> String {
    let version = package.version.as_str();
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let end = upstream.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(upstream.len());
    upstream[..end].split('.').take(parts).collect::<Vec<_>>().join(".")
}

/// Refuses what no server takes in a name or a password, or what would end a line of a configuration.
pub(super) fn speakable(service: &str, what: &'static str, text: &str) -> Result<(), ServiceError> {
    if text.contains(char::is_control) {
        return Err(ServiceError::Unspeakable { service: service.to_owned(), what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_versions() {
        let series = |version: &str, parts| {
            let text = format!(
                r#"{{"name": "a", "version": "{version}", "architecture": "all", "priority": "optional", "suite": "main",
                    "filename": "a", "size": 1, "sha256": "{}"}}"#,
                djship_store::Digest::of(b"")
            );
            super::series(&serde_json::from_str(&text).unwrap(), parts)
        };
        assert_eq!(series("17.6-0+deb13u1", 1), "17");
        assert_eq!(series("5:8.0.2-3+deb13u1", 1), "8");
        assert_eq!(series("1:11.8.3-0+deb13u1", 2), "11.8");
        assert_eq!(series("3.10.8-1.1+deb12u1", 2), "3.10");
        assert_eq!(series("1.6.38", 2), "1.6");
    }

    #[test]
    fn lines_end_where_we_say() {
        assert!(speakable("redis", "password", "a b'c\"\\").is_ok());
        assert!(speakable("redis", "password", "a\nb").is_err());
        assert!(speakable("redis", "password", "a\0").is_err());
    }
}
