//! Which packages are needed: the closure over dependencies that apt would install without recommendations.
//!
//! The order of steps is part of the result, because a group that any chosen package satisfies adds nothing: roots first
//! (essential ones before all), then, root by root, breadth first over `Pre-Depends` and `Depends`. Conflicts are not looked at; in the
//! sets that djship makes there are none, and composing a root refuses files that clash.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::depends::{self, Dependency};
use crate::index::{PackageIndex, provides};
use crate::installed::Installed;
use crate::package::Package;
use crate::version;

/// What differs from an ordinary closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClosureRules<'data> {
    /// Whether the essential packages are roots, too.
    pub essential: bool,
    /// Names that nothing gets through a dependency: a group whose first alternative is one of them is left out.
    pub drop_edges: &'data [&'data str],
    /// Alternatives that are taken although another stands before them.
    pub prefer: &'data [&'data str],
}

/// Packages that cannot be had together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClosureError {
    /// There is no package of a name that was asked for.
    #[error("cannot find the Debian package `{package}`")]
    Missing {
        /// The name.
        package: String,
        /// Names that are near.
        similar: Vec<String>,
    },
    /// Nothing satisfies a dependency.
    #[error("cannot satisfy `{dependency}`, which `{wanted_by}` depends on: no package provides it")]
    Unsatisfiable {
        /// The group as it is written.
        dependency: String,
        /// The package that has it.
        wanted_by: String,
    },
    /// A package that is there already is later than what the mirror has, and another one needs exactly that.
    #[error(
        "cannot satisfy `{dependency}`, which `{wanted_by}` depends on: version {installed} is installed, and the \
         mirror has {offered}"
    )]
    Later {
        /// The group as it is written.
        dependency: String,
        /// The package that has it.
        wanted_by: String,
        /// The version that is there.
        installed: String,
        /// The version of the mirror.
        offered: String,
    },
    /// A dependency cannot be read.
    #[error("cannot read the dependency `{dependency}` of `{wanted_by}`")]
    Malformed {
        /// The group as it is written.
        dependency: String,
        /// The package that has it.
        wanted_by: String,
    },
}

impl PackageIndex {
    /// The packages named in `roots` and everything that they depend on, sorted by name.
    pub fn closure(&self, roots: &[&str], rules: &ClosureRules<'_>) -> Result<Vec<Package>, ClosureError> {
        self.closure_beside(&Installed::default(), roots, rules)
    }

    /// What is missing beside the packages that are installed already: the packages named in `roots` and everything that they
    /// depend on, sorted by name. An installed package is in it when another one needs a later version than is there.
    pub fn closure_beside(
        &self,
        installed: &Installed,
        roots: &[&str],
        rules: &ClosureRules<'_>,
    ) -> Result<Vec<Package>, ClosureError> {
        let mut chosen = Chosen { installed: installed.clone(), ..Chosen::default() };
        if rules.essential {
            for name in self.essential().iter().filter(|name| installed.version(name).is_none()) {
                chosen.extend(self.get(name));
            }
        }
        for root in roots.iter().filter(|root| installed.version(root).is_none()) {
            let package = self.root(root)?;
            chosen.extend([package]);
        }
        // All roots are chosen before anything that they need, and one root is satisfied before the next is looked at.
        for root in std::mem::take(&mut chosen.queue) {
            chosen.queue.push_back(root);
            while let Some(at) = chosen.queue.pop_front() {
                let package = &chosen.packages[at];
                let fields = [package.pre_depends.clone(), package.depends.clone()];
                let name = package.name.clone();
                for group in fields.iter().flat_map(|field| depends::groups(field)) {
                    if let Some(package) = self.choose(group, &name, &chosen, rules)? {
                        chosen.extend([package]);
                    }
                }
            }
        }
        let mut packages = chosen.packages;
        packages.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(packages)
    }

    /// A package that was asked for by name. A virtual one will do if a single package provides it.
    fn root(&self, name: &str) -> Result<Package, ClosureError> {
        if let Some(package) = self.get(name) {
            return Ok(package);
        }
        let virtual_name = Dependency { name, arch: None, version: None };
        let mut providers = self.providers(&virtual_name);
        match providers.pop() {
            Some(package) if providers.is_empty() => Ok(package),
            _ => Err(ClosureError::Missing { package: name.to_owned(), similar: self.similar(name, 3) }),
        }
    }

    /// The package that a group adds, if it adds one.
    fn choose(
        &self,
        group: &str,
        wanted_by: &str,
        chosen: &Chosen,
        rules: &ClosureRules<'_>,
    ) -> Result<Option<Package>, ClosureError> {
        let alternatives: Vec<Dependency<'_>> =
            depends::alternatives(group).collect::<Result<_, _>>().map_err(|_| ClosureError::Malformed {
                dependency: group.to_owned(),
                wanted_by: wanted_by.to_owned(),
            })?;
        let is_dropped = alternatives.first().is_some_and(|first| rules.drop_edges.contains(&first.name));
        if is_dropped || alternatives.iter().any(|one| chosen.satisfies(one)) {
            return Ok(None);
        }
        let (preferred, others): (Vec<&Dependency<'_>>, Vec<&Dependency<'_>>) =
            alternatives.iter().partition(|one| rules.prefer.contains(&one.name));
        for wanted in preferred.into_iter().chain(others) {
            if wanted.arch.is_some_and(|arch| !matches!(arch, "any" | "native")) {
                continue;
            }
            let real = self.get(wanted.name).filter(|package| wanted.accepts(&package.version));
            if let Some(package) = real.or_else(|| self.providers(wanted).into_iter().next()) {
                let there = chosen.installed.version(&package.name);
                if let Some(there) = there.filter(|there| version::compare(there, &package.version).is_gt()) {
                    return Err(ClosureError::Later {
                        dependency: group.to_owned(),
                        wanted_by: wanted_by.to_owned(),
                        installed: there.to_owned(),
                        offered: package.version,
                    });
                }
                return Ok(Some(package));
            }
        }
        Err(ClosureError::Unsatisfiable { dependency: group.to_owned(), wanted_by: wanted_by.to_owned() })
    }
}

/// The packages chosen so far.
#[derive(Debug, Default)]
struct Chosen {
    /// What is there without being chosen.
    installed: Installed,
    packages: Vec<Package>,
    names: HashSet<String>,
    /// Virtual name to the positions of packages that provide it.
    provided: HashMap<String, Vec<usize>>,
    /// Positions of packages whose dependencies have not been looked at.
    queue: VecDeque<usize>,
}

impl Chosen {
    fn extend(&mut self, packages: impl IntoIterator<Item = Package>) {
        for package in packages {
            if !self.names.insert(package.name.clone()) {
                continue;
            }
            // Its place is taken by what is chosen.
            self.installed.remove(&package.name);
            let at = self.packages.len();
            for provided in depends::groups(&package.provides).filter_map(|one| Dependency::parse(one).ok()) {
                self.provided.entry(provided.name.to_owned()).or_default().push(at);
            }
            self.packages.push(package);
            self.queue.push_back(at);
        }
    }

    fn satisfies(&self, wanted: &Dependency<'_>) -> bool {
        let by_itself = || {
            let same = self.packages.iter().find(|package| package.name == wanted.name);
            same.is_some_and(|package| wanted.accepts(&package.version))
        };
        let by_provider = || {
            let providers = self.provided.get(wanted.name).into_iter().flatten();
            providers.map(|at| &self.packages[*at]).any(|package| provides(package, wanted))
        };
        (self.names.contains(wanted.name) && by_itself()) || by_provider() || self.installed.satisfies(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{IndexPart, compact};
    use crate::release::{Arch, Suite};
    use djship_store::Digest;

    /// `NAME VERSION; FIELD: VALUE; ...` per line.
    fn index(parts: &[(Suite, &str)]) -> PackageIndex {
        let part = |(suite, lines): &(Suite, &str)| {
            let text: String = lines
                .lines()
                .map(|line| {
                    let (head, fields) = line.split_once(';').unwrap_or((line, ""));
                    let (name, version) = head.trim().split_once(' ').unwrap();
                    format!(
                        "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: p/{name}.deb\nSize: 1\nSHA256: {}\n{}\n\n",
                        "0".repeat(64),
                        fields.split(';').map(str::trim).collect::<Vec<_>>().join("\n")
                    )
                    .replace("\n\n\n", "\n\n")
                })
                .collect();
            IndexPart::parse(compact(text.as_bytes(), *suite, Arch::Amd64).unwrap()).unwrap()
        };
        PackageIndex::new(parts.iter().map(part).collect(), Digest::of(b""))
    }

    fn names(index: &PackageIndex, roots: &[&str], rules: &ClosureRules<'_>) -> Vec<String> {
        index.closure(roots, rules).unwrap().into_iter().map(|package| package.to_string()).collect()
    }

    #[test]
    fn the_highest_version_of_all_suites_is_taken() {
        let index = index(&[
            (Suite::Main, "a 1.0; Depends: b (>= 2)\nb 1.9"),
            (Suite::Updates, "b 2.0"),
            (Suite::Security, "a 1.0; Depends: wrong\nb 2.0~rc1"),
        ]);
        assert_eq!(names(&index, &["a"], &ClosureRules::default()), ["a 1.0", "b 2.0"]);
        assert_eq!(index.get("a").unwrap().suite, Suite::Main);
    }

    #[test]
    fn providers_come_by_priority_then_name() {
        let index = index(&[(
            Suite::Main,
            "base 1; Pre-Depends: awk\ngawk 1; Provides: awk; Priority: optional\n\
             mawk 1; Provides: awk; Priority: required\nother 1; Depends: gawk\nzawk 1; Provides: awk",
        )]);
        assert_eq!(names(&index, &["base"], &ClosureRules::default()), ["base 1", "mawk 1"]);
        // What is chosen already satisfies.
        assert_eq!(
            names(&index, &["other", "base"], &ClosureRules::default()),
            ["base 1", "gawk 1", "other 1"]
        );
        assert_eq!(names(&index, &["gawk", "base"], &ClosureRules::default()), ["base 1", "gawk 1"]);
    }

    #[test]
    fn versioned_dependencies_need_versioned_provisions() {
        let lines =
            "a 1; Depends: v (>= 2)\nb 1; Provides: v\nc 1; Provides: v (= 1)\nd 1; Provides: v (= 3)";
        let index = index(&[(Suite::Main, lines)]);
        assert_eq!(names(&index, &["a"], &ClosureRules::default()), ["a 1", "d 1"]);
        let only_b = self::index(&[(Suite::Main, "a 1; Depends: v (>= 2)\nb 1; Provides: v")]);
        assert_eq!(
            only_b.closure(&["a"], &ClosureRules::default()),
            Err(ClosureError::Unsatisfiable { dependency: "v (>= 2)".to_owned(), wanted_by: "a".to_owned() })
        );
    }

    #[test]
    fn edges_can_be_dropped_and_alternatives_preferred() {
        let index = index(&[(
            Suite::Main,
            "a 1; Depends: debconf (>= 0.5) | debconf-2.0, usrmerge | usr-is-merged, gone | c:any\n\
             debconf 1\nusrmerge 1\nusr-is-merged 1\nc 1\ne 1; Essential: yes",
        )]);
        let rules = ClosureRules { essential: false, drop_edges: &["debconf"], prefer: &["usr-is-merged"] };
        assert_eq!(names(&index, &["a"], &rules), ["a 1", "c 1", "usr-is-merged 1"]);
        let rules = ClosureRules { essential: true, ..ClosureRules::default() };
        assert_eq!(names(&index, &["a"], &rules), ["a 1", "c 1", "debconf 1", "e 1", "usrmerge 1"]);
    }

    #[test]
    fn what_is_installed_is_not_chosen_unless_a_later_version_is_needed() {
        let index = index(&[(
            Suite::Main,
            "dev 1; Depends: lib (= 2), tool, virtual, awk\nlib 2; Depends: extra\nextra 1\ntool 1; Depends: gone\n\
             awk 1\ngawk 1; Provides: awk\nother 1; Provides: virtual",
        )]);
        let status = |lib: &str| {
            Installed::read(&format!(
                "Package: lib\nStatus: install ok installed\nVersion: {lib}\n\nPackage: tool\nVersion: 1\n\n\
                 Package: dev-removed\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                 Package: mawk\nVersion: 1\nProvides: awk\n\nPackage: some\nVersion: 3\nProvides: virtual"
            ))
        };
        let names = |lib: &str| {
            let found = index.closure_beside(&status(lib), &["dev", "tool"], &ClosureRules::default());
            found.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(names("2").unwrap(), ["dev 1"]);
        assert_eq!(names("1").unwrap(), ["dev 1", "extra 1", "lib 2"]);
        let ClosureError::Later { installed, offered, .. } = names("3").unwrap_err() else { panic!() };
        assert_eq!((installed.as_str(), offered.as_str()), ("3", "2"));
    }

    #[test]
    fn a_missing_root_names_what_is_near() {
        let index = index(&[(Suite::Main, "libpq5 1\nlibpq-dev 1\nlibpng 1")]);
        let error = index.closure(&["libpq6"], &ClosureRules::default()).unwrap_err();
        let ClosureError::Missing { package, similar } = error else { panic!("{error}") };
        assert_eq!((package.as_str(), similar[0].as_str()), ("libpq6", "libpq5"));
        let error = index.closure(&["lipbng"], &ClosureRules::default()).unwrap_err();
        let ClosureError::Missing { similar, .. } = error else { panic!("{error}") };
        assert_eq!(similar, ["libpng"]);
    }
}
