//! The shared cache, in words.

use djship_django::shared::{NotShared, Part, Shared, SharedNote};

use super::words::{Words, size};

pub(super) fn note(note: &SharedNote<'_>, verbose: bool) -> Words {
    match note {
        // An answer of a few bytes, that only saves the toolchain.
        SharedNote::Taken(shared) | SharedNote::Put(shared)
            if shared.part == Part::LibraryNames && !verbose =>
        {
            Words::default()
        }
        SharedNote::Taken(shared) => verb(shared, "from the shared cache"),
        SharedNote::Put(shared) => verb(shared, "put into the shared cache"),
        SharedNote::Unusable { part, error } => {
            let name = self::part(*part);
            warning(format!("the shared cache holds no usable {name}, so it is made here: {error}"))
        }
        SharedNote::Unreachable(error) if error.is_refusal() => {
            warning(format!("nothing is taken from the shared cache: {error}"))
        }
        SharedNote::Unreachable(error) => warning(format!("going on without the shared cache: {error}")),
        SharedNote::ReadOnly(error) => {
            let why = if verbose { format!(" ({error})") } else { String::new() };
            Words::of(format!("The shared cache is read only here: nothing is put there{why}"))
        }
        SharedNote::NotPut { part, error } => {
            warning(format!("{} not put into the shared cache: {error}", self::part(*part)))
        }
        SharedNote::NotShared(NotShared::Local) => Words::of(
            "Dependencies are not shared: one of them is built from the project, and changes with it",
        ),
        SharedNote::NotShared(NotShared::Links) => {
            Words::of("Dependencies are not shared: they may come from a folder of links that cannot be read")
        }
    }
}

/// What a part is called.
pub(crate) fn part(part: Part) -> &'static str {
    match part {
        Part::Base => "base",
        Part::Environment => "dependencies",
        Part::LibraryNames => "names of run-time libraries",
        Part::Libraries => "run-time libraries",
        Part::Supplied => "application server",
    }
}

fn verb(shared: &Shared, verb: &str) -> Words {
    let name = part(shared.part);
    let name = name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1));
    Words::of(format!("{} {verb}, {}", name.collect::<String>(), size(shared.size)))
}

fn warning(text: String) -> Words {
    Words { lines: Vec::new(), warnings: vec![text] }
}
