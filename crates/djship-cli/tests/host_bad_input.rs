//! Bad input: each a named error with what, where, why and what to do next; nothing half-written stays.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::{DebianMirror, Fault};
use djship_testkit::{Djship, Output, Running, TempProject, User, need, needs};
use support::{SOON, fixture, serving, sharing, store, timed};

fn small() -> Result<TempProject> {
    TempProject::copy_of(fixture("small"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// Builds a project that must be refused with `code`, in these words, leaving nothing.
fn refused(djship: &Djship, project: &TempProject, code: i32, words: &[&str]) -> Result<Output> {
    // The store is kept between runs: an image of an earlier one is not ours.
    let name = format!("refused-{}", std::process::id());
    let out = tempfile::tempdir()?;
    let layout = out.path().join("layout");
    let output = format!("layout:{}", text(&layout)?);
    let output = djship.run(["build", text(project.path())?, "-t", &name, "-o", &output])?.exit_code(code)?;
    is_report(&output, words)?;
    ensure!(!layout.exists(), "there is a layout of an image that is none\n{output}");
    let left = store::unfinished(djship.home());
    ensure!(left.is_empty(), "left in the store: {left:?}\n{output}");
    let images = djship.run(["images"])?.success()?;
    ensure!(!images.stdout.contains(&name), "the refused image is kept\n{images}");
    Ok(output)
}

/// One error, with these words, and something to do next.
fn is_report(output: &Output, words: &[&str]) -> Result<()> {
    let report = output.stderr.find("error: ").map(|at| &output.stderr[at..]);
    let report = report.with_context(|| format!("no error is named\n{output}"))?;
    ensure!(report.contains("\nhint: "), "nothing is said about what to do\n{output}");
    for word in words {
        ensure!(report.contains(word), "`{word}` is not said\n{output}");
    }
    ensure!(!report.contains("panicked") && !report.contains("RUST_BACKTRACE"), "{output}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces"]
fn what_is_no_project() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let empty = TempProject::of(&[("requirements.txt", "Django\n")])?;
    refused(&djship, &empty, 1, &["manage.py", text(empty.path())?])?;
    let missing = TempProject::new()?;
    let folder = missing.at("nowhere");
    is_report(&djship.run(["build", text(&folder)?])?.exit_code(1)?, &[text(&folder)?])?;
    let other =
        TempProject::of(&[("manage.py", "print('not what you think')\n"), ("requirements.txt", "Django\n")])?;
    refused(&djship, &other, 1, &["manage.py", "Django"])?;
    let two = TempProject::copy_of(fixture("small"))?;
    let manage = fs_err::read_to_string(two.at("manage.py"))?;
    fs_err::remove_file(two.at("manage.py"))?;
    let two = two.with("shop/manage.py", &manage)?.with("blog/manage.py", &manage)?;
    refused(&djship, &two, 1, &["shop/manage.py", "blog/manage.py"])?;
    let nested = small()?.with("requirements.txt", "-r base.txt\n")?;
    refused(&djship, &nested, 1, &["base.txt", "`requirements.txt`, line 1"])?;
    ensure!(mirror.take_requests().is_empty(), "something was downloaded for what is no project");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn dependencies_that_cannot_be_had() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let unknown =
        small()?.with("requirements.txt", "Django==5.2.19\ndjship-has-no-such-distribution==1.0\n")?;
    let words = ["djship-has-no-such-distribution", "requirements.txt"];
    timed("unknown distribution", || refused(&djship, &unknown, 1, &words))?;
    let version = small()?.with("requirements.txt", "Django==5.2.9999\n")?;
    timed("unknown version", || refused(&djship, &version, 1, &["5.2.9999", "requirements.txt"]))?;
    let setup = "from setuptools import Extension, setup\n\
                 setup(name='native', version='1.0', ext_modules=[Extension('native', ['native.c'])])\n";
    let native = small()?
        .with("requirements.txt", "Django==5.2.19\n./native\n")?
        .with("native/setup.py", setup)?
        .with("native/native.c", "#include <no_such_header.h>\nint native(void) { return 1; }\n")?;
    let words = ["`native", "no_such_header.h: No such file or directory", "requirements.txt"];
    timed("compile error", || refused(&djship, &native, 1, &words))?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn settings_that_raise() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let settings = fs_err::read_to_string(fixture("small").join("small/settings.py"))?;
    let lines = settings.lines().count();
    let raising = |end: &str| small()?.with("small/settings.py", &format!("{settings}{end}\n"));
    let place = format!("small/settings.py, line {}", lines + 1);
    let words = [place.as_str(), "ValueError", "the moon is in the wrong house"];
    let project = raising("raise ValueError('the moon is in the wrong house')")?;
    timed("settings that raise", || refused(&djship, &project, 1, &words))?;
    refused(&djship, &raising("import no_such_module")?, 1, &[&place, "no_such_module"])?;
    refused(&djship, &raising("DEBUG = = 1")?, 1, &[&place, "SyntaxError"])?;
    // The settings are fine; what they name is not.
    let urls = small()?.with("small/urls.py", "from nowhere import urlpatterns\n")?;
    refused(&djship, &urls, 1, &["small/urls.py, line 1", "nowhere"])?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_port_in_use_and_names_that_nobody_has() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = small()?;
    djship.run(["build", text(project.path())?, "-t", "small"])?.success()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    let key = "DJANGO_SECRET_KEY=x";
    let output = djship.run(["run", "small", "-e", key, "-p", &port])?.exit_code(1)?;
    let name = fs_err::read_to_string("/proc/self/comm")?.trim().to_owned();
    let holder = format!("{name} (process {})", std::process::id());
    is_report(&output, &[&format!("127.0.0.1:{port}"), "in use", &holder, "-p "])?;
    drop(listener);

    // Whoever else may hold the usual port.
    let free = serving::free_port()?.to_string();
    let unknown = djship.run(["run", "no-such-image", "-p", &free])?.exit_code(1)?;
    is_report(&unknown, &["`no-such-image`", "djship images"])?;
    is_report(&djship.run(["run", "Not A Name", "-p", &free])?.exit_code(1)?, &["Not A Name"])?;
    is_report(&djship.run(["run", "small", "-p", "eighty"])?.exit_code(2)?, &["`eighty`", "8080:8000"])?;
    is_report(&djship.run(["run", "small", "--user", "me"])?.exit_code(2)?, &["`me`", "12345:0"])?;
    is_report(&djship.run(["run", "small", "-v", "media"])?.exit_code(2)?, &["`media`", "SOURCE:TARGET"])?;
    is_report(&djship.run(["build", text(project.path())?, "-t", "Up:Per"])?.exit_code(2)?, &["NAME:TAG"])?;
    is_report(&djship.run(["build", text(project.path())?, "-o", "zip:x"])?.exit_code(2)?, &["layout:DIR"])?;
    Ok(())
}

#[test]
#[ignore = "needs a djship binary"]
fn an_unknown_flag_says_how_docker_gets_the_image() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&User::current()?, &mirror)?;
    for flag in ["--privileged", "--network=host", "--gpus=all"] {
        let output = djship.run(["run", flag, "small"])?.exit_code(2)?;
        let name = flag.split('=').next().unwrap_or(flag);
        for word in [name, "docker load"] {
            ensure!(output.stderr.contains(word), "`{word}` is not said\n{output}");
        }
    }
    Ok(())
}

/// djship in a mount namespace of its own whose store is a file system of `size` bytes; `then` runs in it afterwards.
fn in_small_store(djship: &Djship, size: &str, project: &str, then: &str) -> Result<Output> {
    let home = text(djship.home())?;
    let script = format!(
        "mount -t tmpfs -o mode=755,size={size} tmpfs '{home}' || exit 99\n\
         \"$0\" build '{project}' -t small; code=$?\n\
         echo \"left: $(ls -A '{home}/tmp' 2>/dev/null)\"\n{then}\nexit $code"
    );
    let plain = djship.command(["--version"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).arg(plain.get_program()).env_clear().current_dir("/");
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Running::start(&mut command)?.wait(5 * SOON)
}

#[test]
#[ignore = "needs root and the network"]
fn no_space_left() -> Result<()> {
    need!(needs::root());
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&User::current()?, &mirror)?;
    let project = small()?;
    let folder = text(project.path())?;
    // While downloading the index, while unpacking, while installing.
    for size in ["4m", "40m", "200m"] {
        let output = timed(&format!("a store of {size}"), || in_small_store(&djship, size, folder, ""))?
            .exit_code(3)?;
        is_report(&output, &["o space left", "DJSHIP_HOME"])?;
        ensure!(output.stdout.contains("left: \n"), "something half-written is left\n{output}");
    }
    // More space is all that it takes.
    let home = text(djship.home())?;
    let again = format!("mount -o remount,size=3g '{home}'; \"$0\" build '{folder}' -t small; code=$?");
    let output =
        timed("a store that grows", || in_small_store(&djship, "120m", folder, &again))?.success()?;
    is_report(&output, &["o space left"])?;
    ensure!(output.to_string().contains("Image small:latest"), "{output}");
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn without_a_network() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let empty = support::djship(&User::current()?, &mirror)?;
    let project = small()?;
    let output = empty.run(["build", text(project.path())?, "--offline"])?.exit_code(3)?;
    is_report(&output, &["offline"])?;
    ensure!(mirror.take_requests().is_empty(), "--offline asked the mirror");
    ensure!(store::unfinished(empty.home()).is_empty(), "{:?}", store::unfinished(empty.home()));

    // Nobody answers at that address.
    let nobody = format!("http://127.0.0.1:{}/debian", serving::free_port()?);
    let lonely = support::djship(&User::current()?, &mirror)?
        .env("DJSHIP_DEBIAN_MIRROR", &nobody)
        .env("DJSHIP_DEBIAN_SECURITY_MIRROR", &nobody);
    timed("a mirror that is not there", || refused(&lonely, &project, 3, &[&nobody]))?;

    let full = sharing(&mirror)?;
    let first = timed("build with a network", || {
        full.run(["build", text(project.path())?, "-t", "small"])?.success()
    })?;
    mirror.take_requests();
    let build = ["build", text(project.path())?, "-t", "small", "--offline"];
    let second = timed("build without a network", || full.run(build)?.success())?;
    ensure!(mirror.take_requests().is_empty(), "--offline asked the mirror");
    let image = |output: &Output| -> Result<String> {
        let all = output.to_string();
        Ok(all.lines().find(|line| line.starts_with("Image small")).context("no image is named")?.to_owned())
    };
    ensure!(image(&first)? == image(&second)?, "{first}\n{second}");
    // And with the mirror gone for good.
    drop(mirror);
    full.run(build)?.success()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn offline_holds_for_the_python_index_too() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let full = sharing(&mirror)?;
    // Debian's packages are in the store then, and another list of distributions is not.
    full.run(["build", text(small()?.path())?, "-t", "small"])?.success()?;
    let more = small()?.with("requirements.txt", "Django==5.2.19\ndj-database-url==3.1.2\n")?;
    let output = full.run(["build", text(more.path())?, "-t", "offline", "--offline"])?.exit_code(3)?;
    is_report(&output, &["offline"])?;
    ensure!(store::unfinished(full.home()).is_empty(), "{:?}", store::unfinished(full.home()));
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_package_that_is_not_what_the_index_says() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&User::current()?, &mirror)?;
    let project = small()?;
    mirror.break_files("python3-minimal_", Fault::FlipByte(500));
    refused(&djship, &project, 3, &["python3-minimal"])?;
    mirror.mend();
    mirror.break_files("InRelease", Fault::FlipByte(300));
    let fresh = support::djship(&User::current()?, &mirror)?;
    refused(&fresh, &project, 3, &["InRelease"])?;
    mirror.mend();
    timed("build after all", || djship.run(["build", text(project.path())?, "-t", "small"])?.success())?;
    store::verify(djship.home())
}
