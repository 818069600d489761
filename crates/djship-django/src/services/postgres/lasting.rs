//! The server of a development environment, whose data stays.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use djship_deb::sets;
use djship_engine::Signal;
use djship_store::Beneath;

use super::accounts::{Account, Accounts};
use super::{Programs, SOCKETS, USER, extensions, replace};
use crate::services::container::{self, DATA};
use crate::services::inside::Inside;
use crate::services::making::{Making, series, speakable};
use crate::services::replacement::{Form, Plan};
use crate::services::server::{Client, Prepared, Service, ServiceNote, Task};
use crate::services::talk;
use crate::services::volume::Volume;
use crate::services::wanted::{Kind, PlannedServer, Wanted};
use crate::services::{ServiceError, link};
use crate::supervisor::Ending;

/// Who may connect, inside.
const WHO: &str = "/etc/djship/pg_hba.conf";
/// Everybody in the container, which only this user's djship enters; from this machine those with a password.
const WHO_TEXT: &str = "local all all trust\n\
                        host all all 127.0.0.0/8 scram-sha-256\n\
                        host all all ::1/128 scram-sha-256\n";

/// Prepares PostgreSQL.
pub(in crate::services) fn prepare(
    making: &Making<'_>,
    planned: &PlannedServer,
) -> Result<Prepared, ServiceError> {
    let codename = making.roots.codename();
    let set = match planned.kind {
        Kind::Postgis => sets::postgis(codename),
        _ => sets::postgres(codename),
    };
    let root = making.roots.service(&set)?;
    let package = making.package(&root, &format!("postgresql-{}", sets::postgres_major(codename)))?;
    let major = series(package, 1);
    let accounts = accounts(making, planned)?;
    let programs = Programs::new(root.fs(), codename);
    let (volume, notes) = making.volume(&major, &package.to_string(), |volume, folder| {
        initialise(making, &programs, volume, folder)
    })?;
    // Of checkpoints nobody in development wants to hear.
    let argv = programs.postgres(making.listen, &[&format!("hba_file={WHO}"), "log_checkpoints=off"]);
    let mut container = making.container(&root, argv, USER);
    container.bind(volume.data(), DATA);
    container.file(WHO, WHO_TEXT);
    for (path, text) in extensions::trusted(&root.fs(), &major) {
        container.file(path, text);
    }
    let path = format!("{}:/usr/bin:/bin", programs.folder);
    let port = making.listen[0].port().to_string();
    let database =
        accounts.first().and_then(|account| account.databases.first()).map_or(USER, String::as_str);
    // For whoever enters: the superuser, on the settings' first database.
    for (name, value) in [
        ("PATH", path.as_str()),
        ("PGHOST", SOCKETS),
        ("PGPORT", &port),
        ("PGUSER", USER),
        ("PGDATABASE", database),
    ] {
        container.env(name, value);
    }
    let with_postgis = if planned.kind == Kind::Postgis { " with PostGIS" } else { "" };
    let new_volume = notes.contains(&ServiceNote::NewVolume);
    let accounts = Accounts::new(making.name, making.listen[0], accounts, new_volume);
    let service = Box::new(Lasting { listen: making.listen.to_vec(), data: volume.data(), accounts });
    Ok(Prepared {
        title: format!("PostgreSQL {major}{with_postgis}"),
        container,
        volume: Some(volume),
        service,
        notes,
    })
}

fn initialise(
    making: &Making<'_>,
    programs: &Programs,
    volume: &Volume,
    folder: &Path,
) -> Result<(), ServiceError> {
    // All of it is flushed before it gets its name.
    let argv = programs.initdb(USER, &["--no-sync"]);
    making.fill(volume, folder, container::step(programs.root.clone(), argv, USER))
}

fn accounts(making: &Making<'_>, planned: &PlannedServer) -> Result<Vec<Account>, ServiceError> {
    let service = making.name;
    // What is of PostGIS is made by superusers alone, also by tests in databases of their own.
    let superuser = planned.kind == Kind::Postgis;
    let account = |wanted: &Wanted| {
        let user = wanted.account(USER).to_owned();
        let mut databases: Vec<String> = wanted.databases().into_iter().map(str::to_owned).collect();
        if databases.is_empty() {
            // As clients do.
            databases.push(user.clone());
        }
        let password = wanted.secret().unwrap_or(making.place.password).to_owned();
        speakable(service, "user", &user)?;
        speakable(service, "password", &password)?;
        databases.iter().try_for_each(|name| speakable(service, "database", name))?;
        Ok(Account { user, password, databases, postgis: wanted.kind == Kind::Postgis, superuser })
    };
    planned.wanted.iter().map(account).collect()
}

struct Lasting {
    listen: Vec<SocketAddr>,
    data: PathBuf,
    accounts: Accounts,
}

impl Service for Lasting {
    fn look(&mut self, inside: &Inside<'_>) -> Result<bool, ServiceError> {
        // Who asks while it recovers gets an error into its log.
        if !self.listen.iter().all(|address| talk::listens(*address)) || !says_ready(&self.data) {
            return Ok(false);
        }
        self.accounts.serve(inside)
    }

    fn ending(&self) -> Ending {
        // A fast shutdown: sessions are ended, everything is written.
        Ending { signal: Signal::INT, grace: Duration::from_mins(1) }
    }

    fn url(&self) -> Option<String> {
        let Account { user, password, databases, .. } = self.accounts.first()?;
        let database = databases.first().map_or(user.as_str(), String::as_str);
        Some(link::url("postgres", Some(user), Some(password), self.listen[0], database))
    }

    fn command(&self, task: Task, database: Option<&str>) -> Option<Client> {
        let first = self.accounts.first()?;
        let database = database.or(first.databases.first().map(String::as_str)).unwrap_or(USER);
        let (words, user): (&[&str], &str) = match task {
            Task::Shell => (&["psql"], &first.user),
            Task::Statement => (&["psql", "--command="], &first.user),
            // All of it, whoever made it.
            Task::Dump => (&["pg_dump", "--format=custom", "--no-owner", "--no-acl"], USER),
        };
        let env = [
            ("PGUSER", user),
            ("PGDATABASE", database),
            // There is no program for pages; without this, long answers would be lost.
            ("PSQL_PAGER", ""),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Some(Client {
            argv: words.iter().map(|word| (*word).to_owned()).collect(),
            env: env.map(owned).to_vec(),
        })
    }

    fn replacement(&self, form: Form, database: Option<&str>) -> Option<Plan> {
        let first = self.accounts.first()?;
        let database = database.or(first.databases.first().map(String::as_str))?;
        Some(replace::replacement(&first.user, database, form))
    }

    fn take_notes(&mut self) -> Vec<ServiceNote> {
        self.accounts.take_notes()
    }
}

/// The longest `postmaster.pid` that is read, in bytes: it has eight short lines and the path of a folder.
const LONGEST_STATUS: u64 = 16 << 10;

/// Whether the server says so in the eighth line of its `postmaster.pid`, which it wrote anew before it listened. The folder is
/// the server's: it may put anything there under that name.
fn says_ready(data: &Path) -> bool {
    let text = Beneath::open(data).and_then(|data| data.read("postmaster.pid", LONGEST_STATUS));
    let text = text.ok().and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    text.lines().nth(7).is_some_and(|status| status.trim_end() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_the_server_says_that_it_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let (data, file) = (dir.path().join("data"), dir.path().join("data/postmaster.pid"));
        fs_err::create_dir(&data).unwrap();
        let status = |status: &str| format!("1\n/data\n0\n5432\n/run\n127.0.0.1\n0\n{status}\n");
        assert!(!says_ready(&data));
        fs_err::write(&file, status("starting")).unwrap();
        assert!(!says_ready(&data));
        fs_err::write(&file, status("ready   ")).unwrap();
        assert!(says_ready(&data));
        fs_err::rename(&file, dir.path().join("elsewhere")).unwrap();
        fs_err::os::unix::fs::symlink("../elsewhere", &file).unwrap();
        assert!(!says_ready(&data));
        fs_err::remove_file(&file).unwrap();
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
        rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).unwrap();
        assert!(!says_ready(&data));
        fs_err::remove_file(&file).unwrap();
        fs_err::write(&file, status("ready") + &"x".repeat(1 << 20)).unwrap();
        assert!(!says_ready(&data));
    }
}
