//! The text of a `.env` file, variable after variable.

use super::{LineProblem, MAX_VALUE};

/// The default in `${NAME:-default}` is at most this long, in bytes.
const MAX_DEFAULT: usize = 4 << 10;

/// A text that is being read. Line ends are `\n`.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
    /// The line where the variable begins that is being read, from 1.
    pub(super) line: usize,
    /// Line ends since then.
    passed: usize,
}

/// What a name stands for.
type Known<'k, 'v> = &'k dyn Fn(&str) -> Option<&'v str>;

impl<'a> Reader<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text, line: 1, passed: 0 }
    }

    /// The next variable; `None` at the end. A name without a value is passed over.
    pub(super) fn next(&mut self, known: Known<'_, '_>) -> Result<Option<(&'a str, String)>, LineProblem> {
        loop {
            self.line += std::mem::take(&mut self.passed);
            self.blanks();
            if self.rest.is_empty() {
                return Ok(None);
            }
            if self.ends() {
                self.rest_of_line();
                continue;
            }
            let name = self.name()?;
            self.blanks();
            if self.ends() {
                self.rest_of_line();
                continue;
            }
            self.rest = self.rest.strip_prefix('=').ok_or(LineProblem::NoEquals)?;
            let value = self.value(known)?;
            if name.len() + value.len() > MAX_VALUE {
                return Err(LineProblem::TooLong);
            }
            return if value.contains('\0') { Err(LineProblem::Zero) } else { Ok(Some((name, value))) };
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(is_blank);
    }

    /// Whether nothing but a comment is left of the line.
    fn ends(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with(['\n', '#'])
    }

    /// Takes what is left of the line, without its end.
    fn rest_of_line(&mut self) -> &'a str {
        let (line, rest) = match self.rest.split_once('\n') {
            Some((line, rest)) => {
                self.passed += 1;
                (line, rest)
            }
            None => (self.rest, ""),
        };
        self.rest = rest;
        line
    }

    fn name(&mut self) -> Result<&'a str, LineProblem> {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(is_blank)
            && !rest.trim_start_matches(is_blank).starts_with('=')
        {
            self.rest = rest.trim_start_matches(is_blank);
        }
        let is_sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let end = self.rest.find(|c| !is_sign(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(LineProblem::Name);
        }
        self.rest = rest;
        Ok(name)
    }

    fn value(&mut self, known: Known<'_, '_>) -> Result<String, LineProblem> {
        let apart = self.rest.starts_with(is_blank);
        self.blanks();
        let value = match self.rest.as_bytes().first() {
            Some(b'\'') => self.literal()?,
            Some(b'"') => self.quoted(known)?,
            _ => {
                let line = self.rest_of_line();
                let text = if apart && line.starts_with('#') { "" } else { without_comment(line) };
                return expanded(text, known);
            }
        };
        self.blanks();
        if !self.ends() {
            return Err(LineProblem::AfterQuote);
        }
        self.rest_of_line();
        Ok(value)
    }

    /// A value in single quotes: as it is, but for `\'`.
    fn literal(&mut self) -> Result<String, LineProblem> {
        let mut value = String::new();
        let mut rest = &self.rest[1..];
        loop {
            let (text, after) = rest.split_once('\'').ok_or(LineProblem::Unclosed)?;
            rest = after;
            // A backslash before the last mark of a line is the end of a path.
            let again = after.split('\n').next().is_some_and(|line| line.contains('\''));
            let Some(text) = text.strip_suffix('\\').filter(|_| again) else {
                value.push_str(text);
                break;
            };
            value.push_str(text);
            value.push('\'');
        }
        self.take_until(rest);
        Ok(value)
    }

    /// A value in double quotes: with escapes and variables.
    fn quoted(&mut self, known: Known<'_, '_>) -> Result<String, LineProblem> {
        let mut value = String::new();
        let mut rest = &self.rest[1..];
        loop {
            let at = rest.find(['"', '\\', '$']).ok_or(LineProblem::Unclosed)?;
            value.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix('"') {
                self.take_until(after);
                return Ok(value);
            }
            rest = match rest.strip_prefix('\\') {
                Some(after) => {
                    let sign = after.chars().next().ok_or(LineProblem::Unclosed)?;
                    match escape(sign) {
                        Some(meant) => value.push(meant),
                        None => value.extend(['\\', sign]),
                    }
                    &after[sign.len_utf8()..]
                }
                None => add_variable(&mut value, rest, known)?,
            };
        }
    }

    /// Goes on at `rest`, which is the end of what is left.
    fn take_until(&mut self, rest: &'a str) {
        let taken = &self.rest[..self.rest.len() - rest.len()];
        self.passed += memchr::memchr_iter(b'\n', taken.as_bytes()).count();
        self.rest = rest;
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

/// A comment begins with `#` after white space; a fragment of an address does not.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with(char::is_whitespace));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim_end()
}

fn escape(sign: char) -> Option<char> {
    Some(match sign {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '"' | '\'' | '$' => sign,
        _ => return None,
    })
}

/// A value without quotes.
fn expanded(text: &str, known: Known<'_, '_>) -> Result<String, LineProblem> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        rest = if value.ends_with('\\') {
            value.pop();
            value.push('$');
            &rest[at + 1..]
        } else {
            add_variable(&mut value, &rest[at..], known)?
        };
    }
    value.push_str(rest);
    Ok(value)
}

/// Adds what the `$` that `text` begins with stands for, and returns what follows.
fn add_variable<'t>(value: &mut String, text: &'t str, known: Known<'_, '_>) -> Result<&'t str, LineProblem> {
    let after = &text[1..];
    let (inner, braced) = match after.strip_prefix('{') {
        Some(inner) => (inner, true),
        None => (after, false),
    };
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let found = known(name).filter(|_| is_name);
    let braces = if braced && is_name { closing(rest) } else { None };
    let (meant, rest) = match (braces, found) {
        (Some((default, if_empty, rest)), found) => {
            (found.filter(|found| !if_empty || !found.is_empty()).unwrap_or(default), rest)
        }
        (None, Some(found)) if !braced => (found, rest),
        _ => ("$", after),
    };
    if value.len() + meant.len() > MAX_VALUE {
        return Err(LineProblem::TooLong);
    }
    value.push_str(meant);
    Ok(rest)
}

/// What stands between a name in braces and the text after them: the default in `${NAME-default}` and
/// `${NAME:-default}`, and whether it is also for an empty value.
fn closing(text: &str) -> Option<(&str, bool, &str)> {
    let near = &text.as_bytes()[..text.len().min(MAX_DEFAULT)];
    let end = memchr::memchr2(b'}', b'\n', near).filter(|end| near[*end] == b'}')?;
    let (inside, after) = (&text[..end], &text[end + 1..]);
    if inside.is_empty() {
        return Some(("", false, after));
    }
    match inside.strip_prefix(':') {
        Some(inside) => Some((inside.strip_prefix('-')?, true, after)),
        None => Some((inside.strip_prefix('-')?, false, after)),
    }
}
