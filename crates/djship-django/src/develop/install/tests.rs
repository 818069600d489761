use fs_err::os::unix::fs::symlink;

use super::*;

/// A project with a cache, and a folder beside it that nothing may touch.
struct Place {
    dir: tempfile::TempDir,
    cache: Cache,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("project")).unwrap();
        let cache = Cache::open(&dir.path().join("project"), &dir.path().join("elsewhere"), None).unwrap();
        for number in 0..8 {
            let site = dir.path().join(format!("victim/{number}/lib/python3/site-packages"));
            fs_err::create_dir_all(site.join("secret-1.0.dist-info")).unwrap();
            fs_err::write(dir.path().join(format!("victim/{number}/djship.json")), RECORD_TEXT).unwrap();
        }
        Self { dir, cache }
    }

    fn victim(&self) -> PathBuf {
        self.dir.path().join("victim")
    }

    fn venvs(&self) -> PathBuf {
        self.cache.path.join("venvs")
    }

    fn assert_untouched(&self) {
        assert_eq!(fs_err::read_dir(self.victim()).unwrap().count(), 8);
        assert!(self.victim().join("0/lib/python3/site-packages/secret-1.0.dist-info").is_dir());
        assert!(!self.victim().join("venv").exists());
    }
}

const RECORD_TEXT: &str = "{\"compiled\": false, \"distributions\": [\"secret\"], \"libraries\": []}";

#[test]
fn the_environments_of_a_planted_link_are_nobodys() {
    let place = Place::new();
    symlink(place.victim(), place.venvs()).unwrap();
    tidy(&place.cache, "0");
    assert!(record(&place.cache, "venvs/0").is_none());
    assert!(distributions(&place.cache, "0").is_empty());
    place.assert_untouched();
}

#[test]
fn an_environment_that_is_a_link_is_none_and_only_the_link_goes() {
    let place = Place::new();
    fs_err::create_dir(place.venvs()).unwrap();
    for number in 0..8 {
        symlink(place.victim().join(number.to_string()), place.venvs().join(number.to_string())).unwrap();
    }
    assert!(record(&place.cache, "venvs/0").is_none());
    assert!(distributions(&place.cache, "0").is_empty());
    tidy(&place.cache, "in use");
    place.assert_untouched();
    assert_eq!(fs_err::read_dir(place.venvs()).unwrap().count(), KEPT - 1);
}

#[test]
fn the_newest_environments_stay() {
    let place = Place::new();
    for number in 0..8 {
        let venv = place.venvs().join(number.to_string());
        fs_err::create_dir_all(venv.join("lib/python3/site-packages/Some_Thing-1.0.dist-info")).unwrap();
        symlink(place.victim(), venv.join("lib/victim")).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 + number);
        fs_err::File::open(&venv).unwrap().file().set_modified(time).unwrap();
    }
    assert_eq!(distributions(&place.cache, "0"), ["some-thing"]);
    tidy(&place.cache, "0");
    let mut names: Vec<_> =
        fs_err::read_dir(place.venvs()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["0", "5", "6", "7"]);
    place.assert_untouched();
}
