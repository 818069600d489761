//! Migrating the development database, once per start and only when there is something new.

use std::path::Path;

use djship_engine::Container;

use super::databases::{DEFAULT, OfSettings};
use crate::child::{self, ChildError};
use crate::laid::Key;
use crate::project::Folder;
use crate::tools::Tools;
use djship_store::atomic;

/// Files of migrations are small.
const LARGEST: u64 = 4 << 20;

/// A database that cannot be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// `manage.py migrate` failed.
    #[error("cannot migrate the database{}{}", database.as_ref().map_or_else(String::new, |alias| format!(" `{alias}`")), migration.as_ref().map_or_else(String::new, |name| format!(": {name} failed")))]
    Failed {
        /// Its alias, when it is not the default one.
        database: Option<String>,
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
    /// The project has no database that is ours to migrate.
    None,
}

/// What is migrated, and with what.
#[derive(Debug)]
pub(super) struct Migration<'a> {
    /// The databases of the settings.
    pub(super) databases: &'a [OfSettings],
    /// Runs the project's own commands.
    pub(super) container: Container,
    /// Says what was applied last.
    pub(super) remembered: &'a Path,
    /// Stands for the installed packages, which bring migrations of their own.
    pub(super) environment: &'a str,
}

/// Applies migrations to every database that is ours. Which of them go where, the project's routers say, as always.
pub(super) fn migrate(
    tools: &Tools<'_>,
    project: &Path,
    migration: Migration<'_>,
) -> Result<Migrated, MigrateError> {
    let Migration { databases, mut container, remembered, environment } = migration;
    // The project may have no migrations of its own and still need Django's: users, sessions.
    let ours: Vec<&OfSettings> = databases.iter().filter(|database| database.is_ours()).collect();
    if ours.is_empty() {
        return Ok(Migrated::None);
    }
    let state = || state(project, &ours, environment);
    if fs_err::read_to_string(remembered).is_ok_and(|last| last == state()) {
        return Ok(Migrated::Unchanged);
    }
    for database in &ours {
        container.argv = command(&database.alias);
        let finished = child::run(tools, &container)?;
        if !finished.success() {
            let migration = finished.lines.iter().rev().find_map(|line| applying(line));
            let database = Some(database.alias.clone()).filter(|alias| alias != DEFAULT);
            return Err(MigrateError::Failed { database, migration, output: finished.tail(30).to_vec() });
        }
    }
    // With the file that it may just have made.
    atomic::write(remembered, state().as_bytes())?;
    Ok(Migrated::Applied)
}

/// Forgets what was applied, because a database may be another one.
pub(super) fn forget(remembered: &Path) -> std::io::Result<()> {
    match fs_err::remove_file(remembered) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn command(alias: &str) -> Vec<String> {
    let mut words = ["python", "manage.py", "migrate", "--noinput"].map(str::to_owned).to_vec();
    // Commands of others in the place of Django's may know no other database.
    if alias != DEFAULT {
        words.push(format!("--database={alias}"));
    }
    words
}

/// The migration of a line such as `  Applying polls.0002_votes...Traceback`.
fn applying(line: &str) -> Option<String> {
    let name = line.trim().strip_prefix("Applying ")?.split("...").next()?;
    (!line.trim_end().ends_with("OK")).then(|| name.to_owned())
}

/// Stands for everything that decides whether there is something to apply.
fn state(project: &Path, ours: &[&OfSettings], environment: &str) -> String {
    let mut key = Key::new("migrations, form 2").part(environment);
    for database in ours {
        key = key.part(database.identity());
    }
    let walk = ignore::WalkBuilder::new(project)
        .standard_filters(false)
        .filter_entry(|entry| !crate::reads::is_passing(entry.file_name()))
        .sort_by_file_name(Ord::cmp)
        .build();
    let folder = Folder::open(project).ok().flatten();
    for entry in walk.flatten() {
        let path = entry.path();
        let in_migrations = path.parent().and_then(Path::file_name).is_some_and(|name| name == "migrations");
        if in_migrations && path.extension().is_some_and(|extension| extension == "py") {
            key = key.part(path.as_os_str().as_encoded_bytes()).part(text(folder.as_ref(), project, path));
        }
    }
    key.digest().hex()
}

/// The text of a migration; nothing for what is none, such as a pipe, and what Django's own reading says of that is shown.
fn text(folder: Option<&Folder>, project: &Path, path: &Path) -> Vec<u8> {
    let relative = path.strip_prefix(project).ok().and_then(Path::to_str);
    let read = |(folder, relative): (&Folder, &str)| folder.read(relative, LARGEST).ok().flatten();
    folder.zip(relative).and_then(read).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_among_the_migrations_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let project = fs_err::canonicalize(dir.path()).unwrap();
        let migrations = project.join("polls/migrations");
        fs_err::create_dir_all(&migrations).unwrap();
        fs_err::write(migrations.join("0001.py"), "one").unwrap();
        let before = state(&project, &[], "x");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, migrations.join("0002.py"), kind, mode, 0).unwrap();
        let with_pipe = state(&project, &[], "x");
        fs_err::write(migrations.join("0001.py"), "two").unwrap();
        let changed = state(&project, &[], "x");
        assert!(before != with_pipe && with_pipe != changed);
    }

    #[test]
    fn the_failing_migration_is_named() {
        let lines =
            ["  Applying polls.0001_initial... OK", "  Applying polls.0002_votes...Traceback (most recent"];
        assert_eq!(lines.iter().rev().find_map(|line| applying(line)).as_deref(), Some("polls.0002_votes"));
        assert_eq!(applying("  Applying polls.0001_initial... OK"), None);
    }

    #[test]
    fn the_default_database_is_migrated_as_everybody_does_it() {
        assert_eq!(command("default").join(" "), "python manage.py migrate --noinput");
        assert_eq!(command("archive").last().map(String::as_str), Some("--database=archive"));
    }

    #[test]
    fn forgetting_what_is_not_there_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("migrated");
        forget(&file).unwrap();
        fs_err::write(&file, "").unwrap();
        forget(&file).unwrap();
        assert!(!file.exists());
    }
}
