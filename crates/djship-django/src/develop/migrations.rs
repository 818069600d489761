//! Migrating the development database, once per start and only when there is something new.

use std::path::Path;

use super::facts::DevelopmentFacts;
use super::ground::Ground;
use crate::child::{self, ChildError};
use crate::laid::Key;
use crate::tools::Tools;
use djship_store::atomic;

/// Files of migrations are small.
const LARGEST: u64 = 4 << 20;

/// A database that cannot be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// `manage.py migrate` failed.
    #[error("cannot migrate the database{}", migration.as_ref().map_or_else(String::new, |name| format!(": {name} failed")))]
    Failed {
        /// The migration that was being applied, such as `polls.0002_votes`.
        migration: Option<String>,
        /// The last lines that it printed.
        output: Vec<String>,
    },
    /// It could not be run.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// What was done cannot be remembered.
    #[error("cannot remember the migrations")]
    Io(#[from] std::io::Error),
}

/// What became of the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// They were applied, as far as there were any.
    Applied,
    /// Nothing has changed since the last time.
    Unchanged,
    /// The project has no database.
    None,
}

/// Applies migrations with `container`, which runs `manage.py migrate`.
///
/// `remembered` is a file that says what was applied last; `fresh` means that a database is new. `environment` stands for
/// the installed packages, which bring migrations of their own.
pub(super) fn migrate(
    tools: &Tools<'_>,
    ground: &Ground<'_>,
    facts: &DevelopmentFacts,
    container: &djship_engine::Container,
    remembered: &Path,
    environment: &str,
    fresh: bool,
) -> Result<Migrated, MigrateError> {
    // The project may have none of its own and still need Django's: users, sessions.
    let database = facts.databases.get("default").is_some_and(|database| !database.engine.ends_with("dummy"));
    if !database {
        return Ok(Migrated::None);
    }
    let state = |ground: &Ground<'_>| state(ground, facts, environment);
    if !fresh && fs_err::read_to_string(remembered).is_ok_and(|last| last == state(ground)) {
        return Ok(Migrated::Unchanged);
    }
    let finished = child::run(tools, container)?;
    if !finished.success() {
        let migration = finished.lines.iter().rev().find_map(|line| applying(line));
        return Err(MigrateError::Failed { migration, output: finished.tail(30).to_vec() });
    }
    // With the file that it may just have made.
    atomic::write(remembered, state(ground).as_bytes())?;
    Ok(Migrated::Applied)
}

/// The migration of a line such as `  Applying polls.0002_votes...Traceback`.
fn applying(line: &str) -> Option<String> {
    let name = line.trim().strip_prefix("Applying ")?.split("...").next()?;
    (!line.trim_end().ends_with("OK")).then(|| name.to_owned())
}

/// Stands for everything that decides whether there is something to apply.
fn state(ground: &Ground<'_>, facts: &DevelopmentFacts, environment: &str) -> String {
    let mut key = Key::new("migrations, form 1").part(environment);
    for (alias, database) in &facts.databases {
        key = key.part(alias).part(format!("{:?} {:?} {:?}", database.host, database.port, database.name));
    }
    if let Some(file) = facts.sqlite_file() {
        // A file that was removed is a database that must be made again.
        key = key.part(inode(&ground.on_host(file)));
    }
    let walk = ignore::WalkBuilder::new(&ground.project.folder)
        .standard_filters(false)
        .filter_entry(|entry| !crate::reads::is_passing(entry.file_name()))
        .sort_by_file_name(Ord::cmp)
        .build();
    for entry in walk.flatten() {
        let path = entry.path();
        let in_migrations = path.parent().and_then(Path::file_name).is_some_and(|name| name == "migrations");
        if in_migrations && path.extension().is_some_and(|extension| extension == "py") {
            key = key.part(path.as_os_str().as_encoded_bytes()).part(text(path));
        }
    }
    key.digest().hex()
}

fn text(path: &Path) -> Vec<u8> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let _ = fs_err::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    bytes
}

fn inode(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::metadata(path).map_or_else(|_| "absent".to_owned(), |metadata| metadata.ino().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failing_migration_is_named() {
        let lines =
            ["  Applying polls.0001_initial... OK", "  Applying polls.0002_votes...Traceback (most recent"];
        assert_eq!(lines.iter().rev().find_map(|line| applying(line)).as_deref(), Some("polls.0002_votes"));
        assert_eq!(applying("  Applying polls.0001_initial... OK"), None);
    }
}
