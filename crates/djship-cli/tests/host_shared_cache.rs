//! Builds that share base and dependencies through a real registry.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::base_image::{self, Recipe};
use djship_testkit::djship::Output;
use djship_testkit::docker_registry::{DockerRegistry, ME, Setup};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User, need, needs, user};
use support::{djship, fixture, polls, sharing, timed};

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// A registry that keeps everything in `folder`.
fn registry(folder: &Path, read_only: bool) -> Result<DockerRegistry> {
    DockerRegistry::start(&Setup { storage: Some(folder.to_owned()), read_only, ..Setup::default() })
}

fn repository(registry: &DockerRegistry) -> String {
    format!("{}/team/djship-cache", registry.host())
}

/// The beginning of the image's id.
fn image(output: &Output) -> Result<String> {
    let line = output.stderr.lines().find(|line| line.starts_with("Image ") && line.ends_with(')'));
    let (_, id) =
        line.and_then(|line| line.split_once('(')).with_context(|| format!("no image\n{output}"))?;
    Ok(id.trim_end_matches(')').to_owned())
}

/// The line that begins so.
fn line<'a>(output: &'a Output, start: &str) -> Result<&'a str> {
    let line = output.stderr.lines().map(str::trim).find(|line| line.starts_with(start));
    line.with_context(|| format!("no line `{start}`\n{output}"))
}

/// An index without a single package, for as long as the test runs.
fn empty_index() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 8192];
            let _ = stream.read(&mut request);
            let _ =
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    Ok(port)
}

/// All blobs of a registry's storage, unpacked where they are packed.
fn blobs(storage: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    let folder = storage.join("docker/registry/v2/blobs/sha256");
    for shard in fs_err::read_dir(folder)? {
        for blob in fs_err::read_dir(shard?.path())? {
            let file = blob?.path().join("data");
            let content = fs_err::read(&file)?;
            let content = zstd::stream::decode_all(&*content).unwrap_or(content);
            found.push((file, content));
        }
    }
    Ok(found)
}

#[test]
#[ignore = "needs root, another user, docker-registry, user namespaces and the network"]
fn another_machine_downloads_what_the_first_one_made() -> Result<()> {
    need!(needs::root());
    need!(needs::program("docker-registry"));
    need!(needs::user_namespaces());
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let storage = tempfile::tempdir()?;
    let registry = registry(storage.path(), false)?;
    let (repository, mirror) = (repository(&registry), DebianMirror::start()?);
    // A password that this machine has and the other one does not.
    let index = empty_index()?;
    let extra = |login: &str| format!("http://{login}127.0.0.1:{index}/simple");

    let project = TempProject::copy_of(polls())?;
    let folder = project.path().to_str().context("a path in UTF-8")?.to_owned();
    let first = djship(&User::current()?, &mirror)?.env("PIP_EXTRA_INDEX_URL", extra("me:t0psecret@"));
    let build = || first.run(["build", &folder, "-t", "polls:1", "--cache", &repository])?.success();
    let made = timed("from nothing, filling the shared cache", build)?;
    let put = line(&made, "Put into the shared cache: ")?;
    ensure!(put.contains("base, dependencies, run-time libraries, application server, "), "{made}");
    ensure!(!made.stderr.contains("From the shared cache"), "{made}");
    support::store::verify(first.home())?;
    // What others take was made without what programs of this project may have left here.
    ensure!(!first.home().join("caches-v1").exists());
    for (file, content) in blobs(storage.path())? {
        let is_told = |word: &str| memchr::memmem::find(&content, word.as_bytes()).is_some();
        ensure!(!is_told("t0psecret") && !is_told(&folder), "{} tells", file.display());
    }

    // Another user with an empty store, elsewhere; nothing but Debian's indexes and the registry can be reached.
    let copy = TempProject::copy_of(polls())?.owned_by(&plain)?;
    let folder = copy.path().to_str().context("a path in UTF-8")?.to_owned();
    let second = djship(&plain, &mirror)?
        .env("PIP_EXTRA_INDEX_URL", extra(""))
        .env("HTTPS_PROXY", NOBODY)
        .env("https_proxy", NOBODY)
        .env("DJSHIP_CACHE", &repository);
    mirror.take_requests();
    let build = || second.run(["build", "-v", &folder, "-t", "polls:1"])?.success();
    let taken = timed("on another machine", build)?;
    let asked = mirror.take_requests();
    ensure!(asked.iter().any(|path| path.ends_with("InRelease")), "{asked:?}");
    ensure!(!asked.iter().any(|path| path.contains("/pool/")), "{asked:?}");
    ensure!(image(&taken)? == image(&made)?, "{made}\n{taken}");
    let said = line(&taken, "From the shared cache: ")?;
    ensure!(said.contains("base, dependencies, run-time libraries, application server, "), "{taken}");
    ensure!(!taken.stderr.contains("Put into the shared cache"), "{taken}");
    support::store::verify(second.home())?;
    // It is in the store by now: nobody has to be asked.
    registry.stop()?;
    let line = format!("{}\n# changed", fs_err::read_to_string(copy.at("polls/views.py"))?);
    copy.write("polls/views.py", &line)?;
    let output = second.run(["build", &folder, "-t", "polls:1"])?.success()?;
    ensure!(!output.stderr.contains("shared cache"), "{output}");

    // Another lock is another environment, which cannot be made here.
    let registry = self::registry(storage.path(), false)?;
    copy.write("requirements/common.txt", "Django==5.2.18\n")?;
    let second = second.env("PIP_RETRIES", "0");
    let output = second.run(["build", &folder, "--cache", &self::repository(&registry)])?.exit_code(3)?;
    ensure!(output.stderr.contains("Cannot fetch uv") && !output.stderr.contains("warning: "), "{output}");
    Ok(())
}

/// A new folder with the project `small`: the environment of another folder is not taken from the store.
fn small() -> Result<(TempProject, String)> {
    let project = TempProject::copy_of(fixture("small"))?;
    let folder = project.path().to_str().context("a path in UTF-8")?.to_owned();
    Ok((project, folder))
}

fn build(djship: &Djship, folder: &str, cache: &str) -> Result<Output> {
    djship.run(["build", folder, "-t", "small:1", "--cache", cache])
}

#[test]
#[ignore = "needs docker-registry, user namespaces and the network"]
fn nothing_that_is_wrong_with_the_cache_stops_a_build() -> Result<()> {
    need!(needs::program("docker-registry"));
    need!(needs::user_namespaces());
    let storage = tempfile::tempdir()?;
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let filling = registry(storage.path(), false)?;
    let (_kept, folder) = small()?;
    let filled = build(&djship, &folder, &repository(&filling))?.success()?;
    line(&filled, "Put into the shared cache: ")?;
    filling.stop()?;

    // A registry that only serves: what is there is taken, and what is not is made.
    let serving = registry(storage.path(), true)?;
    let cache = repository(&serving);
    let (kept, folder) = small()?;
    let taken = build(&djship, &folder, &cache)?.success()?;
    line(&taken, "From the shared cache: dependencies")?;
    ensure!(image(&taken)? == image(&filled)? && !taken.stderr.contains("warning"), "{taken}");
    kept.write("requirements.txt", &format!("Django==5.2.19\n# {}\n", std::process::id()))?;
    let output = build(&djship, &folder, &cache)?.success()?;
    ensure!(output.stderr.matches("read only here").count() == 1, "{output}");
    ensure!(!output.stderr.contains("warning") && !output.stderr.contains("Put into"), "{output}");

    // The project names it, in a file of djship's own.
    let (kept, folder) = small()?;
    kept.write("djship.toml", &format!("cache = \"{cache}\"\n"))?;
    let output = djship.run(["build", &folder, "-t", "small:1"])?.success()?;
    line(&output, "From the shared cache: dependencies")?;
    // An option wins over it, and `none` is none.
    let (kept, folder) = small()?;
    kept.write("djship.toml", "cache = \"127.0.0.1:9/nobody\"\n")?;
    let output = build(&djship, &folder, "none")?.success()?;
    ensure!(!output.stderr.contains("shared cache"), "{output}");

    // Somebody changed what is in it.
    let large = blobs(storage.path())?.into_iter().max_by_key(|(_, content)| content.len());
    let (file, _) = large.context("a blob")?;
    let mut content = fs_err::read(&file)?;
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs_err::write(&file, content)?;
    let (_kept, folder) = small()?;
    let output = build(&djship, &folder, &cache)?.success()?;
    let warning = line(&output, "warning: the shared cache holds no usable dependencies")?;
    ensure!(warning.contains("environment-v1-") && warning.contains("digest"), "{output}");
    ensure!(image(&output)? == image(&filled)?, "{output}");
    serving.stop()?;

    // It is not there.
    let (_kept, folder) = small()?;
    let output = build(&djship, &folder, &cache)?.success()?;
    ensure!(output.stderr.matches("going on without the shared cache").count() == 1, "{output}");
    ensure!(image(&output)? == image(&filled)?, "{output}");
    // It wants a login, and there is none.
    let closed = DockerRegistry::start(&Setup { htpasswd: Some(ME.to_owned()), ..Setup::default() })?;
    let (_kept, folder) = small()?;
    let output = build(&djship, &folder, &repository(&closed))?.success()?;
    ensure!(output.stderr.matches("nothing is taken from the shared cache").count() == 1, "{output}");
    ensure!(output.stderr.matches("read only here").count() == 1, "{output}");
    // Without a network it is not even asked.
    let output =
        djship.run(["build", &folder, "-t", "small:2", "--cache", &cache, "--offline"])?.success()?;
    ensure!(!output.stderr.contains("shared cache"), "{output}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces"]
fn a_malformed_name_is_told_before_anything_is_done() -> Result<()> {
    need!(needs::user_namespaces());
    let mirror = DebianMirror::start()?;
    let djship = djship(&User::current()?, &mirror)?;
    let (project, folder) = small()?;
    for (cache, words) in [
        ("https://reg.test/cache", "annot"),
        ("reg.test/Cache", "annot"),
        ("reg.test/cache:1", "names an image in a repository"),
        ("cache", "annot tell in which registry"),
    ] {
        let output = djship.run(["build", &folder, "--cache", cache])?.exit_code(2)?;
        ensure!(output.stderr.contains(words) && output.stderr.contains("--cache"), "{cache}: {output}");
        let output = djship.run(["context", "-o", "/dev/null", &folder, "--cache", cache])?.exit_code(2)?;
        ensure!(output.stderr.contains(words), "{cache}: {output}");
        let output = djship.run(["run", "--try", &folder, "--cache", cache])?.exit_code(2)?;
        ensure!(output.stderr.contains(words), "{cache}: {output}");
    }
    project.write("djship.toml", "\ncache = \"reg.test/cache:1\"\n")?;
    let output = djship.run(["build", &folder])?.exit_code(1)?;
    ensure!(output.stderr.contains("djship.toml, line 2"), "{output}");
    project.write("djship.toml", "cache = 1\n")?;
    let output = djship.run(["build", &folder])?.exit_code(1)?;
    ensure!(output.stderr.contains("djship.toml") && output.stderr.contains("`cache` must be"), "{output}");
    ensure!(mirror.take_requests().is_empty());
    Ok(())
}

#[test]
#[ignore = "needs root, docker-registry, skopeo, mmdebstrap, user namespaces and the network"]
fn what_stands_on_an_image_is_for_those_on_the_same() -> Result<()> {
    need!(base_image::needed());
    need!(needs::user_namespaces());
    let storage = tempfile::tempdir()?;
    let registry = registry(storage.path(), false)?;
    let (repository, mirror) = (repository(&registry), DebianMirror::start()?);
    let base = format!("{}/python:3.11-slim", registry.host());
    base_image::push(&Recipe::python(), &base)?;
    let project = TempProject::copy_of(fixture("small"))?;
    project.write("djship.toml", &format!("base = \"{base}\"\n"))?;
    let folder = project.path().to_str().context("a path in UTF-8")?;
    let build = |what: &str| -> Result<Output> {
        let djship = djship(&User::current()?, &mirror)?;
        timed(what, || djship.run(["build", folder, "-t", "small", "--cache", &repository])?.success())
    };
    let made = build("from nothing on an image")?;
    ensure!(line(&made, "Put into the shared cache: ")?.contains("dependencies"), "{made}");
    let taken = build("on another machine")?;
    ensure!(line(&taken, "From the shared cache: ")?.contains("dependencies"), "{taken}");
    ensure!(image(&taken)? == image(&made)?, "{made}\n{taken}");
    base_image::push(&Recipe::python().with("etc/moved", "here"), &base)?;
    let other = build("on another image of the same name")?;
    let said = line(&other, "From the shared cache: ").unwrap_or_default();
    ensure!(!said.contains("dependencies"), "{other}");
    Ok(())
}
