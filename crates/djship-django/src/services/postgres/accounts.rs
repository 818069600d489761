//! Roles and databases as the settings have them.

use std::net::SocketAddr;
use std::time::Duration;

use super::replace;
use super::sql::{identifier, literal};
use crate::services::ServiceError;
use crate::services::inside::{Inside, Said};
use crate::services::server::ServiceNote;

/// How long a query may take.
const QUERY: Duration = Duration::from_secs(5);
/// How long making roles and databases may take; PostGIS is thousands of functions.
const SETTLE: Duration = Duration::from_mins(1);

/// What the server says of a role that has a password.
const HAS_PASSWORD: &str = "password";

/// Who connects to what.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: String,
    /// At least one.
    pub(super) databases: Vec<String>,
    /// PostGIS is wanted in each of them.
    pub(super) postgis: bool,
    /// It may do everything.
    pub(super) superuser: bool,
}

/// All accounts of a server.
pub(super) struct Accounts {
    service: String,
    /// Where clients connect.
    address: SocketAddr,
    all: Vec<Account>,
    settled: bool,
    /// Nobody wonders that its databases are new.
    new_volume: bool,
    notes: Vec<ServiceNote>,
}

impl Accounts {
    pub(super) fn new(service: &str, address: SocketAddr, all: Vec<Account>, new_volume: bool) -> Self {
        Self { service: service.to_owned(), address, all, settled: false, new_volume, notes: Vec::new() }
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
        let asked = administer(inside, "postgres", &what_is_there(&account))?;
        let Some(said) = asked.filter(|said| said.success) else { return Ok(false) };
        let there: Vec<&str> = said.stdout.lines().collect();
        let had_password = there.contains(&HAS_PASSWORD);
        let mut script = if at == 0 { replace::SWEEP.to_owned() } else { String::new() };
        script.push_str(&statements(&account));
        let wrong = !(had_password && self.is_right(inside, &account)?);
        if wrong {
            script.push_str(&set_password(&account.user, &account.password));
        }
        if !self.must(&account, administer(inside, "postgres", &script)?)? {
            return Ok(false);
        }
        if had_password && wrong {
            self.notes.push(ServiceNote::PasswordChanged { user: account.user.clone() });
        }
        let new = account.databases.iter().filter(|name| !there.contains(&database_line(name).as_str()));
        if !self.new_volume {
            self.notes.extend(new.map(|name| ServiceNote::NewDatabase { name: name.clone() }));
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
            ("PGPASSWORD", account.password.clone()),
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

/// What is there of an account: a line if it has a password, and one for each of its databases.
fn what_is_there(account: &Account) -> String {
    let user = literal(&account.user);
    let mut script = format!(
        "select '{HAS_PASSWORD}' from pg_authid where rolname = {user}::name and rolpassword is not null;\n"
    );
    for name in &account.databases {
        let (line, name) = (literal(&database_line(name)), literal(name));
        script.push_str(&format!("select {line} from pg_database where datname = {name}::name;\n"));
    }
    script
}

fn database_line(name: &str) -> String {
    format!("database {name}")
}

/// What makes the role and the databases. Tests make databases of their own, and whoever owns one may make everything in it,
/// extensions as well.
fn statements(account: &Account) -> String {
    let user = literal(&account.user);
    let may = if account.superuser { "superuser" } else { "nosuperuser" };
    let mut script = format!(
        "select format('create role %I', {user}) where not exists (select from pg_roles where rolname = {user}::name) \\gexec\n"
    );
    // The server's own superuser stays what it is.
    if account.user != super::USER {
        script.push_str(&format!("alter role {} login createdb {may};\n", identifier(&account.user)));
    }
    for name in &account.databases {
        let name = literal(name);
        script.push_str(&format!(
            "select format('create database %I owner %I', {name}, {user}) \
             where not exists (select from pg_database where datname = {name}::name) \\gexec\n\
             select format('alter database %I owner to %I', {name}, {user}) \
             from pg_database where datname = {name}::name and datdba = 10 \\gexec\n\
             select format('grant %I to %I', owner.rolname, {user}) \
             from pg_database join pg_roles owner on owner.oid = datdba join pg_roles role on role.rolname = {user}::name \
             where datname = {name}::name and datdba <> role.oid and not role.rolsuper \
             and not exists (select from pg_auth_members where roleid = role.oid and member = datdba) \\gexec\n"
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
            password: String::new(),
            databases: vec!["a\\'b".to_owned()],
            postgis: false,
            superuser: false,
        };
        let script = statements(&account);
        assert!(script.contains("'create role %I', E'o''\"r')"), "{script}");
        assert!(script.contains("alter role \"o'\"\"r\" login createdb nosuperuser;"), "{script}");
        assert!(script.contains("%I', E'a\\\\''b', E'o"), "{script}");
        let postgres = Account { user: "postgres".to_owned(), ..account };
        assert!(!statements(&postgres).contains("alter role"), "the server's own superuser stays what it is");
        assert_eq!(set_password("a", "x'y"), "alter role \"a\" password E'x''y';\n");
    }
}
