//! Dependencies between packages: `Depends`, `Pre-Depends` and `Provides`, read on borrowed text.

use std::fmt;

use crate::version::Relation;

/// One alternative of a dependency, or one provided name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency<'text> {
    /// The name of a package, real or virtual.
    pub name: &'text str,
    /// `any` or an architecture, as in `perl:any`.
    pub arch: Option<&'text str>,
    /// The versions that will do.
    pub version: Option<(Relation, &'text str)>,
}

/// A text that is not a dependency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{text}` as a dependency")]
pub struct ParseDependencyError {
    /// The text as it was found.
    pub text: String,
}

impl<'text> Dependency<'text> {
    /// Reads `NAME[:ARCH] [(RELATION VERSION)]`.
    pub fn parse(text: &'text str) -> Result<Self, ParseDependencyError> {
        let wrong = || ParseDependencyError { text: text.to_owned() };
        let text = text.trim();
        let (full_name, version) = match text.split_once('(') {
            None => (text, None),
            Some((name, rest)) => {
                let inside = rest.strip_suffix(')').ok_or_else(wrong)?.trim();
                let end = inside.find(|sign| !matches!(sign, '<' | '=' | '>')).ok_or_else(wrong)?;
                let relation = Relation::parse(&inside[..end]).ok_or_else(wrong)?;
                let version = inside[end..].trim_start();
                if version.contains(char::is_whitespace) {
                    return Err(wrong());
                }
                (name.trim_end(), Some((relation, version)))
            }
        };
        let (name, arch) = match full_name.split_once(':') {
            Some((name, arch)) => (name, Some(arch)),
            None => (full_name, None),
        };
        if is_package_name(name) { Ok(Self { name, arch, version }) } else { Err(wrong()) }
    }

    /// Whether a package of `version` satisfies the version of this dependency.
    pub fn accepts(&self, version: &str) -> bool {
        self.version.is_none_or(|(relation, bound)| relation.holds(version, bound))
    }
}

impl fmt::Display for Dependency<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(arch) = self.arch {
            write!(f, ":{arch}")?;
        }
        match self.version {
            Some((relation, version)) => write!(f, " ({} {version})", relation.as_str()),
            None => Ok(()),
        }
    }
}

/// Lower-case letters, digits, `+ - .`, beginning with a letter or digit. (Policy wants two characters at least, `r-`
/// packages and virtual names do not always follow, and nothing here depends on it. Virtual names have underscores.)
pub fn is_package_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
}

/// The groups of a field; every group must be satisfied, by any one of its alternatives.
pub fn groups(field: &str) -> impl Iterator<Item = &str> {
    field.split(',').map(str::trim).filter(|group| !group.is_empty())
}

/// The alternatives of one group.
pub fn alternatives(group: &str) -> impl Iterator<Item = Result<Dependency<'_>, ParseDependencyError>> {
    group.split('|').map(Dependency::parse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_all_forms() {
        let field = "libc6 (>= 2.36), perl:any (>= 3.11~) | python3-old (<<1:2.0-1),\n debconf (>= 0.5) | debconf-2.0, x";
        let read: Vec<Vec<String>> = groups(field)
            .map(|group| alternatives(group).map(|one| one.unwrap().to_string()).collect())
            .collect();
        assert_eq!(
            read,
            [
                vec!["libc6 (>= 2.36)"],
                vec!["perl:any (>= 3.11~)", "python3-old (<< 1:2.0-1)"],
                vec!["debconf (>= 0.5)", "debconf-2.0"],
                vec!["x"],
            ]
        );
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["", "-a", "a (", "a (1.0)", "a (>= )x", "a b", "a (>> 1 2)", "../x", "a (== 1)"] {
            assert!(Dependency::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            for group in groups(&text) {
                let _ = alternatives(group).count();
            }
        }

        #[test]
        fn writing_and_reading_agree(name in "[a-z0-9][a-z0-9+.-]{1,8}", version in "[0-9][0-9.~+-]{0,5}") {
            let text = format!("{name} (>= {version})");
            prop_assert_eq!(Dependency::parse(&text).unwrap().to_string(), text.clone());
        }
    }
}
