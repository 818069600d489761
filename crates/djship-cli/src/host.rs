//! From the environment and the user's id to what the libraries want to know.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use djship_django::report::Reporter;
use djship_django::tools::{DebianSources, Host, Registries, Tools};
use djship_engine::{Engine, HostOwner};
use djship_store::fetch::{FetchOptions, Fetcher};
use djship_store::{Store, TempDir};

use crate::args::Cli;
use crate::commands::push::credentials::Files;
use crate::engine;
use crate::env;
use crate::errors::{self, Kind, Report};

/// What every command opens.
pub(crate) struct Workshop {
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) fetcher: Fetcher,
    pub(crate) host: Host,
    /// Work space of running containers.
    _scratch: TempDir,
}

impl Workshop {
    /// What every stage works with; `reporter` is told.
    pub(crate) fn tools<'a>(&'a self, reporter: &'a dyn Reporter) -> Tools<'a> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        self.tools_until(reporter, &NEVER)
    }

    /// The same; everything that is waited for is given up when `given_up` is set.
    pub(crate) fn tools_until<'a>(
        &'a self,
        reporter: &'a dyn Reporter,
        given_up: &'a AtomicBool,
    ) -> Tools<'a> {
        let Self { store, engine, fetcher, host, .. } = self;
        let credentials = &Files;
        Tools { store, engine, fetcher, host, credentials, reporter, shared: None, given_up }
    }

    /// Opens the store and learns about the host. `project` decides who containers run as when djship is root.
    pub(crate) fn open(cli: &Cli, project: Option<&Path>, refresh: bool) -> Result<Self, Report> {
        let is_root = rustix::process::geteuid().is_root();
        let home = env::home(is_root);
        // Also for root: containers that run as somebody else are shown what they need, and reach nothing by its path.
        let store = Store::open(&home).map_err(|error| {
            Report::new(Kind::Host, error.to_string())
                .causes(&error)
                .hint(format!("Set {} to a folder that you may write to", env::HOME))
        })?;
        let owner = is_root.then(|| owner_of(project));
        // Locked by this process: another djship sweeps what has no living owner.
        let scratch = store.temp_dir("containers").map_err(|error| errors::storage(&error))?;
        let mut engine = Engine::new(scratch.path());
        if let Some(owner) = owner {
            engine = engine.with_host_owner(owner);
        }
        let engine = engine::choose(cli, engine, &store)?;
        let offline = cli.offline || env::get(env::OFFLINE).is_some();
        let options = FetchOptions {
            offline,
            http_proxy: env::text("http_proxy").or_else(|| env::text("HTTP_PROXY")),
            https_proxy: env::text("https_proxy").or_else(|| env::text("HTTPS_PROXY")),
            no_proxy: env::text("no_proxy").or_else(|| env::text("NO_PROXY")).map_or_else(Vec::new, |list| {
                list.split(',').map(|host| host.trim().trim_start_matches('.').to_owned()).collect()
            }),
            ..FetchOptions::default()
        };
        let fetcher = Fetcher::new(options)
            .map_err(|error| Report::new(Kind::Host, error.to_string()).causes(&error))?;
        let host = Host {
            owner,
            offline,
            ca_bundle: env::ca_bundle(),
            installer: env::installer(),
            exported: env::exported(),
            pip_configuration: env::pip_configuration(),
            npm: env::npm(),
            npm_configuration: env::npm_configuration(),
            debian: DebianSources {
                main: env::text(env::DEBIAN_MIRROR),
                security: env::text(env::DEBIAN_SECURITY_MIRROR),
                keyrings: env::text(env::DEBIAN_KEYRINGS)
                    .map_or_else(Vec::new, |list| list.split(':').map(PathBuf::from).collect()),
                refresh,
            },
            registries: Registries {
                default: env::text(env::REGISTRY),
                insecure: env::insecure_registries(),
            },
        };
        Ok(Self { store, engine, fetcher, host, _scratch: scratch })
    }
}

/// Started by root, containers run as the project's owner; when that is root, as somebody that nobody is.
fn owner_of(project: Option<&Path>) -> HostOwner {
    let metadata = project.and_then(|project| fs_err::metadata(project).ok());
    match metadata {
        Some(metadata) if metadata.uid() != 0 => {
            // Root's group is nobody's to lend.
            let gid = if metadata.gid() == 0 { metadata.uid() } else { metadata.gid() };
            HostOwner { uid: metadata.uid(), gid }
        }
        _ => HostOwner::NOBODY_ELSE,
    }
}

/// Variables from `-e` and `--env-file`, as Docker reads them: a name without a value is taken from the environment.
pub(crate) fn variables(files: &[PathBuf], given: &[String]) -> Result<BTreeMap<String, String>, Report> {
    let mut variables = BTreeMap::new();
    let mut add = |text: &str, source: &str| -> Result<(), Report> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, env::text(text)),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Report::new(Kind::Usage, format!("cannot use `{text}` from {source} as a variable"))
                .hint("Write NAME=VALUE, or NAME to take it from the environment"));
        }
        if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
        Ok(())
    };
    for file in files {
        let text = fs_err::read_to_string(file).map_err(|error| {
            Report::new(Kind::User, error.to_string()).hint("Give the path of a file of NAME=VALUE lines")
        })?;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if !line.is_empty() && !line.starts_with('#') {
                add(line, &format!("{}, line {}", file.display(), index + 1))?;
            }
        }
    }
    for text in given {
        add(text, "-e")?;
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_from_files_and_the_command_line() {
        let folder = std::env::temp_dir().join(format!("djship-variables-{}", std::process::id()));
        fs_err::write(&folder, "# a comment\nA=1\nB=two words\n\nC=x=y\n").unwrap();
        let found = variables(std::slice::from_ref(&folder), &["A=2".to_owned()]).unwrap();
        fs_err::remove_file(&folder).unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("A", "2"), ("B", "two words"), ("C", "x=y")]);
        assert!(variables(&[], &["=x".to_owned()]).is_err());
    }
}
