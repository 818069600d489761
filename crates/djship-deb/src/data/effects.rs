//! What maintainer scripts do to the files of a fresh system, as data. Nothing here is computed; what is, is in
//! `root::generated`.

/// One thing that a script does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A file that the package ships, at another place.
    CopyOf { from: &'static str, to: &'static str },
    /// A link. It takes the place of an empty folder, and of nothing else.
    Link { path: &'static str, target: &'static str },
    /// A folder of root's.
    Folder { path: &'static str, mode: u32 },
    /// A file with this content.
    Text { path: &'static str, content: &'static str },
}

use Effect::{CopyOf, Folder, Link, Text};

/// Effects by the package whose script has them.
pub(crate) const EFFECTS: [(&str, &[Effect]); 13] = [
    ("base-files", BASE_FILES),
    ("libc-bin", &[CopyOf { from: "usr/share/libc-bin/nsswitch.conf", to: "etc/nsswitch.conf" }]),
    (
        "netbase",
        &[Text {
            path: "etc/networks",
            content: "default\t\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n",
        }],
    ),
    ("tzdata", TZDATA),
    ("readline-common", &[CopyOf { from: "usr/share/readline/inputrc", to: "etc/inputrc" }]),
    // The paths that are compiled into libssl. The package `openssl` ships them, and only scripts need it.
    ("libssl3", LIBSSL),
    ("libssl3t64", LIBSSL),
    ("ca-certificates", &[Folder { path: "usr/local/share/ca-certificates", mode: 0o755 }]),
    ("python3.11-minimal", &[Folder { path: "usr/local/lib/python3.11/dist-packages", mode: 0o755 }]),
    ("python3.13-minimal", &[Folder { path: "usr/local/lib/python3.13/dist-packages", mode: 0o755 }]),
    ("memcached", &[CopyOf { from: "usr/share/memcached/memcached.conf.default", to: "etc/memcached.conf" }]),
    ("mariadb-server", &[Folder { path: "var/lib/mysql", mode: 0o755 }]),
    ("rabbitmq-server", &[Folder { path: "etc/rabbitmq", mode: 0o755 }]),
];

const BASE_FILES: &[Effect] = &[
    Link { path: "var/run", target: "/run" },
    Link { path: "var/lock", target: "/run/lock" },
    Folder { path: "run/lock", mode: 0o1777 },
    Folder { path: "mnt", mode: 0o755 },
    Folder { path: "srv", mode: 0o755 },
    Folder { path: "opt", mode: 0o755 },
    Folder { path: "etc/opt", mode: 0o755 },
    Folder { path: "var/opt", mode: 0o755 },
    Folder { path: "media", mode: 0o755 },
    Folder { path: "var/mail", mode: 0o755 },
    Folder { path: "usr/local/bin", mode: 0o755 },
    Folder { path: "usr/local/sbin", mode: 0o755 },
    Folder { path: "usr/local/lib", mode: 0o755 },
    Folder { path: "usr/local/share", mode: 0o755 },
    Folder { path: "usr/local/etc", mode: 0o755 },
    Folder { path: "usr/local/include", mode: 0o755 },
    Folder { path: "usr/local/src", mode: 0o755 },
    CopyOf { from: "usr/share/base-files/profile", to: "etc/profile" },
    CopyOf { from: "usr/share/base-files/dot.profile", to: "root/.profile" },
    CopyOf { from: "usr/share/base-files/dot.bashrc", to: "root/.bashrc" },
    Link { path: "etc/dpkg/origins/default", target: "debian" },
];

const TZDATA: &[Effect] = &[
    Link { path: "etc/localtime", target: "/usr/share/zoneinfo/Etc/UTC" },
    Text { path: "etc/timezone", content: "Etc/UTC\n" },
];

const LIBSSL: &[Effect] = &[
    Link { path: "usr/lib/ssl/certs", target: "/etc/ssl/certs" },
    Link { path: "usr/lib/ssl/cert.pem", target: "/etc/ssl/certs/ca-certificates.crt" },
];

/// What every root has, whatever it is made of: places that a container's runtime mounts something on, also when the root is read-only.
/// `hosts` is what stands there if nobody does.
pub(crate) const MOUNT_POINTS: &[Effect] = &[
    Folder { path: "proc", mode: 0o555 },
    Folder { path: "sys", mode: 0o555 },
    Folder { path: "dev", mode: 0o755 },
    Folder { path: "run", mode: 0o755 },
    Folder { path: "tmp", mode: 0o1777 },
    Folder { path: "var/tmp", mode: 0o1777 },
    Text {
        path: "etc/hosts",
        content: "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n",
    },
    Text { path: "etc/hostname", content: "localhost\n" },
    Text { path: "etc/resolv.conf", content: "" },
];
