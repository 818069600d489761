//! The databases of the settings, and who serves each of them.

use std::fmt;
use std::path::PathBuf;

use super::facts::DevelopmentFacts;
use super::ground::Ground;
use super::wishes::{Started, Wish};
use crate::facts::Database;
use crate::services::{PlannedServer, Wanted, birth};

/// The alias that Django takes when nobody names one.
pub(super) const DEFAULT: &str = "default";

/// A database of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfSettings {
    /// Its key in `DATABASES`.
    pub(super) alias: String,
    /// Who serves it.
    pub(super) whose: Whose,
    /// What the settings say of it.
    entry: String,
}

/// Who serves a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// A service of this environment. The text stands for the server and its data.
    Ours(String),
    /// Nobody: it is this file on the host.
    File(PathBuf),
    /// Somebody else, here.
    Elsewhere(String),
}

impl OfSettings {
    /// Those that there are, Django's default first.
    pub(super) fn all(facts: &DevelopmentFacts, ground: &Ground<'_>, services: &[Started]) -> Vec<Self> {
        let served: Vec<Served<'_>> = services.iter().map(Served::from).collect();
        Self::of(facts, &|inside| ground.on_host(inside), &served)
    }

    fn of(facts: &DevelopmentFacts, on_host: &dyn Fn(&str) -> PathBuf, services: &[Served<'_>]) -> Vec<Self> {
        let exists =
            |database: &&Database| !database.engine.is_empty() && !database.engine.ends_with("dummy");
        let found = facts.databases.iter().filter(|(_, database)| exists(database));
        let mut all: Vec<Self> = found
            .map(|(alias, database)| {
                let whose = match file(database) {
                    Some(inside) => Whose::File(on_host(inside)),
                    None => server(alias, facts, services).unwrap_or_else(|| elsewhere(database)),
                };
                let Database { engine, name, host, port, user } = database;
                let entry = format!("{engine} {name:?} {host:?} {port:?} {user:?}");
                Self { alias: alias.clone(), whose, entry }
            })
            .collect();
        all.sort_by_key(|database| database.alias != DEFAULT);
        all
    }

    /// Whether it may be migrated: nobody else has data in it.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self.whose, Whose::Elsewhere(_))
    }

    /// Stands for the database: another text when it is another one, or was made anew.
    pub(super) fn identity(&self) -> String {
        let whose = match &self.whose {
            Whose::Ours(server) => server.clone(),
            Whose::File(path) => birth(path),
            Whose::Elsewhere(host) => host.clone(),
        };
        format!("{} {} {whose}", self.alias, self.entry)
    }
}

/// In words of the settings.
impl fmt::Display for OfSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alias, .. } = self;
        match &self.whose {
            Whose::Ours(_) => write!(f, "DATABASES['{alias}'] is served by a service of this environment"),
            Whose::File(path) => write!(f, "DATABASES['{alias}'] is the file {}", path.display()),
            Whose::Elsewhere(host) if host.is_empty() => {
                write!(f, "DATABASES['{alias}'] names no host, and djship runs no server for it")
            }
            Whose::Elsewhere(host) => write!(f, "DATABASES['{alias}'] is at {host}, which is not djship's"),
        }
    }
}

/// What counts of a service.
struct Served<'a> {
    wish: &'a Wish,
    identity: &'a str,
}

impl<'a> From<&'a Started> for Served<'a> {
    fn from(started: &'a Started) -> Self {
        Self { wish: &started.wish, identity: &started.identity }
    }
}

/// The file of an SQLite database, inside.
fn file(database: &Database) -> Option<&str> {
    let name = database.name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
    let path = name.strip_prefix("file:").map_or(name, |uri| uri.split('?').next().unwrap_or(uri));
    database.is_sqlite().then_some(path)
}

/// The service of ours that serves a database.
fn server(alias: &str, facts: &DevelopmentFacts, services: &[Served<'_>]) -> Option<Whose> {
    let uses = [format!("DATABASES['{alias}']"), format!("DATABASES[\"{alias}\"]")];
    let is_it = |wanted: &Wanted| wanted.uses.iter().any(|one| uses.contains(one));
    let planned =
        PlannedServer::all(&facts.services).into_iter().find(|planned| planned.wanted.iter().any(is_it))?;
    let wanted = planned.wanted.iter().find(|wanted| is_it(wanted))?;
    let serves = |service: &&Served<'_>| match service.wish {
        Wish::Found(found) => found.name == planned.name,
        // In the place of ours, by its name in `/etc/hosts`, or by the port on our address.
        Wish::Own(own) => {
            own.name == planned.name
                || own.name == wanted.host
                || own.port == Some(wanted.port) && !wanted.is_local()
        }
    };
    services.iter().find(serves).map(|service| Whose::Ours(service.identity.to_owned()))
}

fn elsewhere(database: &Database) -> Whose {
    let text = |value: &Option<serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    Whose::Elsewhere(text(&database.host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::OwnService;

    const TWO: &str = r#"{
        "databases": {
            "archive": {"engine": "django.db.backends.postgresql", "name": "old", "host": "127.70.1.2", "port": "5432"},
            "default": {"engine": "django.db.backends.postgresql", "name": "shop", "host": "127.70.1.2", "port": "5432"},
            "far": {"engine": "django.db.backends.mysql", "name": "x", "host": "db.example.com", "port": ""},
            "none": {"engine": "django.db.backends.dummy"},
            "notes": {"engine": "django.db.backends.sqlite3", "name": "/app/notes.sqlite3"}
        },
        "services": [{"kind": "postgres", "host": "db", "port": 5432, "name": "shop",
                      "uses": ["DATABASES['default']", "DATABASES['archive']"]}]
    }"#;

    fn on_host(inside: &str) -> PathBuf {
        PathBuf::from(inside.replace("/app", "/home/ada/shop"))
    }

    fn facts() -> DevelopmentFacts {
        serde_json::from_str(TWO).unwrap()
    }

    fn own(name: &str, port: Option<u16>) -> Wish {
        let text = serde_json::json!({"name": name, "packages": [], "command": [], "port": port});
        Wish::Own(serde_json::from_value::<OwnService>(text).unwrap())
    }

    #[test]
    fn only_what_the_environment_serves_is_ours() {
        let facts = facts();
        let wish = Wish::Found(PlannedServer::all(&facts.services).remove(0));
        let served = [Served { wish: &wish, identity: "postgres-17 1" }];
        let all = OfSettings::of(&facts, &on_host, &served);
        let seen: Vec<_> = all.iter().map(|one| (one.alias.as_str(), one.whose.clone())).collect();
        let ours = Whose::Ours("postgres-17 1".to_owned());
        let expected = [
            ("default", ours.clone()),
            ("archive", ours),
            ("far", Whose::Elsewhere("db.example.com".to_owned())),
            ("notes", Whose::File("/home/ada/shop/notes.sqlite3".into())),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_service_that_is_switched_off_is_somebody_elses() {
        let whose = |wish: Option<Wish>| {
            let served: Vec<_> = wish.iter().map(|wish| Served { wish, identity: "own" }).collect();
            OfSettings::of(&facts(), &on_host, &served).remove(0).whose
        };
        assert_eq!(whose(None), Whose::Elsewhere("127.70.1.2".to_owned()));
        assert_eq!(whose(Some(own("postgres", None))), Whose::Ours("own".to_owned()));
        assert_eq!(whose(Some(own("db", None))), Whose::Ours("own".to_owned()));
        assert_eq!(whose(Some(own("timescale", Some(5432)))), Whose::Ours("own".to_owned()));
        assert_eq!(whose(Some(own("files", Some(8080)))), Whose::Elsewhere("127.70.1.2".to_owned()));
    }

    #[test]
    fn another_database_has_another_identity() {
        let identity = |facts: &DevelopmentFacts, server: &str| {
            let wish = Wish::Found(PlannedServer::all(&facts.services).remove(0));
            let served = [Served { wish: &wish, identity: server }];
            OfSettings::of(facts, &on_host, &served).remove(0).identity()
        };
        let before = identity(&facts(), "postgres-17 1");
        assert_eq!(before, identity(&facts(), "postgres-17 1"));
        assert_ne!(before, identity(&facts(), "postgres-17 2"), "the volume was made anew");
        let renamed = serde_json::from_str(&TWO.replace("\"shop\"", "\"fresh\"")).unwrap();
        assert_ne!(before, identity(&renamed, "postgres-17 1"), "DATABASE_URL names another one");
    }
}
