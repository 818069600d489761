//! Processes and mounts of the host, as `/proc` has them: proc(5).

use std::collections::BTreeSet;
use std::path::Path;

/// A process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    /// Real, effective, saved and file-system user, as the host numbers them.
    pub(crate) uids: Vec<u32>,
    pub(crate) name: String,
    /// When it started, in ticks since the boot: with the id this is a process's identity.
    pub(crate) started: u64,
}

/// Every process that can be seen.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs_err::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(read).collect()
}

/// A process by its id.
pub(crate) fn read(id: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(id.to_string());
    let status = fs_err::read_to_string(folder.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let numbers = |text: &str| text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let stat = fs_err::read_to_string(folder.join("stat")).ok()?;
    // The second field is a name in parentheses, which may hold anything; the start is the 22nd field.
    let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    Some(Process {
        id,
        parent: field("PPid")?.trim().parse().ok()?,
        uids: numbers(field("Uid")?),
        name: field("Name")?.trim().to_owned(),
        started,
    })
}

/// The processes below one, without itself.
pub(crate) fn descendants(of: u32) -> Vec<Process> {
    let all = all();
    let mut family = BTreeSet::from([of]);
    loop {
        let children =
            all.iter().filter(|process| family.contains(&process.parent)).map(|process| process.id);
        let larger: BTreeSet<u32> = family.iter().copied().chain(children).collect();
        if larger == family {
            break;
        }
        family = larger;
    }
    all.into_iter().filter(|process| process.id != of && family.contains(&process.id)).collect()
}

/// Whether this very process still runs; one that has ended and was not waited for yet does not.
pub(crate) fn is_alive(process: &Process) -> bool {
    read(process.id).is_some_and(|now| now.started == process.started) && !is_zombie(process.id)
}

fn is_zombie(id: u32) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Processes that have to do with a folder: its name is in their program, arguments, open files or mounts.
pub(crate) fn using(folder: &Path) -> Vec<Process> {
    let name = folder.to_string_lossy();
    let own = std::process::id();
    let mut found = all();
    found.retain(|process| process.id != own && !is_zombie(process.id) && uses(process.id, &name));
    found
}

fn uses(id: u32, name: &str) -> bool {
    let process = Path::new("/proc").join(id.to_string());
    let link = |link: &str| fs_err::read_link(process.join(link)).unwrap_or_default();
    let text = |file: &str| {
        let bytes = fs_err::read(process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let descriptors = fs_err::read_dir(process.join("fd")).into_iter().flatten().filter_map(Result::ok);
    let mut open = descriptors.filter_map(|entry| fs_err::read_link(entry.path()).ok());
    link("exe").to_string_lossy().contains(name)
        || link("cwd").to_string_lossy().contains(name)
        || text("cmdline").contains(name)
        || text("mountinfo").contains(name)
        || open.any(|path| path.to_string_lossy().contains(name))
}

/// Mounts of this process's namespace that have to do with a folder.
pub(crate) fn mounts(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy();
    let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter(|line| line.contains(&*name)).map(str::to_owned).collect()
}
