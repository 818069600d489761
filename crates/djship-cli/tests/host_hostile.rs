//! A dependency that means harm gets nowhere: not while it is built, not while the image runs.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, Running, TempProject, User, need, needs, user};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{fixture, timed};

/// In every file that must not be read.
const SECRET: &str = "a-secret-of-the-host-8d1c";
/// In djship's environment.
const VARIABLE: (&str, &str) = ("DEPLOY_TOKEN", "a-token-of-the-developer-41fe");

/// What `setup.py` has written.
#[derive(Debug, Deserialize)]
struct Report {
    attempts: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
}

/// What is there to be attacked, and its defence: it must be as before when the test ends.
struct Host {
    targets: Value,
    victim: Running,
    connections: Arc<AtomicUsize>,
    store_file: PathBuf,
    _folders: Vec<tempfile::TempDir>,
}

impl Host {
    /// Everything belongs to `owner`, who is also the one that containers run as: nothing fails only because of whose it is.
    fn prepare(owner: &User, djship: &Djship) -> Result<Self> {
        let home = secret_in(&owner.home, owner)?;
        let other = secret_in(&User::current()?.home, owner)?;
        let store_file = djship.home().join("secret-of-the-store");
        fs_err::write(&store_file, SECRET)?;
        let place = tempfile::Builder::new().prefix("djship-socket-").tempdir()?;
        fs_err::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777))?;
        let socket_file = place.path().join("socket");
        let name = format!("djship-test-{}-{}", std::process::id(), owner.name);
        let connections = Arc::new(AtomicUsize::new(0));
        serve(UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?, &connections);
        serve(UnixListener::bind(&socket_file)?, &connections);
        fs_err::set_permissions(&socket_file, std::fs::Permissions::from_mode(0o777))?;
        let victim = Running::start(owner.command("sleep").arg("1000"))?;
        let targets = json!({
            "pid": victim.id(),
            "home_file": home.path().join("secret"),
            "other_home_file": other.path().join("secret"),
            "store": djship.home(),
            "store_file": &store_file,
            "socket": name,
            "socket_file": socket_file,
            "disk": disk(),
        });
        Ok(Self { targets, victim, connections, store_file, _folders: vec![home, other, place] })
    }

    fn is_untouched(&mut self) -> Result<()> {
        ensure!(!self.victim.has_ended()?, "a process of the host was killed");
        let connections = self.connections.load(Ordering::Acquire);
        ensure!(connections == 0, "a socket of the host was reached {connections} times");
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The store stays for other tests.
        let _ = fs_err::remove_file(&self.store_file);
    }
}

fn secret_in(folder: &Path, owner: &User) -> Result<tempfile::TempDir> {
    let place = tempfile::Builder::new().prefix(".djship-test-").tempdir_in(folder)?;
    fs_err::write(place.path().join("secret"), SECRET)?;
    owner.own(place.path())?;
    Ok(place)
}

fn serve(listener: UnixListener, connections: &Arc<AtomicUsize>) {
    let connections = Arc::clone(connections);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(Result::ok) {
            connections.fetch_add(1, Ordering::AcqRel);
            let _ = stream.write_all(SECRET.as_bytes());
        }
    });
}

/// The numbers of a disk of this machine.
fn disk() -> (u32, u32) {
    let entries = fs_err::read_dir("/dev").into_iter().flatten().filter_map(Result::ok);
    let metadata = entries.filter_map(|entry| fs_err::metadata(entry.path()).ok());
    let numbers = metadata
        .filter(|metadata| metadata.file_type().is_block_device())
        .map(|metadata| metadata.rdev())
        .next();
    numbers.map_or((8, 0), |number| (rustix::fs::major(number), rustix::fs::minor(number)))
}

/// Everything failed, and nothing secret is in what came of it.
fn all_failed(attempts: &BTreeMap<String, String>, allowed: &[&str]) -> Result<()> {
    for (attempt, outcome) in attempts {
        eprintln!("  {attempt}: {outcome}");
    }
    ensure!(attempts.len() == 22, "{} attempts were made", attempts.len());
    let worked: Vec<_> = attempts
        .iter()
        .filter(|(name, outcome)| !outcome.starts_with("failed: ") && !allowed.contains(&name.as_str()))
        .collect();
    ensure!(worked.is_empty(), "these worked: {worked:#?}");
    Ok(())
}

/// Builds the hostile project, owned by `owner`, and runs its image.
fn attack(djship: &Djship, owner: &User) -> Result<()> {
    let mut host = Host::prepare(owner, djship)?;
    let targets = serde_json::to_string(&host.targets)?;
    let project =
        TempProject::copy_of(fixture("hostile"))?.with("hostile/targets.json", &targets)?.owned_by(owner)?;
    let folder = project.path().to_str().context("a path in UTF-8")?;
    timed(&format!("build as {}", djship.user().name), || {
        djship.run(["build", folder, "-t", "hostile"])?.success()
    })?;
    let show =
        "import hostile, pathlib; print(pathlib.Path(hostile.__file__).with_name('report.json').read_text())";
    let output = djship.run(["run", "hostile", "--", "python", "-c", show])?.success()?;
    let report: Report = serde_json::from_str(&output.stdout)?;
    eprintln!("{} builds, the container's user is {}: setup.py tries", djship.user().name, owner.name);
    all_failed(&report.attempts, &[])?;
    ensure!(!output.stdout.contains(SECRET), "a secret was read\n{}", output.stdout);
    ensure!(!output.stdout.contains(VARIABLE.1), "a variable of the host was read: {:?}", report.environment);
    host.is_untouched()?;
    ensure!(!project.at("hostile/hostile/report.json").exists(), "the project itself was changed");

    eprintln!("the same in the image that runs:");
    let run = ["run", "hostile", "--", "python", "-m", "hostile.attempts", &targets];
    let output = djship.run(run)?.success()?;
    let attempts: BTreeMap<String, String> = serde_json::from_str(&output.stdout)?;
    all_failed(&attempts, &[])?;
    ensure!(!output.stdout.contains(SECRET), "a secret was read\n{}", output.stdout);
    host.is_untouched()
}

/// The attempts are real: those that leave a machine as it is work where nothing stops them.
#[test]
#[ignore = "needs python3 on the host"]
fn the_attempts_work_where_nothing_stops_them() -> Result<()> {
    const HARMLESS: [&str; 6] =
        ["read_home", "read_store", "list_store", "abstract_socket", "path_socket", "kill_host_process"];
    // Other users cannot run what is in somebody's home.
    let python = need!(needs::path("/usr/bin/python3"));
    let user = match needs::user(user::WITHOUT_SUBORDINATE_IDS) {
        Ok(user) => user,
        Err(_) => User::current()?,
    };
    let mirror = DebianMirror::start()?;
    let djship = support::djship(&user, &mirror)?;
    let host = Host::prepare(&user, &djship)?;
    let folder = TempProject::copy_of(fixture("hostile").join("hostile/hostile"))?;
    let mut command = user.command(python);
    command.arg(folder.at("attempts.py")).arg(host.targets.to_string()).args(HARMLESS);
    let output = Running::start(&mut command)?.wait(support::SOON)?.success()?;
    let attempts: BTreeMap<String, String> = serde_json::from_str(&output.stdout)?;
    ensure!(attempts.len() == HARMLESS.len(), "{attempts:#?}");
    ensure!(attempts.values().all(|outcome| outcome.starts_with("worked: ")), "{attempts:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn a_hostile_setup_py_gets_nowhere_when_root_builds() -> Result<()> {
    let owner = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = support::sharing(&mirror)?.env(VARIABLE.0, VARIABLE.1);
    attack(&djship, &owner)
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn a_hostile_setup_py_gets_nowhere_when_an_ordinary_user_builds() -> Result<()> {
    let mirror = DebianMirror::start()?;
    for name in [user::WITHOUT_SUBORDINATE_IDS, user::WITH_SUBORDINATE_IDS] {
        let user = need!(needs::user(name));
        let djship = support::djship(&user, &mirror)?.sharing_home()?.env(VARIABLE.0, VARIABLE.1);
        attack(&djship, &user)?;
    }
    Ok(())
}
