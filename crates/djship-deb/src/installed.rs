//! What a root that somebody else made has installed, as dpkg's records say.

use std::collections::BTreeMap;

use crate::control::paragraphs;
use crate::depends::{self, Dependency};

/// Installed packages by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    packages: BTreeMap<String, Record>,
}

/// What is said of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    version: String,
    provides: String,
}

impl Installed {
    /// Reads paragraphs of `/var/lib/dpkg/status`, or of files of `status.d` one after the other. What is only half there, or of
    /// another architecture under the same name, does not count.
    pub fn read(text: &str) -> Self {
        let mut found = Self::default();
        found.add(text);
        found
    }

    /// Adds the packages of further paragraphs.
    pub fn add(&mut self, text: &str) {
        for paragraph in paragraphs(text) {
            // In `status.d`, what is there is installed.
            let is_there = paragraph.get("Status").is_none_or(|status| status.ends_with(" installed"));
            let (Some(name), Some(version), true) =
                (paragraph.get("Package"), paragraph.get("Version"), is_there)
            else {
                continue;
            };
            // Another's words, that may be shown.
            if !depends::is_package_name(name) || !version.bytes().all(|byte| byte.is_ascii_graphic()) {
                continue;
            }
            let record = Record {
                version: version.to_owned(),
                provides: paragraph.get("Provides").unwrap_or_default().to_owned(),
            };
            self.packages.entry(name.to_owned()).or_insert(record);
        }
    }

    /// The version of a package, if it is installed.
    pub fn version(&self, name: &str) -> Option<&str> {
        self.packages.get(name).map(|record| record.version.as_str())
    }

    /// Number of packages.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether nothing is installed.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Takes one out; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.packages.remove(name).is_some()
    }

    /// Whether one of them is, or provides, what is wanted.
    pub fn satisfies(&self, wanted: &Dependency<'_>) -> bool {
        if self.version(wanted.name).is_some_and(|version| wanted.accepts(version)) {
            return true;
        }
        let provided = self.packages.values().flat_map(|record| depends::groups(&record.provides));
        provided.filter_map(|one| Dependency::parse(one).ok()).any(|one| {
            one.name == wanted.name
                && match (wanted.version, one.version) {
                    (None, _) => true,
                    // Policy 7.5: a versioned dependency needs a versioned provision.
                    (Some(_), None) => false,
                    (Some(_), Some((_, version))) => wanted.accepts(version),
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_records_are_read() {
        let mut installed = Installed::read(
            "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\n\
             Package: half\nStatus: install ok half-configured\nVersion: 1\n\n\
             Package: mawk\nStatus: install ok installed\nVersion: 1.3\nProvides: awk, x (= 2)\n",
        );
        installed.add("Package: tzdata\nVersion: 2025b\n");
        assert_eq!(installed.version("libc6"), Some("2.36-9"));
        assert_eq!((installed.version("half"), installed.version("tzdata")), (None, Some("2025b")));
        let satisfies = |text| installed.satisfies(&Dependency::parse(text).unwrap());
        assert!(satisfies("awk") && satisfies("x (>= 2)") && satisfies("libc6 (>= 2.36)"));
        assert!(!satisfies("awk (>= 1)") && !satisfies("x (>= 3)") && !satisfies("libc6 (= 2.36-10)"));
        assert!(installed.remove("mawk") && !installed.remove("mawk"));
        assert_eq!((installed.len(), installed.is_empty()), (2, false));
    }
}
