//! What is wrong with a project's words to djship.

use super::super::ProjectError;
use super::super::command::CommandError;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Both files speak to djship.
    #[error("cannot choose between `{first}` and `[tool.djship]` in `{second}`: both configure djship")]
    Both {
        /// The file of djship's own.
        first: &'static str,
        /// The shared file.
        second: &'static str,
    },
    /// The file is not TOML.
    #[error("cannot read `{file}`, line {line}: {reason}")]
    Syntax {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// A key that means nothing.
    #[error("cannot use `{file}`, line {line}: there is no key `{key}`")]
    UnknownKey {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key with the tables that it is in, such as `tool.djship.develop.prot`.
        key: String,
        /// The key of that place that is most like it, when one is.
        nearest: Option<&'static str>,
        /// All keys of that place.
        known: &'static [&'static str],
    },
    /// A key that has to be there is not.
    #[error("cannot use `{file}`, line {line}: `{table}` needs the key `{key}`")]
    MissingKey {
        /// The file, relative to the project.
        file: String,
        /// The line of the table, from 1.
        line: usize,
        /// The table, such as `tool.djship.services.search`.
        table: String,
        /// The key.
        key: &'static str,
    },
    /// A value of the wrong type, or out of its range.
    #[error("cannot use `{file}`, line {line}: `{key}` must be {expected}")]
    Value {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key with the tables that it is in.
        key: String,
        /// What belongs there, in a few words.
        expected: &'static str,
    },
    /// A name with other signs than letters, digits, `-` and `_`, or too long a one.
    #[error("cannot use `{file}`, line {line}: `{key}` is not a name")]
    Name {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key with the tables that it is in.
        key: String,
    },
    /// A command that is none.
    #[error("cannot use `{file}`, line {line}: `{key}` is no command")]
    Command {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key with the tables that it is in.
        key: String,
        /// What is wrong with it.
        source: CommandError,
    },
    /// More than anybody needs.
    #[error("cannot use `{file}`, line {line}: `{key}` has more than {limit} entries")]
    TooMany {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key with the tables that it is in.
        key: String,
        /// How many are allowed.
        limit: usize,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}
