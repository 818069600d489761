//! TOML values with where they stand, and how each is read.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::ConfigError;
use crate::plan::{Origin, Sourced};
use crate::project::command::{CommandError, CommandLine};

/// The most entries of a table or list.
const MAX_ENTRIES: usize = 100;
/// The longest text, in bytes.
const MAX_TEXT: usize = 16 << 10;
/// The longest name, in bytes: names are part of folder names and host names.
pub(super) const MAX_NAME: usize = 40;

/// A configuration file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Document<'_> {
    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        memchr::memchr_iter(b'\n', before).count() + 1
    }

    pub(super) fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { file: self.file.to_owned(), line, reason: error.message().to_owned() }
    }
}

/// A value with the key that it belongs to.
#[derive(Debug)]
pub(super) struct Value<'a> {
    document: &'a Document<'a>,
    /// The key with the tables that it is in; empty for the document itself.
    key: String,
    line: usize,
    content: &'a DeValue<'a>,
}

type Key<'a> = Spanned<DeString<'a>>;

impl<'a> Value<'a> {
    pub(super) fn of(
        document: &'a Document<'a>,
        key: String,
        at: &Key<'a>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Self {
        Self { document, key, line: document.line(at.span().start), content: value.get_ref() }
    }

    /// The document itself.
    pub(super) fn top(document: &'a Document<'a>, content: &'a DeValue<'a>) -> Self {
        Self { document, key: String::new(), line: 1, content }
    }

    /// That something else belongs here.
    pub(super) fn fails(&self, expected: &'static str) -> ConfigError {
        ConfigError::Value {
            file: self.document.file.to_owned(),
            line: self.line,
            key: self.key.clone(),
            expected,
        }
    }

    /// What was read here, with the place.
    pub(super) fn sourced<T>(&self, value: T) -> Sourced<T> {
        Sourced { value, origin: Origin::File(self.document.file.to_owned(), Some(self.line)) }
    }

    fn below(&self, key: &Key<'a>, value: &'a Spanned<DeValue<'a>>) -> Self {
        let name = key.get_ref();
        let path = if self.key.is_empty() { name.to_string() } else { format!("{}.{name}", self.key) };
        Self::of(self.document, path, key, value)
    }

    fn table(&self) -> Result<&'a DeTable<'a>, ConfigError> {
        let table = self.content.as_table().ok_or_else(|| self.fails("a table"))?;
        self.few(table.len())?;
        Ok(table)
    }

    fn few(&self, count: usize) -> Result<(), ConfigError> {
        if count <= MAX_ENTRIES {
            return Ok(());
        }
        let file = self.document.file.to_owned();
        Err(ConfigError::TooMany { file, line: self.line, key: self.key.clone(), limit: MAX_ENTRIES })
    }

    /// The table here, which may have these keys and no others.
    pub(super) fn keys(&self, known: &'static [&'static str]) -> Result<Keys<'_, 'a>, ConfigError> {
        let table = self.table()?;
        for (key, value) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                let unknown = self.below(key, value);
                return Err(ConfigError::UnknownKey {
                    file: self.document.file.to_owned(),
                    line: unknown.line,
                    key: unknown.key,
                    nearest: nearest(key.get_ref(), known),
                    known,
                });
            }
        }
        Ok(Keys { of: self, table })
    }

    /// The entries of a table whose keys are names that the user gives.
    pub(super) fn named(&self) -> Result<Vec<(String, Self)>, ConfigError> {
        self.entries(|name| {
            name.len() <= MAX_NAME
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        })
    }

    fn entries(&self, is_name: impl Fn(&str) -> bool) -> Result<Vec<(String, Self)>, ConfigError> {
        let mut entries = Vec::new();
        for (key, value) in self.table()? {
            let entry = self.below(key, value);
            if !is_name(key.get_ref()) {
                let file = self.document.file.to_owned();
                return Err(ConfigError::Name { file, line: entry.line, key: entry.key });
            }
            entries.push((key.get_ref().to_string(), entry));
        }
        Ok(entries)
    }

    pub(super) fn is_list(&self) -> bool {
        self.content.as_array().is_some()
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        self.content.as_bool().ok_or_else(|| self.fails("`true` or `false`"))
    }

    pub(super) fn text(&self) -> Result<&'a str, ConfigError> {
        self.content.as_str().filter(|text| is_text(text)).ok_or_else(|| self.fails("a text"))
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, ConfigError> {
        let fails = || self.fails("a list of texts");
        let list = self.content.as_array().ok_or_else(fails)?;
        self.few(list.len())?;
        let texts = list.iter().map(|value| value.get_ref().as_str().filter(|text| is_text(text)));
        texts.map(|text| text.map(str::to_owned).ok_or_else(fails)).collect()
    }

    pub(super) fn port(&self) -> Result<u16, ConfigError> {
        let number = self.content.as_integer();
        let port = number.and_then(|number| u16::from_str_radix(number.as_str(), number.radix()).ok());
        port.filter(|port| *port > 0).ok_or_else(|| self.fails("a port from 1 to 65535"))
    }

    /// Names of Debian packages; at least one.
    pub(super) fn packages(&self) -> Result<Vec<String>, ConfigError> {
        let names = self.texts()?;
        if names.is_empty() || !names.iter().all(|name| is_package(name)) {
            return Err(self.fails("a list of names of Debian packages"));
        }
        Ok(names)
    }

    /// A command: a text is a line, a list is its words.
    pub(super) fn command(&self) -> Result<CommandLine, ConfigError> {
        let wrong = |source: CommandError| ConfigError::Command {
            file: self.document.file.to_owned(),
            line: self.line,
            key: self.key.clone(),
            source,
        };
        if let Some(line) = self.content.as_str() {
            return CommandLine::parse(line).map_err(wrong);
        }
        if self.content.as_array().is_none() {
            return Err(self.fails("a text or a list of texts"));
        }
        CommandLine::of_words(self.texts()?).map_err(wrong)
    }

    /// Variables. A number is taken as it is written; `true` is not, because programs do not agree on how to write it.
    pub(super) fn environment(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut variables = BTreeMap::new();
        for (name, value) in self.entries(is_variable)? {
            let text = match value.content {
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
                other => other
                    .as_str()
                    .filter(|text| is_text(text))
                    .map(str::to_owned)
                    .ok_or_else(|| value.fails("a text or a whole number"))?,
            };
            variables.insert(name, text);
        }
        Ok(variables)
    }
}

/// A table whose keys are all known.
#[derive(Debug)]
pub(super) struct Keys<'v, 'a> {
    of: &'v Value<'a>,
    table: &'a DeTable<'a>,
}

impl<'a> Keys<'_, 'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.table.get_key_value(key).map(|(key, value)| self.of.below(key, value))
    }

    pub(super) fn required(&self, key: &'static str) -> Result<Value<'a>, ConfigError> {
        self.get(key).ok_or_else(|| ConfigError::MissingKey {
            file: self.of.document.file.to_owned(),
            line: self.of.line,
            table: self.of.key.clone(),
            key,
        })
    }

    /// What a key says, read by `read`.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Value<'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(key).map(|value| read(&value)).transpose()
    }

    /// The same with the place.
    pub(super) fn sourced<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Value<'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<Sourced<T>>, ConfigError> {
        self.read(key, |value| read(value).map(|read| value.sourced(read)))
    }
}

fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.contains('\0')
}

/// <https://www.debian.org/doc/debian-policy/ch-controlfields.html#source>
pub(crate) fn is_package(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() > 1
        && name.starts_with(is_letter)
        && name.chars().all(|c| is_letter(c) || matches!(c, '+' | '-' | '.'))
}

fn is_variable(name: &str) -> bool {
    name.len() <= MAX_TEXT
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The known key that was probably meant.
fn nearest(key: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let key = key.to_ascii_lowercase();
    let distance = |name: &str| {
        // `env` is short for `environment`, and three letters from anything else.
        if !key.is_empty() && (name.starts_with(&key) || key.starts_with(name)) {
            1
        } else {
            strsim::damerau_levenshtein(&key, name)
        }
    };
    let (found, name) = known.iter().map(|name| (distance(name), *name)).min()?;
    (found <= (name.len() / 3).max(1)).then_some(name)
}
