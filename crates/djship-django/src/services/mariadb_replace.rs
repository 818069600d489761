//! Replacing a database of MariaDB. It knows no way to rename one, so the file is tried in another one first: what cannot be
//! read changes nothing. Then the old one is dropped and the file read again.

use super::mariadb::{Target, client, identifier, literal};
use super::replacement::{Plan, PlannedStep};

/// Where the file is tried.
const TRIAL: &str = "djship_restore";

/// How `database` is replaced.
pub(super) fn replacement(database: &str) -> Plan {
    let administer = || client(Target::Server);
    let drop_trial = format!("drop database if exists {TRIAL};\n");
    Plan {
        steps: vec![
            PlannedStep::statements(administer(), format!("{drop_trial}{}", create(TRIAL, database))),
            PlannedStep::file(client(Target::Database(TRIAL))),
            PlannedStep::statements(administer(), make_room(database)).after_the_old_one(),
            PlannedStep::file(client(Target::Database(database))).after_the_old_one(),
        ],
        give_up: PlannedStep::statements(administer(), drop_trial),
    }
}

/// Makes a database with the character set of another one.
fn create(name: &str, like: &str) -> String {
    let create = literal(&format!("create database {} character set ", identifier(name)));
    format!(
        "set @statement = (select coalesce(max(concat({create}, default_character_set_name, ' collate ', default_collation_name)), \
         concat({create}, 'utf8mb4')) from information_schema.schemata where schema_name = {});\n\
         execute immediate @statement;\n",
        literal(like)
    )
}

/// Throws everybody out of the database, whose open transactions would be waited for, and puts an empty one in its place.
fn make_room(database: &str) -> String {
    let (quoted, named) = (identifier(database), literal(database));
    format!(
        "delimiter //\n\
         begin not atomic\n\
         declare continue handler for 1094 begin end;\n\
         for one in (select id from information_schema.processlist where db = {named} and id <> connection_id()) do\n\
         execute immediate concat('kill ', one.id);\n\
         end for;\n\
         end //\n\
         delimiter ;\n\
         drop database if exists {quoted};\n\
         {}drop database {TRIAL};\n",
        create(database, TRIAL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_quotes() {
        let script = make_room("a`b'c");
        assert!(script.contains("drop database if exists `a``b'c`;"), "{script}");
        assert!(script.contains("where db = 'a`b''c' and"), "{script}");
        assert!(script.contains("concat('create database `a``b''c` character set '"), "{script}");
    }

    #[test]
    fn only_the_last_steps_touch_the_database() {
        let plan = replacement("shop");
        let plan = plan.with(&std::collections::BTreeMap::new());
        let harmless: Vec<_> = plan.steps.iter().map(|step| step.harmless).collect();
        assert_eq!(harmless, [true, true, false, false]);
        let words = |at: usize| plan.steps[at].exec.argv.join(" ");
        assert!(words(1).ends_with(" djship_restore") && words(3).ends_with(" shop"), "{}", words(1));
    }
}
