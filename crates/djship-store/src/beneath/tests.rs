use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A folder with a victim beside it, which nothing may touch.
struct Place {
    dir: tempfile::TempDir,
    beneath: Beneath,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("top/a/b")).unwrap();
        fs_err::create_dir_all(dir.path().join("victim/b")).unwrap();
        fs_err::write(dir.path().join("victim/b/file"), "secret").unwrap();
        let beneath = Beneath::open(&dir.path().join("top")).unwrap();
        Self { dir, beneath }
    }

    fn top(&self, name: &str) -> PathBuf {
        self.dir.path().join("top").join(name)
    }

    fn victim(&self) -> PathBuf {
        self.dir.path().join("victim")
    }

    /// The victim is as it was.
    fn assert_untouched(&self) {
        let names = |path: &Path| -> Vec<_> {
            fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        assert_eq!(names(&self.victim()), ["b"]);
        assert_eq!(names(&self.victim().join("b")), ["file"]);
        assert_eq!(fs_err::read_to_string(self.victim().join("b/file")).unwrap(), "secret");
    }
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
}

#[test]
fn what_is_written_is_read_and_nothing_is_left_half() {
    let place = Place::new();
    place.beneath.write("a/b/file", b"one").unwrap();
    place.beneath.write("a/b/file", b"two").unwrap();
    place.beneath.link("a/link", "b/file").unwrap();
    place.beneath.link("a/link", "b/other").unwrap();
    assert_eq!(place.beneath.read("a/b/file", 3).unwrap(), b"two");
    assert_eq!(place.beneath.linked("a/link").unwrap(), "b/other");
    place.beneath.make_folder("a/new").unwrap();
    place.beneath.make_folder("a/new").unwrap();
    place.beneath.rename("a/b/file", "a/new/file").unwrap();
    assert!(place.beneath.has("a/link").unwrap() && !place.beneath.has("a/b/file").unwrap());
    let mut names: Vec<_> = place.beneath.folder("a").unwrap().entries().unwrap();
    names.sort_by(|one, other| one.name.cmp(&other.name));
    let names: Vec<_> = names.iter().map(|found| (found.name.to_str().unwrap(), found.is_folder)).collect();
    assert_eq!(names, [("b", true), ("link", false), ("new", true)]);
}

#[test]
fn no_link_leads_out_at_any_level() {
    for (planted, target) in
        [("a", "../victim"), ("a/b", "../../victim/b"), ("a/b/file", "../../../victim/b/file")]
    {
        for absolute in [false, true] {
            let place = Place::new();
            fs_err::remove_dir_all(place.top("a")).unwrap();
            let at = place.top(planted);
            fs_err::create_dir_all(at.parent().unwrap()).unwrap();
            let target = if absolute {
                place.dir.path().join(target.trim_start_matches("../"))
            } else {
                target.into()
            };
            symlink(target, &at).unwrap();
            let beneath = &place.beneath;
            let error = beneath.read("a/b/file", 100).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::LOOP), "{error}");
            assert!(beneath.file("a/b/file").is_err());
            if planted != "a/b/file" {
                assert!(beneath.write("a/b/file", b"x").is_err());
                assert!(beneath.link("a/b/link", "x").is_err());
                assert!(beneath.make_folder("a/b/new").is_err());
                assert!(beneath.folder("a/b").is_err());
                assert!(beneath.rename("a/b/file", "mine").is_err());
                assert!(beneath.remove("a/b/file").is_err());
                assert!(beneath.linked("a/b/file").is_err());
            }
            place.assert_untouched();
            // The link itself is what goes.
            beneath.remove(planted).unwrap();
            assert!(fs_err::symlink_metadata(&at).is_err());
            place.assert_untouched();
        }
    }
}

#[test]
fn a_planted_link_is_replaced_and_not_written_through() {
    let place = Place::new();
    symlink(place.victim().join("b/file"), place.top("file")).unwrap();
    place.beneath.write("file", b"mine").unwrap();
    assert_eq!(fs_err::read_to_string(place.top("file")).unwrap(), "mine");
    place.assert_untouched();
}

#[test]
fn names_stay_below() {
    let place = Place::new();
    for name in ["../victim/b/file", "a/../../victim/b/file", "/etc/passwd", "", ".", "a/.."] {
        assert!(place.beneath.read(name, 100).is_err(), "{name}");
        assert!(place.beneath.write(name, b"x").is_err(), "{name}");
        assert!(place.beneath.remove(name).is_err(), "{name}");
    }
    place.assert_untouched();
    assert!(place.top("a").is_dir());
    let link = place.dir.path().join("link");
    symlink(place.top(""), &link).unwrap();
    assert!(Beneath::open(&link).is_err());
    assert!(Beneath::open(&link.join("a")).is_ok());
    assert!(Beneath::open_without_links(&link.join("a")).is_err());
}

#[test]
fn what_is_no_file_or_too_large_is_not_read() {
    let place = Place::new();
    fifo(&place.top("pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(place.top("socket")).unwrap();
    fs_err::File::create(place.top("huge")).unwrap().set_len(1 << 40).unwrap();
    let words = |name: &str| place.beneath.read(name, 100).unwrap_err().to_string();
    assert!(words("pipe").ends_with("it is a named pipe"), "{}", words("pipe"));
    assert!(words("socket").ends_with("it is a socket"));
    assert!(words("a").ends_with("it is a folder"));
    assert!(words("huge").ends_with("it has 1099511627776 bytes, more than 100"));
    assert!(place.beneath.file("pipe").is_err());
    // What says nothing of its size is not read without end either.
    let handle = rustix::fs::open("/dev/zero", OFlags::PATH, Mode::empty()).unwrap();
    assert!(matches!(read_handle(&handle, 100), Err(Unread::Special("device"))));
    let handle = rustix::fs::open("/proc/self/status", OFlags::PATH, Mode::empty()).unwrap();
    assert!(matches!(read_handle(&handle, 100), Err(Unread::TooLarge { .. })));
    assert!(read_handle(&handle, 1 << 20).unwrap().starts_with(b"Name:"));
}

#[test]
fn everything_goes_and_what_it_leads_to_stays() {
    let place = Place::new();
    let wide = place.top("a/b/wide");
    fs_err::create_dir(&wide).unwrap();
    for number in 0..3000 {
        fs_err::write(wide.join(number.to_string()), "").unwrap();
    }
    symlink(place.victim(), place.top("a/b/link")).unwrap();
    symlink("nowhere", place.top("a/b/dangling")).unwrap();
    fifo(&place.top("a/pipe"));
    fs_err::set_permissions(&wide, std::fs::Permissions::from_mode(0o500)).unwrap();
    fs_err::set_permissions(place.top("a"), std::fs::Permissions::from_mode(0o000)).unwrap();
    place.beneath.remove("a").unwrap();
    place.beneath.remove("a").unwrap();
    assert!(!place.top("a").exists());
    place.assert_untouched();
}

#[test]
fn what_is_too_deep_is_an_error_and_no_crash() {
    let place = Place::new();
    let mut folder = rustix::fs::open(place.top("a"), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..200 {
        rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
        folder = rustix::fs::openat(&folder, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    assert_eq!(place.beneath.remove("a").unwrap_err().errno(), Some(Errno::NAMETOOLONG));
}

/// Swaps `one` and `other` while `steps` run.
fn while_swapped(one: &Path, other: &Path, steps: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                // Either may be gone at this moment.
                let _ = rustix::fs::renameat_with(CWD, one, CWD, other, flags);
            }
        });
        // Also when a step fails.
        let _end = End(&over);
        steps();
    });
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_folder_swapped_for_a_link_while_it_is_removed_leads_nowhere() {
    let place = Place::new();
    let (folder, link) = (place.top("a/b"), place.dir.path().join("link"));
    let fresh = place.dir.path().join("fresh");
    let is_link = |path: &Path| fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    while_swapped(&folder, &link, || {
        for _ in 0..600 {
            // One of them went last time, whichever it was.
            for name in ["b", "c", "d"] {
                fs_err::create_dir_all(fresh.join(name)).unwrap();
            }
            let _ = fs_err::rename(&fresh, &folder);
            let _ = symlink(place.victim(), &link);
            if !is_link(&folder) && !is_link(&link) {
                let _ = fs_err::remove_dir_all(&link);
            }
            // It may have to give up; it may not be led out.
            let _ = place.beneath.remove("a/b");
        }
    });
    place.assert_untouched();
}

#[test]
fn a_folder_swapped_for_a_link_while_it_is_worked_in_leads_nowhere() {
    let place = Place::new();
    let link = place.dir.path().join("link");
    symlink(place.victim(), &link).unwrap();
    fs_err::write(place.top("a/b/file"), "own").unwrap();
    let (mut reads, mut refusals) = (0, 0);
    while_swapped(&place.top("a"), &link, || {
        for _ in 0..2000 {
            match place.beneath.read("a/b/file", 100) {
                Ok(text) => {
                    assert_eq!(text, b"own");
                    reads += 1;
                }
                Err(error) => {
                    // A link, or a folder that was moved out in the middle of the way.
                    assert!(matches!(error.errno(), Some(Errno::LOOP | Errno::XDEV)), "{error}");
                    refusals += 1;
                }
            }
            let _ = place.beneath.write("a/b/file", b"own");
            let _ = place.beneath.write("a/b/new", b"own");
            let _ = place.beneath.make_folder("a/new");
            let _ = place.beneath.link("a/b/link", "x");
        }
    });
    assert!(reads > 0 && refusals > 0, "{reads} reads, {refusals} refusals: nothing was swapped");
    place.assert_untouched();
}

#[test]
fn what_root_makes_is_the_owners_and_only_that() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs_err::create_dir(place.top("full")).unwrap();
    fs_err::write(place.top("full/x"), "").unwrap();
    let beneath = Beneath::open(&place.top("")).unwrap().making_for(Some((12345, 12346)));
    beneath.make_folder("new").unwrap();
    beneath.make_folder("full").unwrap();
    beneath.write("new/file", b"").unwrap();
    beneath.link("new/link", "file").unwrap();
    let owner = |name: &str| {
        let metadata = fs_err::symlink_metadata(place.top(name)).unwrap();
        (metadata.uid(), metadata.gid())
    };
    for name in ["new", "new/file", "new/link"] {
        assert_eq!(owner(name), (12345, 12346), "{name}");
    }
    // It was there before, with something in it.
    assert_eq!(owner("full"), (0, 0));
    // Whatever takes the place of the link that was just made: what it leads to stays whose it is.
    let planted = format!("link.{}", std::process::id());
    symlink(place.victim(), place.top(&planted)).unwrap();
    beneath.link("link", "x").unwrap();
    assert_eq!(fs_err::metadata(place.victim()).unwrap().uid(), 0);
}

#[test]
fn only_what_was_the_old_owners_is_given_away() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs_err::write(place.top("a/b/file"), "").unwrap();
    fs_err::write(place.top("a/roots"), "").unwrap();
    symlink(place.victim(), place.top("a/link")).unwrap();
    let own = |name: &str| fs_err::os::unix::fs::lchown(place.top(name), Some(12345), Some(12345)).unwrap();
    ["", "a", "a/b", "a/b/file", "a/link"].into_iter().for_each(own);
    let swapped = place.dir.path().join("swapped");
    symlink(place.victim(), &swapped).unwrap();
    while_swapped(&place.top("a/b"), &swapped, || {
        for _ in 0..500 {
            let _ = place.beneath.give(12345, (12346, 12347));
        }
    });
    let owner = |path: &Path| fs_err::symlink_metadata(path).unwrap().uid();
    for path in
        [place.victim(), place.victim().join("b"), place.victim().join("b/file"), place.top("a/roots")]
    {
        assert_eq!(owner(&path), 0, "{}", path.display());
    }
    if fs_err::symlink_metadata(place.top("a/b")).unwrap().is_symlink() {
        fs_err::remove_file(place.top("a/b")).unwrap();
        fs_err::rename(&swapped, place.top("a/b")).unwrap();
    }
    place.beneath.give(12345, (12346, 12347)).unwrap();
    for name in ["", "a", "a/b", "a/b/file", "a/link"] {
        assert_eq!(owner(&place.top(name)), 12346, "{name}");
    }
}
