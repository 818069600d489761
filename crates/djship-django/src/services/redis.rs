//! Redis: Debian has it in both releases, and the form of its files goes on from one to the next; Valkey is in the newer one only.

use std::net::SocketAddr;
use std::time::Duration;

use djship_deb::sets;
use djship_engine::Signal;
use djship_store::Digest;

use super::container::DATA;
use super::inside::Inside;
use super::making::{Making, series, speakable};
use super::server::{Client, Prepared, Service, Task};
use super::talk::Talk;
use super::wanted::PlannedServer;
use super::{ServiceError, link, listen};
use crate::supervisor::Ending;

/// Its configuration inside: a file, because arguments can be read by everybody on the machine.
const CONFIGURATION: &str = "/etc/djship/redis.conf";
/// The account that clients have when they name none.
const DEFAULT: &str = "default";

/// Prepares Redis. It keeps its data when something that must not be lost goes through it, and is a cache otherwise.
pub(super) fn prepare(making: &Making<'_>, planned: &PlannedServer) -> Result<Prepared, ServiceError> {
    let root = making.roots.service(&sets::redis())?;
    let package = making.package(&root, "redis-server")?;
    let major = series(package, 1);
    let accounts = accounts(making.name, planned)?;
    let argv = ["/usr/bin/redis-server", CONFIGURATION].map(str::to_owned);
    let mut container = making.container(&root, argv.to_vec(), "redis");
    let (mut volume, mut notes) = (None, Vec::new());
    if planned.lasting() {
        let (opened, said) = making.volume(&major, &package.to_string(), |_, _| Ok(()))?;
        container.bind(opened.data(), DATA);
        (volume, notes) = (Some(opened), said);
    }
    container.file(CONFIGURATION, configuration(making.listen, planned.lasting(), &accounts));
    let service = Box::new(Redis { listen: making.listen.to_vec(), accounts });
    Ok(Prepared { title: format!("Redis {major}"), container, volume, service, notes })
}

/// An account with its passwords; without any, everybody gets in.
#[derive(Clone)]
struct Account {
    user: String,
    passwords: Vec<String>,
}

/// The accounts that the settings use, the one that has no name first.
fn accounts(service: &str, planned: &PlannedServer) -> Result<Vec<Account>, ServiceError> {
    let mut accounts = vec![Account { user: DEFAULT.to_owned(), passwords: Vec::new() }];
    for wanted in &planned.wanted {
        let user = wanted.account(DEFAULT);
        if user.contains(char::is_whitespace) {
            return Err(ServiceError::Unspeakable { service: service.to_owned(), what: "user" });
        }
        speakable(service, "user", user)?;
        let at = accounts.iter().position(|account| account.user == user).unwrap_or_else(|| {
            accounts.push(Account { user: user.to_owned(), passwords: Vec::new() });
            accounts.len() - 1
        });
        accounts[at].passwords.extend(wanted.secret().map(str::to_owned));
    }
    Ok(accounts)
}

fn configuration(addresses: &[SocketAddr], lasting: bool, accounts: &[Account]) -> String {
    let mut text = format!("bind {}\nport {}\n", listen::joined(addresses, " "), addresses[0].port());
    // It listens on the loopback interface only; the mode would refuse clients from addresses of 127.0.0.0/8 other than the first.
    text.push_str("protected-mode no\ndaemonize no\nlogfile \"\"\nsave \"\"\n");
    if lasting {
        text.push_str(&format!("dir {DATA}\nappendonly yes\n"));
    } else {
        text.push_str("dir /tmp\nappendonly no\n");
    }
    for Account { user, passwords } in accounts {
        let passwords: String = match passwords.as_slice() {
            [] => " nopass".to_owned(),
            // As digests: nothing has to be quoted then.
            all => {
                all.iter().map(|password| format!(" #{}", Digest::of(password.as_bytes()).hex())).collect()
            }
        };
        text.push_str(&format!("user {user} reset on{passwords} ~* &* +@all\n"));
    }
    text
}

struct Redis {
    listen: Vec<SocketAddr>,
    accounts: Vec<Account>,
}

impl Redis {
    /// The account that a client should use: the first that somebody asked for.
    fn account(&self) -> (Option<&str>, Option<&str>) {
        let with_password = self.accounts.iter().find(|account| !account.passwords.is_empty());
        let account = with_password.unwrap_or(&self.accounts[0]);
        let user = Some(account.user.as_str()).filter(|user| *user != DEFAULT);
        (user, account.passwords.first().map(String::as_str))
    }
}

impl Service for Redis {
    fn look(&mut self, _: &Inside<'_>) -> Result<bool, ServiceError> {
        let answers = |address: &SocketAddr, account: &Account| {
            let mut talk = Talk::with(*address)?;
            if let Some(password) = account.passwords.first() {
                talk.say(&command(&["AUTH", &account.user, password]))?;
                talk.hear_line().filter(|line| line == "+OK")?;
            }
            talk.say(&command(&["PING"]))?;
            // While it reads its data back in, it says so.
            talk.hear_line().filter(|line| line == "+PONG")
        };
        // Whom nobody asked for, and who has no password, is not tried where there are others.
        let [default, named @ ..] = self.accounts.as_slice() else { return Ok(false) };
        let tried = if named.is_empty() { std::slice::from_ref(default) } else { named };
        Ok(self.listen.iter().all(|address| tried.iter().all(|account| answers(address, account).is_some())))
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_secs(15) }
    }

    fn url(&self) -> Option<String> {
        let (user, password) = self.account();
        // Some clients take a missing name for an empty one.
        let user = user.or(password.and(Some(DEFAULT)));
        Some(link::url("redis", user, password, self.listen[0], "0"))
    }

    fn command(&self, task: Task, database: Option<&str>) -> Option<Client> {
        if task != Task::Shell {
            return None;
        }
        let (user, password) = self.account();
        let address = self.listen[0];
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut argv = ["redis-cli", "-h", &host, "-p", &port, "-n", database.unwrap_or("0")]
            .map(str::to_owned)
            .to_vec();
        if let Some(user) = user {
            argv.extend(["--user".to_owned(), user.to_owned()]);
        }
        let env = password.map(|password| ("REDISCLI_AUTH".to_owned(), password.to_owned()));
        Some(Client { argv, env: env.into_iter().collect() })
    }
}

/// A command in the server's protocol (RESP): an array of strings, each with its length.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(accounts: &[(&str, &str)]) -> PlannedServer {
        let wanted = accounts.iter().map(|(user, password)| {
            serde_json::json!({"kind": "redis", "host": "redis", "port": 6379, "user": user, "password": password})
        });
        let wanted: Vec<_> = wanted.map(|value| serde_json::from_value(value).unwrap()).collect();
        PlannedServer::all(&wanted).remove(0)
    }

    fn users(given: &[(&str, &str)]) -> Vec<String> {
        let accounts = accounts("redis", &planned(given)).unwrap();
        let text = configuration(&["127.70.1.2:6379".parse().unwrap()], false, &accounts);
        text.lines().filter(|line| line.starts_with("user ")).map(str::to_owned).collect()
    }

    #[test]
    fn accounts_are_those_of_the_settings() {
        assert_eq!(users(&[("", "")]), ["user default reset on nopass ~* &* +@all"]);
        let secret = Digest::of(b"a b\"c").hex();
        assert_eq!(users(&[("", "a b\"c")]), [format!("user default reset on #{secret} ~* &* +@all")]);
        assert_eq!(users(&[("", ""), ("ada", "a b\"c")]).len(), 2);
        assert!(accounts("redis", &planned(&[("a b", "")])).is_err());
    }

    #[test]
    fn addresses_and_what_is_kept() {
        let addresses = ["127.70.1.2:6380".parse().unwrap(), "127.0.0.1:6380".parse().unwrap()];
        let text = configuration(&addresses, true, &[]);
        assert!(
            text.starts_with("bind 127.70.1.2 127.0.0.1\nport 6380\n") && text.contains("\nappendonly yes\n")
        );
        assert!(!configuration(&addresses, false, &[]).contains(DATA));
    }

    #[test]
    fn commands_have_lengths() {
        assert_eq!(command(&["AUTH", "a\r\n"]), b"*2\r\n$4\r\nAUTH\r\n$3\r\na\r\n\r\n");
    }
}
