//! Real roots from the host's own mirror.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use djship_deb::{
    Arch, Archive, ArchiveOptions, ClosureRules, Codename, Freshness, Keyring, Mirrors, PackageIndex,
    RootOptions, Trim, User, compose, fetch_packages, host_mirrors, in_release, loader, sets, soname_owner,
};
use djship_store::fetch::{FetchOptions, Fetcher};
use djship_store::{FileTree, How, Store};

struct Host {
    _dir: tempfile::TempDir,
    store: Store,
    fetcher: Fetcher,
    mirrors: Mirrors,
    index: PackageIndex,
}

fn host(codename: Codename, arch: Arch) -> Host {
    let (dir, store) = support::store();
    let ca_bundle = std::env::var_os("SSL_CERT_FILE").map(Into::into);
    let fetcher = Fetcher::new(FetchOptions { ca_bundle, ..FetchOptions::default() }).unwrap();
    let mirrors = Mirrors::choose(None, None, host_mirrors(Path::new("/etc/apt"), codename).unwrap());
    let keyring = Keyring::debian().unwrap();
    let now = in_release::seconds(SystemTime::now());
    let freshness = Freshness { now, max_age: Duration::ZERO, accept_expired: false };
    let options = ArchiveOptions { codename, arch, mirrors: &mirrors, keyring: &keyring, freshness };
    let archive = Archive::open(&options, &store, &fetcher).unwrap();
    let index = archive.index(&store).unwrap();
    Host { _dir: dir, store, fetcher, mirrors: archive.mirrors().clone(), index }
}

fn root(host: &Host, codename: Codename) -> (FileTree, Vec<String>) {
    let set = sets::production(codename);
    let packages = host.index.closure(&set.roots, &set.rules).unwrap();
    let unpacked = fetch_packages(&packages, &host.mirrors, &host.store, &host.fetcher, &()).unwrap();
    for package in &unpacked {
        assert!(package.record.unread_alternatives.is_empty(), "{}", package.package);
    }
    let owners = soname_owner(&unpacked, Arch::Amd64);
    let libssl = if codename == Codename::Trixie { "libssl3t64" } else { "libssl3" };
    assert_eq!(owners.get("libssl.so.3").map(String::as_str), Some(libssl));
    let users = vec![User::new("web", 1000, "/app")];
    let options = RootOptions { codename, arch: Arch::Amd64, trim: Trim::Production, users };
    let names = packages.into_iter().map(|package| package.name).collect();
    (compose(&unpacked, &options, &host.store).unwrap(), names)
}

const BOOKWORM: &str = "base-files base-passwd ca-certificates dash debianutils gcc-12-base libbz2-1.0 libc-bin libc6 libcom-err2 \
    libcrypt1 libdb5.3 libexpat1 libffi8 libgcc-s1 libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblzma5 \
    libncursesw6 libnsl2 libpython3-stdlib libpython3.11-minimal libpython3.11-stdlib libreadline8 libsqlite3-0 libssl3 libtinfo6 \
    libtirpc-common libtirpc3 libuuid1 media-types netbase python3-minimal python3.11-minimal readline-common tzdata zlib1g";
const TRIXIE: &str = "base-files base-passwd ca-certificates dash debianutils gcc-14-base libbz2-1.0 libc-bin libc6 libdb5.3t64 \
    libexpat1 libffi8 libgcc-s1 liblzma5 libncursesw6 libpython3-stdlib libpython3.13-minimal libpython3.13-stdlib libreadline8t64 \
    libsqlite3-0 libssl3t64 libtinfo6 libuuid1 libzstd1 media-types netbase python3-minimal python3.13-minimal readline-common \
    tzdata tzdata-legacy zlib1g";

/// Asks the dynamic loader's own tool what is in a cache.
fn listing(cache: &Path) -> Vec<String> {
    let output = Command::new("/sbin/ldconfig").args(["-p", "-C"]).arg(cache).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.starts_with('\t')).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs a Debian mirror"]
fn production_roots_are_the_known_ones() {
    for (codename, expected) in [(Codename::Bookworm, BOOKWORM), (Codename::Trixie, TRIXIE)] {
        let host = host(codename, Arch::Amd64);
        let (root, names) = root(&host, codename);
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        assert!((40_000_000..50_000_000).contains(&root.size()), "{}", root.size());
        for (path, entry) in root.iter() {
            assert_eq!((entry.mode & 0o6000, entry.uid, entry.gid), (0, 0, 0), "{path}");
            let unclean = ["usr/include", "usr/share/man", "usr/lib/dpkg", "usr/share/perl5"];
            assert!(!unclean.iter().any(|folder| path.is_within(folder)), "{path}");
        }
        for path in [
            "etc/ssl/certs/ca-certificates.crt",
            "usr/lib/locale/C.utf8/LC_CTYPE",
            "usr/share/doc/libc6/copyright",
        ] {
            assert!(root.get(path).is_some(), "{path}");
        }

        // What the host's own tool finds in the laid out root is what was written.
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("root");
        root.lay_out(&folder, How::Copy).unwrap();
        let own = dir.path().join("own.cache");
        fs_err::write(&own, loader::ld_so_cache(&root, Arch::Amd64).unwrap()).unwrap();
        let made = Command::new("/sbin/ldconfig")
            .args(["-X", "-C", "/host.cache", "-r"])
            .arg(&folder)
            .status()
            .unwrap();
        assert!(made.success());
        let found = listing(&own);
        assert!(found.len() > 30, "{found:?}");
        assert_eq!(found, listing(&folder.join("host.cache")));
    }
}

#[test]
#[ignore = "needs a Debian mirror"]
fn the_other_architecture_has_the_same_set() {
    let host = host(Codename::Trixie, Arch::Arm64);
    let set = sets::production(Codename::Trixie);
    let packages = host.index.closure(&set.roots, &set.rules).unwrap();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, TRIXIE.split_whitespace().collect::<Vec<_>>());
    assert!(packages.iter().all(|package| matches!(package.architecture.as_str(), "all" | "arm64")));
}

/// apt in a folder of its own, with one release.
struct Apt {
    dir: tempfile::TempDir,
}

impl Apt {
    fn new(host: &Host, codename: Codename) -> Self {
        let apt = Self { dir: tempfile::tempdir().unwrap() };
        for folder in [
            "etc/apt/preferences.d",
            "etc/apt/apt.conf.d",
            "state/lists/partial",
            "cache/archives/partial",
            "dpkg",
        ] {
            fs_err::create_dir_all(apt.dir.path().join(folder)).unwrap();
        }
        let (main, security) = (host.mirrors.main[0].join(""), host.mirrors.security[0].join(""));
        let options = "[arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]";
        let sources = format!(
            "deb {options} {main} {codename} main\ndeb {options} {main} {codename}-updates main\n\
             deb {options} {security} {codename}-security main\n"
        );
        fs_err::write(apt.dir.path().join("etc/apt/sources.list"), sources).unwrap();
        fs_err::write(apt.dir.path().join("dpkg/status"), "").unwrap();
        assert!(apt.command("update").status().unwrap().success());
        apt
    }

    fn command(&self, what: &str) -> Command {
        let at = |path: &str| self.dir.path().join(path).display().to_string();
        let mut command = Command::new("apt-get");
        for option in [
            format!("Dir::Etc={}", at("etc/apt")),
            format!("Dir::State={}", at("state")),
            format!("Dir::State::status={}", at("dpkg/status")),
            format!("Dir::Cache={}", at("cache")),
            "APT::Architecture=amd64".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command.args(["-qq", what]);
        command
    }

    /// `NAME VERSION` of everything that would be installed, sorted.
    fn would_install(&self, packages: &[&str]) -> Vec<String> {
        let output = self.command("install").arg("-s").args(packages).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let one = |line: &str| {
            let mut words = line.strip_prefix("Inst ")?.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('(')))
        };
        let mut all: Vec<String> = text.lines().filter_map(one).collect();
        all.sort();
        all
    }
}

#[test]
#[ignore = "needs apt-get and network"]
fn closures_equal_those_of_apt() {
    for codename in Codename::ALL {
        let host = host(codename, Arch::Amd64);
        let apt = Apt::new(&host, codename);
        let essential = host.index.essential();
        let postgres = format!("postgresql-{}", sets::postgres_major(codename));
        let [gdal, _] = ["gdal", "geos"].map(|name| sets::opened_by_name(name, codename).unwrap()[0]);
        let with_essential: Vec<&str> = essential.iter().map(String::as_str).collect();
        let toolchain =
            sets::toolchain(codename, &["libpq-dev", "default-libmysqlclient-dev", "libxml2-dev"]).roots;
        let cases: [Vec<&str>; 6] = [
            sets::production(codename).roots,
            vec![&postgres, "redis-server", "memcached"],
            vec!["mariadb-server", "rabbitmq-server"],
            vec![gdal, "libpango-1.0-0", "libmagic1"],
            vec!["nodejs", "npm"],
            [with_essential, toolchain].concat(),
        ];
        for roots in cases {
            let packages = host.index.closure(&roots, &ClosureRules::default()).unwrap();
            let mut own: Vec<String> = packages.iter().map(ToString::to_string).collect();
            own.sort();
            assert_eq!(own, apt.would_install(&roots), "{codename}: {roots:?}");
        }
    }
}
