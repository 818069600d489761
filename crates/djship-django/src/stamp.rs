//! What the file system says of a file that changes whenever its content does.

use std::os::unix::fs::MetadataExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that changed less than this before it was read may change again without its times showing it: file systems
/// count time in ticks of a few milliseconds.
const TICK: i128 = 100_000_000;

/// What the file system says of a file that changes whenever its content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stamp {
    size: u64,
    inode: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            inode: metadata.ino(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a later change is sure to show.
    pub(crate) fn is_settled(&self, now: i128) -> bool {
        let nanoseconds =
            |(seconds, rest): (i64, i64)| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        nanoseconds(self.ctime).max(nanoseconds(self.mtime)) + TICK < now
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i128 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(time.as_nanos()).unwrap_or_default()
}
