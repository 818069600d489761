//! `djship context`, and `djship build -o context:FILE`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use djship_oci::context::{ContextError, stream_context};
use djship_oci::{Image, write_context};
use djship_store::Store;

use super::build::{self, Output};
use crate::args::{BuildArgs, Cli, ContextArgs};
use crate::errors::{Kind, Report};
use crate::ui::{Console, size};

/// Where a build context goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file.
    File(PathBuf),
    /// Standard output, which is no terminal.
    Stdout,
}

impl Target {
    /// Reads the name of a file, or `-`.
    pub(super) fn parse(text: &str) -> Result<Self, Report> {
        if text != "-" {
            return build::in_a_folder(text).map(Self::File);
        }
        if std::io::stdout().is_terminal() {
            return Err(Report::new(Kind::Usage, "cannot write a build context to a terminal")
                .hint("Pass it on: djship context -o - | docker build --tag NAME -")
                .hint("Or write it to a file: djship context -o docker-build-context.tar.gz"));
        }
        Ok(Self::Stdout)
    }
}

pub(crate) fn run(cli: &Cli, args: &ContextArgs, console: &Console) -> Result<i32, Report> {
    let outputs = [Output::Context(Target::parse(&args.output)?)];
    let build = BuildArgs {
        path: args.path.clone(),
        tag: None,
        output: Vec::new(),
        push: false,
        load: Vec::new(),
        cache: args.cache.clone(),
        no_check: args.no_check,
        refresh: args.refresh,
        verbose: args.verbose,
    };
    build::make(cli, &build, &outputs, console)
}

/// Writes the build context of `image`.
pub(super) fn write(image: &Image, target: &Target, store: &Store, console: &Console) -> Result<(), Report> {
    match target {
        Target::File(file) => {
            write_context(image, file, store).map_err(|error| told(&error))?;
            let bytes = fs_err::metadata(file).map_or(0, |metadata| metadata.len());
            console.line(&format!("Build context in {}, {}", file.display(), size(bytes)));
        }
        Target::Stdout => {
            let mut stdout = std::io::stdout().lock();
            stream_context(image, store, &mut stdout).map_err(|error| told(&error))?;
            stdout.flush().map_err(|error| told(&error.into()))?;
        }
    }
    Ok(())
}

fn told(error: &ContextError) -> Report {
    let report = build::told(error);
    match error {
        ContextError::Unwritable(_) | ContextError::Disagreement { .. } => {
            report.hint("The image itself has no such limits: djship build --load docker, or -o archive:FILE")
        }
        ContextError::Whiteout { .. } => {
            report.hint("Rename the file: names that begin with `.wh.` are the image format's own")
        }
        ContextError::NotAFile { .. } => {
            report.hint("Give the name of a file, such as docker-build-context.tar.gz")
        }
        ContextError::Io(_) | ContextError::Layer(_) => report,
    }
}
