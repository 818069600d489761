//! Files that scripts compute from what packages ship: users, groups, the bundle of certificate authorities.

use djship_store::{Entry, FileTree, Node, Store, TreePath};

use super::{ComposeError, User};

/// The largest file that is copied or joined, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// Puts a file of root's with this content into the tree.
pub(super) fn put(
    tree: &mut FileTree,
    path: &str,
    content: &[u8],
    store: &Store,
) -> Result<(), ComposeError> {
    let (digest, at) = store.put_blob(content)?;
    tree.insert(TreePath::parse(path)?, Entry::file(digest, content.len() as u64, at));
    Ok(())
}

/// The content of a file of the tree; `None` if there is none.
pub(super) fn read(tree: &FileTree, path: &str) -> Result<Option<Vec<u8>>, ComposeError> {
    match tree.get(path).map(|entry| &entry.node) {
        Some(Node::File { at, size, .. }) if *size <= LIMIT => {
            fs_err::read(at).map(Some).map_err(|source| ComposeError::Read { path: path.to_owned(), source })
        }
        _ => Ok(None),
    }
}

/// `/etc/passwd` and `/etc/group` from base-passwd's lists and the users that are asked for.
pub(super) fn users(tree: &mut FileTree, users: &[User], store: &Store) -> Result<(), ComposeError> {
    let mut passwd = read(tree, "usr/share/base-passwd/passwd.master")?.unwrap_or_default();
    let mut group = read(tree, "usr/share/base-passwd/group.master")?.unwrap_or_default();
    for user in users {
        check(user)?;
        let User { name, id, home, shell } = user;
        // No password, and none can be given: there is no shadow file.
        passwd.extend(format!("{name}:*:{id}:{id}::{home}:{shell}\n").bytes());
        group.extend(format!("{name}:*:{id}:\n").bytes());
    }
    for (path, content) in [("etc/passwd", passwd), ("etc/group", group)] {
        if !content.is_empty() {
            put(tree, path, &content, store)?;
        }
    }
    Ok(())
}

fn check(user: &User) -> Result<(), ComposeError> {
    let plain = |text: &str| !text.contains([':', '\n']);
    let is_name = !user.name.is_empty()
        && user.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if is_name && plain(&user.home) && plain(&user.shell) {
        Ok(())
    } else {
        Err(ComposeError::User { name: user.name.clone() })
    }
}

/// The users that are asked for, in the lists that are there. Whose name or number is taken is left out.
pub(super) fn add_users(tree: &mut FileTree, users: &[User], store: &Store) -> Result<(), ComposeError> {
    for path in ["etc/passwd", "etc/group"] {
        let mut text = String::from_utf8_lossy(&read(tree, path)?.unwrap_or_default()).into_owned();
        let before = text.len();
        for user in users {
            check(user)?;
            let User { name, id, home, shell } = user;
            let number = id.to_string();
            let is_taken = text.lines().any(|line| {
                let mut fields = line.split(':');
                fields.next() == Some(name) || fields.nth(1) == Some(&number)
            });
            if is_taken {
                continue;
            }
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&match path {
                "etc/passwd" => format!("{name}:*:{id}:{id}::{home}:{shell}\n"),
                _ => format!("{name}:*:{id}:\n"),
            });
        }
        if text.len() != before {
            put(tree, path, text.as_bytes(), store)?;
        }
    }
    Ok(())
}

/// The folder of the authorities that ca-certificates ships.
const AUTHORITIES: &str = "usr/share/ca-certificates";

/// The bundle of all authorities, in the order of their paths, and the list that says which they are.
pub(super) fn certificates(tree: &mut FileTree, store: &Store) -> Result<(), ComposeError> {
    let names: Vec<String> = tree
        .iter()
        .filter(|(path, entry)| path.is_within(AUTHORITIES) && !entry.is_dir())
        .filter_map(|(path, _)| path.as_str().strip_prefix(AUTHORITIES))
        .map(|name| name.trim_start_matches('/').to_owned())
        .filter(|name| name.rsplit_once('.').is_some_and(|(_, extension)| extension == "crt"))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let mut bundle = Vec::new();
    for name in &names {
        bundle.extend(read(tree, &format!("{AUTHORITIES}/{name}"))?.unwrap_or_default());
        if bundle.last() != Some(&b'\n') {
            bundle.push(b'\n');
        }
    }
    put(tree, "etc/ssl/certs/ca-certificates.crt", &bundle, store)?;
    put(tree, "etc/ca-certificates.conf", format!("{}\n", names.join("\n")).as_bytes(), store)
}
