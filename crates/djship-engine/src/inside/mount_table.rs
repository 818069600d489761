//! The kernel's table of mounts, read for explanations.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// The first file system mounted below a folder (not on it), as this process sees the host.
pub(super) fn first_below(folder: &Path) -> Option<PathBuf> {
    let table = fs_err::read("/proc/self/mountinfo").ok()?;
    find_below(&table, folder)
}

/// Field 5 of each line is where it is mounted; blanks in it are written as octal numbers.
fn find_below(table: &[u8], folder: &Path) -> Option<PathBuf> {
    let places = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let field = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(plain(field))))
    });
    places.into_iter().find(|place| place != folder && place.starts_with(folder))
}

fn plain(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        let number =
            digits.map(|digits| digits.iter().fold(0_u32, |sum, digit| sum * 8 + u32::from(digit - b'0')));
        if let (b'\\', Some(Ok(byte))) = (first, number.map(u8::try_from)) {
            plain.push(byte);
            rest = &after[3..];
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_below() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 22 0:5 / /home/a\\040b rw - tmpfs x rw\n\
            31 30 0:6 / /home/a\\040b/data\\134 rw shared:4 - tmpfs x rw\n\
            32 22 0:7 / /home/a\\040bc rw - tmpfs x rw\n";
        let below = |folder: &str| find_below(table, Path::new(folder));
        assert_eq!(below("/home/a b"), Some("/home/a b/data\\".into()));
        assert_eq!(below("/home"), Some("/home/a b".into()));
        assert_eq!(below("/home/a b/data\\"), None);
        assert_eq!(below("/srv"), None);
        assert_eq!(find_below(b"", Path::new("/")), None);
    }
}
