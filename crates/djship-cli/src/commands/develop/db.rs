//! `djship db`: the project's database.

use std::fs::File;
use std::io::{BufRead as _, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use djship_django::develop::Access;
use djship_django::supervisor::State;
use djship_engine::{ContainerRecord, Exec, Running, Stdio, Streams};

use crate::args::{Cli, DbArgs, DbCommand};
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::Console;

/// How PostgreSQL's own format begins (pg_dump, custom format).
const PGDMP: [u8; 5] = *b"PGDMP";

pub(crate) fn run(cli: &Cli, args: &DbArgs, console: &Console) -> Result<i32, Report> {
    let environment = super::environment(Path::new("."))?;
    let (state, access) = super::running(&environment)?;
    let workshop = Workshop::open(cli, Some(environment.project()), false)?;
    let database = Database::of(&state, &access)?;
    match &args.what {
        None => {
            let mut exec = database.access.shell.exec();
            exec.tty = super::has_terminal();
            if exec.tty {
                exec.env("TERM", std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()));
            }
            let terminal = exec.tty;
            super::until_its_end(database.start(&workshop, &exec)?, terminal)
        }
        Some(DbCommand::Dump { file }) => dump(&workshop, &database, file, console),
        Some(DbCommand::Restore { file, yes }) => {
            if !yes && !confirmed(file)? {
                console.line("Nothing was changed");
                return Ok(1);
            }
            let code = restore(&workshop, &database, file)?;
            // Another database has other migrations applied.
            let _ = fs_err::remove_file(&access.migrated);
            if code == 0 {
                console.result(&format!("Restored the database from {}", file.display()));
            }
            Ok(code)
        }
    }
}

/// A database service that runs.
struct Database<'a> {
    record: &'a ContainerRecord,
    access: &'a djship_django::develop::DatabaseAccess,
}

impl<'a> Database<'a> {
    fn of(state: &'a State, access: &'a Access) -> Result<Self, Report> {
        let Some(database) = &access.database else {
            let report = Report::new(Kind::User, "no database server runs for this project");
            return Err(match &access.sqlite {
                Some(file) => report
                    .line(format!("Its database is the file {file}."))
                    .hint("Work with it: djship manage shell, djship manage dumpdata"),
                None => report.hint("See what runs: djship status"),
            });
        };
        let record = state.program(&database.service).and_then(|program| program.container.as_ref());
        let record = record.ok_or_else(|| {
            Report::new(Kind::User, format!("{} does not run at the moment", database.service))
                .hint("See why: djship status, djship logs")
        })?;
        Ok(Self { record, access: database })
    }

    fn start(&self, workshop: &Workshop, exec: &Exec) -> Result<Running, Report> {
        workshop.engine.exec(self.record, exec).map_err(|error| errors::start(&error))
    }
}

/// Writes to a file beside the target, and renames it when it is whole.
fn dump(workshop: &Workshop, database: &Database<'_>, file: &Path, console: &Console) -> Result<i32, Report> {
    let failed = |error: std::io::Error| {
        Report::new(Kind::Host, format!("cannot write `{}`", file.display())).line(error.to_string())
    };
    let mut exec = database.access.dump.exec();
    if file == Path::new("-") {
        exec.stdio = Streams { stdin: Stdio::Null, ..Streams::default() };
        return super::until_its_end(database.start(workshop, &exec)?, false);
    }
    exec.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Inherit };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.join(format!(".{name}.{}", std::process::id()));
    let mut out = File::create_new(&partial).map_err(failed)?;
    let mut write = || -> Result<i32, Report> {
        let mut running = database.start(workshop, &exec)?;
        if let Some(mut pipe) = running.take_stdout() {
            std::io::copy(&mut pipe, &mut out).map_err(failed)?;
        }
        let code = super::until_its_end(running, false)?;
        if code == 0 {
            out.sync_all().and_then(|()| fs_err::rename(&partial, file)).map_err(failed)?;
            let bytes = fs_err::metadata(file).map_or(0, |metadata| metadata.len());
            console.result(&format!("Wrote {} ({})", file.display(), crate::ui::size(bytes)));
        }
        Ok(code)
    };
    let result = write();
    let _ = fs_err::remove_file(&partial);
    result
}

fn restore(workshop: &Workshop, database: &Database<'_>, file: &Path) -> Result<i32, Report> {
    let mut source = fs_err::File::open(file).map_err(|error| {
        Report::new(Kind::User, error.to_string()).hint("Give a file that `djship db dump` wrote")
    })?;
    let mut start = [0; PGDMP.len()];
    let length =
        source.read(&mut start).and_then(|length| source.rewind().map(|()| length)).map_err(|error| {
            Report::new(Kind::User, format!("cannot read `{}`", file.display())).line(error.to_string())
        })?;
    // SQL that others wrote is run as it is.
    let is_own = database.access.service.starts_with("postgres") && start[..length] == PGDMP;
    let own = is_own || database.access.service.starts_with("mariadb");
    let mut exec = if own { database.access.restore.exec() } else { database.access.script.exec() };
    exec.stdio = Streams { stdin: Stdio::Piped, stdout: Stdio::Null, stderr: Stdio::Inherit };
    let mut running = database.start(workshop, &exec)?;
    if let Some(mut pipe) = running.take_stdin() {
        // A program that ends early says why itself.
        let _ = std::io::copy(&mut source, &mut pipe);
    }
    super::until_its_end(running, false)
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
