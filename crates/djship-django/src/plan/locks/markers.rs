//! Environment markers, evaluated for one Python on Linux.
//!
//! <https://packaging.python.org/en/latest/specifications/dependency-specifiers/#environment-markers>, with the two variables that
//! lock files add: `extras` and `dependency_groups`. They are evaluated while they are read, and come from outside: length and
//! depth are limited.

use std::collections::BTreeSet;

use pep440_rs::{Version, VersionSpecifier};

use super::Scope;
use crate::project::requirements::normalise;

/// The longest marker, in bytes. What tools write for the worst of real graphs stays below a tenth.
const LONGEST: usize = 64 << 10;
/// How deep brackets are followed.
const DEEPEST: usize = 64;

/// A marker that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an environment marker")]
pub struct MarkerError;

/// What markers are evaluated for.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    python: Version,
    /// Extras that are installed, normalised.
    pub(super) extras: BTreeSet<String>,
    /// Groups that are installed, normalised.
    pub(super) groups: BTreeSet<String>,
    pub(super) scope: Scope,
}

impl Environment {
    pub(super) fn new(python: impl Into<Version>, scope: Scope) -> Self {
        Self { python: python.into(), extras: BTreeSet::new(), groups: BTreeSet::new(), scope }
    }

    /// The full version of Python.
    pub(super) fn python(&self) -> &Version {
        &self.python
    }

    /// Whether a marker is true; an absent one is.
    pub(super) fn meets(&self, marker: Option<&str>) -> Result<bool, MarkerError> {
        marker.map_or(Ok(true), |marker| self.holds(marker))
    }

    /// Whether a marker is true.
    pub(super) fn holds(&self, marker: &str) -> Result<bool, MarkerError> {
        if marker.len() > LONGEST {
            return Err(MarkerError);
        }
        let tokens = tokens(marker)?;
        let mut reader = Reader { environment: self, tokens: &tokens, depth: 0 };
        let value = reader.any()?;
        if reader.tokens.is_empty() { Ok(value) } else { Err(MarkerError) }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let parts = self.python.release();
        Some(match name {
            "python_version" => format!("{}.{}", parts.first()?, parts.get(1)?),
            "python_full_version" | "implementation_version" => self.python.to_string(),
            "os_name" | "os.name" => "posix".to_owned(),
            "sys_platform" | "sys.platform" => "linux".to_owned(),
            "platform_system" => "Linux".to_owned(),
            "platform_machine" | "platform.machine" => std::env::consts::ARCH.to_owned(),
            "platform_python_implementation" | "platform.python_implementation" | "python_implementation" => {
                "CPython".to_owned()
            }
            "implementation_name" => "cpython".to_owned(),
            // The kernel of the machine that runs it, which nobody knows yet.
            "platform_release" | "platform_version" | "platform.version" => String::new(),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Open,
    Close,
    Operator(&'a str),
    Word(&'a str),
    Text(&'a str),
}

fn tokens(marker: &str) -> Result<Vec<Token<'_>>, MarkerError> {
    let is_operator = |c: char| "<>=!~".contains(c);
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    let mut tokens = Vec::new();
    let mut rest = marker.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            '"' | '\'' => {
                let (text, after) = rest[1..].split_once(first).ok_or(MarkerError)?;
                (Token::Text(text), after)
            }
            c if is_operator(c) => {
                let end = rest.find(|c| !is_operator(c)).unwrap_or(rest.len());
                (Token::Operator(&rest[..end]), &rest[end..])
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(&rest[..end]), &rest[end..])
            }
            _ => return Err(MarkerError),
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// One side of a comparison.
enum Side {
    Text(String),
    Extra,
    Extras,
    Groups,
}

struct Reader<'a> {
    environment: &'a Environment,
    tokens: &'a [Token<'a>],
    depth: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self) -> Result<Token<'a>, MarkerError> {
        let (first, rest) = self.tokens.split_first().ok_or(MarkerError)?;
        self.tokens = rest;
        Ok(*first)
    }

    fn skips(&mut self, word: &str) -> bool {
        let found = self.tokens.first() == Some(&Token::Word(word));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn any(&mut self) -> Result<bool, MarkerError> {
        let mut value = self.all()?;
        while self.skips("or") {
            // The other side is read in any case.
            value |= self.all()?;
        }
        Ok(value)
    }

    fn all(&mut self) -> Result<bool, MarkerError> {
        let mut value = self.one()?;
        while self.skips("and") {
            value &= self.one()?;
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<bool, MarkerError> {
        if self.tokens.first() == Some(&Token::Open) {
            self.take()?;
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(MarkerError);
            }
            let value = self.any()?;
            self.depth -= 1;
            return if self.take()? == Token::Close { Ok(value) } else { Err(MarkerError) };
        }
        let (left, left_is_text) = self.side()?;
        let operator = match self.take()? {
            Token::Operator(operator) => operator,
            Token::Word("in") => "in",
            Token::Word("not") if self.skips("in") => "not in",
            _ => return Err(MarkerError),
        };
        let (right, right_is_text) = self.side()?;
        match (left, right) {
            (Side::Extra, Side::Text(name)) | (Side::Text(name), Side::Extra) => {
                is(operator, self.environment.extras.contains(&normalise(&name)))
            }
            (Side::Text(name), Side::Extras) => contains(operator, &self.environment.extras, &name),
            (Side::Text(name), Side::Groups) => contains(operator, &self.environment.groups, &name),
            (Side::Text(left), Side::Text(right)) if left_is_text && !right_is_text => {
                compare(&right, mirrored(operator), &left, operator)
            }
            (Side::Text(left), Side::Text(right)) => compare(&left, operator, &right, operator),
            _ => Err(MarkerError),
        }
    }

    fn side(&mut self) -> Result<(Side, bool), MarkerError> {
        Ok(match self.take()? {
            Token::Text(text) => (Side::Text(text.to_owned()), true),
            Token::Word("extra") => (Side::Extra, false),
            Token::Word("extras") => (Side::Extras, false),
            Token::Word("dependency_groups") => (Side::Groups, false),
            Token::Word(name) => (Side::Text(self.environment.variable(name).ok_or(MarkerError)?), false),
            _ => return Err(MarkerError),
        })
    }
}

fn is(operator: &str, value: bool) -> Result<bool, MarkerError> {
    match operator {
        "==" | "in" => Ok(value),
        "!=" | "not in" => Ok(!value),
        _ => Err(MarkerError),
    }
}

fn contains(operator: &str, set: &BTreeSet<String>, name: &str) -> Result<bool, MarkerError> {
    match operator {
        "in" => Ok(set.contains(&normalise(name))),
        "not in" => Ok(!set.contains(&normalise(name))),
        _ => Err(MarkerError),
    }
}

/// The operator with its sides exchanged.
fn mirrored(operator: &str) -> &str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// As versions where both are, as texts otherwise. `in` looks for the text on the left in the one on the right, so it is
/// told how it was `written`.
fn compare(variable: &str, operator: &str, value: &str, written: &str) -> Result<bool, MarkerError> {
    match written {
        "in" => return Ok(value.contains(variable)),
        "not in" => return Ok(!value.contains(variable)),
        _ => {}
    }
    if let Ok(version) = variable.parse::<Version>()
        && let Ok(specifier) = format!("{operator}{value}").parse::<VersionSpecifier>()
    {
        return Ok(specifier.contains(&version));
    }
    match operator {
        "==" | "===" => Ok(variable == value),
        "!=" => Ok(variable != value),
        "<" => Ok(variable < value),
        "<=" => Ok(variable <= value),
        ">" => Ok(variable > value),
        ">=" => Ok(variable >= value),
        _ => Err(MarkerError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::python::Release;

    fn environment() -> Environment {
        let mut environment = Environment::new(Release::Trixie, Scope::Production);
        environment.extras.insert("pg".to_owned());
        environment.groups.insert("default".to_owned());
        environment
    }

    #[test]
    fn markers_that_hold_on_trixie() {
        for marker in [
            "python_version >= '3.8'",
            "python_version < \"3.15\" and python_full_version >= \"3.13.0\"",
            "'3.8' <= python_version",
            "sys_platform == 'linux' or sys_platform == \"win32\"",
            "(os_name == 'posix' and (implementation_name == 'cpython')) and platform_system != 'Windows'",
            "sys_platform == 'win32' and python_version < '3' or platform_python_implementation == 'CPython'",
            "python_version in '3.12, 3.13'",
            "python_version not in '3.6, 3.7'",
            "extra == 'PG' and extra != 'mysql'",
            "'pg' in extras and 'default' in dependency_groups and 'dev' not in dependency_groups",
            "python_version == '3.13.*' and python_version ~= '3.1'",
            "'linux' in sys_platform",
        ] {
            assert_eq!(environment().holds(marker), Ok(true), "{marker}");
        }
    }

    #[test]
    fn markers_that_do_not() {
        for marker in [
            "python_version < '3.10'",
            "sys_platform == 'win32'",
            "extra == 'mysql'",
            "'dev' in dependency_groups",
            "platform_release >= '20'",
            "python_version > '3.9' and (sys_platform == 'darwin' or os_name == 'nt')",
        ] {
            assert_eq!(environment().holds(marker), Ok(false), "{marker}");
        }
    }

    #[test]
    fn what_is_no_marker_is_an_error_and_not_a_crash() {
        let deep = format!("{}python_version > '3'{}", "(".repeat(5000), ")".repeat(5000));
        let long = vec!["python_version > '3'"; 5000].join(" or ");
        for marker in [
            "",
            "python_version",
            "nothing == 'x'",
            "python_version > '3",
            "a\n--hash",
            "extra < 'x'",
            "()",
            &deep,
            &long,
        ] {
            assert_eq!(environment().holds(marker), Err(MarkerError), "{}", &marker[..marker.len().min(40)]);
        }
    }
}
