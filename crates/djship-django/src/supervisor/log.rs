//! The log on disk: what every program said, in the order in which it arrived.
//!
//! ```text
//! logs/current      2026-11-25T04:30:12.123Z web GET /polls/ 200
//! logs/previous     the same, before `current` became too large
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::state;

/// What is written to.
pub(super) const CURRENT: &str = "current";
/// What was written to before.
pub(super) const PREVIOUS: &str = "previous";
/// How large each of the two files may become, in bytes.
pub(super) const LARGEST_FILE: u64 = 8 << 20;
/// How many lines of a program are kept for errors.
pub(super) const KEPT_LINES: usize = 50;

/// Writes to the log. Clones write to the same one.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<Writer>>);

impl Log {
    /// Goes on with the log in `folder`, which exists.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::with_limit(folder, LARGEST_FILE)
    }

    pub(super) fn with_limit(folder: &Path, limit: u64) -> io::Result<Self> {
        let mut file = open(&folder.join(CURRENT))?;
        let mut size = file.metadata()?.len();
        if size > 0 {
            // A line that was cut off, by a full disk for example, stays one of its own.
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                size += 1;
            }
        }
        Ok(Self(Arc::new(Mutex::new(Writer { folder: folder.to_owned(), file, size, limit }))))
    }

    /// Adds one line of `name`, a word. What is in `text` beyond its first line end is cut off.
    pub fn append(&self, name: &str, text: &str) -> io::Result<()> {
        self.append_and(name, text, |written| written)
    }

    /// Adds one line, and does something else before any other line is added, in the same order therefore.
    pub(super) fn append_and<T>(&self, name: &str, text: &str, also: impl FnOnce(io::Result<()>) -> T) -> T {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = writer.append(name, text);
        also(written)
    }
}

#[derive(Debug)]
struct Writer {
    folder: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Writer {
    fn append(&mut self, name: &str, text: &str) -> io::Result<()> {
        let text = text.split('\n').next().unwrap_or_default();
        let name: String = name.split_whitespace().collect();
        let line = format!("{} {name} {text}\n", state::now());
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.limit {
            self.rotate()?;
        }
        // One call, so that a reader, and whoever looks after a crash, sees whole lines.
        self.file.write_all(line.as_bytes())?;
        self.size += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let current = self.folder.join(CURRENT);
        fs_err::rename(&current, self.folder.join(PREVIOUS))?;
        self.file = open(&current)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).append(true).create(true).mode(0o600);
    fs_err::OpenOptions::from_options(options).open(path).map(fs_err::File::into_file)
}

/// The last lines of one program.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub(super) fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.last(KEPT_LINES)
    }

    /// The last `number` of them.
    pub(super) fn last(&self, number: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(number)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path, name: &str) -> String {
        fs_err::read_to_string(folder.join(name)).unwrap_or_default()
    }

    #[test]
    fn a_line_is_a_time_a_name_and_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        log.append("web", "GET / 200").unwrap();
        log.append("my worker", "two\nlines").unwrap();
        log.append("web", "").unwrap();
        let text = read(folder.path(), CURRENT);
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines, ["web GET / 200", "myworker two", "web "]);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs_err::metadata(folder.path().join(CURRENT)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_becomes_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::with_limit(folder.path(), 1000).unwrap();
        for number in 0..60 {
            log.append("web", &format!("line {number:03}")).unwrap();
        }
        let (previous, current) = (read(folder.path(), PREVIOUS), read(folder.path(), CURRENT));
        assert!(previous.len() <= 1000 && current.len() <= 1000);
        let both = previous + &current;
        let numbers: Vec<&str> = both.lines().map(|line| line.rsplit_once(' ').unwrap().1).collect();
        assert!(numbers.len() > 25 && numbers.is_sorted() && numbers.last() == Some(&"059"), "{numbers:?}");
        // A line larger than a file is a file.
        log.append("web", &"x".repeat(2000)).unwrap();
        log.append("web", "after").unwrap();
        assert!(
            read(folder.path(), PREVIOUS).len() > 2000 && read(folder.path(), CURRENT).ends_with("after\n")
        );
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(CURRENT), "2026-11-25T04:30:12.123Z web GET").unwrap();
        Log::open(folder.path()).unwrap().append("web", "next").unwrap();
        let text = read(folder.path(), CURRENT);
        assert!(
            text.lines().count() == 2 && text.starts_with("2026-11-25T04:30:12.123Z web GET\n"),
            "{text}"
        );
    }

    #[test]
    fn many_writers_mix_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for name in ["one", "two", "three"] {
                let log = log.clone();
                scope.spawn(move || {
                    for number in 0..500 {
                        log.append(name, &format!("{number:04} {}", name.repeat(50))).unwrap();
                    }
                });
            }
        });
        let text = read(folder.path(), CURRENT);
        assert_eq!(text.lines().count(), 1500);
        for name in ["one", "two", "three"] {
            let own: Vec<&str> = text.lines().filter(|line| line.contains(&format!("Z {name} "))).collect();
            assert!(own.len() == 500 && own.is_sorted_by_key(|line| line.split(' ').nth(2)), "{name}");
        }
    }
}
