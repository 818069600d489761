//! Makes a production root and a toolchain root from the host's mirrors and says what that took.
//!
//! `cargo run --release -p djship-deb --example roots -- STORE-FOLDER OUT-FOLDER [bookworm|trixie] [SET...]`, where a set is `production`,
//! `installer`, `toolchain`, `postgres`, `redis`, or packages with commas between.

#![expect(clippy::print_stdout, reason = "a program for developers")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use djship_deb::{
    Arch, Archive, ArchiveOptions, Codename, Freshness, Keyring, Mirrors, PackageSet, RootOptions, Trim,
    User, compose, fetch_packages, host_mirrors, in_release, missing_bytes, sets,
};
use djship_store::fetch::{FetchOptions, Fetcher};
use djship_store::{How, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, out, codename, sets @ ..] = arguments.as_slice() else {
        return Err("usage: roots STORE-FOLDER OUT-FOLDER CODENAME SET...".into());
    };
    let codename: Codename = codename.parse()?;
    let store = Store::open(Path::new(store))?;
    let ca_bundle = std::env::var_os("SSL_CERT_FILE").map(Into::into);
    let fetcher = Fetcher::new(FetchOptions { ca_bundle, ..FetchOptions::default() })?;
    let keyring = Keyring::debian()?;
    let mirrors = Mirrors::choose(None, None, host_mirrors(Path::new("/etc/apt"), codename)?);
    let freshness = Freshness {
        now: in_release::seconds(SystemTime::now()),
        max_age: Duration::from_hours(1),
        accept_expired: false,
    };
    let options =
        ArchiveOptions { codename, arch: Arch::Amd64, mirrors: &mirrors, keyring: &keyring, freshness };

    let started = Instant::now();
    let archive = Archive::open(&options, &store, &fetcher)?;
    println!("archive  {:>8.1?}  {}", started.elapsed(), archive.identity());
    let started = Instant::now();
    let index = archive.index(&store)?;
    println!("index    {:>8.1?}  {} packages", started.elapsed(), index.len());

    for name in sets {
        let (set, trim) = set(name, codename);
        let started = Instant::now();
        let packages = index.closure(&set.roots, &set.rules)?;
        let debs: u64 = packages.iter().map(|package| package.size).sum();
        println!("{name}\n closure {:>8.1?}  {} packages, {debs} bytes", started.elapsed(), packages.len());
        let missing = missing_bytes(&packages, &store);
        let started = Instant::now();
        let unpacked = fetch_packages(&packages, archive.mirrors(), &store, &fetcher, &())?;
        println!(" unpack  {:>8.1?}  {missing} bytes fetched", started.elapsed());
        for package in &unpacked {
            for line in &package.record.unread_alternatives {
                println!("  {} has an alternative that cannot be read: {line}", package.package);
            }
        }
        let started = Instant::now();
        let users = vec![User::new("web", 1000, "/app")];
        let root = compose(&unpacked, &RootOptions { codename, arch: Arch::Amd64, trim, users }, &store)?;
        println!(
            " compose {:>8.1?}  {} entries, {} bytes, {}",
            started.elapsed(),
            root.len(),
            root.size(),
            root.digest()
        );
        let started = Instant::now();
        root.lay_out(&Path::new(out).join(format!("{codename}-{name}")), How::Link)?;
        println!(" lay out {:>8.1?}", started.elapsed());
    }
    Ok(())
}

fn set(name: &str, codename: Codename) -> (PackageSet, Trim) {
    match name {
        "production" => (sets::production(codename), Trim::Production),
        "installer" => (sets::installer(codename), Trim::Builder),
        "toolchain" => (sets::toolchain(codename, &["libpq-dev"]), Trim::Builder),
        "postgres" => (sets::postgres(codename), Trim::Service),
        "redis" => (sets::redis(), Trim::Service),
        packages => {
            // Lives as long as the program, as the other sets do.
            let packages: &'static str = String::leak(packages.to_owned());
            let mut set = sets::production(codename);
            set.roots.extend(packages.split(','));
            set.rules = sets::production_additions();
            (set, Trim::Production)
        }
    }
}
