//! `djship push` to a registry in this process, with an image that was never built.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use djship_oci::{Image, ImageConfig, ImageStore, Layer, LayerEntry, Platform};
use djship_store::{Entry, FileTree, Store, TreePath};
use djship_testkit::registry::{Access, Behaviour, Registry};
use djship_testkit::{Djship, Output, User};

/// djship with the image `shop:1`, and nothing that is configured on this machine.
fn djship() -> Result<Djship> {
    let djship = Djship::with_binary(Path::new(env!("CARGO_BIN_EXE_djship")), &User::current()?)?;
    let config = djship.home().join("docker");
    fs_err::create_dir(&config)?;
    put_image(djship.home(), b"code")?;
    let nothing = djship.home().join("nothing");
    let djship = djship.env("DOCKER_CONFIG", &config).env("XDG_CONFIG_HOME", &nothing);
    let djship = djship.env("XDG_RUNTIME_DIR", &nothing).env("REGISTRY_AUTH_FILE", &nothing);
    Ok(djship.env("DJSHIP_REGISTRY", "").env("DJSHIP_INSECURE_REGISTRIES", ""))
}

/// Lets `shop:1` be an image of a large layer and `code`.
fn put_image(home: &Path, code: &[u8]) -> Result<()> {
    let store = Store::open(home)?;
    let base: Vec<u8> =
        (0..200_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut layers = Vec::new();
    for (name, content) in [("base", base.as_slice()), ("code", code)] {
        let (digest, at) = store.put_blob(content)?;
        let mut tree = FileTree::new();
        tree.insert(TreePath::parse(name)?, Entry::file(digest, content.len() as u64, at));
        layers.push(LayerEntry { layer: Layer::keep(&store, &tree)?, made_by: name.to_owned() });
    }
    let image = Image::from_layers(layers, ImageConfig::default(), Platform::linux("amd64"));
    ImageStore::new(&store).save(&image, &["shop:1".parse()?])?;
    Ok(())
}

fn write_config(djship: &Djship, text: &str) -> Result<()> {
    Ok(fs_err::write(djship.home().join("docker/config.json"), text)?)
}

/// One error with these words and something to do next, and no password.
fn is_report(output: &Output, words: &[&str]) -> Result<()> {
    let report = output.stderr.split_once("error: ").map(|(_, report)| report);
    let report = report.with_context(|| format!("no error is named\n{output}"))?;
    ensure!(report.contains("\nhint: "), "nothing is said about what to do\n{output}");
    for word in words {
        ensure!(report.contains(word), "`{word}` is not said\n{output}");
    }
    ensure!(!output.to_string().contains("s3cret"), "a password is shown\n{output}");
    Ok(())
}

#[test]
fn a_change_of_code_is_a_small_push() -> Result<()> {
    let (registry, djship) = (Registry::start(Behaviour::default())?, djship()?);
    let destination = format!("{}/team/shop:1.4", registry.host());
    let output = djship.run(["push", "shop:1", &destination])?.success()?;
    ensure!(output.stderr.contains("2 layers: 2 sent"), "{output}");
    ensure!(registry.manifest("team/shop", "1.4").is_some());

    put_image(djship.home(), b"other code")?;
    let output = djship.run(["push", "shop:1", &destination, "--json"])?.success()?;
    ensure!(output.stderr.contains("2 layers: 1 sent, 1 there already"), "{output}");
    ensure!(
        output.stderr.contains(" B sent, ") && output.stderr.contains("as the registry has them"),
        "{output}"
    );
    let object: serde_json::Value = serde_json::from_str(&output.stdout)?;
    ensure!(object["sent"].as_u64() < Some(2_000) && object["present"].as_u64() > Some(100_000), "{object}");
    let manifest = registry.manifest("team/shop", "1.4").context("a manifest")?;
    ensure!(object["digest"] == djship_store::Digest::of(&manifest).to_string(), "{object}");

    // Short names are where the user said.
    let djship = djship.env("DJSHIP_REGISTRY", format!("{}/mine", registry.host()));
    djship.run(["push", "shop:1"])?.success()?;
    ensure!(registry.manifest("mine/shop", "1").is_some());
    Ok(())
}

#[test]
fn names_that_are_none() -> Result<()> {
    let djship = djship()?;
    for (arguments, code, words) in [
        (vec!["push", "shop:1"], 2, "in which registry `shop:1` is"),
        (vec!["push", "shop:1", "registry.example/Shop"], 2, "lower case"),
        (vec!["push", "shop:1", "registry.example/shop:a b"], 2, "a tag is 1 to 128"),
        (vec!["push", "shop:1", "registry.example/shop@sha256:00"], 2, "64 of"),
        (vec!["push", "other", "registry.example/shop"], 1, "`other`"),
        (vec!["build", "--push"], 2, "without a destination"),
        (vec!["build", "--push", "-t", "shop"], 2, "in which registry"),
    ] {
        let output = djship.run(&arguments)?.exit_code(code)?;
        is_report(&output, &[words]).with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}

#[test]
fn logins_come_from_files_and_helpers() -> Result<()> {
    let access = || Access::Token("me".to_owned(), "s3cret".to_owned());
    let (registry, djship) =
        (Registry::start(Behaviour { access: access(), ..Behaviour::default() })?, djship()?);
    let host = registry.host();
    let push = |djship: &Djship, name: &str| djship.run(["push", "shop:1", &format!("{host}/{name}:1")]);

    is_report(&push(&djship, "a")?.exit_code(1)?, &["wants a login for `a`", "docker login"])?;
    write_config(&djship, &format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6czNjcmV0"}}}}}}"#))?;
    push(&djship, "a")?.success()?;
    is_report(&push(&djship, "secret")?.exit_code(1)?, &["denies access to `secret`", "asked as `me`"])?;
    write_config(&djship, &format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6czNjcmV0IQ=="}}}}}}"#))?;
    let file = djship.home().join("docker/config.json").display().to_string();
    is_report(&push(&djship, "b")?.exit_code(1)?, &["the password of `me`", "incorrect username", &file])?;
    write_config(&djship, r#"{"auths": "s3cret"}"#)?;
    is_report(&push(&djship, "b")?.exit_code(1)?, &["no such form", &file])?;

    // A helper, asked as Docker asks.
    let folder = djship.home().join("bin");
    fs_err::create_dir(&folder)?;
    let helper = |name: &str, script: &str| -> Result<()> {
        let path = folder.join(format!("docker-credential-{name}"));
        fs_err::write(&path, format!("#!/bin/sh\n{script}\n"))?;
        Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o755))?)
    };
    let path = std::env::var("PATH")?;
    let djship = djship.env("PATH", format!("{}:{path}", folder.display()));
    let answer = r#"{"ServerURL":"x","Username":"me","Secret":"s3cret"}"#;
    helper("good", &format!("read host; [ \"$1 $host\" = \"get {host}\" ] && echo '{answer}'"))?;
    helper("empty", "echo credentials not found in native keychain; exit 1")?;
    helper("bad", "echo the keychain is locked; exit 1")?;
    helper("odd", "echo '\"s3cret\"'")?;
    write_config(&djship, &format!(r#"{{"credsStore": "empty", "credHelpers": {{"{host}": "good"}}}}"#))?;
    push(&djship, "c")?.success()?;
    for (name, code, words) in [
        ("empty", 1, "wants a login"),
        ("bad", 1, "the keychain is locked"),
        ("odd", 1, "not what a helper says"),
        ("absent", 1, "docker-credential-absent"),
        ("../bin/good", 1, "not that of a program"),
    ] {
        write_config(&djship, &format!(r#"{{"credsStore": "{name}"}}"#))?;
        is_report(&push(&djship, "d")?.exit_code(code)?, &[words])?;
    }

    // Podman's file, when Docker's says nothing.
    write_config(&djship, "{}")?;
    let auth = djship.home().join("auth.json");
    fs_err::write(&auth, format!(r#"{{"auths": {{"{host}/e": {{"auth": "bWU6czNjcmV0"}}}}}}"#))?;
    let djship = djship.env("REGISTRY_AUTH_FILE", auth);
    push(&djship, "e")?.success()?;
    push(&djship, "f")?.exit_code(1)?;
    Ok(())
}

#[test]
fn registries_in_trouble() -> Result<()> {
    let (registry, djship) = (Registry::start(Behaviour::default())?, djship()?);
    let refuses = Some((507, r#"{"errors":[{"code":"UNKNOWN","message":"no space left"}]}"#.to_owned()));
    registry.behave(Behaviour { refuses, ..Behaviour::default() });
    let destination = format!("{}/shop:1", registry.host());
    let output = djship.run(["push", "shop:1", &destination])?.exit_code(1)?;
    is_report(&output, &["has no room for `shop`", "It says: no space left"])?;

    let output = djship.run(["push", "shop:1", &destination, "--offline"])?.exit_code(3)?;
    is_report(&output, &["offline", "without --offline"])?;

    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let output = djship.run(["push", "shop:1", &format!("127.0.0.1:{port}/shop")])?.exit_code(3)?;
    is_report(&output, &[&format!("annot reach the registry `127.0.0.1:{port}`")])
}
