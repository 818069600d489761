//! Images of somebody else's in place of Debian's packages, from a real registry.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::base_image::{self, PYTHON, Recipe};
use djship_testkit::docker::{self, Docker};
use djship_testkit::docker_registry::{DockerRegistry, Setup};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Output, TempProject, User, need, needs, user};
use support::environment::Background;
use support::layout::{Layout, difference};
use support::lock_tools::LockTool;
use support::serving::Serving;
use support::{SECRET_KEY, fixture, in_place, polls, sharing, store, timed};

/// How the stand-in is called.
const NAME: &str = "python:3.11-slim";

/// `[tool.djship]` for a base.
fn configure(project: &Path, base: &str) -> Result<()> {
    Ok(fs_err::write(project.join("djship.toml"), format!("base = \"{base}\"\n"))?)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// Lets a project differ from what it was.
fn edit(file: &Path) -> Result<()> {
    let text = fs_err::read_to_string(file)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    Ok(fs_err::write(file, format!("{text}\n# edited {now}\n"))?)
}

/// A registry with the stand-in, and the digest of that.
fn registry() -> Result<(DockerRegistry, String)> {
    let registry = DockerRegistry::start(&Setup::default())?;
    let name = format!("{}/{NAME}", registry.host());
    let digest = timed("push of the stand-in", || base_image::push(&Recipe::python(), &name))?;
    Ok((registry, digest))
}

/// What Python says in a container of the image.
fn python(djship: &Djship, image: &str, code: &str) -> Result<String> {
    let database = "DATABASE_URL=postgres://a:b@127.0.0.1:1/c";
    let output = djship.run(["run", image, "-e", SECRET_KEY, "-e", database, "--", "python", "-c", code])?;
    Ok(output.success()?.stdout.trim().to_owned())
}

#[test]
#[ignore = "needs root, docker-registry, skopeo, mmdebstrap, user namespaces and the network"]
fn a_project_is_compiled_and_served_on_an_image() -> Result<()> {
    need!(base_image::needed());
    need!(needs::user_namespaces());
    let (registry, digest) = registry()?;
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?.env("DJSHIP_REGISTRY", registry.host());
    let project = in_place(&TempProject::copy_of(polls())?, "on-an-image")?;
    configure(&project, NAME)?;
    let folder = text(&project)?;
    let build = |further: &[&str]| -> Result<Output> {
        djship.run(["build", folder, "-t", "on-an-image"].iter().chain(further))?.success()
    };
    let output = timed("build", || build(&[]))?;
    for words in [
        &format!("{NAME} is {digest}: Python {PYTHON}"),
        "(/usr/local/bin/python3) on Debian bookworm",
        "libpq5 for libpq.so.5",
        "in what djship adds",
        "The base image brings package managers and installers (apt, dpkg, pip), Perl",
    ] {
        // The library is named when it is looked for, not when the answer is known.
        let is_known = words.starts_with("libpq5") && output.stderr.contains("installed before");
        ensure!(output.stderr.contains(words) || is_known, "`{words}` is not said\n{output}");
    }
    // The files were too young to be trusted the first time.
    build(&[])?;
    let output = timed("build with nothing to do", || build(&[]))?;
    ensure!(output.stderr.contains("Nothing has changed") && output.stderr.contains(&digest), "{output}");

    let said = python(
        &djship,
        "on-an-image",
        "import os, sys, psycopg2, pip; print(sys.version.split()[0], sys.base_prefix, os.environ['LANG'], \
         os.environ['PYTHON_VERSION'], psycopg2.__libpq_version__ > 0)",
    );
    // The environment has no pip, and does not see that of the image.
    ensure!(said.is_err_and(|error| error.to_string().contains("No module named 'pip'")));
    let said = python(
        &djship,
        "on-an-image",
        "import os, sys, psycopg2; print(sys.version.split()[0].rsplit('.', 1)[0], sys.base_prefix, \
         os.environ['LANG'], os.environ['PYTHON_VERSION'], psycopg2.__libpq_version__ > 0, os.getuid(), \
         os.path.exists('/etc/debian_version'), os.path.exists('/etc/issue'))",
    )?;
    // A layer of the image says that the last one is gone.
    ensure!(said == format!("{PYTHON} /usr/local C.UTF-8 {PYTHON} True 1000 True False"), "{said}");
    // What was compiled needs the library that it was compiled with: the records say so, once, and it is there.
    let code = "import glob, re, ssl; text = ''.join(open(name).read() for name in \
                ['/var/lib/dpkg/status', *glob.glob('/var/lib/dpkg/status.d/*')]); \
                found = re.findall(r'^Package: libssl3\\n(?:.+\\n)*?Version: (.+)$', text, re.M); \
                print(len(found), found[0].split('-')[0] == ssl.OPENSSL_VERSION.split()[1], '/__pycache__/' in ssl.__cached__)";
    let said = python(&djship, "on-an-image", code)?;
    ensure!(said == "1 True True", "{said}");

    let serving = timed("run --try", || Serving::start(&djship, &["--try", folder]))?;
    serving.page("/admin/login/")?;
    serving.style_sheet("/", "/static/polls/site")?;
    serving.stop()?;

    let pushed = format!("{}/team/polls:1", registry.host());
    timed("push", || djship.run(["push", "on-an-image", &pushed])?.success())?;
    registry.stop()?;
    edit(&project.join("polls/views.py"))?;
    let output = timed("build offline", || build(&["--offline"]))?;
    ensure!(output.stderr.contains(&digest) && !output.stderr.contains("cannot be reached"), "{output}");
    Ok(())
}

/// The image that a user builds.
fn image_of(djship: &Djship, base: &str) -> Result<(Layout, tempfile::TempDir)> {
    let project = TempProject::copy_of(fixture("small"))?;
    configure(project.path(), base)?;
    let project = project.owned_by(djship.user())?;
    let out = tempfile::Builder::new().prefix("djship-layout-").tempdir()?;
    djship.user().own(out.path())?;
    let layout = out.path().join("layout");
    let output = format!("layout:{}", text(&layout)?);
    let arguments = ["build", text(project.path())?, "-t", "small", "-o", &output];
    let what = format!("build as {}", djship.user().name);
    timed(&what, || djship.run(arguments)?.success())?;
    Ok((Layout::read(&layout)?, out))
}

fn is_same(one: &Layout, other: &Layout) -> Result<()> {
    let same = one.id == other.id && one.diff_ids()? == other.diff_ids()?;
    ensure!(same, "the images differ:\n{}", difference(one, other)?);
    Ok(())
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup`, docker-registry, skopeo, mmdebstrap and the network"]
fn everybody_builds_the_same_on_an_image() -> Result<()> {
    need!(base_image::needed());
    let plain = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let (registry, digest) = registry()?;
    let mirror = DebianMirror::start()?;
    let shared = sharing(&mirror)?.env("DJSHIP_REGISTRY", registry.host());
    let (first, _folder) = image_of(&shared, NAME)?;
    // Another store, and everything in it made by another user; it is kept between runs as well.
    let djship = support::djship(&plain, &mirror)?.sharing_home()?.env("DJSHIP_REGISTRY", registry.host());
    let (second, _folder) = image_of(&djship, NAME)?;
    is_same(&first, &second)?;
    let label = |layout: &Layout, name: &str| {
        let label = &layout.config["config"]["Labels"][format!("org.opencontainers.image.base.{name}")];
        label.as_str().unwrap_or_default().to_owned()
    };
    ensure!(label(&first, "name") == NAME && label(&first, "digest") == digest, "{}", first.config);
    let config = &first.config["config"];
    ensure!(config["User"] == "1000:1000" && config["Cmd"] == serde_json::json!(["web"]), "{config}");
    let path = "PATH=/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";
    let env = config["Env"].as_array().context("variables")?;
    for variable in [path, "LANG=C.UTF-8", &format!("PYTHON_VERSION={PYTHON}")] {
        ensure!(env.iter().any(|found| found == variable), "{variable} is not among {env:?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root, Debian's docker.io, docker-registry, skopeo, mmdebstrap and the network"]
fn docker_builds_the_same_on_an_image() -> Result<()> {
    need!(base_image::needed());
    need!(docker::needed());
    let (registry, _) = registry()?;
    let mirror = DebianMirror::start()?;
    let embedded = sharing(&mirror)?.env("DJSHIP_REGISTRY", registry.host());
    let (first, _folder) = image_of(&embedded, NAME)?;
    let docker = timed("start of dockerd", Docker::start)?;
    let djship =
        docker.variables().into_iter().fold(embedded, |djship, (name, value)| djship.env(name, value));
    let (second, _folder) = image_of(&djship.env("DJSHIP_ENGINE", "docker"), NAME)?;
    is_same(&first, &second)
}

#[test]
#[ignore = "needs root, docker-registry, skopeo, mmdebstrap, user namespaces and the network"]
fn a_moved_tag_counts_when_it_is_asked_again() -> Result<()> {
    need!(base_image::needed());
    need!(needs::user_namespaces());
    let (registry, first) = registry()?;
    let name = format!("{}/{NAME}", registry.host());
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("small"))?, "moved-base")?;
    configure(&project, &name)?;
    let folder = text(&project)?;
    let build = |further: &[&str], digest: &str| -> Result<Output> {
        let arguments = ["build", folder, "-t", "moved-base"];
        let output = timed("build", || djship.run(arguments.iter().chain(further))?.success())?;
        ensure!(output.stderr.contains(&format!("is {digest}")), "not built on {digest}\n{output}");
        Ok(output)
    };
    build(&[], &first)?;
    let second = base_image::push(&Recipe::python().with("etc/moved", "here"), &name)?;
    edit(&project.join("small/urls.py"))?;
    build(&[], &first)?;
    build(&["--refresh"], &second)?;
    let code = "print(open('/etc/moved').read())";
    let said = djship.run(["run", "moved-base", "--", "python", "-c", code])?.success()?;
    ensure!(said.stdout.trim() == "here", "{said}");
    // A digest is a digest.
    configure(&project, &format!("{name}@{first}"))?;
    build(&[], &first)?;
    configure(&project, &name)?;
    // Nobody answers any more: what is known is taken, and said.
    registry.stop()?;
    let output = build(&["--refresh"], &second)?;
    ensure!(output.stderr.contains("in the store, because 127.0.0.1"), "{output}");
    Ok(())
}

#[test]
#[ignore = "needs root, docker-registry, skopeo, mmdebstrap, user namespaces and the network"]
fn development_runs_on_an_image() -> Result<()> {
    need!(base_image::needed());
    need!(needs::user_namespaces());
    let (registry, digest) = registry()?;
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(polls())?, "up-on-an-image")?;
    let words = format!("base = \"{NAME}\"\nregistry = \"{}\"\n", registry.host());
    fs_err::write(project.join("djship.toml"), words)?;
    let up = timed("up -d", || Background::start(&djship, &project))?;
    ensure!(up.said.contains(&format!("{NAME} is {digest}")), "{}", up.said);
    up.page("/")?;
    let code = "import sys, psycopg2; print(sys.version.split()[0].rsplit('.', 1)[0], sys.base_prefix)";
    let said = up.within(&["exec", "web", "python", "-c", code])?.success()?;
    ensure!(said.stdout.trim() == format!("{PYTHON} /usr/local"), "{said}");
    ensure!(up.services()?.iter().any(|title| title.starts_with("PostgreSQL")), "{:?}", up.services()?);
    up.within(&["manage", "check"])?.success()?;
    // Servers are Debian's, and so is the catcher of mail.
    up.within(&["status"])?.success()?;
    drop(up);
    Ok(())
}

#[test]
#[ignore = "needs root, docker-registry, skopeo, mmdebstrap, user namespaces and the network"]
fn a_lock_installs_for_the_python_of_the_image() -> Result<()> {
    need!(base_image::needed());
    need!(needs::user_namespaces());
    let (registry, _) = registry()?;
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?.env("DJSHIP_REGISTRY", registry.host());
    let project = in_place(&TempProject::copy_of(fixture("lock-pdm"))?, "lock-on-an-image")?;
    timed("lock", || LockTool::Pdm.lock(&project))?;
    configure(&project, NAME)?;
    let arguments = ["build", text(&project)?, "-t", "lock-on-an-image"];
    timed("build", || djship.run(arguments)?.success())?;
    let serving = Serving::start(&djship, &["lock-on-an-image"])?;
    let page = serving.page("/")?.text();
    ensure!(page.contains("bcrypt") && !page.contains("iniconfig"), "{page}");
    serving.stop()?;
    let up = timed("up", || Background::start(&djship, &project))?;
    let page = up.page("/")?.text();
    ensure!(page.contains("bcrypt iniconfig"), "{page}");
    let explained = djship.run(["plan", "--explain", "python", text(&project)?])?.success()?;
    for words in [
        &format!("+ djship.toml, line 1: base = \"{NAME}\": the image brings its Python"),
        "- Debian trixie: has Python 3.13 (ignored: comes after `base` in djship.toml, line 1)",
    ] {
        ensure!(explained.stdout.contains(words), "`{words}` is not said\n{explained}");
    }
    Ok(())
}

/// Files of something that says that it is a Debian, and its Python, if it has one.
fn pretended(python: Option<&str>) -> Recipe {
    let recipe = Recipe::default()
        .with("usr/lib/os-release", "ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian 12\"\n")
        .with("etc/os-release", "->../usr/lib/os-release")
        .with("bin", "->usr/bin")
        .with("lib", "->usr/lib")
        .with("lib64", "->usr/lib64")
        .with("usr/lib64/ld-linux-x86-64.so.2", "not really")
        .with("usr/bin/sh", "not really")
        .with("var/lib/dpkg/status", "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n");
    match python {
        Some(text) => recipe.with("usr/local/bin/python3", text),
        None => recipe,
    }
}

/// Builds on something, which must be refused in these words with something to do next.
fn refused(djship: &Djship, project: &Path, base: &str, code: i32, words: &[&str]) -> Result<()> {
    configure(project, base)?;
    let output = djship.run(["build", text(project)?, "-t", "refused-base"])?.exit_code(code)?;
    let report = output.stderr.find("error: ").map(|at| &output.stderr[at..]).context("no error")?;
    for word in words.iter().chain(&["\nhint: "]) {
        ensure!(report.contains(word), "`{word}` is not said of {base}\n{output}");
    }
    ensure!(!report.contains("panicked"), "{output}");
    ensure!(store::unfinished(djship.home()).is_empty(), "{:?}", store::unfinished(djship.home()));
    Ok(())
}

#[test]
#[ignore = "needs root, docker-registry, skopeo and user namespaces"]
fn images_that_do_not_serve_are_named() -> Result<()> {
    need!(base_image::needed());
    let registry = DockerRegistry::start(&Setup::default())?;
    let host = registry.host();
    let mirror = DebianMirror::start()?;
    let bare = support::djship(&User::current()?, &mirror)?;
    let project = TempProject::copy_of(fixture("small"))?;
    let folder = project.path();
    for name in [NAME, "docker.io/library/python:3.11-slim"] {
        refused(&bare, folder, name, 1, &[name, "DJSHIP_REGISTRY=HOST[:PORT][/PATH]"])?;
    }
    refused(&bare, folder, "python:3.11 slim", 1, &["tag", "`python:3.11 slim`", "djship.toml, line 1"])?;
    let djship = bare.env("DJSHIP_REGISTRY", &host);
    let alpine = "ID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";
    let old = "ID=debian\nVERSION_CODENAME=buster\nPRETTY_NAME=\"Debian GNU/Linux 10 (buster)\"\n";
    let arm = Recipe { architecture: Some("arm64"), ..pretended(None) };
    for (name, recipe, words) in [
        (
            "alpine:3",
            Recipe::default().with("etc/os-release", alpine),
            &["it is Alpine Linux v3.20", "Debian based"][..],
        ),
        (
            "old:10",
            Recipe::default().with("usr/lib/os-release", old),
            &["Debian GNU/Linux 10 (buster)", "bookworm"],
        ),
        ("scratch:1", Recipe::default().with("hello", "world"), &["no system that says its name"]),
        ("nopython:1", pretended(None), &["it has no Python", "/usr/local/bin/python3 and /usr/bin/python3"]),
        ("broken:1", pretended(Some("no program")), &["/usr/local/bin/python3 does not run"]),
        ("arm:1", arm, &["not made for linux/amd64", "linux/arm64"]),
    ] {
        base_image::push(&recipe, &format!("{host}/{name}"))?;
        refused(&djship, folder, name, 1, &[&[name], words].concat())?;
    }
    refused(&djship, folder, "nobody/knows:1", 1, &["nobody/knows:1", "Check the name and the tag"])?;
    let unknown = format!("alpine@sha256:{}", "0".repeat(64));
    refused(&djship, folder, &unknown, 1, &[&unknown, "Check the name and the tag"])?;

    let output = djship.run(["eject", text(folder)?])?.exit_code(1)?;
    ensure!(
        output.stderr.contains("eject a project with a base image") && output.stderr.contains("hint: "),
        "{output}"
    );

    // What the ranges say about the image's Python is known when it is there; the plan says what they are.
    let range = project.with("pyproject.toml", "[project]\nname = 'x'\nrequires-python = '==3.12.*'\n")?;
    let plan = djship.run(["plan", text(range.path())?])?.success()?;
    ensure!(plan.stdout.contains("the image's") && plan.stdout.contains("==3.12.*"), "{plan}");
    fs_err::remove_file(range.at("djship.toml"))?;
    let output = djship.run(["build", text(range.path())?])?.exit_code(1)?;
    for word in
        ["pyproject.toml, line 3 asks for Python ==3.12.*", "base = \"python:3.12-slim\"", "DJSHIP_REGISTRY"]
    {
        ensure!(output.stderr.contains(word), "`{word}` is not said\n{output}");
    }

    registry.stop()?;
    refused(&djship, range.path(), NAME, 3, &[&host, "annot reach the registry"])?;
    let offline = djship.env("DJSHIP_OFFLINE", "1");
    refused(&offline, range.path(), NAME, 3, &["without --offline"])?;
    Ok(())
}
