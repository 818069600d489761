//! The servers beside Django in a Compose file, and the variables that lead to them.

use std::collections::BTreeMap;

use super::description::Variable;
use super::render::json_list;
use crate::facts::{Database, Facts};

/// A server in a container of its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Service {
    /// Its name, which is also its host name.
    pub name: &'static str,
    /// A public image.
    pub image: &'static str,
    /// Its variables.
    pub environment: Vec<Variable>,
    /// The folder that a named volume is mounted at.
    pub volume: Option<&'static str>,
    /// Another name that the settings know it by.
    pub alias: Option<String>,
    /// The health check, as a JSON list.
    pub healthy: String,
}

/// What the account and the database are called when the settings do not say.
const ACCOUNT: &str = "postgres";

/// The servers that the settings ask for, and the variables that lead the settings there.
pub(super) fn find(facts: &Facts, has_redis: bool) -> (Vec<Service>, Vec<Variable>) {
    let mut services = Vec::new();
    let mut variables = Vec::new();
    if let Some((service, leading)) = facts.databases.get("default").and_then(|found| database(found, facts))
    {
        services.push(service);
        variables.extend(leading);
    }
    if has_redis {
        services.push(Service {
            name: "redis",
            image: "redis:7",
            environment: Vec::new(),
            volume: None,
            alias: None,
            healthy: json_list(&["CMD", "redis-cli", "ping"]),
        });
        let asks = |name: &str| name.contains("REDIS") || name.contains("BROKER");
        for variable in facts.read.iter().filter(|variable| asks(&variable.name)) {
            if variable.name.ends_with("URL") {
                variables.push(Variable::new(&variable.name, "redis://redis:6379/0"));
            } else if variable.name.ends_with("HOST") {
                variables.push(Variable::new(&variable.name, "redis"));
            }
        }
    }
    (services, variables)
}

/// The server of the default database with its variables; `None` for a file.
fn database(found: &Database, facts: &Facts) -> Option<(Service, Vec<Variable>)> {
    let is_mysql = found.engine.contains("mysql");
    if !is_mysql && !found.is_postgres() {
        return None;
    }
    let parts: BTreeMap<&str, &str> =
        facts.database_env.iter().map(|(name, part)| (part.as_str(), name.as_str())).collect();
    // What no variable decides, the server has as the settings have it.
    let fixed = |part: &str, value: &Option<serde_json::Value>| {
        let value = value.as_ref()?.as_str().filter(|value| !value.is_empty())?;
        (!parts.contains_key(part) && !parts.contains_key("url")).then(|| value.to_owned())
    };
    let user = fixed("user", &found.user).unwrap_or_else(|| ACCOUNT.to_owned());
    let name = fixed("name", &found.name).unwrap_or_else(|| user.clone());
    let password = ACCOUNT;
    let (scheme, port) = if is_mysql { ("mysql", "3306") } else { ("postgres", "5432") };
    let values = [
        ("engine", None),
        ("host", Some("db".to_owned())),
        ("port", Some(port.to_owned())),
        ("user", Some(user.clone())),
        ("password", Some(password.to_owned())),
        ("name", Some(name.clone())),
        (
            "url",
            (!parts.contains_key("host")).then(|| format!("{scheme}://{user}:{password}@db:{port}/{name}")),
        ),
    ];
    let variables = values
        .into_iter()
        .filter_map(|(part, value)| Some(Variable::new(parts.get(part)?, &value?)))
        .collect();
    let host = fixed("host", &found.host)
        .filter(|host| host != "db" && !host.contains(['.', '/']) && host != "localhost");
    let service = if is_mysql {
        Service {
            name: "db",
            image: "mariadb:11",
            environment: vec![
                Variable::new("MARIADB_DATABASE", &name),
                Variable::new("MARIADB_PASSWORD", password),
                Variable::new("MARIADB_ROOT_PASSWORD", password),
                Variable::new("MARIADB_USER", &user),
            ],
            volume: Some("/var/lib/mysql"),
            alias: host,
            healthy: json_list(&["CMD", "healthcheck.sh", "--connect", "--innodb_initialized"]),
        }
    } else {
        let is_gis = found.engine.contains("postgis");
        let mut environment =
            vec![Variable::new("POSTGRES_USER", &user), Variable::new("POSTGRES_PASSWORD", password)];
        if name != user {
            environment.push(Variable::new("POSTGRES_DB", &name));
        }
        Service {
            name: "db",
            image: if is_gis { "postgis/postgis:17-3.5" } else { "postgres:17" },
            environment,
            volume: Some("/var/lib/postgresql/data"),
            alias: host,
            // Over the network: while the server is set up, it listens on its socket alone.
            healthy: json_list(&["CMD", "pg_isready", "--quiet", "--host", "127.0.0.1", "--username", &user]),
        }
    };
    Some((service, variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(value: &serde_json::Value) -> Facts {
        let mut all = serde_json::json!({"version": 1, "static": {}});
        all.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn pairs(variables: &[Variable]) -> Vec<String> {
        variables.iter().map(|variable| format!("{}={}", variable.name, variable.value)).collect()
    }

    #[test]
    fn parts_of_a_database_before_a_url() {
        let engine = serde_json::json!({"default": {"engine": "django.db.backends.postgresql", "host": "x"}});
        let with = |env: &serde_json::Value| {
            find(&facts(&serde_json::json!({"databases": engine, "database_env": env})), false)
        };
        let (services, variables) = with(&serde_json::json!({"DATABASE_URL": "url"}));
        assert_eq!(pairs(&variables), ["DATABASE_URL=postgres://postgres:postgres@db:5432/postgres"]);
        assert_eq!((services[0].image, &services[0].alias), ("postgres:17", &None));
        let (_, variables) =
            with(&serde_json::json!({"DATABASE_URL": "url", "DB_HOST": "host", "DB_USER": "user"}));
        assert_eq!(pairs(&variables), ["DB_HOST=db", "DB_USER=postgres"]);
    }

    #[test]
    fn the_server_fits_what_the_settings_have_fixed() {
        let database = serde_json::json!({"default": {
            "engine": "django.contrib.gis.db.backends.postgis", "host": "database", "user": "shop", "name": "store"}});
        let (services, variables) = find(&facts(&serde_json::json!({"databases": database})), true);
        assert!(variables.is_empty());
        assert_eq!(services[0].alias.as_deref(), Some("database"));
        assert!(services[0].image.starts_with("postgis/"));
        assert_eq!(
            pairs(&services[0].environment),
            ["POSTGRES_USER=shop", "POSTGRES_PASSWORD=postgres", "POSTGRES_DB=store"]
        );
        assert_eq!(services[1].image, "redis:7");
    }

    #[test]
    fn a_file_needs_no_server() {
        let database = serde_json::json!({"default": {"engine": "django.db.backends.sqlite3", "name": "/app/db.sqlite3"}});
        assert!(find(&facts(&serde_json::json!({"databases": database})), false).0.is_empty());
    }
}
