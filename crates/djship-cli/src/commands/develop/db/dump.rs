//! `djship db dump`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use djship_engine::{Stdio, Streams};
use djship_store::temp::TempFile;

use super::Database;
use crate::commands::develop::until_its_end;
use crate::errors::{Kind, Report};
use crate::host::Workshop;
use crate::interrupt::{INTERRUPTED, Interrupts};
use crate::ui::Console;

/// Writes to a file beside the target, and renames it when it is whole. Only its owner may read it, as it holds what the
/// database does.
pub(super) fn dump(
    workshop: &Workshop,
    database: &Database<'_>,
    file: &Path,
    console: &Console,
) -> Result<i32, Report> {
    let failed = |error: std::io::Error| {
        Report::new(Kind::Host, format!("cannot write `{}`", file.display())).line(error.to_string())
    };
    let mut exec = database.access.dump.exec();
    if file == Path::new("-") {
        exec.stdio = Streams { stdin: Stdio::Null, ..Streams::default() };
        return until_its_end(database.start(workshop, &exec)?, false);
    }
    exec.stdio = Streams { stdin: Stdio::Null, stdout: Stdio::Piped, stderr: Stdio::Inherit };
    if file.is_dir() {
        return Err(Report::new(Kind::User, format!("cannot write `{}`: it is a folder", file.display()))
            .hint("Give the name of a file"));
    }
    // From here on a signal ends the program, and then this function, which removes the file.
    let interrupts = Interrupts::watch_terminal().map_err(failed)?;
    let partial = TempFile::beside(file).map_err(failed)?;
    partial.file().set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    let mut running = database.start(workshop, &exec)?;
    let pipe = running.take_stdout();
    let (written, status) = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            let Some(mut pipe) = pipe else { return Ok(0) };
            // When this fails the program notices that nobody reads any more.
            std::io::copy(&mut pipe, &mut partial.file())
        });
        let status = interrupts.wait(&mut running);
        drop(running);
        let lost = || Err(std::io::Error::other("the thread that writes has failed"));
        (copying.join().unwrap_or_else(|_| lost()), status)
    });
    let bytes = written.map_err(failed)?;
    let status = status.map_err(|error| Report::new(Kind::Host, error.to_string()).causes(&error))?;
    if interrupts.came() {
        return Ok(INTERRUPTED);
    }
    if status.success() {
        partial.file().sync_all().and_then(|()| partial.rename_to(file)).map_err(failed)?;
        console.result(&format!("Wrote {} ({})", file.display(), crate::ui::size(bytes)));
    }
    Ok(status.code())
}
