//! Version ranges as Poetry writes them: `^3.11`, `~1.2`, `>=3.8 <4`, `1.*`, and several of them with `||`.
//!
//! <https://python-poetry.org/docs/dependency-specification/#version-constraints>

use pep440_rs::{Version, VersionSpecifier};

/// The longest range, in bytes.
const LONGEST: usize = 4096;

/// Something that is no version range of Poetry's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a version range")]
pub(crate) struct ConstraintError;

/// A range: one of several lists, all of which must hold.
#[derive(Debug, Clone)]
pub(crate) struct Constraint(Vec<Vec<VersionSpecifier>>);

impl Constraint {
    /// Reads a range.
    pub(crate) fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > LONGEST {
            return Err(ConstraintError);
        }
        let alternatives = text.split('|').map(str::trim).filter(|part| !part.is_empty());
        let alternatives: Vec<_> = alternatives.map(all_of).collect::<Result<_, _>>()?;
        if alternatives.is_empty() { Err(ConstraintError) } else { Ok(Self(alternatives)) }
    }

    /// Whether a version is in it.
    pub(crate) fn allows(&self, version: &Version) -> bool {
        self.0.iter().any(|all| all.iter().all(|one| one.contains(version)))
    }
}

fn all_of(text: &str) -> Result<Vec<VersionSpecifier>, ConstraintError> {
    let is_operator = |c: char| "<>=!~^".contains(c);
    let between = |c: char| c == ',' || c.is_whitespace();
    let mut specifiers = Vec::new();
    let mut rest = text.trim_matches(between);
    while !rest.is_empty() {
        let (operator, after) = rest.split_at(rest.find(|c| !is_operator(c)).unwrap_or(rest.len()));
        let after = after.trim_start();
        let (version, after) = after.split_at(after.find(between).unwrap_or(after.len()));
        add(operator, version, &mut specifiers)?;
        rest = after.trim_start_matches(between);
    }
    Ok(specifiers)
}

fn add(operator: &str, version: &str, to: &mut Vec<VersionSpecifier>) -> Result<(), ConstraintError> {
    let mut push =
        |text: String| text.parse().map(|specifier| to.push(specifier)).map_err(|_| ConstraintError);
    let plain = version.trim_start_matches(['v', 'V']);
    let wild = |part: &str| matches!(part, "*" | "x" | "X");
    if matches!(operator, "" | "=" | "==") && plain.split('.').all(wild) {
        return Ok(());
    }
    // `1.x` is `1.*`; an upper or lower bound has no wildcard.
    let known: Vec<&str> = plain.split('.').take_while(|part| !wild(part)).collect();
    let wildcard = plain.split('.').any(wild);
    match operator {
        "^" | "~" => {
            let lowest: Version = known.join(".").parse().map_err(|_| ConstraintError)?;
            let release = lowest.release().to_vec();
            let at = match operator {
                // The first number that is not zero, or the last one that is written.
                "^" => release.iter().position(|&number| number != 0).unwrap_or(release.len() - 1),
                _ => usize::from(release.len() > 1),
            };
            let above: Vec<String> = release[..at]
                .iter()
                .map(u64::to_string)
                .chain([release[at].checked_add(1).ok_or(ConstraintError)?.to_string()])
                .collect();
            push(format!(">={lowest}"))?;
            push(format!("<{}", above.join(".")))
        }
        "" | "=" | "==" if wildcard => push(format!("=={}.*", known.join("."))),
        "!=" if wildcard => push(format!("!={}.*", known.join("."))),
        "" | "=" | "==" => push(format!("=={plain}")),
        "===" | "!=" | "<" | "<=" | ">" | ">=" | "~=" => push(format!("{operator}{}", known.join("."))),
        _ => Err(ConstraintError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_range() {
        for (text, inside, outside) in [
            ("*", &["0.1", "99"][..], &[][..]),
            ("^3.11", &["3.11", "3.13.5"], &["3.10.9", "4.0"]),
            ("^0.2.3", &["0.2.9"], &["0.3.0", "0.2.2"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^0.0", &["0.0.9"], &["0.1"]),
            ("^0", &["0.9"], &["1.0"]),
            ("~1.2.3", &["1.2.9"], &["1.3", "1.2.2"]),
            ("~1.2", &["1.2.9"], &["1.3"]),
            ("~1", &["1.9"], &["2.0"]),
            ("~=1.2", &["1.9"], &["2.0"]),
            (">= 3.8, < 4", &["3.13.5"], &["4.0", "3.7"]),
            (">=3.8 <3.12", &["3.11"], &["3.13"]),
            (">=2.7,!=3.0.*,!=3.1.*", &["3.13.5"], &["3.1.4"]),
            ("3.11.*", &["3.11.2"], &["3.12"]),
            ("3.x", &["3.12"], &["4.0"]),
            ("1.2.3", &["1.2.3"], &["1.2.4"]),
            ("^2.7 || ^3.10", &["2.7.18", "3.12"], &["3.9"]),
            ("<2.0|>=3.0", &["1.0", "3.0"], &["2.5"]),
            (">=1.0,<2.0.dev0", &["1.5"], &["2.0"]),
        ] {
            let range = Constraint::parse(text).unwrap();
            for version in inside {
                assert!(range.allows(&version.parse().unwrap()), "{text} has {version}");
            }
            for version in outside {
                assert!(!range.allows(&version.parse().unwrap()), "{text} has not {version}");
            }
        }
    }

    #[test]
    fn what_is_none_is_an_error() {
        for text in ["", "||", "^", "^x", "abc", "=>1", ">=1 and <2", "^18446744073709551615", "~*"] {
            assert!(Constraint::parse(text).is_err(), "{text}");
        }
    }
}
