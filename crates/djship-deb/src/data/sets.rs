//! Sets of packages, as data: what a production root, an installer, a toolchain and a service are made of.

use crate::closure::ClosureRules;
use crate::release::Codename;

/// Some packages, and the rules under which they are closed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    /// The packages that are asked for.
    pub roots: Vec<&'static str>,
    /// The rules of the closure.
    pub rules: ClosureRules<'static>,
}

/// Only maintainer scripts need these, and no script is run. (`debianutils` stays: its `which` is for everybody.)
const SCRIPT_EDGES: [&str; 8] = [
    "awk",
    "debconf",
    "dpkg",
    "libdebconfclient0",
    "libselinux1",
    "openssl",
    "openssl-provider-legacy",
    "tar",
];

/// The compiler's libraries for `-fsanitize`, which no build of a distribution links, and documentation.
const INSTALLER_EDGES: [&str; 7] =
    ["debconf", "libasan8", "libhwasan0", "libjs-sphinxdoc", "liblsan0", "libtsan2", "libubsan1"];

/// What found libraries (and packages that a user adds) may bring along by `Depends`, and a production root must not have:
/// package managers, Perl, and what only scripts and machines with an init need.
const PRODUCTION_EDGES: [&str; 22] = [
    "adduser",
    "apt",
    "awk",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "libdebconfclient0",
    "libselinux1",
    "logrotate",
    "lsb-base",
    "openssl",
    "openssl-provider-legacy",
    "passwd",
    "perl",
    "perl-base",
    "perl:any",
    "sysvinit-utils",
    "systemd",
    "systemd-sysusers",
    "tar",
    "ucf",
];

/// What the closures of servers bring along and nobody uses who starts them directly.
const SERVICE_EDGES: [&str; 35] = [
    "adduser",
    "awk",
    "debconf",
    "dpkg",
    "galera-4",
    "init-system-helpers",
    "install-info",
    "iproute2",
    "libdbi-perl",
    "libllvm14",
    "libllvm19",
    "locales",
    "logrotate",
    "lsb-base",
    "lsof",
    "mariadb-common",
    "mysql-common",
    "passwd",
    "perl",
    "perl-base",
    "postgresql-client-common",
    "postgresql-common",
    "procps",
    "psmisc",
    "python3",
    "rsync",
    "socat",
    "ssl-cert",
    "systemd",
    "systemd-standalone-sysusers",
    "systemd-sysusers",
    "sysvinit-utils",
    "tar",
    "ucf",
    "usrmerge",
];

/// What only scripts and machines with an init need, for servers that somebody else chose: what those are started with stays.
const OWN_SERVICE_EDGES: [&str; 15] = [
    "adduser",
    "debconf",
    "init-system-helpers",
    "install-info",
    "libllvm14",
    "libllvm19",
    "logrotate",
    "lsb-base",
    "passwd",
    "systemd",
    "systemd-standalone-sysusers",
    "systemd-sysusers",
    "sysvinit-utils",
    "ucf",
    "usrmerge",
];

/// `usrmerge` brings Perl only to do what is done here anyway.
const PREFERRED: [&str; 1] = ["usr-is-merged"];

/// Every root's foundation: a shell, the C library's tools and tables, users, files that programs expect.
const LEAN_BASE: [&str; 8] =
    ["base-files", "base-passwd", "coreutils", "dash", "grep", "hostname", "libc-bin", "sed"];

/// The smallest root that runs Python with everything that the standard library promises.
pub fn production(codename: Codename) -> PackageSet {
    let mut roots = vec![
        "base-files",
        "base-passwd",
        "ca-certificates",
        "dash",
        "libc-bin",
        "libpython3-stdlib",
        "media-types",
        "netbase",
        "python3-minimal",
        "tzdata",
    ];
    if codename == Codename::Trixie {
        // 114 old names of time zones, `US/Pacific` among them.
        roots.push("tzdata-legacy");
    }
    let rules = ClosureRules { essential: false, drop_edges: &SCRIPT_EDGES, prefer: &PREFERRED };
    PackageSet { roots, rules }
}

/// The rules for packages that are added to a production root: found libraries and what the user asks for.
pub fn production_additions() -> ClosureRules<'static> {
    ClosureRules { essential: false, drop_edges: &PRODUCTION_EDGES, prefer: &PREFERRED }
}

/// A production root in which distributions can be installed: the tools that everything takes for granted, and pip.
pub fn installer(codename: Codename) -> PackageSet {
    let mut set = production(codename);
    set.roots.push("python3-pip");
    set.rules = ClosureRules { essential: true, drop_edges: &INSTALLER_EDGES, prefer: &PREFERRED };
    set
}

/// An installer that can compile: C and C++ and Python's headers. `more` are `-dev` packages and tools.
pub fn toolchain(codename: Codename, more: &[&'static str]) -> PackageSet {
    let mut set = installer(codename);
    set.roots.extend(["binutils", "g++", "gcc", "libc6-dev", "make", "pkg-config", "python3-dev"]);
    set.roots.extend(more);
    set
}

/// What a root that somebody else made gets before it ships: what djship starts everything with, and tables that programs expect.
pub fn production_over() -> PackageSet {
    PackageSet {
        roots: vec!["ca-certificates", "media-types", "netbase", "tini", "tzdata"],
        rules: production_additions(),
    }
}

/// The same for a root that installs: also what every Debian system has.
pub fn installer_over() -> PackageSet {
    let rules = ClosureRules { essential: true, drop_edges: &INSTALLER_EDGES, prefer: &PREFERRED };
    PackageSet { rules, ..production_over() }
}

/// The same for a root that compiles. Only Debian's own Python has its headers in a package.
pub fn toolchain_over(debians_python: bool) -> PackageSet {
    let mut set = installer_over();
    set.roots.extend(["binutils", "g++", "gcc", "libc6-dev", "make", "pkg-config"]);
    if debians_python {
        set.roots.push("python3-dev");
    }
    set
}

/// PostgreSQL without its wrapper scripts, its just-in-time compiler and Perl. Start it with `jit=off`, and with its
/// programs from [`postgres_bin`].
pub fn postgres(codename: Codename) -> PackageSet {
    let server = match codename {
        Codename::Bookworm => "postgresql-15",
        Codename::Trixie => "postgresql-17",
    };
    service(&[server, "tzdata"])
}

/// The major version of PostgreSQL that a release has.
pub fn postgres_major(codename: Codename) -> u32 {
    match codename {
        Codename::Bookworm => 15,
        Codename::Trixie => 17,
    }
}

/// PostgreSQL with PostGIS.
pub fn postgis(codename: Codename) -> PackageSet {
    let mut set = postgres(codename);
    set.roots.push(match codename {
        Codename::Bookworm => "postgresql-15-postgis-3",
        Codename::Trixie => "postgresql-17-postgis-3",
    });
    set
}

/// The folder of PostgreSQL's own programs.
pub fn postgres_bin(codename: Codename) -> String {
    format!("/usr/lib/postgresql/{}/bin", postgres_major(codename))
}

/// Redis.
pub fn redis() -> PackageSet {
    service(&["redis-server"])
}

/// memcached.
pub fn memcached() -> PackageSet {
    service(&["memcached"])
}

/// MariaDB's server and client programs. `mariadb-client` has the dump and what makes tables of time zones, which the server does not
/// find by itself.
pub fn mariadb() -> PackageSet {
    service(&["mariadb-client", "mariadb-client-core", "mariadb-server-core", "tzdata"])
}

/// RabbitMQ.
pub fn rabbitmq() -> PackageSet {
    service(&["rabbitmq-server"])
}

/// Any server on the lean base.
pub fn service(packages: &[&'static str]) -> PackageSet {
    let roots = LEAN_BASE.iter().chain(packages).copied().collect();
    PackageSet {
        roots,
        rules: ClosureRules { essential: false, drop_edges: &SERVICE_EDGES, prefer: &PREFERRED },
    }
}

/// The foundation of a service that the user names packages for: also what every Debian system has, because their programs and
/// scripts take it for granted.
pub fn own_service() -> PackageSet {
    let roots = LEAN_BASE.iter().chain(&["ca-certificates", "netbase", "tzdata"]).copied().collect();
    PackageSet {
        roots,
        rules: ClosureRules { essential: true, drop_edges: &OWN_SERVICE_EDGES, prefer: &PREFERRED },
    }
}

/// Packages that libraries which are opened by name live in, as the package is called in a release; `None` if it is not known.
pub fn opened_by_name(library: &str, codename: Codename) -> Option<&'static [&'static str]> {
    let [bookworm, trixie]: [&[&str]; 2] = match library {
        "cairo" => [&["libcairo2"], &["libcairo2"]],
        "gdal" => [&["libgdal32"], &["libgdal36"]],
        "geos" => [&["libgeos-c1v5"], &["libgeos-c1t64"]],
        "magic" => [&["libmagic1"], &["libmagic1t64"]],
        "pango" => [
            &["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"],
            &["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"],
        ],
        "pq" => [&["libpq5"], &["libpq5"]],
        "proj" => [&["libproj25"], &["libproj25"]],
        "spatialite" => [&["libsqlite3-mod-spatialite"], &["libsqlite3-mod-spatialite"]],
        _ => return None,
    };
    Some(match codename {
        Codename::Bookworm => bookworm,
        Codename::Trixie => trixie,
    })
}
