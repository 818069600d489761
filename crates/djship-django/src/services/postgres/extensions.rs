//! Extensions that the owner of a database may create.

use std::path::Path;

/// Files that describe extensions are small.
const LARGEST: u64 = 64 << 10;

/// The descriptions of all extensions of an unpacked server that only a superuser could create, changed so that whoever owns a
/// database can (`trusted`, <https://www.postgresql.org/docs/current/extend-extensions.html>): a path inside, and the text.
/// What cannot be read is left as it is.
pub(super) fn trusted(root: &Path, major: &str) -> Vec<(String, String)> {
    let folder = format!("usr/share/postgresql/{major}/extension");
    let entries = fs_err::read_dir(root.join(&folder)).into_iter().flatten().flatten();
    let mut found: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| name.ends_with(".control"))?;
            // Without following links: they lead nowhere outside the container.
            let metadata = entry.metadata().ok()?;
            let small = metadata.is_file() && metadata.len() <= LARGEST;
            let text = small.then(|| fs_err::read_to_string(entry.path()).ok()).flatten()?;
            let says = |line: &str| line.split('=').next().is_some_and(|key| key.trim() == "trusted");
            let open = !text.lines().any(says);
            open.then(|| (format!("/{folder}/{name}"), format!("{}\ntrusted = true\n", text.trim_end())))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_trusted_is_changed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/share/postgresql/17/extension");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("citext.control"), "relocatable = true\ntrusted = true\n").unwrap();
        fs_err::write(folder.join("earthdistance.control"), "requires = 'cube'").unwrap();
        fs_err::write(folder.join("earthdistance--1.1.sql"), "").unwrap();
        std::os::unix::fs::symlink("/etc/alternatives/postgis", folder.join("postgis.control")).unwrap();
        let expected = (
            "/usr/share/postgresql/17/extension/earthdistance.control".to_owned(),
            "requires = 'cube'\ntrusted = true\n".to_owned(),
        );
        assert_eq!(trusted(root.path(), "17"), [expected]);
        assert!(trusted(root.path(), "15").is_empty());
    }
}
