//! Images at home in Docker: build contexts, and `--load`.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use djship_oci::{Healthcheck, Image, ImageConfig, Layer, LayerEntry, Platform, write_context};
use djship_store::{Entry, FileTree, Store, TreePath};
use djship_testkit::docker::{self, Docker};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, need, needs, user};
use support::docker::{BUILDERS, await_page, build, files, layers, page, same};
use support::{SECRET_KEY, in_place, polls, sharing, timed};

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// djship that finds this daemon.
fn with_docker(djship: Djship, docker: &Docker) -> Djship {
    docker.variables().into_iter().fold(djship, |djship, (name, value)| djship.env(name, value))
}

#[test]
#[ignore = "needs root, docker.io, slirp4netns, mmdebstrap and the network"]
fn the_classic_flow_serves_and_is_the_image_that_is_loaded() -> Result<()> {
    need!(Docker::images_needed());
    let docker = timed("start of dockerd", Docker::start)?;
    let mirror = DebianMirror::start()?;
    let djship = with_docker(sharing(&mirror)?, &docker).folder(polls().join("../.."));
    let place = tempfile::tempdir()?;
    let context = place.path().join("docker-build-context.tar.gz");
    timed("djship context", || djship.run(["context", "-o", text(&context)?, "examples/polls"])?.success())?;
    // The same bytes again, and on standard output.
    let bytes = fs_err::read(&context)?;
    fs_err::remove_file(&context)?;
    djship.run(["build", "examples/polls", "-o", &format!("context:{}", text(&context)?)])?.success()?;
    ensure!(fs_err::read(&context)? == bytes, "the second context has other bytes");
    let stream = djship.command(["context", "-o", "-", "examples/polls"]).output()?;
    ensure!(stream.stdout == bytes, "standard output has other bytes");

    let output =
        timed("--load docker", || djship.run(["build", "examples/polls", "--load", "docker"])?.success())?;
    ensure!(output.stderr.contains("Loaded polls:latest into Docker: 4 of 4 layers sent"), "{output}");
    for (name, builder) in BUILDERS {
        let said = timed(&format!("docker build, {name}"), || build(&docker, builder, name, &context))?;
        ensure!(!said.contains("Pull"), "something was fetched\n{said}");
    }
    timed("comparison", || same(&docker, "polls:latest", &["classic", "buildkit"]))?;

    // To the letter, and beside it a database.
    docker.say(["tag", "classic", "myapp"])?;
    docker.postgres()?;
    docker.say(["network", "create", "polls"])?;
    let database = ["run", "--detach", "--rm", "--name", "db", "--network", "polls"];
    let account = ["-e", "POSTGRES_USER=postgres", "-e", "POSTGRES_PASSWORD=postgres"];
    docker.say(database.into_iter().chain(account).chain(["postgres:17"]))?;
    let environment = ["-e", "ENVIRONMENT=PRODUCTION", "-e", SECRET_KEY];
    let environment = || environment.into_iter().chain(account);
    let server = ["run", "--detach", "--rm", "--publish", "8000:8000"]
        .into_iter()
        .chain(environment())
        .chain(["myapp"]);
    let server = docker.say(server)?;
    let url = "http://127.0.0.1:8000";
    timed("first page", || await_page(&docker, &format!("{url}/admin/login/")))?;
    docker.say(["stop", "--time", "20", server.trim()])?;

    let with_database = ["--network", "polls", "-e", "POSTGRES_HOST=db"];
    let run = |first: &[&str], rest: &[&str]| {
        let all: Vec<&str> = first.iter().copied().chain(with_database).chain(environment()).collect();
        docker.say(all.into_iter().chain(["myapp"]).chain(rest.iter().copied()))
    };
    timed("migrate", || {
        support::await_some(support::SOON, || run(&["run", "--rm"], &["migrate"]).ok()).context("no database")
    })?;
    let code = "from polls.models import Poll; poll = Poll.objects.create(question='Tea or coffee?')";
    run(&["run", "--rm"], &["python", "manage.py", "shell", "-c", code])?;
    let server = run(&["run", "--detach", "--rm", "--publish", "8000:8000"], &[])?;
    let list = timed("first page", || await_page(&docker, &format!("{url}/")))?.text();
    ensure!(list.contains("Tea or coffee?"), "{list}");
    let style = list.split('"').find(|text| text.starts_with("/static/polls/")).context("no style sheet")?;
    page(&docker, &format!("{url}{style}"))?;
    let who = docker.say(["exec", server.trim(), "python", "-c", "import os; print(os.getuid())"])?;
    ensure!(who.trim() == "1000", "it runs as {who}");
    docker.say(["stop", "--time", "20", server.trim()])?;
    Ok(())
}

/// An image whose words mean something to a shell, to Docker or to tar.
fn awkward(store: &Store) -> Result<Image> {
    let (digest, at) = store.put_blob(b"#!/bin/sh\n")?;
    let file = || Entry::file(digest, 10, &at);
    let deep =
        format!("srv/{}/{}.txt", "x".repeat(99) + &"/yyyyyyyyyyyyyyyyyyyyyyyy".repeat(8), "z".repeat(120));
    let mut below: FileTree = [
        ("usr/bin/tool", file().with_mode(0o755)),
        ("bin", Entry::symlink("usr/bin")),
        ("srv", Entry::dir().owned_by(1000, 0).with_mode(0o2775)),
        (&deep, file().owned_by(123_456, 7)),
        ("srv/za\u{17c}\u{f3}\u{142}\u{107}", file()),
        ("srv/\u{65e5}\u{672c}", Entry::symlink(format!("/{deep}"))),
        ("srv/e\u{301}", file()),
        ("srv/\u{e9}", file().with_mode(0o640)),
        ("srv/two words $HOME", file()),
        ("srv/two words $HOME x", Entry::dir()),
        ("tmp", Entry::dir().with_mode(0o1777)),
        ("srv/big-ids", file().owned_by(1_885_580_785, 1_885_580_785)),
    ]
    .into_iter()
    .map(|(path, entry)| Ok((TreePath::parse(path)?, entry)))
    .collect::<Result<_>>()?;
    below.fill_parents();
    // The folders of the lower layer again, one of them changed, and nothing at all.
    let mut above: FileTree = [
        ("srv", Entry::dir().owned_by(1000, 0).with_mode(0o2770)),
        ("srv/new", file().owned_by(1000, 0)),
        ("usr/bin/tool", file().with_mode(0o700)),
    ]
    .into_iter()
    .map(|(path, entry)| Ok((TreePath::parse(path)?, entry)))
    .collect::<Result<_>>()?;
    above.fill_parents();
    let layers = [below, FileTree::new(), above];
    let layers = layers
        .iter()
        .map(|tree| Ok(LayerEntry { layer: Layer::keep(store, tree)?, made_by: "a\nb".to_owned() }));
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let config = ImageConfig {
        user: "1000:0".to_owned(),
        env: [
            ("DOLLAR", "a$HOME ${PATH} $$ \\$x"),
            ("QUOTES", "say \"hello\" and 'bye'"),
            ("BACKSLASH", "c:\\new\\"),
            ("EMPTY", ""),
            ("SPACES", "  two  words "),
            ("HASH", "# no comment"),
            ("UNICODE", "za\u{17c}\u{f3}\u{142}\u{107}"),
            ("PATH", "/usr/bin"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        entrypoint: words(&[
            "/bin/tool",
            "it's",
            "a \"quoted\" $WORD",
            "line\nbreak",
            "back\\slash",
            "\u{e9} <&>",
        ]),
        command: words(&["$PATH", "`x`", "", "#"]),
        working_dir: "/srv/two words $HOME x".to_owned(),
        volumes: ["/srv/$media \"x\"".to_owned(), "/data".to_owned()].into(),
        exposed_ports: ["8000/tcp".to_owned(), "53/udp".to_owned()].into(),
        stop_signal: Some("SIGINT".to_owned()),
        labels: [
            ("a.b-c".to_owned(), "\u{e9} $x \"q\" \\".to_owned()),
            ("with space".to_owned(), String::new()),
        ]
        .into(),
        healthcheck: Some(Healthcheck {
            test: words(&["CMD", "/bin/tool", "$x", "a b"]),
            interval: Duration::from_millis(1500),
            timeout: Duration::from_secs(2),
            start_period: Duration::ZERO,
            retries: 7,
        }),
    };
    Ok(Image::from_layers(layers.collect::<Result<_>>()?, config, Platform::linux("amd64")))
}

#[test]
#[ignore = "needs root, docker.io and slirp4netns"]
fn awkward_words_and_names_survive_both_builders() -> Result<()> {
    need!(docker::needed());
    let docker = Docker::start()?;
    let place = tempfile::tempdir()?;
    let store = Store::open(&place.path().join("store"))?;
    let image = awkward(&store)?;
    let (context, archive) = (place.path().join("context.tar.gz"), place.path().join("image.tar"));
    write_context(&image, &context, &store)?;
    djship_oci::write_archive(&image, &archive, &["loaded".parse()?], djship_oci::Compression::None, &store)?;
    docker.say(["load", "--input", text(&archive)?])?;
    for (name, builder) in BUILDERS {
        build(&docker, builder, name, &context)?;
    }
    same(&docker, "loaded", &["classic", "buildkit"])?;
    let found = files(&docker, "classic")?;
    ensure!(found["srv"].contains(" 2770 1000:0 "), "{}", found["srv"]);
    ensure!(found["srv/big-ids"].contains("1885580785:1885580785"), "{}", found["srv/big-ids"]);
    Ok(())
}

#[test]
#[ignore = "needs root, docker.io, slirp4netns and the network"]
fn a_code_change_sends_one_layer() -> Result<()> {
    need!(docker::needed());
    let docker = Docker::start()?;
    let mirror = DebianMirror::start()?;
    let project = in_place(&TempProject::copy_of(polls())?, "load")?;
    let djship = with_docker(sharing(&mirror)?, &docker).folder(&project);
    let load = |sent: &str| -> Result<()> {
        let output =
            timed("--load docker", || djship.run(["build", "-t", "shop:1", "--load", "docker"])?.success())?;
        ensure!(output.stderr.contains(sent), "{output}");
        Ok(())
    };
    load("Loaded shop:1 into Docker: 4 of 4 layers sent")?;
    load("Docker has all of shop:1 already")?;
    let before = layers(&docker, "shop:1")?;
    let views = project.join("polls/views.py");
    fs_err::write(&views, format!("{}\n# changed\n", fs_err::read_to_string(&views)?))?;
    load("Loaded shop:1 into Docker: 1 of 4 layers sent")?;
    let after = layers(&docker, "shop:1")?;
    ensure!(before[..3] == after[..3] && before[3] != after[3], "{before:?}\n{after:?}");

    // What Docker gives back is what djship has.
    let archive = project.join("../saved.tar");
    docker.say(["save", "--output", text(&archive)?, "shop:1"])?;
    let mut saved = tar::Archive::new(fs_err::File::open(&archive)?);
    let mut digests = std::collections::BTreeSet::new();
    for entry in saved.entries()? {
        let mut entry = entry?;
        let is_layer =
            entry.path_bytes().ends_with(b"/layer.tar") || entry.path_bytes().starts_with(b"blobs/");
        if is_layer {
            let mut hash = <sha2::Sha256 as sha2::Digest>::new();
            std::io::copy(&mut entry, &mut HashWriter(&mut hash))?;
            let hex: String = sha2::Digest::finalize(hash).iter().map(|byte| format!("{byte:02x}")).collect();
            digests.insert(format!("sha256:{hex}"));
        }
    }
    fs_err::remove_file(&archive)?;
    let layout = project.join("../saved-layout");
    djship.run(["build", "-t", "shop:1", "-o", &format!("layout:{}", text(&layout)?)])?.success()?;
    let ours = support::layout::Layout::read(&layout)?.diff_ids()?;
    fs_err::remove_dir_all(&layout)?;
    ensure!(ours == after && ours.iter().all(|id| digests.contains(id)), "{ours:?}\n{digests:?}");

    // What djship believes to be there may be gone.
    docker.say(["rmi", "--force", "shop:1"])?;
    load("Loaded shop:1 into Docker: 4 of 4 layers sent")
}

struct HashWriter<'a>(&'a mut sha2::Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        sha2::Digest::update(self.0, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and docker.io"]
fn a_daemon_that_is_not_there_is_named_before_anything_is_built() -> Result<()> {
    need!(docker::needed());
    let stranger = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let project = TempProject::of(&[("manage.py", "")])?;
    let folder = text(project.path())?;
    let build = |djship: &Djship, tool: &str| djship.run(["build", folder, "--load", tool])?.exit_code(3);
    let djship = support::djship(&user_of_the_test()?, &mirror)?;
    let absent = build(&djship.env("DOCKER_HOST", "unix:///nowhere/docker.sock"), "docker")?;
    ensure!(
        absent.stderr.contains("its daemon does not answer")
            && absent.stderr.contains("/nowhere/docker.sock"),
        "{absent}"
    );
    ensure!(absent.stderr.contains("hint: Start it: systemctl start docker"), "{absent}");
    let refused = build(
        &support::djship(&user_of_the_test()?, &mirror)?.env("DOCKER_HOST", "tcp://127.0.0.1:1"),
        "docker",
    )?;
    ensure!(refused.stderr.contains("its daemon does not answer"), "{refused}");

    // A socket that only root may use.
    let place = tempfile::tempdir()?;
    let socket = place.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket)?;
    std::os::unix::fs::chown(&socket, Some(0), Some(0))?;
    fs_err::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs_err::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let djship =
        support::djship(&stranger, &mirror)?.env("DOCKER_HOST", format!("unix://{}", text(&socket)?));
    let denied = build(&djship, "docker")?;
    ensure!(
        denied.stderr.contains("its daemon does not let you in") && denied.stderr.contains("group `docker`"),
        "{denied}"
    );

    for (tool, label) in [("docker", "Docker"), ("podman", "Podman")] {
        let djship = support::djship(&user_of_the_test()?, &mirror)?.env("PATH", "/nowhere");
        let missing = build(&djship, tool)?;
        ensure!(missing.stderr.contains(&format!("into {label}: there is no program `{tool}`")), "{missing}");
    }
    Ok(())
}

fn user_of_the_test() -> Result<djship_testkit::User> {
    djship_testkit::User::current()
}

#[test]
#[ignore = "needs root, podman and the network"]
fn podman_takes_it_too() -> Result<()> {
    need!(needs::root());
    need!(needs::program("podman"));
    let mirror = DebianMirror::start()?;
    let place = tempfile::tempdir()?;
    // A storage of the test's own, by podman's own configuration.
    let storage = place.path().join("storage.conf");
    let at = |name: &str| place.path().join(name).display().to_string();
    fs_err::write(
        &storage,
        format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            at("graph"),
            at("run")
        ),
    )?;
    let djship = sharing(&mirror)?.env("CONTAINERS_STORAGE_CONF", &storage);
    let folder = polls();
    let output = timed("--load podman", || {
        djship.run(["build", text(&folder)?, "-t", "polls", "--load", "podman"])?.success()
    })?;
    ensure!(output.stderr.contains("polls:latest into Podman: 4 of 4 layers sent"), "{output}");
    let mut inspect = std::process::Command::new("podman");
    inspect
        .env("CONTAINERS_STORAGE_CONF", &storage)
        .args(["image", "inspect", "--format", "{{.Id}}", "polls"]);
    let id = docker::output_of(&mut inspect)?;
    ensure!(output.stderr.contains(&id[..12]), "podman calls it {id}\n{output}");
    let mut remove = std::process::Command::new("podman");
    remove.env("CONTAINERS_STORAGE_CONF", &storage).args(["rmi", "--all", "--force"]);
    docker::output_of(&mut remove)?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces"]
fn a_context_goes_to_a_file_in_a_folder_that_is_there() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&user_of_the_test()?, &mirror)?;
    let output = djship.run(["context", "-o", "/no/such/folder/x.tar.gz", "."])?.exit_code(2)?;
    ensure!(output.stderr.contains("there is no folder"), "{output}");
    djship.run(["context", "."])?.exit_code(2)?;
    Ok(())
}
