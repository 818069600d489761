//! Reads the log from another process: the last lines, and what is added from then on.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::log::{CURRENT, LARGEST_FILE, PREVIOUS};

/// How often the file is looked at while nothing comes.
const PAUSE: Duration = Duration::from_millis(50);
/// How much is read at once, in bytes.
const PORTION: u64 = 256 << 10;
/// A file is never much larger than this, unless somebody else wrote it.
const LARGEST: u64 = LARGEST_FILE + (1 << 20);

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it arrived, such as `2026-11-25T04:30:12.123Z`; sorts as text.
    pub time: String,
    /// Who said it.
    pub program: String,
    /// What was said.
    pub text: String,
}

impl LogLine {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (time, program) = (words.next()?, words.next()?);
        let text = words.next()?;
        Some(Self { time: time.to_owned(), program: program.to_owned(), text: text.to_owned() })
    }
}

/// Reads a log while it is written, turned over and ended by somebody else.
#[derive(Debug)]
pub struct LogReader {
    folder: PathBuf,
    /// Whose lines are wanted; all when empty.
    programs: BTreeSet<String>,
    /// The file that is being read, at the place up to which it was read.
    file: Option<File>,
    /// The beginning of a line whose end is not there yet.
    partial: Vec<u8>,
}

impl LogReader {
    /// Reads the log in `folder`, whole or of some programs only, from its beginning. It need not exist yet.
    pub fn open<P: Into<String>>(folder: &Path, programs: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let mut reader = Self {
            folder: folder.to_owned(),
            programs: programs.into_iter().map(Into::into).collect(),
            file: None,
            partial: Vec::new(),
        };
        reader.file = reader.next_file()?;
        Ok(reader)
    }

    /// What is there, up to now; the last `number` lines of it.
    pub fn last(&mut self, number: Option<usize>) -> io::Result<Vec<LogLine>> {
        let mut lines = VecDeque::new();
        let number = number.unwrap_or(usize::MAX);
        let _ = self.read(&mut |line| {
            lines.push_back(line);
            if lines.len() > number {
                lines.pop_front();
            }
            ControlFlow::Continue(())
        })?;
        Ok(lines.into())
    }

    /// Gives out lines as they are added, until `each` breaks or `is_over` says that no more will come.
    pub fn follow(
        &mut self,
        mut is_over: impl FnMut() -> bool,
        mut each: impl FnMut(LogLine) -> ControlFlow<()>,
    ) -> io::Result<()> {
        loop {
            // Asked first: what was written before the end is still read.
            let over = is_over();
            if self.read(&mut each)?.is_break() || over {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Reads up to the present end.
    fn read(&mut self, each: &mut dyn FnMut(LogLine) -> ControlFlow<()>) -> io::Result<ControlFlow<()>> {
        loop {
            if self.file.is_none() {
                self.file = self.next_file()?;
            }
            // Looked up before the rest is read: the writer is done with a file before it gives away its name.
            let next = self.next_file()?;
            let Some(file) = &self.file else { return Ok(ControlFlow::Continue(())) };
            let mut portion = Vec::new();
            while file.take(PORTION).read_to_end(&mut portion)? > 0 {
                for part in portion.split_inclusive(|&byte| byte == b'\n') {
                    self.partial.extend_from_slice(part);
                    if part.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.partial);
                        if let Some(line) = self.wanted(&line)
                            && each(line).is_break()
                        {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
                portion.clear();
                // No line is that long; this is no log.
                self.partial.truncate(usize::try_from(PORTION).unwrap_or(usize::MAX));
            }
            match next {
                Some(next) => {
                    self.file = Some(next);
                    self.partial.clear();
                }
                None => return Ok(ControlFlow::Continue(())),
            }
        }
    }

    fn wanted(&self, line: &[u8]) -> Option<LogLine> {
        let text = String::from_utf8_lossy(line);
        let line = LogLine::parse(text.trim_end_matches('\n'))?;
        (self.programs.is_empty() || self.programs.contains(&line.program)).then_some(line)
    }

    /// The file to read after the one at hand, if there is one: at first the older one.
    fn next_file(&self) -> io::Result<Option<File>> {
        let previous = open(&self.folder.join(PREVIOUS))?;
        let current = open(&self.folder.join(CURRENT))?;
        let Some(own) = &self.file else { return Ok(previous.or(current)) };
        let is_own = |other: &Option<File>| match other {
            None => Ok(false),
            Some(other) => same(own, other),
        };
        Ok(if is_own(&current)? || current.is_none() {
            None
        } else if is_own(&previous)? {
            current
        } else {
            // It was turned over twice meanwhile.
            previous.or(current)
        })
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match fs_err::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(file) => {
            let file = file.into_file();
            let is_log = file.metadata().map(|metadata| metadata.is_file() && metadata.len() <= LARGEST)?;
            Ok(is_log.then_some(file))
        }
    }
}

fn same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::log::Log;
    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_last_lines_of_whom_one_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(LogReader::open(folder.path(), ["web"]).unwrap().last(None).unwrap(), []);
        let log = Log::with_limit(folder.path(), 1000).unwrap();
        for number in 0..30 {
            log.append(["web", "worker"][number % 2], &format!("a {number}")).unwrap();
        }
        let all = LogReader::open::<&str>(folder.path(), []).unwrap().last(None).unwrap();
        assert_eq!(texts(&all)[28..], ["a 28", "a 29"]);
        let mut reader = LogReader::open(folder.path(), ["web"]).unwrap();
        let lines = reader.last(Some(2)).unwrap();
        assert_eq!(texts(&lines), ["a 26", "a 28"]);
        assert!(lines[0].program == "web" && lines[0].time <= lines[1].time);
        // And from there on, once.
        log.append("web", "b").unwrap();
        log.append("worker", "c").unwrap();
        assert_eq!(texts(&reader.last(None).unwrap()), ["b"]);
        assert_eq!(reader.last(None).unwrap(), []);
    }

    #[test]
    fn following_survives_turning_over_and_ends_with_the_environment() {
        const LINES: usize = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let over = AtomicBool::new(false);
        let seen = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut reader = LogReader::open::<&str>(folder.path(), []).unwrap();
                let mut lines = Vec::new();
                let each = |line| {
                    lines.push(line);
                    seen.store(true, Ordering::SeqCst);
                    ControlFlow::Continue(())
                };
                reader.follow(|| over.load(Ordering::SeqCst), each).unwrap();
                lines
            });
            let log = Log::with_limit(folder.path(), 500_000).unwrap();
            for number in 0..LINES {
                log.append("web", &number.to_string()).unwrap();
                // The reader is not to fall two files behind.
                while number == 9_000 && !seen.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
            over.store(true, Ordering::SeqCst);
            let lines = reading.join().unwrap();
            let numbers: Vec<usize> = lines.iter().map(|line| line.text.parse().unwrap()).collect();
            assert!(numbers.is_sorted() && numbers.last() == Some(&(LINES - 1)));
            assert!(folder.path().join(PREVIOUS).exists());
        });
    }

    #[test]
    fn each_turn_is_followed_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::with_limit(folder.path(), 100).unwrap();
        let mut reader = LogReader::open::<&str>(folder.path(), []).unwrap();
        let mut seen = Vec::new();
        for number in 0..50 {
            // Less than a file, more than a file.
            for part in 0..=number % 5 {
                log.append("web", &format!("{number}.{part}")).unwrap();
                if part % 2 == 0 {
                    seen.extend(reader.last(None).unwrap().into_iter().map(|line| line.text));
                }
            }
        }
        seen.extend(reader.last(None).unwrap().into_iter().map(|line| line.text));
        let all: Vec<String> =
            (0..50).flat_map(|number| (0..=number % 5).map(move |part| format!("{number}.{part}"))).collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn the_reader_may_have_enough() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        log.append("web", "one").unwrap();
        log.append("web", "two").unwrap();
        let mut reader = LogReader::open::<&str>(folder.path(), []).unwrap();
        let mut seen = Vec::new();
        reader
            .follow(
                || false,
                |line| {
                    seen.push(line.text);
                    ControlFlow::Break(())
                },
            )
            .unwrap();
        assert_eq!(seen, ["one"]);
    }

    #[test]
    fn what_is_no_line_of_a_log_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"garbage\n\n2026-11-25T04:30:12.123Z web \xff\n2026-11-25T04:30:12.123Z web cut";
        fs_err::write(folder.path().join(CURRENT), text).unwrap();
        let lines = LogReader::open::<&str>(folder.path(), []).unwrap().last(None).unwrap();
        assert_eq!(texts(&lines), ["\u{fffd}"]);
    }
}
