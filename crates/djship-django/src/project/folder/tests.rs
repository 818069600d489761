use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A project in a folder, and a secret beside it.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("project/requirements")).unwrap();
        fs_err::write(dir.path().join("project/requirements/base.txt"), "Django\n").unwrap();
        fs_err::write(dir.path().join("secret"), "secret").unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("project").join(name)
    }

    /// What the file `name` says to the project's owner, and to somebody else.
    fn both(&self, name: &str) -> [Said; 2] {
        [false, true].map(|lent| {
            let folder = Folder { lent, ..Folder::open(&self.at("")).unwrap().unwrap() };
            let bytes = folder.read(name, 100).map_err(|error| error.to_string())?;
            Ok(bytes.map(|bytes| String::from_utf8(bytes).unwrap()))
        })
    }

    /// The words of the error for both.
    fn refusal(&self, name: &str) -> String {
        let [own, lent] = self.both(name).map(Result::unwrap_err);
        assert_eq!(own, lent);
        own
    }
}

type Said = Result<Option<String>, String>;

fn says(said: &Said, text: &str) -> bool {
    said.as_ref().is_ok_and(|said| said.as_deref() == Some(text))
}

#[test]
fn links_that_stay_inside_work_for_everybody() {
    let place = Place::new();
    let absolute = place.at("requirements/base.txt");
    let links = [
        ("relative.txt", Path::new("requirements/base.txt")),
        ("absolute.txt", &absolute),
        ("round.txt", Path::new("../project/requirements/base.txt")),
        ("folder", Path::new("requirements")),
        ("again.txt", Path::new("absolute.txt")),
    ];
    for (name, target) in links {
        symlink(target, place.at(name)).unwrap();
    }
    for name in ["relative.txt", "absolute.txt", "round.txt", "folder/base.txt", "again.txt"] {
        let both = place.both(name);
        assert!(both.iter().all(|said| says(said, "Django\n")), "{name}: {both:?}");
    }
}

#[test]
fn links_that_lead_out_work_for_the_owner_alone() {
    let place = Place::new();
    symlink(place.dir.path().join("secret"), place.at("absolute")).unwrap();
    symlink("../secret", place.at("relative")).unwrap();
    symlink("../..", place.at("requirements/up")).unwrap();
    symlink("absolute", place.at("twice")).unwrap();
    for name in ["absolute", "relative", "requirements/up/secret", "twice", "../secret"] {
        let [own, lent] = place.both(name);
        assert!(says(&own, "secret"), "{name}: {own:?}");
        let words = format!("cannot read `{}`: it leads out of the project", place.at(name).display());
        assert_eq!(lent, Err(words), "{name}");
    }
}

#[test]
fn what_is_not_there_is_none() {
    let place = Place::new();
    symlink("nowhere", place.at("dangling")).unwrap();
    symlink("/nowhere/at/all", place.at("away")).unwrap();
    symlink("/dev/null", place.at("nothing")).unwrap();
    fs_err::write(place.at("file"), "").unwrap();
    for name in ["missing", "requirements", "dangling", "away", "nothing", "file/below"] {
        assert_eq!(place.both(name), [Ok(None), Ok(None)], "{name}");
    }
    assert!(Folder::open(&place.at("missing")).unwrap().is_none());
}

#[test]
fn nothing_is_waited_for_and_nothing_read_without_end() {
    let place = Place::new();
    rustix::fs::mknodat(CWD, place.at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.at("socket")).unwrap();
    symlink("pipe", place.at("linked")).unwrap();
    fs_err::File::create(place.at("huge")).unwrap().set_len(1 << 40).unwrap();
    let words = |name: &str, why: &str| format!("cannot read `{}`: it {why}", place.at(name).display());
    assert_eq!(place.refusal("pipe"), words("pipe", "is a named pipe"));
    assert_eq!(place.refusal("linked"), words("linked", "is a named pipe"));
    assert_eq!(place.refusal("socket"), words("socket", "is a socket"));
    assert_eq!(place.refusal("huge"), words("huge", "has 1099511627776 bytes, more than 100"));
    symlink("/dev/zero", place.at("zero")).unwrap();
    let [own, lent] = place.both("zero");
    assert_eq!(own, Err(words("zero", "is a device")));
    assert_eq!(lent, Err(words("zero", "leads out of the project")));
    symlink("loop", place.at("loop")).unwrap();
    assert!(place.refusal("loop").contains("cannot read the project"));
}

#[test]
fn the_folder_of_somebody_else_is_lent() {
    let place = Place::new();
    let lent = || Folder::open(&place.at("")).unwrap().unwrap().lent;
    assert!(!lent());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.at(""), Some(12345), None).unwrap();
        assert!(lent());
    }
}

#[test]
fn a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    fs_err::write(outside.join("base.txt"), "secret").unwrap();
    symlink(&outside, place.at("link")).unwrap();
    let over = AtomicBool::new(false);
    let folder = Folder { lent: true, ..Folder::open(&place.at("")).unwrap().unwrap() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (place.at("requirements"), place.at("link"));
            while !over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &one, CWD, &other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        let (mut read, mut refused, mut secret) = (0, 0, 0);
        // Until both have happened, however the two threads are scheduled.
        while read + refused < 2000 || ((read == 0 || refused == 0) && read + refused < 10_000_000) {
            match folder.read("requirements/base.txt", 100) {
                Ok(text) if text.as_deref() == Some(b"secret") => secret += 1,
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(secret, 0);
        assert!(read > 0 && refused > 0, "{read} {refused}");
    });
}
