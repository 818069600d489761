//! What of a package is not unpacked: documentation, and translations of messages. Nothing that a program needs.

/// Folders that go with all that is in them.
const FOLDERS: [&str; 13] = [
    "usr/share/bug",
    "usr/share/doc-base",
    "usr/share/gtk-doc",
    "usr/share/help",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/linda",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/menu",
    "usr/share/omf",
    "usr/share/bash-completion",
    "usr/share/zsh",
];

/// Whether the entry of this path stays out. The licences do not: everything named `copyright` stays, and so do links from one
/// package's documentation to another's, because the licence is read through them.
pub(super) fn is_skipped(path: &str) -> bool {
    let below =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(rest) = path.strip_prefix("usr/share/doc/") {
        // Without a slash it is the package's own folder, which may be such a link.
        return rest.split_once('/').is_some_and(|(_, file)| file != "copyright");
    }
    FOLDERS.iter().any(|folder| below(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_stay() {
        for path in [
            "usr/share/doc",
            "usr/share/doc/bash",
            "usr/share/doc/bash/copyright",
            "usr/share/manifest",
            "usr/lib/locale/C.utf8",
            "usr/share/common-licenses/GPL-3",
            "usr/share/perl5/x.pm",
        ] {
            assert!(!is_skipped(path), "{path}");
        }
    }

    #[test]
    fn documentation_goes() {
        for path in [
            "usr/share/man",
            "usr/share/man/man1/ls.1.gz",
            "usr/share/locale/de/LC_MESSAGES/x.mo",
            "usr/share/doc/bash/README",
            "usr/share/doc/bash/examples",
            "usr/share/doc/bash/examples/copyright",
            "usr/share/info/dir",
        ] {
            assert!(is_skipped(path), "{path}");
        }
    }
}
