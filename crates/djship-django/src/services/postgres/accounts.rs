//! Roles and databases as the settings have them.

use std::net::SocketAddr;
use std::time::Duration;

use super::sql::{identifier, literal};
use crate::services::ServiceError;
use crate::services::inside::{Inside, Said};
use crate::services::server::ServiceNote;

/// How long a query may take.
const QUERY: Duration = Duration::from_secs(5);
/// How long making roles and databases may take; PostGIS is thousands of functions.
const SETTLE: Duration = Duration::from_mins(1);

/// Who connects to what.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: Option<String>,
    /// At least one.
    pub(super) databases: Vec<String>,
    /// PostGIS is wanted in each of them.
    pub(super) postgis: bool,
}

/// All accounts of a server.
pub(super) struct Accounts {
    service: String,
    /// Where clients connect.
    address: SocketAddr,
    all: Vec<Account>,
    settled: bool,
    notes: Vec<ServiceNote>,
}

impl Accounts {
    pub(super) fn new(service: &str, address: SocketAddr, all: Vec<Account>) -> Self {
        Self { service: service.to_owned(), address, all, settled: false, notes: Vec::new() }
    }

    pub(super) fn first(&self) -> Option<&Account> {
        self.all.first()
    }

    pub(super) fn take_notes(&mut self) -> Vec<ServiceNote> {
        std::mem::take(&mut self.notes)
    }

    /// Whether every account gets an answer from each of its databases; the first time, everything that is not there is made.
    pub(super) fn serve(&mut self, inside: &Inside<'_>) -> Result<bool, ServiceError> {
        if !self.settled {
            for at in 0..self.all.len() {
                if !self.settle(inside, at)? {
                    return Ok(false);
                }
            }
            self.settled = true;
        }
        for account in &self.all {
            for database in &account.databases {
                if !self.connect(inside, account, database)?.is_some_and(|said| said.success) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Makes the role and the databases of an account; `false` when the server does not listen to us yet.
    fn settle(&mut self, inside: &Inside<'_>, at: usize) -> Result<bool, ServiceError> {
        let account = self.all[at].clone();
        // Nobody but the server can tell whether it is ready to be asked.
        let asked = administer(inside, "postgres", &had_password(&account.user))?;
        let Some(had) = asked.filter(|said| said.success) else { return Ok(false) };
        let had_password = had.stdout.trim() == "t";
        let mut script = statements(&account);
        if let Some(password) = &account.password
            && !(had_password && self.is_right(inside, &account)?)
        {
            script.push_str(&set_password(&account.user, password));
            if had_password {
                self.notes.push(ServiceNote::PasswordChanged { user: account.user.clone() });
            }
        }
        if !self.must(&account, administer(inside, "postgres", &script)?)? {
            return Ok(false);
        }
        for database in account.databases.iter().filter(|_| account.postgis) {
            let made = administer(inside, database, "create extension if not exists postgis;\n")?;
            if !self.must(&account, made)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the account has this password already.
    fn is_right(&self, inside: &Inside<'_>, account: &Account) -> Result<bool, ServiceError> {
        let said = self.connect(inside, account, "postgres")?;
        // Any other trouble is not the password's.
        Ok(said.is_none_or(|said| !said.stderr.contains("password authentication failed")))
    }

    /// A query as a client sends it.
    fn connect(
        &self,
        inside: &Inside<'_>,
        account: &Account,
        database: &str,
    ) -> Result<Option<Said>, ServiceError> {
        let env = [
            ("PGHOST", self.address.ip().to_string()),
            ("PGUSER", account.user.clone()),
            ("PGDATABASE", database.to_owned()),
            ("PGPASSWORD", account.password.clone().unwrap_or_default()),
            ("PGCONNECT_TIMEOUT", "5".to_owned()),
        ];
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        inside.run(&["psql", "-X", "-q", "-w", "-A", "-t", "-c", "select 1"], &env, "", QUERY)
    }

    fn must(&self, account: &Account, said: Option<Said>) -> Result<bool, ServiceError> {
        match said {
            None => Ok(false),
            Some(said) if said.success => Ok(true),
            Some(said) => {
                let (service, user) = (self.service.clone(), account.user.clone());
                Err(ServiceError::Account { service, user, output: said.lines() })
            }
        }
    }
}

/// Runs statements as the superuser, through the socket.
fn administer(inside: &Inside<'_>, database: &str, statements: &str) -> Result<Option<Said>, ServiceError> {
    // In no log, whatever happens: there are passwords among them.
    let script = format!("set log_min_error_statement = panic;\nset log_statement = none;\n{statements}");
    let argv = ["psql", "-X", "-q", "-w", "-A", "-t", "--set=ON_ERROR_STOP=1", "--file=-"];
    let env = [("PGUSER", super::USER), ("PGDATABASE", database)];
    inside.run(&argv, &env, &script, SETTLE)
}

/// Whether the role has a password, if it is there.
fn had_password(user: &str) -> String {
    format!("select rolpassword is not null from pg_authid where rolname = {}::name;\n", literal(user))
}

/// What makes the role and the databases. The role may do everything: tests make databases, migrations make extensions.
fn statements(account: &Account) -> String {
    let user = literal(&account.user);
    let mut script = format!(
        "select format('create role %I', {user}) where not exists (select from pg_roles where rolname = {user}::name) \\gexec\n\
         alter role {} superuser login;\n",
        identifier(&account.user)
    );
    for name in &account.databases {
        let name = literal(name);
        script.push_str(&format!(
            "select format('create database %I owner %I', {name}, {user}) \
             where not exists (select from pg_database where datname = {name}::name) \\gexec\n"
        ));
    }
    script
}

fn set_password(user: &str, password: &str) -> String {
    format!("alter role {} password {};\n", identifier(user), literal(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_stay_in_their_quotes() {
        let account = Account {
            user: "o'\"r".to_owned(),
            password: None,
            databases: vec!["a\\'b".to_owned()],
            postgis: false,
        };
        let script = statements(&account);
        assert!(script.contains("'create role %I', E'o''\"r')"), "{script}");
        assert!(script.contains("alter role \"o'\"\"r\" superuser login;"), "{script}");
        assert!(script.contains("%I', E'a\\\\''b', E'o"), "{script}");
        assert_eq!(set_password("a", "x'y"), "alter role \"a\" password E'x''y';\n");
    }
}
