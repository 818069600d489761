//! `djship db`: the project's database.

mod dump;
mod restore;

use std::io::{BufRead as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use djship_django::develop::{Access, DatabaseAccess};
use djship_django::supervisor::State;
use djship_engine::{ContainerRecord, Exec, Running};

use crate::args::{Cli, DbArgs, DbCommand};
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::Console;

pub(crate) fn run(cli: &Cli, args: &DbArgs, console: &Console) -> Result<i32, Report> {
    let environment = super::environment(Path::new("."))?;
    let (state, access) = super::running(&environment)?;
    let workshop = Workshop::open(cli, Some(environment.project()), false)?;
    let database = Database::of(&state, &access)?;
    match &args.what {
        None => shell(&workshop, &database, args),
        Some(DbCommand::Dump { file }) => dump::dump(&workshop, &database, file, console),
        Some(DbCommand::Restore { file, yes }) => {
            let source = restore::Source::open(file, &database)?;
            if !yes && !confirmed(file)? {
                console.line("Nothing was changed");
                return Ok(1);
            }
            // Another database has other migrations applied.
            let _ = fs_err::remove_file(&access.migrated);
            let code = restore::restore(&workshop, &database, &source)?;
            if code == 0 {
                console.result(&format!("Replaced the database by {}", file.display()));
                console.line("Migrations that it lacks: djship manage migrate, or the next djship up");
            }
            Ok(code)
        }
    }
}

/// A database service that runs.
struct Database<'a> {
    record: &'a ContainerRecord,
    access: &'a DatabaseAccess,
}

impl<'a> Database<'a> {
    fn of(state: &'a State, access: &'a Access) -> Result<Self, Report> {
        let Some(database) = &access.database else { return Err(none(access)) };
        let record = state.program(&database.service).and_then(|program| program.container.as_ref());
        let record = record.ok_or_else(|| {
            Report::new(Kind::User, format!("{} does not run at the moment", database.service))
                .hint("See why: djship status, djship logs")
        })?;
        Ok(Self { record, access: database })
    }

    /// Whether it is PostgreSQL, whose dumps have a form of their own.
    fn is_postgres(&self) -> bool {
        self.access.service.starts_with("postgres")
    }

    fn start(&self, workshop: &Workshop, exec: &Exec) -> Result<Running, Report> {
        workshop.engine.exec(self.record, exec).map_err(|error| errors::start(&error))
    }
}

/// No database of the project is served by djship: what there is, and how to work with it.
fn none(access: &Access) -> Report {
    let report = Report::new(Kind::User, "no database server runs for this project");
    let settings = access.settings.as_deref().unwrap_or("the settings");
    let report = report.line(if access.databases.is_empty() {
        format!("Looked at DATABASES in {settings}: it names no database.")
    } else {
        format!("Looked at DATABASES in {settings}:")
    });
    let report = access.databases.iter().fold(report, |report, line| report.line(format!("  {line}")));
    let report = match &access.sqlite {
        Some(_) => report.hint("Work with the file: djship manage shell, djship manage dumpdata"),
        None if access.databases.is_empty() => report,
        None => report.hint("Work with it through Django: djship manage shell, djship manage dumpdata"),
    };
    report.hint("What djship runs: djship status")
}

/// The client on this terminal, or with a statement or arguments of its own.
fn shell(workshop: &Workshop, database: &Database<'_>, args: &DbArgs) -> Result<i32, Report> {
    let command = match &args.statement {
        None => database.access.shell.clone(),
        Some(statement) => {
            let command = database.access.statement.clone().ok_or_else(|| {
                Report::new(Kind::User, format!("{} knows no statements", database.access.service))
            })?;
            command.ending_with(statement)
        }
    };
    let mut exec = command.exec();
    exec.argv.extend(args.arguments.iter().cloned());
    let terminal = args.statement.is_none() && super::has_terminal();
    exec.tty = terminal;
    if terminal {
        exec.env("TERM", std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
    }
    super::until_its_end(database.start(workshop, &exec)?, terminal)
}

fn confirmed(file: &Path) -> Result<bool, Report> {
    if !rustix::termios::isatty(std::io::stdin().as_fd()) {
        return Err(Report::new(Kind::Usage, "cannot ask whether to replace the database")
            .hint(format!("To do it without a question: djship db restore --yes {}", file.display())));
    }
    anstream::eprint!("Replace everything in the database by {}? [y/N] ", file.display());
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    // No answer is no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
