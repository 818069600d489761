//! `djship cache`: what is stored, and how much room it takes.

use std::path::PathBuf;

use djship_store::{Bucket, Store, Usage};

use super::prune;
use crate::args::{CacheArgs, CacheCommand, Cli};
use crate::errors::{self, Report};
use crate::host::Workshop;
use crate::ui::{Console, size};

/// One kind of thing that is stored.
struct Kind {
    name: &'static str,
    entries: usize,
    usage: Usage,
}

pub(crate) fn run(cli: &Cli, args: &CacheArgs, console: &Console) -> Result<i32, Report> {
    let workshop = Workshop::open(cli, None, false)?;
    if let Some(CacheCommand::Prune(args)) = &args.what {
        return prune::run(&workshop.store, args, console);
    }
    let kinds = measure(&workshop.store)?;
    let mut all = Usage::default();
    for kind in &kinds {
        all.absorb(&kind.usage);
    }
    if args.json {
        print_json(&workshop.store, &kinds, &all);
    } else {
        for kind in kinds.iter().filter(|kind| kind.entries > 0) {
            let bytes = size(kind.usage.bytes());
            let alone = size(kind.usage.bytes_alone());
            anstream::println!("{:<14} {:>7}  {bytes:>9}  {alone:>9} not shared", kind.name, kind.entries);
        }
        anstream::println!("{:<14} {:>7}  {:>9}", "together", "", size(all.bytes()));
        console.line(&format!("In {}; what has several names counts once", workshop.store.root().display()));
    }
    if all.unreadable() > 0 {
        console.warn(&format!("{} folders belong to somebody else and are not counted", all.unreadable()));
    }
    Ok(0)
}

fn measure(store: &Store) -> Result<Vec<Kind>, Report> {
    let mut kinds = Vec::new();
    for bucket in Bucket::ALL {
        let (entries, path) = store.count(bucket).map_err(|error| errors::storage(&error))?;
        kinds.push(Kind { name: word(bucket.dir_name()), entries, usage: usage([path]) });
    }
    let top = |name: &str| store.root().join(name);
    let within = |folder: PathBuf| children(&folder).len();
    let services = children(&top("volumes")).into_iter().map(within).sum::<usize>();
    kinds.push(Kind {
        name: "uv caches",
        entries: within(top("caches-v1")),
        usage: usage([top("caches-v1")]),
    });
    kinds.push(Kind {
        name: "environments",
        entries: within(top("environments")),
        usage: usage([top("environments")]),
    });
    kinds.push(Kind {
        name: "volumes",
        entries: services + within(top("named-volumes")),
        usage: usage([top("volumes"), top("named-volumes")]),
    });
    let rest = ["tmp", "last", "containers", "unsettled"].map(top);
    kinds.push(Kind { name: "records", entries: within(top("last")), usage: usage(rest) });
    Ok(kinds)
}

fn usage(paths: impl IntoIterator<Item = PathBuf>) -> Usage {
    let mut usage = Usage::default();
    for path in paths {
        usage.add(&path);
    }
    usage
}

fn children(folder: &std::path::Path) -> Vec<PathBuf> {
    fs_err::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// What people call what is in a bucket.
pub(super) fn word(dir_name: &'static str) -> &'static str {
    match dir_name.split_once("-v").map_or(dir_name, |(name, _)| name) {
        "blobs" => "downloads",
        "facts" => "answers",
        name => name,
    }
}

fn print_json(store: &Store, kinds: &[Kind], all: &Usage) {
    let kinds: Vec<_> = kinds
        .iter()
        .map(|kind| {
            serde_json::json!({
                "name": kind.name, "entries": kind.entries,
                "bytes": kind.usage.bytes(), "bytes_not_shared": kind.usage.bytes_alone(),
            })
        })
        .collect();
    let home = store.root().to_string_lossy();
    anstream::println!(
        "{}",
        serde_json::json!({ "version": 1, "home": home, "bytes": all.bytes(), "kinds": kinds })
    );
}
