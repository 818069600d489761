//! Pushing a real project to a real registry.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::docker_registry::{DockerRegistry, ME, Setup};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, need, needs};
use support::{fixture, in_place, sharing, timed};

/// The digest that skopeo sees.
fn digest(name: &str) -> Result<String> {
    let output = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--creds", "me:s3cret", &format!("docker://{name}")])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(shown["Digest"].as_str().context("a digest")?.to_owned())
}

/// djship with the logins in a folder of the test's.
fn with_login(djship: Djship, folder: &Path, host: &str) -> Result<Djship> {
    let config = format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6czNjcmV0"}}}}}}"#);
    fs_err::write(folder.join("config.json"), config)?;
    Ok(djship.env("DOCKER_CONFIG", folder))
}

#[test]
#[ignore = "needs docker-registry, skopeo, user namespaces and the network"]
fn a_build_is_pushed_and_a_change_of_code_costs_little() -> Result<()> {
    need!(needs::program("docker-registry"));
    need!(needs::program("skopeo"));
    need!(needs::user_namespaces());
    let setup = Setup { htpasswd: Some(ME.to_owned()), ..Setup::default() };
    let registry = DockerRegistry::start(&setup)?;
    let login = tempfile::tempdir()?;
    let mirror = DebianMirror::start()?;
    let djship = with_login(sharing(&mirror)?, login.path(), &registry.host())?;
    let project = in_place(&TempProject::copy_of(fixture("small"))?, "pushed")?;
    let name = format!("{}/team/small:1", registry.host());
    let folder = project.to_str().context("a path in UTF-8")?;
    let build = || djship.run(["build", folder, "-t", &name, "--push"])?.success();
    let output = timed("build and push", build)?;
    let first = digest(&name)?;
    ensure!(output.stderr.contains(&first), "skopeo sees {first}\n{output}");

    // Nothing to build, and nothing to send.
    let output = timed("push again", build)?;
    ensure!(output.stderr.contains("0 B sent") && output.stderr.contains(&first), "{output}");

    let urls = project.join("small/urls.py");
    let text = fs_err::read_to_string(&urls)?;
    fs_err::write(&urls, format!("{text}\n# pushed {}\n", std::process::id()))?;
    let output = timed("build and push a change", build)?;
    ensure!(output.stderr.contains("1 sent, "), "{output}");
    let second = digest(&name)?;
    ensure!(second != first && output.stderr.contains(&second), "{output}");
    ensure!(
        output.stderr.contains("kB sent, ") || output.stderr.contains(" B sent, "),
        "not small\n{output}"
    );

    // Under another name of the registry's, nothing large goes.
    let other = format!("{}/other/small:1", registry.host());
    let output = djship.run(["push", &name, &other])?.success()?;
    ensure!(output.stderr.contains("taken from another repository"), "{output}");
    ensure!(digest(&other)? == second, "{output}");
    // As it is, and as a header has it.
    ensure!(!["s3cret", "bWU6czNjcmV0"].iter().any(|word| registry.text().contains(word)));
    Ok(())
}

#[test]
#[ignore = "needs docker-registry"]
fn the_certificates_of_this_host_count() -> Result<()> {
    need!(needs::program("docker-registry"));
    need!(needs::program("openssl"));
    let folder = tempfile::tempdir()?;
    let certificate = folder.path().join("cert.pem");
    let own = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let registry =
        DockerRegistry::start(&Setup { tls: Some(make(&certificate, &own)?), ..Setup::default() })?;
    // What openssl makes by itself is an authority's.
    let authority = folder.path().join("authority.pem");
    let odd = DockerRegistry::start(&Setup { tls: Some(make(&authority, &[])?), ..Setup::default() })?;
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&djship_testkit::User::current()?, &mirror)?;
    let store = djship_store::Store::open(djship.home())?;
    let empty = djship_oci::Image::from_layers(
        Vec::new(),
        djship_oci::ImageConfig::default(),
        djship_oci::Platform::linux("amd64"),
    );
    djship_oci::ImageStore::new(&store).save(&empty, &["shop:1".parse()?])?;
    let destination = format!("{}/shop:1", registry.host());
    let output = djship.run(["push", "shop:1", &destination])?.exit_code(3)?;
    ensure!(
        output.stderr.contains("annot trust the registry") && output.stderr.contains("SSL_CERT_FILE"),
        "{output}"
    );
    let djship = djship.env("SSL_CERT_FILE", &certificate);
    djship.run(["push", "shop:1", &destination])?.success()?;
    let djship = djship.env("SSL_CERT_FILE", &authority);
    let output = djship.run(["push", "shop:1", &format!("{}/shop:1", odd.host())])?.exit_code(3)?;
    ensure!(output.stderr.contains("basicConstraints=critical,CA:FALSE"), "{output}");
    Ok(())
}

/// A certificate for this machine, kept in a file as well, and its key.
fn make(certificate: &Path, arguments: &[&str]) -> Result<(String, String)> {
    let key = certificate.with_extension("key");
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=registry"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(arguments)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(certificate)
        .output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok((fs_err::read_to_string(certificate)?, fs_err::read_to_string(&key)?))
}
