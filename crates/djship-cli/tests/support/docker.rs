//! Images and containers of a Docker daemon, as the tests compare them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::docker::Docker;
use djship_testkit::http::{Request, Response};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How Docker builds: `DOCKER_BUILDKIT`.
pub(crate) const BUILDERS: [(&str, &str); 2] = [("classic", "0"), ("buildkit", "1")];

/// What Docker itself puts into every container, with the time of its start.
const DOCKERS_OWN: [&str; 11] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
];

/// `docker build --tag NAME - < FILE`.
pub(crate) fn build(docker: &Docker, builder: &str, name: &str, context: &std::path::Path) -> Result<String> {
    let mut command = docker.client(["build", "--tag", name, "-"]);
    command.env("DOCKER_BUILDKIT", builder).stdin(fs_err::File::open(context)?.into_parts().0);
    let output = command.output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "docker build: {}\n{said}", output.status);
    Ok(said)
}

/// Every file of a container of an image: kind, mode, owner, time, target and content.
pub(crate) fn files(docker: &Docker, image: &str) -> Result<BTreeMap<String, String>> {
    // A container needs a command, and is not started.
    let container = docker.say(["create", "--entrypoint", "/x", image])?;
    let mut export = docker.client(["export", container.trim()]);
    let mut child = export.stdout(Stdio::piped()).spawn()?;
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(child.stdout.take().context("a pipe")?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        let header = entry.header().clone();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let time =
            if DOCKERS_OWN.contains(&path.as_str()) || path == "etc/mtab" { 0 } else { header.mtime()? };
        let digest =
            Sha256::digest(&content).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        let facts = format!(
            "{:?} {:o} {}:{} {time} {link:?} {digest}",
            header.entry_type(),
            header.mode()? & 0o7777,
            header.uid()?,
            header.gid()?,
        );
        files.insert(path, facts);
    }
    ensure!(child.wait()?.success(), "docker export failed");
    docker.say(["rm", container.trim()])?;
    Ok(files)
}

/// What two images say about how to run them, as far as it is the images' own.
pub(crate) fn config(docker: &Docker, image: &str) -> Result<BTreeMap<String, Value>> {
    let text = docker.say(["image", "inspect", "--format", "{{json .Config}}", image])?;
    let config: BTreeMap<String, Value> = serde_json::from_str(&text)?;
    let of_the_image = [
        "Cmd",
        "Entrypoint",
        "Env",
        "ExposedPorts",
        "Healthcheck",
        "Labels",
        "StopSignal",
        "User",
        "Volumes",
        "WorkingDir",
    ];
    let wanted =
        config.into_iter().filter(|(key, value)| of_the_image.contains(&key.as_str()) && !value.is_null());
    // Builders begin with a PATH of their own.
    let sorted = wanted.map(|(key, mut value)| {
        if let (true, Some(list)) = (key == "Env", value.as_array_mut()) {
            list.sort_by_key(ToString::to_string);
        }
        (key, value)
    });
    Ok(sorted.collect())
}

/// Checks that images are the same as one of them in files and config.
pub(crate) fn same(docker: &Docker, left: &str, others: &[&str]) -> Result<()> {
    let (files_here, config_here) = (files(docker, left)?, config(docker, left)?);
    for right in others {
        let found = files(docker, right)?;
        let paths: BTreeSet<_> = files_here.keys().chain(found.keys()).collect();
        let differ = paths.into_iter().filter(|path| files_here.get(*path) != found.get(*path));
        let lines: Vec<_> = differ
            .take(20)
            .map(|path| format!("{path}: {:?} {:?}", files_here.get(path), found.get(path)))
            .collect();
        ensure!(lines.is_empty(), "{left} and {right} differ:\n{}", lines.join("\n"));
        let found = config(docker, right)?;
        ensure!(config_here == found, "{left} and {right} differ:\n{config_here:?}\n{found:?}");
    }
    Ok(())
}

/// The digests of an image's layers.
pub(crate) fn layers(docker: &Docker, image: &str) -> Result<Vec<String>> {
    Ok(serde_json::from_str(&docker.say([
        "image",
        "inspect",
        "--format",
        "{{json .RootFS.Layers}}",
        image,
    ])?)?)
}

/// Asks in the daemon's network until the answer has this status.
pub(crate) fn await_page(docker: &Docker, url: &str) -> Result<Response> {
    docker.inside(|| djship_testkit::http::await_http(url, super::SOON))
}

/// Asks in the daemon's network, once.
pub(crate) fn page(docker: &Docker, url: &str) -> Result<Response> {
    let response = docker.inside(|| Request::get(url).send())?;
    ensure!(response.status == 200, "{url} has the status {}\n{}", response.status, response.text());
    Ok(response)
}
