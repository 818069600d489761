//! What production roots do not keep of their packages.

/// Folders that go with all that is in them. `<triplet>` stands for the architecture's.
pub(crate) const FOLDERS: [&str; 26] = [
    "etc/apt",
    "etc/init.d",
    "etc/cron.d",
    "etc/cron.daily",
    "etc/logrotate.d",
    "usr/include",
    "usr/lib/apt",
    "usr/lib/dpkg",
    "usr/lib/pkgconfig",
    "usr/lib/<triplet>/cmake",
    "usr/lib/<triplet>/pkgconfig",
    "usr/lib/cmake",
    "usr/lib/girepository-1.0",
    "usr/lib/init",
    "usr/lib/systemd",
    "usr/lib/udev",
    "usr/share/aclocal",
    "usr/share/cmake",
    "usr/share/debconf",
    "usr/share/dpkg",
    "usr/share/gdb",
    "usr/share/pkgconfig",
    "usr/share/python-wheels",
    "usr/share/vala",
    "var/cache/apt",
    "var/lib/apt",
];

/// Perl's.
pub(crate) const PERL: [&str; 7] = [
    "etc/perl",
    "usr/lib/<triplet>/perl",
    "usr/lib/<triplet>/perl-base",
    "usr/lib/<triplet>/perl5",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/local/lib/<triplet>/perl",
];

/// Programs below `/usr/bin` and `/usr/sbin` that go, by the beginning of their name up to its end, a digit, `.` or `-`.
pub(crate) const PROGRAMS: [&str; 12] = [
    "apt",
    "dpkg",
    "debconf",
    "deb",
    "gdb",
    "pdb",
    "perl",
    "pip",
    "pydoc",
    "py3compile",
    "py3clean",
    "update-rc",
];

/// Folders of interpreters that name their own modules like files for linkers.
pub(crate) const FOREIGN_BUILDS: [&str; 1] = ["/python3"];
