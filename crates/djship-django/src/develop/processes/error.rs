//! Why the processes beside the development server cannot be told.

use super::MAX_PROCESSES;
use crate::project::ProjectError;
use crate::project::command::CommandError;

/// Why the processes cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ProcessesError {
    /// A line of a Procfile has no command that can be run.
    #[error("cannot use `{file}`, line {line}: the command of `{name}` cannot be read")]
    Command {
        /// The file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The process.
        name: String,
        /// What is wrong with it.
        source: CommandError,
    },
    /// The configuration adds to a process that nothing starts.
    #[error("cannot start the process `{name}`: it has no command in `{file}`, line {line}")]
    NoCommand {
        /// The configuration file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The process.
        name: String,
    },
    /// A process is to run in a folder that is not there.
    #[error(
        "cannot start the process `{name}`: there is no folder `{folder}`, named in `{file}`, line {line}"
    )]
    NoFolder {
        /// The configuration file, relative to the project.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The process.
        name: String,
        /// The folder, relative to the project.
        folder: String,
    },
    /// There are more than [`MAX_PROCESSES`].
    #[error("cannot start {count} processes: {MAX_PROCESSES} are allowed")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Project(#[from] ProjectError),
}
