//! What a project wants to have served.

use std::collections::BTreeMap;
use std::fmt;

/// One server as the settings lead to it.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wanted {
    /// What kind of server.
    pub kind: Kind,
    /// Where the settings look for it: the environment's address, a name without a dot, or the loopback address.
    pub host: String,
    /// The port that they look at.
    pub port: u16,
    /// The account that they use; `None` is what the clients of that kind use then.
    #[serde(default)]
    pub user: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<String>,
    /// The first database.
    #[serde(default)]
    pub name: Option<String>,
    /// All databases that are wanted there.
    #[serde(default)]
    pub names: Vec<String>,
    /// The settings that lead there, such as `DATABASES['default']`.
    #[serde(default)]
    pub uses: Vec<String>,
    /// No variable leads the settings anywhere else.
    #[serde(default)]
    pub hard_coded: bool,
    /// The data must outlast the server.
    #[serde(default)]
    pub lasting: bool,
    /// RabbitMQ's part of a server; `None` is `/`.
    #[serde(default)]
    pub virtual_host: Option<String>,
}

/// Without the password.
impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, host, port, user, name, uses, .. } = self;
        f.debug_struct("Wanted")
            .field("kind", kind)
            .field("host", host)
            .field("port", port)
            .field("user", user)
            .field("name", name)
            .field("uses", uses)
            .finish_non_exhaustive()
    }
}

/// Kinds of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// PostgreSQL with PostGIS.
    Postgis,
    /// MariaDB, which Django drives as MySQL.
    Mysql,
    /// Redis.
    Redis,
    /// RabbitMQ.
    Amqp,
    /// memcached.
    Memcached,
    /// What catches the mail that the project sends.
    Smtp,
}

impl Kind {
    /// The name of its program in logs and on the command line, and of its volume.
    pub fn program(self) -> &'static str {
        match self {
            Self::Postgres | Self::Postgis => "postgres",
            Self::Mysql => "mariadb",
            Self::Redis => "redis",
            Self::Amqp => "rabbitmq",
            Self::Memcached => "memcached",
            Self::Smtp => "mail",
        }
    }

    /// The port that clients use when nobody says another one.
    pub fn port(self) -> u16 {
        match self {
            Self::Postgres | Self::Postgis => 5432,
            Self::Mysql => 3306,
            Self::Redis => 6379,
            Self::Amqp => 5672,
            Self::Memcached => 11211,
            Self::Smtp => 1025,
        }
    }

    /// Names under which settings commonly look for it.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Postgres | Self::Postgis => &["postgres", "postgresql", "postgis", "db", "database"],
            Self::Mysql => &["mysql", "mariadb", "db", "database"],
            Self::Redis => &["redis", "valkey", "cache", "broker"],
            Self::Amqp => &["rabbitmq", "rabbit", "amqp", "broker"],
            Self::Memcached => &["memcached", "memcache", "cache"],
            Self::Smtp => &["mail", "mailpit", "mailhog", "mailcatcher", "smtp"],
        }
    }
}

impl Wanted {
    /// Whether the settings look for it on the loopback address itself.
    pub fn is_local(&self) -> bool {
        matches!(self.host.as_str(), "localhost" | "127.0.0.1" | "::1")
    }

    /// All databases, each once, the first one first.
    pub fn databases(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.name.iter().chain(&self.names) {
            if !name.is_empty() && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The password, if it is one.
    pub(super) fn secret(&self) -> Option<&str> {
        self.password.as_deref().filter(|password| !password.is_empty())
    }

    /// The account, or the one that is meant when none is named.
    pub(super) fn account<'a>(&'a self, usual: &'a str) -> &'a str {
        self.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(usual)
    }
}

/// Names for `/etc/hosts` under which the server should be found: the usual ones of its kind, and the settings' own.
pub fn aliases(wanted: &Wanted) -> Vec<String> {
    let mut names: Vec<String> = wanted.kind.names().iter().map(|name| (*name).to_owned()).collect();
    let host = wanted.host.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if host.bytes().all(plain)
        && !host.is_empty()
        && host != "localhost"
        && !names.iter().any(|name| name == host)
    {
        names.insert(0, host.to_owned());
    }
    names
}

/// One server for all that want one of its kind on its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedServer {
    /// Its name in logs, on the command line and of its volume: that of the kind. Of several of a kind, one has it, and the
    /// others their ports behind it.
    pub name: String,
    /// What it is; PostGIS when anybody wants that.
    pub kind: Kind,
    /// The port.
    pub port: u16,
    /// Who wants it, at least one.
    pub wanted: Vec<Wanted>,
}

impl PlannedServer {
    /// The servers that all of `wanted` come to, in that order.
    pub fn all(wanted: &[Wanted]) -> Vec<Self> {
        let mut servers: Vec<Self> = Vec::new();
        for one in wanted {
            let program = one.kind.program();
            let same = |server: &&mut Self| server.kind.program() == program && server.port == one.port;
            if let Some(server) = servers.iter_mut().find(same) {
                if one.kind == Kind::Postgis {
                    server.kind = Kind::Postgis;
                }
                server.wanted.push(one.clone());
            } else {
                let (kind, port, wanted) = (one.kind, one.port, vec![one.clone()]);
                servers.push(Self { name: program.to_owned(), kind, port, wanted });
            }
        }
        for at in 0..servers.len() {
            let program = servers[at].kind.program();
            let ports: Vec<u16> =
                servers.iter().filter(|one| one.kind.program() == program).map(|one| one.port).collect();
            // The usual one keeps the plain name, and with it its data, whatever comes beside it.
            let usual = servers[at].kind.port();
            let plain = if ports.contains(&usual) { usual } else { ports[0] };
            if servers[at].port != plain {
                servers[at].name = format!("{program}-{}", servers[at].port);
            }
        }
        servers
    }

    /// Whether anybody wants its data to outlast it.
    pub fn lasting(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.lasting)
    }
}

/// A service that the project's configuration names.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OwnService {
    /// Its name in logs, on the command line, of its volume and in `/etc/hosts`.
    pub name: String,
    /// Debian packages.
    pub packages: Vec<String>,
    /// Program and arguments. `{address}`, `{port}` and `{data}` stand for what they are, also in the health check and in
    /// variables.
    pub command: Vec<String>,
    /// The port that it listens on.
    #[serde(default)]
    pub port: Option<u16>,
    /// A command that ends well when it serves; without one, that its port can be connected to is enough, and without a port
    /// that it runs.
    #[serde(default)]
    pub health: Option<Vec<String>>,
    /// Where its data is inside, absolute; without it nothing is kept.
    #[serde(default)]
    pub data: Option<String>,
    /// Its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn who_wants_the_same_shares_a_server() {
        let all = [
            r#"{"kind": "postgres", "host": "db", "port": 5432, "name": "shop", "names": ["shop"], "lasting": true}"#,
            r#"{"kind": "redis", "host": "redis", "port": 6379}"#,
            r#"{"kind": "postgis", "host": "localhost", "port": 5432, "name": "maps"}"#,
            r#"{"kind": "postgres", "host": "archive", "port": 5433}"#,
            r#"{"kind": "redis", "host": "broker", "port": 6379, "lasting": true}"#,
        ]
        .map(wanted);
        let servers = PlannedServer::all(&all);
        let names: Vec<_> = servers.iter().map(|server| (server.name.as_str(), server.kind)).collect();
        assert_eq!(
            names,
            [("postgres", Kind::Postgis), ("redis", Kind::Redis), ("postgres-5433", Kind::Postgres)]
        );
        assert_eq!(servers[0].wanted.len(), 2);
        assert!(servers[1].lasting() && !servers[2].lasting());
        let turned: Vec<_> = all.into_iter().rev().collect();
        let names: Vec<_> = PlannedServer::all(&turned).into_iter().map(|server| server.name).collect();
        assert_eq!(names, ["redis", "postgres-5433", "postgres"]);
    }

    #[test]
    fn names_to_be_found_by() {
        let host =
            |host: &str| aliases(&wanted(&format!(r#"{{"kind": "redis", "host": "{host}", "port": 1}}"#)));
        assert_eq!(host("redis"), ["redis", "valkey", "cache", "broker"]);
        assert_eq!(host("keys"), ["keys", "redis", "valkey", "cache", "broker"]);
        for address in ["127.0.0.1", "localhost", "::1", "a b", ""] {
            assert_eq!(host(address).len(), 4, "{address}");
        }
        assert!(wanted(r#"{"kind": "smtp", "host": "::1", "port": 1025}"#).is_local());
    }

    #[test]
    fn databases_come_once() {
        let wanted = wanted(
            r#"{"kind": "mysql", "host": "db", "port": 3306, "name": "b", "names": ["a", "b", ""], "user": "", "password": ""}"#,
        );
        assert_eq!(wanted.databases(), ["b", "a"]);
        assert_eq!((wanted.account("root"), wanted.secret()), ("root", None));
    }

    #[test]
    fn passwords_are_not_printed() {
        let wanted = wanted(r#"{"kind": "redis", "host": "redis", "port": 1, "password": "word-of-pass"}"#);
        let planned = PlannedServer::all(std::slice::from_ref(&wanted));
        assert!(!format!("{wanted:?} {planned:?}").contains("word-of-pass"));
    }
}
