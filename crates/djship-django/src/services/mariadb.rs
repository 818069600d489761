//! MariaDB, which Django drives as MySQL.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use djship_deb::sets;
use djship_engine::Signal;

use super::container::{self, DATA};
use super::inside::{Inside, Said};
use super::making::{Making, series, speakable};
use super::replacement::{Form, Plan};
use super::server::{Client, Prepared, Service, ServiceNote, Task};
use super::talk::{self, Talk};
use super::volume::Volume;
use super::wanted::PlannedServer;
use super::{ServiceError, link, listen, mariadb_replace};
use crate::base::ServiceRoot;
use crate::supervisor::Ending;

/// The server's own socket, for those in its container.
const SOCKET: &str = "--socket=/tmp/mariadb.sock";
/// The account of the server's own user, who gets in through the socket without a password.
const ADMINISTRATOR: &str = "mysql";
/// The option for it.
const ADMINISTER: &str = "--user=mysql";
/// The character set of clients.
const CHARSET: &str = "--default-character-set=utf8mb4";
/// How long a query may take.
const QUERY: Duration = Duration::from_secs(5);
/// How long making accounts and databases may take.
const SETTLE: Duration = Duration::from_mins(1);

/// Makes the data folder: tables of the server, then the time zones, without which Django can filter by no date. The server
/// reads those from a client, so it runs for a moment.
const INITIALISE: &str = r#"set -e
mariadb-install-db --no-defaults --datadir=/data --basedir=/usr --skip-test-db --skip-name-resolve \
    --innodb-use-native-aio=OFF --auth-root-authentication-method=socket --auth-root-socket-user=mysql
/usr/sbin/mariadbd --no-defaults --datadir=/data --skip-networking --innodb-use-native-aio=OFF \
    --socket=/tmp/mariadb.sock --pid-file=/tmp/mariadb.pid --tmpdir=/tmp &
client="mariadb --no-defaults --socket=/tmp/mariadb.sock --user=mysql"
until $client --execute='select 1' >/dev/null 2>&1; do
    kill -0 $! || exit 1
    sleep 0.05
done
mariadb-tzinfo-to-sql /usr/share/zoneinfo >/tmp/zones.sql
$client mysql </tmp/zones.sql
$client --execute='shutdown'
wait $!
"#;

/// Prepares MariaDB.
pub(super) fn prepare(making: &Making<'_>, planned: &PlannedServer) -> Result<Prepared, ServiceError> {
    let root = making.roots.service(&sets::mariadb())?;
    let package = making.package(&root, "mariadb-server-core")?;
    let series = series(package, 2);
    let accounts = accounts(making.name, planned)?;
    let (volume, notes) = making
        .volume(&series, &package.to_string(), |volume, folder| initialise(making, &root, volume, folder))?;
    let mut container = making.container(&root, arguments(making.listen), ADMINISTRATOR);
    container.bind(volume.data(), DATA);
    let service = Box::new(MariaDb {
        name: making.name.to_owned(),
        listen: making.listen.to_vec(),
        accounts,
        settled: false,
        notes: Vec::new(),
    });
    Ok(Prepared { title: format!("MariaDB {series}"), container, volume: Some(volume), service, notes })
}

fn initialise(
    making: &Making<'_>,
    root: &ServiceRoot,
    volume: &Volume,
    folder: &Path,
) -> Result<(), ServiceError> {
    let argv = ["/bin/sh", "-c", INITIALISE].map(str::to_owned);
    making.fill(volume, folder, container::step(root.fs(), argv.to_vec(), ADMINISTRATOR))
}

fn arguments(addresses: &[SocketAddr]) -> Vec<String> {
    let program = ["/usr/sbin/mariadbd", "--no-defaults", "--datadir=/data", SOCKET].map(str::to_owned);
    let network = [
        format!("--bind-address={}", listen::joined(addresses, ",")),
        format!("--port={}", addresses[0].port()),
    ];
    let further = [
        "--pid-file=/tmp/mariadb.pid",
        "--tmpdir=/tmp",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_unicode_ci",
        // Clients are who they say, wherever they come from: names of this machine's addresses mean nothing.
        "--skip-name-resolve",
        // Without complaints of clients that go away.
        "--log-warnings=1",
        // The kernel's interfaces for it are refused in containers; the server would say so each time.
        "--innodb-use-native-aio=OFF",
    ];
    program.into_iter().chain(network).chain(further.map(str::to_owned)).collect()
}

/// An account that the settings use.
#[derive(Clone)]
struct Account {
    user: String,
    password: Option<String>,
    databases: Vec<String>,
}

fn accounts(service: &str, planned: &PlannedServer) -> Result<Vec<Account>, ServiceError> {
    let account = |wanted: &super::Wanted| {
        let account = Account {
            user: wanted.account("root").to_owned(),
            password: wanted.secret().map(str::to_owned),
            databases: wanted.databases().into_iter().map(str::to_owned).collect(),
        };
        speakable(service, "user", &account.user)?;
        speakable(service, "password", account.password.as_deref().unwrap_or_default())?;
        account.databases.iter().try_for_each(|name| speakable(service, "database", name))?;
        Ok(account)
    };
    planned.wanted.iter().map(account).collect()
}

struct MariaDb {
    name: String,
    listen: Vec<SocketAddr>,
    accounts: Vec<Account>,
    settled: bool,
    notes: Vec<ServiceNote>,
}

impl MariaDb {
    /// Makes databases and accounts; `false` when the server is not there yet.
    fn settle(&mut self, inside: &Inside<'_>) -> Result<bool, ServiceError> {
        for account in &self.accounts {
            let user = literal(&account.user);
            let exists =
                format!("select count(*) from mysql.global_priv where host = '%' and user = {user};");
            let Some(said) = administer(inside, &exists)?.filter(|said| said.success) else {
                return Ok(false);
            };
            let existed = said.stdout.trim() != "0";
            let mut statements = statements(account);
            if !(existed && self.gets_in(inside, account)?) {
                statements.extend(passwords(account));
                if existed {
                    self.notes.push(ServiceNote::PasswordChanged { user: account.user.clone() });
                }
            }
            match administer(inside, &statements.join("\n"))? {
                None => return Ok(false),
                Some(said) if said.success => {}
                Some(said) => {
                    let (service, user) = (self.name.clone(), account.user.clone());
                    return Err(ServiceError::Account { service, user, output: said.lines() });
                }
            }
        }
        Ok(true)
    }

    /// Whether a query succeeds with the account, as a client sends it.
    fn gets_in(&self, inside: &Inside<'_>, account: &Account) -> Result<bool, ServiceError> {
        let (host, port) = (self.listen[0].ip().to_string(), self.listen[0].port().to_string());
        let [host, port, user] =
            [format!("--host={host}"), format!("--port={port}"), format!("--user={}", account.user)];
        let argv = [
            "mariadb",
            "--no-defaults",
            "--protocol=tcp",
            "--batch",
            "--connect-timeout=5",
            &host,
            &port,
            &user,
        ];
        let password = account.password.as_deref().unwrap_or_default();
        let said = inside.run(&argv, &[("MYSQL_PWD", password)], "select 1;", QUERY)?;
        Ok(said.is_some_and(|said| said.success))
    }
}

impl Service for MariaDb {
    fn look(&mut self, inside: &Inside<'_>) -> Result<bool, ServiceError> {
        if !self.settled {
            if !self.listen.iter().all(|address| talk::listens(*address)) {
                return Ok(false);
            }
            self.settled = self.settle(inside)?;
        }
        // Before there is an account for clients from anywhere, the server greets nobody.
        if !self.settled || !self.listen.iter().all(|address| greets(*address)) {
            return Ok(false);
        }
        for account in &self.accounts {
            if !self.gets_in(inside, account)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_mins(1) }
    }

    fn url(&self) -> Option<String> {
        let Account { user, password, databases } = self.accounts.first()?;
        let database = databases.first().map(String::as_str).unwrap_or_default();
        Some(link::url("mysql", Some(user), password.as_deref(), self.listen[0], database))
    }

    fn command(&self, task: Task, database: Option<&str>) -> Option<Client> {
        let database = database.or_else(|| self.accounts.first()?.databases.first().map(String::as_str));
        let target = database.map_or(Target::Server, Target::Database);
        Some(match task {
            Task::Shell => client(target),
            Task::Statement => {
                let mut client = client(target);
                client.argv.push("--execute=".to_owned());
                client
            }
            Task::Dump => {
                let program =
                    ["mariadb-dump", "--no-defaults", "--single-transaction", "--routines", "--triggers"];
                let further = [SOCKET, ADMINISTER, CHARSET];
                let argv = program.iter().chain(&further).copied().chain(database).map(str::to_owned);
                Client { argv: argv.collect(), env: Vec::new() }
            }
        })
    }

    /// Its own format is statements.
    fn replacement(&self, _: Form, database: Option<&str>) -> Option<Plan> {
        let database = database.or_else(|| self.accounts.first()?.databases.first().map(String::as_str))?;
        Some(mariadb_replace::replacement(database))
    }

    fn take_notes(&mut self) -> Vec<ServiceNote> {
        std::mem::take(&mut self.notes)
    }
}

/// What a client works on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Server,
    Database(&'a str),
}

/// The client of the server's own user.
pub(super) fn client(target: Target<'_>) -> Client {
    let database = match target {
        Target::Server => None,
        Target::Database(name) => Some(name),
    };
    let words = ["mariadb", "--no-defaults", SOCKET, ADMINISTER, CHARSET];
    Client { argv: words.into_iter().chain(database).map(str::to_owned).collect(), env: Vec::new() }
}

/// Whether the server there begins to speak as version 10 of the protocol does.
fn greets(address: SocketAddr) -> bool {
    Talk::with(address).and_then(|mut talk| talk.hear(5)).is_some_and(|greeting| greeting[4] == 10)
}

fn administer(inside: &Inside<'_>, statements: &str) -> Result<Option<Said>, ServiceError> {
    let argv = ["mariadb", "--no-defaults", "--batch", "--skip-column-names", CHARSET, SOCKET, ADMINISTER];
    inside.run(&argv, &[], statements, SETTLE)
}

/// The places that clients come from. The server's own user comes through the socket, and keeps that.
fn places(account: &Account) -> impl Iterator<Item = String> {
    let user = literal(&account.user);
    let local = (account.user != ADMINISTRATOR).then_some("localhost");
    ["%"].into_iter().chain(local).map(move |place| format!("{user}@'{place}'"))
}

/// What makes databases and accounts that are not there; accounts may do everything, as tests make databases of their own.
fn statements(account: &Account) -> Vec<String> {
    let databases = account
        .databases
        .iter()
        .map(|name| format!("create database if not exists {} character set utf8mb4;", identifier(name)));
    let places = places(account).flat_map(|place| {
        [
            format!("create user if not exists {place};"),
            format!("grant all privileges on *.* to {place} with grant option;"),
        ]
    });
    databases.chain(places).collect()
}

/// What gives the account the password of the settings.
fn passwords(account: &Account) -> Vec<String> {
    let password = literal(account.password.as_deref().unwrap_or_default());
    places(account).map(|place| format!("alter user {place} identified by {password};")).collect()
}

/// A string in SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name in SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(literal(r"a'b\'c"), r"'a''b\\''c'");
        assert_eq!(identifier("a`b"), "`a``b`");
    }

    #[test]
    fn the_administrator_keeps_the_way_in() {
        let account = |user: &str| Account {
            user: user.to_owned(),
            password: Some("x".to_owned()),
            databases: Vec::new(),
        };
        assert_eq!(passwords(&account("mysql")), ["alter user 'mysql'@'%' identified by 'x';"]);
        assert_eq!(passwords(&account("root")).len(), 2);
    }
}
