//! What the containers that run the project's code in development have in common.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use djship_engine::{Container, Network, Stdio, Streams};

use super::{Cache, Developer};
use crate::hosts;
use crate::project::Project;
use crate::tools::Tools;

/// Where the project is inside.
pub(super) const APP: &str = "/app";
/// Where the host's certificates are shown.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The project, live, and what it stands on.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The project.
    pub project: &'a Project,
    /// Its cache.
    pub cache: &'a Cache,
    /// Who runs everything.
    pub developer: &'a Developer,
    /// The root file system.
    pub root: PathBuf,
    /// The folder that holds `bin/uv`.
    pub uv: PathBuf,
    /// The home folder, on the host.
    pub home: PathBuf,
    /// Further names in `/etc/hosts`.
    pub hosts: Vec<(IpAddr, String)>,
}

impl Ground<'_> {
    /// A container in which `argv` runs with the project live at `/app`, in the folder of `manage.py`, on the host's network.
    /// Variables in `env` win over everything else.
    pub fn container(
        &self,
        tools: &Tools<'_>,
        argv: impl IntoIterator<Item = impl Into<String>>,
        env: &BTreeMap<String, String>,
    ) -> Container {
        let mut container = Container::new([self.root.clone()], argv);
        container.cwd = self.folder();
        container.hostname = hostname(&self.project.folder);
        container.network = Network::Host;
        container.ptrace = true;
        container.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Piped };
        self.developer.enter(&mut container);
        container.bind_as_owner(&self.project.folder, APP);
        if self.cache.elsewhere {
            container.bind_as_owner(&self.cache.path, self.cache.inside);
        }
        container.bind(&self.home, self.developer.home());
        container.bind_read_only(&self.uv, "/opt/uv");
        hosts::of_the_host(&mut container, &self.hosts);
        if Path::new("/etc/resolv.conf").exists() {
            container.bind_read_only("/etc/resolv.conf", "/etc/resolv.conf");
        }
        if let Some(bundle) = &tools.host.ca_bundle {
            container.bind_read_only(bundle, CERTIFICATES);
            // What brings certificates of its own is told to trust what the host trusts.
            for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"] {
                container.env(name, CERTIFICATES);
            }
        }
        for (name, value) in self.environment().into_iter().chain(env.clone()) {
            container.env(name, value);
        }
        container
    }

    /// The folder of `manage.py` inside.
    pub fn folder(&self) -> PathBuf {
        Path::new(APP).join(self.project.django_folder())
    }

    /// Where a path of the project's containers is on the host; unchanged for what is not in the project.
    pub fn on_host(&self, inside: &str) -> PathBuf {
        match Path::new(inside).strip_prefix(APP) {
            Ok(relative) => self.project.folder.join(relative),
            Err(_) => PathBuf::from(inside),
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let cache = self.cache.inside;
        let venv = format!("{cache}/venv");
        [
            ("PATH", format!("{venv}/bin:/opt/uv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")),
            ("VIRTUAL_ENV", venv.clone()),
            ("LANG", "C.UTF-8".to_owned()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
            // Bytecode is a cache like every other: no `__pycache__` appears in the project.
            ("PYTHONPYCACHEPREFIX", format!("{cache}/bytecode")),
            ("XDG_CACHE_HOME", cache.to_owned()),
            ("PIP_CACHE_DIR", format!("{cache}/pip")),
            // Debian's pip, made to work on the environment.
            ("PIP_PYTHON", format!("{venv}/bin/python")),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
            ("UV_CACHE_DIR", format!("{cache}/uv")),
            ("UV_NO_CONFIG", "1".to_owned()),
            ("UV_PYTHON_DOWNLOADS", "never".to_owned()),
            ("UV_SYSTEM_CERTS", "1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// The project's name as a host name (RFC 1123): shells show it.
fn hostname(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "djship".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_host_names() {
        assert_eq!(hostname(Path::new("/home/ada/My_Shop")), "my-shop");
        assert_eq!(hostname(Path::new("/")), "djship");
        assert_eq!(hostname(Path::new("/home/ada/été")), "t");
    }
}
