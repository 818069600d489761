//! Replacing a database: the file goes into a new one beside it, which then takes its name in one transaction.

use super::USER;
use super::sql::{identifier, literal};
use crate::services::replacement::{Form, Plan, PlannedStep};
use crate::services::server::Client;

/// The new database while it is filled.
const NEW: &str = "djship_restore";
/// The old one, until it is dropped.
const OLD: &str = "djship_before";
/// The superuser who fills it: files make what only a superuser may, and all of it is given to the owner afterwards. (What the
/// server's own superuser makes cannot be given away.) It has no password, so nobody connects as it over the network.
const FILLER: &str = "djship_restore";

/// Drops what an interrupted replacement left.
pub(super) const SWEEP: &str = "drop database if exists djship_restore with (force);\n\
    drop database if exists djship_before with (force);\n\
    drop role if exists djship_restore;\n";

/// How `database` is replaced; `user` owns it when it is not there.
pub(super) fn replacement(user: &str, database: &str, form: Form) -> Plan {
    // From where databases are renamed: nobody can be in the one that is.
    let elsewhere = if database == "postgres" { "template1" } else { "postgres" };
    let administer =
        || client(&["psql", "-X", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"], USER, elsewhere);
    let fill = match form {
        Form::Own => {
            let dbname = format!("--dbname={NEW}");
            client(&["pg_restore", "--no-owner", "--no-acl", "--single-transaction", &dbname], FILLER, NEW)
        }
        // Not as one transaction: some statements are allowed in none, and what fails is dropped as a whole anyway.
        Form::Script => client(&["psql", "-X", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"], FILLER, NEW),
    };
    Plan {
        steps: vec![
            PlannedStep::statements(administer(), prepare(user, database)),
            PlannedStep::file(fill),
            PlannedStep::statements(administer(), swap(user, database, elsewhere)),
        ],
        give_up: PlannedStep::statements(administer(), SWEEP.to_owned()),
    }
}

fn client(words: &[&str], user: &str, database: &str) -> Client {
    let env = [("PGUSER", user), ("PGDATABASE", database)];
    Client {
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    }
}

/// An empty database like the old one.
fn prepare(user: &str, database: &str) -> String {
    let (user, database) = (literal(user), literal(database));
    format!(
        "set client_min_messages = warning;\n\
         {SWEEP}\
         create role {FILLER} superuser login;\n\
         select format('create database {NEW} template template0 owner %I encoding %L lc_collate %L lc_ctype %L', \
         coalesce(pg_get_userbyid(datdba), {user}), coalesce(pg_encoding_to_char(encoding), 'UTF8'), \
         coalesce(datcollate, 'C.UTF-8'), coalesce(datctype, 'C.UTF-8')) \
         from (select) as one left join pg_database on datname = {database}::name \\gexec\n"
    )
}

/// Gives everything in the new database to the owner, then renames it; whoever is in the old one is thrown out.
fn swap(user: &str, database: &str, elsewhere: &str) -> String {
    let (quoted, user, named) = (identifier(database), literal(user), literal(database));
    format!(
        "set client_min_messages = warning;\n\
         select coalesce((select pg_get_userbyid(datdba) from pg_database where datname = {named}::name), {user}) as owner \\gset\n\
         \\connect {NEW}\n\
         reassign owned by {FILLER} to :\"owner\";\n\
         drop owned by {FILLER};\n\
         \\connect {elsewhere}\n\
         set client_min_messages = warning;\n\
         do $djship$\n\
         begin\n\
         for attempt in 1..10 loop\n\
         perform pg_stat_clear_snapshot();\n\
         perform pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = {named}::name and pid <> pg_backend_pid();\n\
         begin\n\
         if exists (select from pg_database where datname = {named}::name) then\n\
         alter database {quoted} rename to {OLD};\n\
         end if;\n\
         alter database {NEW} rename to {quoted};\n\
         exit;\n\
         exception when object_in_use then\n\
         if attempt = 10 then raise; end if;\n\
         end;\n\
         end loop;\n\
         end $djship$;\n\
         {SWEEP}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::replacement::Input;

    #[test]
    fn names_stay_in_their_quotes() {
        let script = swap("o'r", "a\"b'c", "postgres");
        assert!(script.contains("alter database \"a\"\"b'c\" rename to djship_before;"), "{script}");
        assert!(script.contains("datname = E'a\"b''c'::name"), "{script}");
        assert!(prepare("o'r", "x").contains("coalesce(pg_get_userbyid(datdba), E'o''r')"));
    }

    #[test]
    fn nobody_is_in_the_database_that_is_renamed() {
        for (database, elsewhere) in [("postgres", "template1"), ("shop", "postgres")] {
            let plan = replacement("shop", database, Form::Own);
            let renaming = plan.steps.last().unwrap();
            assert_eq!(
                renaming.client.env.iter().find(|(name, _)| name == "PGDATABASE").unwrap().1,
                elsewhere
            );
            let Input::Text(text) = &renaming.input else { panic!("no statements") };
            assert!(text.contains(&format!("\\connect {elsewhere}\n")), "{text}");
        }
    }
}
