//! `djship eject`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use djship_django::eject::{EjectedFile, eject};
use djship_store::atomic;
use djship_store::temp::TempFile;
use similar::TextDiff;

use crate::args::{Cli, EjectArgs};
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::Console;

/// The longest file that is compared line by line, in bytes.
const LONGEST: u64 = 1 << 20;
/// Names that Compose reads before, or instead of, `docker-compose.yml`.
const COMPOSE_NAMES: [&str; 3] = ["compose.yaml", "compose.yml", "docker-compose.yaml"];

/// A file with what is in its place now.
struct Planned {
    file: EjectedFile,
    place: PathBuf,
    /// `None` when there is nothing.
    now: Option<String>,
}

impl Planned {
    fn differs(&self) -> bool {
        self.now.as_ref().is_some_and(|now| *now != self.file.text)
    }
}

pub(crate) fn run(cli: &Cli, args: &EjectArgs, console: &Console) -> Result<i32, Report> {
    let workshop = Workshop::open(cli, Some(&args.path), args.refresh)?;
    let files = eject(&workshop.tools(console), &args.path).map_err(|error| errors::eject(&error))?;
    let planned = files.into_iter().map(|file| look(&args.path, file)).collect::<Result<Vec<_>, _>>()?;
    let differing: Vec<_> = planned.iter().filter(|file| file.differs()).collect();
    if !differing.is_empty() && !args.force {
        for file in &differing {
            show(file);
        }
        if !agreed(differing.len())? {
            console.line("Nothing was changed");
            return Ok(1);
        }
    }
    let wanted: Vec<_> = planned.iter().filter(|file| file.now.as_ref() != Some(&file.file.text)).collect();
    write(&args.path, &wanted).map_err(|error| errors::storage(&error))?;
    for name in COMPOSE_NAMES.iter().filter(|name| args.path.join(name).exists()) {
        console.warn(&format!(
            "{name} is there as well; name the one that you mean: docker-compose --file docker-compose.yml up"
        ));
    }
    console.heading(if wanted.is_empty() { "Every file is there already" } else { "Ejected" });
    for file in &wanted {
        console.line(file.file.path);
    }
    console.line("Develop: export UID; docker-compose up");
    console.line("Ship: the first lines of docker/builder.sh");
    workshop.store.settle().map_err(|error| errors::storage(&error))?;
    Ok(0)
}

/// What is in the place of a file.
fn look(project: &Path, file: EjectedFile) -> Result<Planned, Report> {
    let place = project.join(file.path);
    let refuse = |path: &Path, what: &str| {
        Report::new(Kind::User, format!("cannot write `{}`: {what}", path.display()))
            .hint("Move it out of the way, and run djship eject again")
    };
    // No link is followed out of the project.
    let folder = place.parent().filter(|folder| *folder != project);
    if let Some(folder) = folder
        && folder.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir())
    {
        return Err(refuse(folder, "it is there and no folder"));
    }
    let now = match place.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(&place, &error.to_string())),
        Ok(metadata) if !metadata.is_file() => {
            return Err(refuse(&place, "something that is not a file is there already"));
        }
        Ok(metadata) if metadata.len() > LONGEST => {
            return Err(refuse(&place, "a large file is there already"));
        }
        Ok(_) => {
            let bytes = fs_err::read(&place).map_err(|error| errors::storage(&error))?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    Ok(Planned { file, place, now })
}

/// Prints what would change.
fn show(planned: &Planned) {
    let now = planned.now.as_deref().unwrap_or_default();
    let path = planned.file.path;
    let diff = TextDiff::from_lines(now, &planned.file.text);
    let text =
        diff.unified_diff().header(&format!("{path} (now)"), &format!("{path} (djship eject)")).to_string();
    for line in text.lines() {
        let color = match line.chars().next() {
            Some('+') => anstyle::AnsiColor::Green.on_default(),
            Some('-') => anstyle::AnsiColor::Red.on_default(),
            Some('@') => anstyle::AnsiColor::Cyan.on_default(),
            _ => anstyle::Style::new(),
        };
        anstream::println!("{color}{line}{color:#}");
    }
}

/// Asks whether files may be overwritten; an error without somebody to ask.
fn agreed(count: usize) -> Result<bool, Report> {
    let files = if count == 1 { "this file".to_owned() } else { format!("these {count} files") };
    if !std::io::stdin().is_terminal() {
        return Err(Report::new(
            Kind::User,
            format!("cannot overwrite {files}: there is no terminal to ask at"),
        )
        .line("Nothing was changed; the difference stands above.")
        .hint("To overwrite without being asked: djship eject --force"));
    }
    anstream::eprint!("Overwrite {files}? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Report::new(Kind::Host, "cannot read the answer").line(error.to_string()))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Writes all of them, or none: each is complete beside its place before the first one takes it.
fn write(project: &Path, files: &[&Planned]) -> std::io::Result<()> {
    // What root writes into somebody's project is theirs.
    let owner = fs_err::metadata(project)?;
    let is_root = rustix::process::geteuid().is_root();
    let mut ready = Vec::new();
    for planned in files {
        let folder = planned.place.parent().unwrap_or(project);
        if !folder.is_dir() {
            fs_err::create_dir(folder)?;
            if is_root {
                std::os::unix::fs::lchown(folder, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        let work = TempFile::beside(&std::path::absolute(&planned.place)?)?;
        let mut file = work.file();
        file.write_all(planned.file.text.as_bytes())?;
        let mode = if planned.file.executable { 0o755 } else { 0o644 };
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        if is_root {
            std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.sync_all()?;
        ready.push((work, planned));
    }
    for (work, planned) in ready {
        work.rename_to(&planned.place)?;
        atomic::sync_folder(planned.place.parent().unwrap_or(project))?;
    }
    Ok(())
}
