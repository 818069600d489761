//! The packages of a release: what three signed indexes say together.

mod parse;
mod part;

pub use parse::{ParseIndexError, compact};
pub(crate) use part::FORM;
pub use part::{IndexPart, MalformedPart};

use std::cmp::Ordering;

use djship_store::Digest;

use crate::depends::{self, Dependency};
use crate::package::Package;
use crate::version;

/// All packages of one release for one architecture. Of several versions the highest counts, as without any pinning.
#[derive(Debug)]
pub struct PackageIndex {
    /// In the order of [`crate::Suite::ALL`].
    parts: Vec<IndexPart>,
    identity: Digest,
}

impl PackageIndex {
    /// Joins the parts, given in the order of [`crate::Suite::ALL`]. `identity` changes when any of them does.
    pub fn new(parts: Vec<IndexPart>, identity: Digest) -> Self {
        Self { parts, identity }
    }

    /// A digest that stands for the content: two indexes with the same are the same.
    pub fn identity(&self) -> &Digest {
        &self.identity
    }

    /// Number of packages, several versions counted each.
    pub fn len(&self) -> usize {
        self.parts.iter().map(IndexPart::len).sum()
    }

    /// Whether there is no package at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The highest version of the package of that name.
    pub fn get(&self, name: &str) -> Option<Package> {
        let mut best: Option<Package> = None;
        for part in &self.parts {
            let Some(found) = part.get(name) else { continue };
            let newer = |best: &Package| version::compare(&found.version, &best.version) == Ordering::Greater;
            if best.as_ref().is_none_or(newer) {
                best = Some(found);
            }
        }
        best
    }

    /// The packages that provide what `wanted` names in a version that will do, in the order in which apt prefers
    /// them: by priority, then by name.
    pub fn providers(&self, wanted: &Dependency<'_>) -> Vec<Package> {
        let mut names: Vec<&str> = self.parts.iter().flat_map(|part| part.providers(wanted.name)).collect();
        names.sort_unstable();
        names.dedup();
        // A version that is not the highest does not count, whatever it provides.
        let mut found: Vec<Package> = names
            .into_iter()
            .filter_map(|name| self.get(name))
            .filter(|package| provides(package, wanted))
            .collect();
        found.sort_by(|left, right| {
            left.priority.cmp(&right.priority).then_with(|| left.name.cmp(&right.name))
        });
        found
    }

    /// The names of all essential packages, sorted.
    pub fn essential(&self) -> Vec<String> {
        let mut names: Vec<&str> = self.parts.iter().flat_map(IndexPart::essential).collect();
        names.sort_unstable();
        names.dedup();
        let is_still = |name: &&str| self.get(name).is_some_and(|package| package.essential);
        names.into_iter().filter(is_still).map(str::to_owned).collect()
    }

    /// Names that differ from `name` by little, best first, for an error message.
    pub fn similar(&self, name: &str, most: usize) -> Vec<String> {
        let stem = name.trim_end_matches(|last: char| last.is_ascii_digit() || matches!(last, '.' | '-'));
        let stem = if stem.len() < 3 { name } else { stem };
        let mut names: Vec<&str> = self.parts.iter().flat_map(|part| part.with_prefix(stem)).collect();
        names.sort_by_key(|found| (found.len().abs_diff(name.len()), *found));
        names.dedup();
        // A slip within the name: few people miss the first two letters.
        if names.is_empty()
            && let Some(begin) = name.get(..2)
        {
            let all = self.parts.iter().flat_map(|part| part.with_prefix(begin));
            let near = all.map(|found| (strsim::damerau_levenshtein(found, name), found));
            let mut near: Vec<_> = near.filter(|(distance, _)| *distance <= 2).collect();
            near.sort_unstable();
            near.dedup();
            names.extend(near.into_iter().map(|(_, found)| found));
        }
        names.into_iter().take(most).map(str::to_owned).collect()
    }
}

/// Whether `package` provides (by another name than its own) what `wanted` asks for.
pub(crate) fn provides(package: &Package, wanted: &Dependency<'_>) -> bool {
    depends::groups(&package.provides).filter_map(|group| Dependency::parse(group).ok()).any(|provided| {
        provided.name == wanted.name
            && match (wanted.version, provided.version) {
                (None, _) => true,
                // Policy 7.5: a versioned dependency needs a versioned provision.
                (Some(_), None) => false,
                (Some(_), Some((_, version))) => wanted.accepts(version),
            }
    })
}
