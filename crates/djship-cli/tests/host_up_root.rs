//! `djship up` of root on the project of an ordinary user who has planted links, pipes and folders in it: root reads, writes and
//! removes nothing outside of the project.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject, User, need, needs, user};
use rustix::fs::{CWD, FileType, Mode};
use support::environment::{Background, nothing_is_left};
use support::{fixture, sharing};

const SECRET: &str = "a-secret-of-root-5b1d";

/// What is root's, and must stay as it is.
struct Victim {
    dir: tempfile::TempDir,
}

impl Victim {
    fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("djship-victim-").tempdir()?;
        for name in ["a", "b", "c", "d", "e", "f"] {
            fs_err::create_dir_all(dir.path().join(name).join("lib"))?;
            fs_err::write(dir.path().join(name).join("lib/file"), SECRET)?;
        }
        fs_err::write(dir.path().join("secret"), format!("Django\n# {SECRET}\nSTOLEN={SECRET}\n"))?;
        fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
        Ok(Self { dir })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Everything is there, and is root's; nothing came.
    fn assert_untouched(&self) -> Result<()> {
        let mut names: Vec<_> = fs_err::read_dir(self.dir.path())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.sort();
        ensure!(names == ["a", "b", "c", "d", "e", "f", "secret"], "{names:?}");
        for name in names.iter().filter(|name| *name != "secret") {
            let file = self.at(name).join("lib/file");
            ensure!(fs_err::read_to_string(&file)? == SECRET, "{name}");
            for path in [self.at(name), self.at(name).join("lib"), file] {
                ensure!(fs_err::metadata(&path)?.uid() == 0, "{} is not root's", path.display());
            }
        }
        ensure!(fs_err::metadata(self.dir.path())?.uid() == 0, "the folder is not root's");
        Ok(())
    }
}

/// A small project of an ordinary user.
fn project_of(owner: &User) -> Result<TempProject> {
    TempProject::copy_of(fixture("dev-sqlite"))?.owned_by(owner)
}

/// `djship up -d` that must be refused with these words, in time, and say nothing of the secret.
fn refused(djship: &Djship, project: &Path, words: &[&str]) -> Result<()> {
    let output = djship.run(["up", "-d", project.to_str().context("UTF-8")?])?.exit_code(1)?;
    for word in words {
        ensure!(output.stderr.contains(word), "`{word}` is not said\n{output}");
    }
    ensure!(!output.to_string().contains(SECRET), "the secret is said\n{output}");
    nothing_is_left(project, &[])
}

fn fifo(path: &Path) -> Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)?)
}

/// Puts a link in the place of a file.
fn lead(path: &Path, target: &Path) -> Result<()> {
    fs_err::remove_file(path)?;
    Ok(symlink(target, path)?)
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn files_that_lead_out_or_never_end_are_refused() -> Result<()> {
    need!(needs::root());
    let owner = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let victim = Victim::new()?;
    for file in [
        "djship.toml",
        "Procfile",
        ".env",
        "requirements/base.txt",
        "poetry.lock",
        "pylock.toml",
        "manage.py",
    ] {
        let project = project_of(&owner)?;
        let path = project.at(file);
        let _ = fs_err::remove_file(&path);
        fifo(&path)?;
        refused(&djship, project.path(), &[file, "it is a named pipe", "hint: "])?;
        lead(&path, &victim.at("secret"))?;
        refused(&djship, project.path(), &[file, "it leads out of the project", "hint: "])?;
        lead(&path, Path::new("/dev/zero"))?;
        refused(&djship, project.path(), &[file, "it leads out of the project"])?;
        fs_err::remove_file(&path)?;
        fs_err::File::create(&path)?.set_len(1 << 40)?;
        refused(&djship, project.path(), &[file, "1099511627776 bytes"])?;
    }
    victim.assert_untouched()
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn links_within_the_project_work() -> Result<()> {
    need!(needs::root());
    let owner = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = project_of(&owner)?;
    let base = project.at("requirements/base.txt");
    fs_err::rename(&base, project.at("requirements/real.txt"))?;
    symlink(project.at("requirements/real.txt"), &base)?;
    fs_err::write(project.at("variables"), "DIARY_NAME=linked\n")?;
    lead(&project.at(".env"), Path::new("variables"))?;
    let up = Background::start(&djship, project.path())?;
    up.page("/")?;
    let name = up.within(&["exec", "web", "printenv", "DIARY_NAME"])?.success()?;
    ensure!(name.stdout.trim() == "linked", "{name}");
    Ok(())
}

#[test]
#[ignore = "needs root, the users of `cargo xtask setup` and the network"]
fn a_planted_cache_leads_nowhere() -> Result<()> {
    need!(needs::root());
    let owner = need!(needs::user(user::WITHOUT_SUBORDINATE_IDS));
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let victim = Victim::new()?;

    // The folder itself: another one is used.
    let project = project_of(&owner)?;
    symlink(victim.dir.path(), project.at(".cache"))?;
    let up = Background::start(&djship, project.path())?;
    up.page("/")?;
    victim.assert_untouched()?;
    up.down()?;

    // What is in it, after djship has made it.
    fs_err::remove_file(project.at(".cache"))?;
    let up = Background::start(&djship, project.path())?;
    up.page("/")?;
    up.down()?;
    let cache = project.at(".cache");
    for name in [".gitignore", "variables.json"] {
        let _ = fs_err::remove_file(cache.join(name));
        symlink(victim.at("a/lib/file"), cache.join(name))?;
    }
    for name in ["b", "c", "d", "e", "f"] {
        symlink(victim.at(name), cache.join("venvs").join(name))?;
    }
    // Other requirements make another environment, after which old ones are removed.
    let text = fs_err::read_to_string(project.at("requirements/base.txt"))?;
    fs_err::write(project.at("requirements/base.txt"), format!("{}\nshortuuid\n", text.trim_end()))?;
    let up = Background::start(&djship, project.path())?;
    up.page("/")?;
    victim.assert_untouched()?;
    up.down()?;

    // All environments are elsewhere: nothing can be installed there.
    fs_err::rename(cache.join("venvs"), cache.join("moved"))?;
    symlink(victim.dir.path(), cache.join("venvs"))?;
    refused(&djship, project.path(), &["venvs", "a link is in the way"])?;
    victim.assert_untouched()
}
