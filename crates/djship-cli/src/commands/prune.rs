//! `djship cache prune`.

use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use djship_django::builder::caches;
use djship_django::supervisor::{Environments, Known, PROJECT, Presence};
use djship_django::unchanged;
use djship_oci::ImageStore;
use djship_store::sweep::Rule;
use djship_store::{Store, Sweep, Swept};

use super::background;
use super::cache::word;
use crate::args::PruneArgs;
use crate::errors::{self, Report};
use crate::ui::{Console, size};

pub(super) fn run(store: &Store, args: &PruneArgs, console: &Console) -> Result<i32, Report> {
    let now = SystemTime::now();
    // Longer ago than there is time for: nothing is.
    let long_ago = now.checked_sub(args.older_than).unwrap_or(SystemTime::UNIX_EPOCH);
    let unused_since = if args.all { now } else { long_ago };
    // Before it is asked what is needed: whoever is not seen now has written down what they made.
    let sweep = store.begin_sweep(args.dry_run).map_err(|error| errors::sweep(&error))?;
    let known = Environments::at(store.root()).known().map_err(|error| errors::environment(&error))?;
    let mut needed: HashSet<_> =
        ImageStore::new(store).needed().map_err(|error| errors::image(&error))?.into_iter().collect();
    for environment in known.iter().filter(|environment| environment.presence != Presence::Gone) {
        needed.extend(environment.needs().iter().filter_map(|name| Store::parse_entry_name(name)));
    }
    let mut swept = Swept::default();
    let rule = Rule { unused_since, needed: &needed };
    sweep.entries(&rule, &mut swept).map_err(|error| errors::storage(&error))?;
    rest(store, &sweep, unused_since, &known, &mut swept)?;
    say(args, &swept, console);
    Ok(0)
}

/// What lies beside the buckets.
fn rest(
    store: &Store,
    sweep: &Sweep<'_>,
    unused_since: SystemTime,
    known: &[Known],
    swept: &mut Swept,
) -> Result<(), Report> {
    let failed = |error: djship_store::StoreError| errors::storage(&error);
    for found in caches::unused(store, unused_since) {
        let (path, _lock) = found.map_err(failed)?;
        sweep.take_away("uv caches", &path, swept).map_err(failed)?;
    }
    for path in unchanged::outdated(store, unused_since) {
        sweep.take_away("records", &path, swept).map_err(failed)?;
    }
    for path in background::ended(unused_since) {
        sweep.take_away("containers", &path, swept).map_err(failed)?;
    }
    for environment in known.iter().filter(|environment| environment.presence == Presence::Gone) {
        forget(store, sweep, environment, swept)?;
    }
    Ok(())
}

/// Removes the state of an environment whose project is gone, but not whose the volumes are.
fn forget(store: &Store, sweep: &Sweep<'_>, known: &Known, swept: &mut Swept) -> Result<(), Report> {
    let Some(_halted) = known.halt().map_err(|error| errors::environment(&error))? else { return Ok(()) };
    let take = |path: &Path, swept: &mut Swept| {
        sweep.take_away("environments", path, swept).map_err(|error| errors::storage(&error))
    };
    if !store.root().join("volumes").join(&known.id).is_dir() {
        return take(&known.folder, swept);
    }
    let entries = fs_err::read_dir(&known.folder).map_err(|error| errors::storage(&error))?;
    for entry in entries.flatten() {
        if entry.file_name() != PROJECT && entry.file_name() != "lock" {
            take(&entry.path(), swept)?;
        }
    }
    Ok(())
}

fn say(args: &PruneArgs, swept: &Swept, console: &Console) {
    if args.json {
        let removed: serde_json::Map<_, _> =
            swept.entries.iter().map(|(name, count)| (word(name).to_owned(), (*count).into())).collect();
        let document = serde_json::json!({
            "version": 1, "dry_run": args.dry_run, "removed": removed, "bytes": swept.bytes(),
        });
        anstream::println!("{document}");
    } else if swept.entries.is_empty() {
        console.result("Nothing to remove");
    } else {
        let counts: Vec<_> =
            swept.entries.iter().map(|(name, count)| format!("{count} {}", word(name))).collect();
        let (verb, then) =
            if args.dry_run { ("Would remove", "would be free") } else { ("Removed", "are free again") };
        console.result(&format!("{verb} {}: {} {then}", counts.join(", "), size(swept.bytes())));
    }
    for (path, error) in &swept.left {
        console.warn(&format!("cannot remove `{}`: {error}", path.display()));
    }
    if !swept.left.is_empty() {
        console.line("Files of other users' ids: their owner, or root, can remove them");
    }
}
