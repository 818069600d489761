//! What is left out of a root although its packages ship it: in production, everything that only builds, debugs or administers.

use djship_store::{FileTree, Node, TreePath};

use crate::data::left_out::{FOLDERS, FOREIGN_BUILDS, PERL, PROGRAMS};
use crate::release::Arch;

/// How much of the packages a root keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// For a builder: everything that was unpacked.
    Builder,
    /// For production: no header, static library, compiler's data, package manager, Perl or debugger.
    Production,
    /// For a server of the development environment: as production, with Perl where a package brings it.
    Service,
}

/// Takes out what the kind of root does not have. gconv stays where a package has libxml2, which since trixie decodes everything but
/// Unicode and Latin 1 through it.
pub fn trim(tree: &mut FileTree, trim: Trim, arch: Arch) {
    if trim == Trim::Builder {
        return;
    }
    let has_libxml2 = tree.iter().any(|(path, _)| path.file_name().starts_with("libxml2.so"));
    let gconv = ["usr/lib/<triplet>/gconv"];
    let mut folders: Vec<String> = Vec::new();
    let mut add =
        |list: &[&str]| folders.extend(list.iter().map(|path| path.replace("<triplet>", arch.triplet())));
    add(&FOLDERS);
    if trim == Trim::Production {
        add(&PERL);
    }
    if !has_libxml2 {
        add(&gconv);
    }
    tree.retain(|path, entry| {
        let in_folder = folders.iter().any(|folder| path.is_within(folder) || is_versioned(path, folder));
        let goes = in_folder
            || is_program(path, trim)
            || is_for_building(path)
            || is_other_locale(path)
            || (matches!(entry.node, Node::File { .. }) && path.is_within("var/lib/dpkg"));
        !goes
    });
}

/// `perl-base` has siblings like `perl5/5.36` and `usr/lib/<triplet>/perl/5.36`, which are within; this is for `aclocal-1.16` and
/// the like.
fn is_versioned(path: &TreePath, folder: &str) -> bool {
    path.as_str()
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_program(path: &TreePath, trim: Trim) -> bool {
    let Some(name) = ["usr/bin/", "usr/sbin/"].iter().find_map(|folder| path.as_str().strip_prefix(folder))
    else {
        return false;
    };
    PROGRAMS.iter().filter(|program| trim == Trim::Production || **program != "perl").any(|program| {
        name.strip_prefix(program).is_some_and(|rest| {
            rest.chars().next().is_none_or(|next| next.is_ascii_digit() || matches!(next, '.' | '-'))
        })
    })
}

/// Static libraries, start-up code for linkers, and what libtool knows.
fn is_for_building(path: &TreePath) -> bool {
    let name = path.file_name();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    path.is_within("usr/lib")
        && !FOREIGN_BUILDS.iter().any(|folder| path.as_str().contains(folder))
        && (matches!(extension, Some("a" | "la" | "o")))
}

/// The only locale of a root is C.UTF-8.
fn is_other_locale(path: &TreePath) -> bool {
    let rest = path.as_str().strip_prefix("usr/lib/locale/");
    rest.is_some_and(|rest| !rest.starts_with("C.utf8")) || path.is_within("usr/share/i18n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::{Digest, Entry};

    fn kept(paths: &[&str], how: Trim) -> Vec<String> {
        let file = || Entry::file(Digest::of(b""), 0, "/nowhere");
        let mut tree: FileTree = paths.iter().map(|path| (TreePath::parse(path).unwrap(), file())).collect();
        trim(&mut tree, how, Arch::Amd64);
        tree.iter().map(|(path, _)| path.as_str().to_owned()).collect()
    }

    const GOES: [&str; 17] = [
        "usr/include/zlib.h",
        "usr/lib/x86_64-linux-gnu/libz.a",
        "usr/lib/x86_64-linux-gnu/crt1.o",
        "usr/bin/dpkg",
        "usr/bin/dpkg-deb",
        "usr/bin/perl",
        "usr/bin/perl5.36.0",
        "usr/share/perl5/Debconf.pm",
        "usr/bin/pip3",
        "usr/bin/apt-get",
        "usr/lib/x86_64-linux-gnu/pkgconfig/zlib.pc",
        "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
        "usr/lib/locale/de_DE.utf8/x",
        "usr/share/aclocal-1.16/x.m4",
        "var/lib/dpkg/info/x.list",
        "usr/bin/pdb3",
        "usr/lib/x86_64-linux-gnu/perl-base/x.pm",
    ];
    const STAYS: [&str; 9] = [
        "usr/bin/python3",
        "usr/lib/locale/C.utf8/LC_CTYPE",
        "usr/lib/x86_64-linux-gnu/libz.so.1",
        "usr/bin/apropos",
        "usr/bin/perldoc",
        "usr/share/zoneinfo/Europe/Madrid",
        "usr/share/doc/perl/copyright",
        "usr/bin/pipesz",
        "usr/lib/python3/dist-packages/x.a",
    ];

    #[test]
    fn production_is_clean() {
        assert!(kept(&GOES, Trim::Production).is_empty(), "{:?}", kept(&GOES, Trim::Production));
        assert_eq!(kept(&STAYS, Trim::Production).len(), STAYS.len());
    }

    #[test]
    fn a_builder_keeps_everything_and_libxml2_its_conversions() {
        assert_eq!(kept(&GOES, Trim::Builder).len(), GOES.len());
        let with = ["usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", "usr/lib/x86_64-linux-gnu/libxml2.so.2"];
        assert_eq!(kept(&with, Trim::Production).len(), 2);
        assert_eq!(kept(&["usr/bin/perl", "usr/include/x.h"], Trim::Service), ["usr/bin/perl"]);
    }
}
