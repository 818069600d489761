//! What runs in a development environment and what it left in the project, seen without djship's own word for it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::environment::Background;
use super::{SOON, await_some, fixture, processes};

/// From here on the kernel gives ports to whoever names none: ip(7).
const EPHEMERAL: u16 = 32768;

/// What an environment should come to.
#[derive(Debug, Default)]
pub(crate) struct Expected<'a> {
    /// The names of its programs, in order.
    pub(crate) programs: &'a [&'a str],
    /// How the titles of its services begin, in order.
    pub(crate) titles: &'a [&'a str],
    /// Ports on the environment's own address.
    pub(crate) ports: &'a [u16],
    /// Ports on 127.0.0.1, besides the development server's.
    pub(crate) fixed: &'a [u16],
}

impl Expected<'_> {
    /// Checks that all of this runs and nothing else does: by what djship says, and by what its processes listen on.
    pub(crate) fn and_nothing_else(&self, up: &Background<'_>) -> Result<()> {
        let programs = up.programs()?;
        ensure!(programs == self.programs, "{programs:?} run, not {:?}", self.programs);
        let status = up.status()?;
        let titles: Vec<_> =
            services(&status)?.iter().filter_map(|service| service["title"].as_str()).collect();
        let as_expected = titles.len() == self.titles.len()
            && titles.iter().zip(self.titles).all(|(title, expected)| title.starts_with(expected));
        ensure!(as_expected, "{titles:?} serve, not {:?}", self.titles);
        // Ordinary users cannot look into processes that run as another id.
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let mut expected: BTreeSet<SocketAddr> =
            self.fixed.iter().chain([&up.port]).map(|port| (Ipv4Addr::LOCALHOST, *port).into()).collect();
        for port in self.ports {
            expected.insert((address(up)?, *port).into());
        }
        let supervisor = u32::try_from(status["pid"].as_u64().context("a supervisor")?)?;
        let listening = || listening(supervisor);
        let only = await_some(SOON, || (listening().ok()? == expected).then_some(()));
        ensure!(only.is_some(), "it listens on {:?}, not {expected:?}", listening()?);
        Ok(())
    }
}

fn services(status: &Value) -> Result<&Vec<Value>> {
    status["services"].as_array().context("no services")
}

/// The environment's own address.
pub(crate) fn address(up: &Background<'_>) -> Result<Ipv4Addr> {
    let status = up.status()?;
    let first = services(&status)?.first().context("nothing serves")?;
    let address: SocketAddr = first["address"].as_str().context("it has no address")?.parse()?;
    match address {
        SocketAddr::V4(address) if address.ip().is_loopback() => Ok(*address.ip()),
        other => anyhow::bail!("{other} is no loopback address"),
    }
}

/// What `status` says of a program.
pub(crate) fn program(up: &Background<'_>, name: &str) -> Result<Value> {
    let status = up.status()?;
    let programs = status["programs"].as_array().context("no programs")?;
    let found = programs.iter().find(|program| program["name"] == name);
    found.cloned().with_context(|| format!("no program `{name}` in {status}"))
}

/// Every address that a process or one below it accepts TCP connections on: proc_pid_net(5), proc_pid_fd(5). Left out are
/// ports of loopback addresses that the kernel chose, on which Erlang's nodes meet.
fn listening(process: u32) -> Result<BTreeSet<SocketAddr>> {
    let mut open = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs_err::read_to_string(table)?;
        open.extend(text.lines().skip(1).filter_map(listener));
    }
    let mut found = BTreeSet::new();
    for process in processes::descendants(process) {
        // One that has ended meanwhile listens no more.
        let descriptors = fs_err::read_dir(format!("/proc/{}/fd", process.id)).into_iter().flatten();
        for descriptor in descriptors.filter_map(Result::ok) {
            let Ok(target) = fs_err::read_link(descriptor.path()) else { continue };
            let inode =
                target.to_string_lossy().trim_start_matches("socket:[").trim_end_matches(']').to_owned();
            found.extend(open.iter().filter(|(_, known)| *known == inode).map(|(address, _)| *address));
        }
    }
    found.retain(|address| !(address.ip().is_loopback() && address.port() >= EPHEMERAL));
    Ok(found)
}

/// The address and the inode in a line of the kernel's table, if the socket listens.
fn listener(line: &str) -> Option<(SocketAddr, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let (ip, port) = fields[1].split_once(':')?;
    // Words of 32 bits, each in the machine's order.
    let words =
        ip.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> =
        words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let port = u16::from_str_radix(port, 16).ok()?;
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => (Ipv4Addr::from(four), port).into(),
        Err(_) => (Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?), port).into(),
    };
    Some((address, (*fields.get(9)?).to_owned()))
}

/// Files and folders in the project that its fixture does not have, but for the cache.
pub(crate) fn new_files(up: &Background<'_>, name: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    list(&up.project, &mut all)?;
    let relative = all.iter().filter_map(|path| path.strip_prefix(&up.project).ok());
    let original = fixture(name);
    // SQLite's journal comes and goes.
    let lasting = relative.filter(|path| !path.to_string_lossy().ends_with("-journal"));
    let new = lasting.filter(|path| !path.starts_with(".cache") && !original.join(path).exists());
    Ok(new.map(|path| path.to_string_lossy().into_owned()).collect())
}

fn list(folder: &Path, all: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        all.push(entry.path());
        if entry.file_type()?.is_dir() && entry.file_name() != ".cache" {
            list(&entry.path(), all)?;
        }
    }
    Ok(())
}

/// The start page or another one, which must hold a text.
pub(crate) fn shows(up: &Background<'_>, path: &str, text: &str) -> Result<()> {
    let page = up.page(path)?.text();
    ensure!(page.contains(text), "{path} does not show `{text}`\n{page}");
    Ok(())
}

/// What a server answers to a line.
pub(crate) fn answer(address: Ipv4Addr, port: u16, line: &str) -> Result<String> {
    let mut stream = TcpStream::connect((address, port))?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(line.as_bytes())?;
    let mut bytes = [0; 512];
    let length = stream.read(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// Changes the first place in a file that reads `from`.
pub(crate) fn edit(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs_err::read_to_string(file)?;
    ensure!(text.contains(from), "{} has no `{from}`", file.display());
    Ok(fs_err::write(file, text.replacen(from, to, 1))?)
}

/// Waits until the log of a program has a text, and returns the log.
pub(crate) fn await_log(up: &Background<'_>, program: &str, text: &str) -> Result<String> {
    let log = || up.within(&["logs", program]).map(|output| output.stdout).unwrap_or_default();
    let found = await_some(SOON, || Some(log()).filter(|log| log.contains(text)));
    found.with_context(|| format!("{program} does not log `{text}`\n{}", log()))
}
