//! How two file trees differ, for people: read this before comparing digests.

use std::path::Path;

use djship_store::{Entry, FileTree, Node};

/// Lines of a comparison after which the rest is only counted.
const MOST_LINES: usize = 60;

/// Larger files are not compared byte by byte.
const LARGEST_COMPARED: u64 = 16 * 1024 * 1024;

/// One line for each path that differs: `-` only left, `+` only right, `~` in both. Empty when the trees are the same.
pub fn tree_diff(left: &FileTree, right: &FileTree) -> String {
    let mut lines = Vec::new();
    for (path, entry) in left.iter() {
        match right.get(path.as_str()) {
            None => lines.push(format!("- {path} {}", describe(entry))),
            Some(other) if other != entry => {
                let changes = changes(entry, other);
                if !changes.is_empty() {
                    lines.push(format!("~ {path} {}", changes.join(", ")));
                }
            }
            Some(_) => {}
        }
    }
    let only_right = right.iter().filter(|(path, _)| left.get(path.as_str()).is_none());
    lines.extend(only_right.map(|(path, entry)| format!("+ {path} {}", describe(entry))));
    // By path, whatever the sign.
    lines.sort_by(|one, other| one[2..].cmp(&other[2..]));
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    if more > 0 {
        lines.push(format!("... and {more} more"));
    }
    lines.join("\n")
}

/// Panics with the differences, and with the digests last, unless the trees are the same.
///
/// # Panics
///
/// When they differ.
#[track_caller]
pub fn assert_same_tree(left: &FileTree, right: &FileTree) {
    let (one, other) = (left.digest(), right.digest());
    assert!(one == other, "the trees differ:\n{}\n{one}\n{other}", tree_diff(left, right));
}

fn describe(entry: &Entry) -> String {
    let Entry { mode, uid, gid, .. } = entry;
    let what = match &entry.node {
        Node::Dir => "folder".to_owned(),
        Node::File { size, .. } => format!("file of {size} bytes"),
        Node::Symlink { target } => format!("link to {target}"),
    };
    format!("{what} {mode:04o} {uid}:{gid}")
}

fn changes(left: &Entry, right: &Entry) -> Vec<String> {
    let mut changes = Vec::new();
    match (&left.node, &right.node) {
        (
            Node::File { digest, size, at },
            Node::File { digest: other_digest, size: other_size, at: other_at },
        ) if digest != other_digest => {
            let sizes =
                if size == other_size { String::new() } else { format!(" ({size} -> {other_size} bytes)") };
            let place = first_difference(at, other_at, (*size).max(*other_size));
            changes.push(format!("content{sizes}{}", place.unwrap_or_default()));
        }
        (Node::Symlink { target }, Node::Symlink { target: other }) if target != other => {
            changes.push(format!("target {target} -> {other}"));
        }
        (node, other) if std::mem::discriminant(node) != std::mem::discriminant(other) => {
            changes.push(format!("{} -> {}", describe(left), describe(right)));
        }
        _ => {}
    }
    if left.mode != right.mode {
        changes.push(format!("mode {:04o} -> {:04o}", left.mode, right.mode));
    }
    if (left.uid, left.gid) != (right.uid, right.gid) {
        changes.push(format!("owner {}:{} -> {}:{}", left.uid, left.gid, right.uid, right.gid));
    }
    if left.mtime != right.mtime {
        changes.push(format!("time {} -> {}", left.mtime, right.mtime));
    }
    changes
}

/// Where two contents begin to differ: the line in a text, the byte in anything else.
fn first_difference(left: &Path, right: &Path, size: u64) -> Option<String> {
    if size > LARGEST_COMPARED {
        return None;
    }
    let (left, right) = (fs_err::read(left).ok()?, fs_err::read(right).ok()?);
    if let (Ok(left), Ok(right)) = (std::str::from_utf8(&left), std::str::from_utf8(&right))
        && !left.contains('\0')
        && !right.contains('\0')
    {
        let shared = left.lines().zip(right.lines()).take_while(|(left, right)| left == right).count();
        let line =
            |text: &str| text.lines().nth(shared).unwrap_or("(end)").chars().take(120).collect::<String>();
        return Some(format!(", line {}: `{}` -> `{}`", shared + 1, line(left), line(right)));
    }
    let shared = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    Some(format!(", from byte {shared}"))
}

#[cfg(test)]
mod tests {
    use djship_store::{Digest, TreePath};

    use super::*;

    fn tree(folder: &Path, content: &[u8], mode: u32, extra: &str) -> FileTree {
        fs_err::create_dir_all(folder).unwrap();
        let at = folder.join("content");
        fs_err::write(&at, content).unwrap();
        let file = Entry::file(Digest::of(content), content.len() as u64, at).with_mode(mode);
        let path = |text| TreePath::parse(text).unwrap();
        [(path("etc/hosts"), file), (path(extra), Entry::symlink("x")), (path("etc"), Entry::dir())]
            .into_iter()
            .collect()
    }

    #[test]
    fn every_difference_has_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let left = tree(&folder.path().join("left"), b"a\nb\n", 0o644, "bin");
        let right = tree(&folder.path().join("right"), b"a\nc\n", 0o755, "sbin");
        assert_eq!(
            tree_diff(&left, &right),
            "- /bin link to x 0777 0:0\n\
             ~ /etc/hosts content, line 2: `b` -> `c`, mode 0644 -> 0755\n\
             + /sbin link to x 0777 0:0"
        );
        let binary = tree(&folder.path().join("binary"), b"a\0c\n", 0o644, "bin");
        assert_eq!(tree_diff(&left, &binary), "~ /etc/hosts content, from byte 1");
    }

    #[test]
    fn where_the_bytes_lie_is_no_difference() {
        let folder = tempfile::tempdir().unwrap();
        let left = tree(&folder.path().join("left"), b"a", 0o644, "bin");
        let right = tree(&folder.path().join("right"), b"a", 0o644, "bin");
        assert_eq!(tree_diff(&left, &right), "");
        assert_same_tree(&left, &right);
    }
}
