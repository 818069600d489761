//! RabbitMQ.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use djship_deb::sets;
use djship_engine::{Container, Signal};
use serde_json::json;

use super::amqp::{self, Account};
use super::container::DATA;
use super::inside::Inside;
use super::making::{Making, series};
use super::server::{Prepared, Service};
use super::wanted::{PlannedServer, Wanted};
use super::{ServiceError, link};
use crate::supervisor::Ending;

/// The server's own folder of configuration inside.
const CONFIGURATION: &str = "/etc/djship/rabbitmq";
/// The account that clients have when they name none, and its password.
const GUEST: &str = "guest";

/// Prepares RabbitMQ. Accounts come from a file that it reads at each start, so they are always those of the settings.
pub(super) fn prepare(making: &Making<'_>, planned: &PlannedServer) -> Result<Prepared, ServiceError> {
    let root = making.roots.service(&sets::rabbitmq())?;
    let package = making.package(&root, "rabbitmq-server")?;
    // One version reads what the one before it wrote, and not always what that before it did.
    let series = series(package, 2);
    let (volume, notes) = making.volume(&series, &package.to_string(), |_, _| Ok(()))?;
    // Not the program on the path: that one insists on being `rabbitmq` or root.
    let argv = vec!["/usr/lib/rabbitmq/bin/rabbitmq-server".to_owned()];
    let mut container = making.container(&root, argv, "rabbitmq");
    container.bind(volume.data(), DATA);
    for (name, value) in ENVIRONMENT {
        container.env(*name, *value);
    }
    let accounts: Vec<Account> = planned.wanted.iter().map(account).collect();
    container.file(format!("{CONFIGURATION}/rabbitmq.conf"), configuration(making.listen));
    container.file(format!("{CONFIGURATION}/definitions.json"), definitions(&accounts).to_string());
    for empty in ["env.conf", "enabled_plugins"] {
        container.file(format!("{CONFIGURATION}/{empty}"), if empty == "env.conf" { "" } else { "[].\n" });
    }
    let mut service = RabbitMq { listen: making.listen.to_vec(), accounts };
    service.renew(&mut container)?;
    let service = Box::new(service);
    Ok(Prepared { title: format!("RabbitMQ {series}"), container, volume: Some(volume), service, notes })
}

/// Everything of its own in the volume, and what talks to its own kind on 127.0.0.1 only.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("HOME", DATA),
    ("RABBITMQ_NODENAME", "rabbit@localhost"),
    ("RABBITMQ_MNESIA_BASE", "/data/mnesia"),
    ("RABBITMQ_LOG_BASE", "/data/log"),
    ("RABBITMQ_LOGS", "-"),
    ("RABBITMQ_PID_FILE", "/tmp/rabbitmq.pid"),
    ("RABBITMQ_CONFIG_FILE", "/etc/djship/rabbitmq/rabbitmq.conf"),
    ("RABBITMQ_CONF_ENV_FILE", "/etc/djship/rabbitmq/env.conf"),
    ("RABBITMQ_ENABLED_PLUGINS_FILE", "/etc/djship/rabbitmq/enabled_plugins"),
    ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}"),
    ("ERL_EPMD_ADDRESS", "127.0.0.1"),
];

fn account(wanted: &Wanted) -> Account {
    Account {
        user: wanted.account(GUEST).to_owned(),
        password: wanted.secret().unwrap_or(GUEST).to_owned(),
        virtual_host: wanted
            .virtual_host
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "/".to_owned()),
    }
}

fn configuration(addresses: &[SocketAddr]) -> String {
    let listeners = addresses
        .iter()
        .enumerate()
        .map(|(at, address)| format!("listeners.tcp.{} = {}:{}\n", at + 1, address.ip(), address.port()));
    let listeners: String = listeners.collect();
    format!(
        "{listeners}loopback_users = none\nlog.console = true\nlog.console.level = warning\nlog.file = false\n\
         load_definitions = {CONFIGURATION}/definitions.json\n"
    )
}

/// What the server makes of the settings at each start: nothing else that it has is changed.
fn definitions(accounts: &[Account]) -> serde_json::Value {
    let mut vhosts: Vec<&str> =
        accounts.iter().map(|account| account.virtual_host.as_str()).chain(["/"]).collect();
    vhosts.sort_unstable();
    vhosts.dedup();
    let mut users: Vec<(&str, &str)> = Vec::new();
    for account in accounts {
        if !users.iter().any(|(user, _)| *user == account.user) {
            users.push((&account.user, &account.password));
        }
    }
    let permissions = users.iter().flat_map(|(user, _)| {
        vhosts.iter().map(move |vhost| {
            json!({"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"})
        })
    });
    let permissions: Vec<_> = permissions.collect();
    let users: Vec<_> = users
        .iter()
        .map(|(user, password)| json!({"name": user, "password": password, "tags": "administrator"}))
        .collect();
    let vhosts: Vec<_> = vhosts.iter().map(|name| json!({"name": name})).collect();
    json!({"users": users, "vhosts": vhosts, "permissions": permissions})
}

struct RabbitMq {
    listen: Vec<SocketAddr>,
    accounts: Vec<Account>,
}

impl Service for RabbitMq {
    fn look(&mut self, _: &Inside<'_>) -> Result<bool, ServiceError> {
        let accounts = |address: &SocketAddr| {
            self.accounts.iter().all(|account| amqp::open(*address, account).is_some())
        };
        Ok(self.listen.iter().all(accounts))
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_secs(30) }
    }

    /// What finds nodes of a cluster listens on 127.0.0.1 whatever it is told, so two environments need two ports for it.
    fn renew(&mut self, container: &mut Container) -> Result<(), ServiceError> {
        for name in ["ERL_EPMD_PORT", "RABBITMQ_DIST_PORT"] {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let failed = |source| ServiceError::Address { service: "rabbitmq".to_owned(), address, source };
            let listener = TcpListener::bind(address).map_err(failed)?;
            container.env(name, listener.local_addr().map_err(failed)?.port().to_string());
        }
        Ok(())
    }

    fn url(&self) -> Option<String> {
        let Account { user, password, virtual_host } = self.accounts.first()?;
        Some(link::url("amqp", Some(user), Some(password), self.listen[0], virtual_host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_hold_every_account_once() {
        let account = |user: &str, virtual_host: &str| Account {
            user: user.into(),
            password: "secret".into(),
            virtual_host: virtual_host.into(),
        };
        let value = definitions(&[account("ada", "shop"), account("ada", "/"), account("bob", "shop")]);
        let count = |name: &str| value[name].as_array().unwrap().len();
        assert_eq!((count("users"), count("vhosts"), count("permissions")), (2, 2, 4));
    }

    #[test]
    fn it_listens_where_it_is_told() {
        let text = configuration(&["127.70.1.2:5672".parse().unwrap(), "127.0.0.1:5672".parse().unwrap()]);
        assert!(text.starts_with("listeners.tcp.1 = 127.70.1.2:5672\nlisteners.tcp.2 = 127.0.0.1:5672\n"));
    }
}
