//! The djship command: arguments, words, exit codes. Everything else is in the libraries.

mod args;
mod commands;
mod engine;
mod env;
mod errors;
mod host;
mod interrupt;
mod ui;

use clap::Parser as _;

use args::{Cli, Command};
use commands::develop;
use ui::{Console, Volume};

fn main() {
    // Containers are this same program, executed again: before anything else starts a thread.
    djship_engine::dispatch(std::env::args_os());
    let cli = Cli::try_parse().unwrap_or_else(|error| refuse(&error));
    std::process::exit(run(&cli));
}

/// A command line that is not understood, or `--help`.
fn refuse(error: &clap::Error) -> ! {
    // Nothing can be told to whoever closed the stream.
    let _ = error.print();
    let runs = std::env::args().skip(1).find(|word| !word.starts_with('-')).is_some_and(|word| word == "run");
    if runs && error.kind() == clap::error::ErrorKind::UnknownArgument {
        anstream::eprintln!(
            "\nFor what djship run cannot do, load the image into Docker:\n  \
             djship build PATH -t NAME -o archive:NAME.tar && docker load -i NAME.tar && docker run ... NAME"
        );
    }
    std::process::exit(error.exit_code());
}

fn run(cli: &Cli) -> i32 {
    if let Some(folder) = &cli.directory
        && let Err(error) = std::env::set_current_dir(folder)
    {
        let title = format!("cannot work in `{}`", folder.display());
        let report = errors::Report::new(errors::Kind::Usage, title).line(error.to_string());
        report.print();
        return report.kind.code();
    }
    let volume = match (cli.quiet, cli.is_verbose()) {
        (true, _) => Volume::Quiet,
        (_, true) => Volume::Verbose,
        _ => Volume::Normal,
    };
    let console = Console::new(volume);
    let result = match &cli.command {
        Command::Plan(args) => commands::plan::run(args),
        Command::Build(args) => commands::build::run(cli, args, &console),
        Command::Context(args) => commands::context::run(cli, args, &console),
        Command::Eject(args) => commands::eject::run(cli, args, &console),
        Command::Run(args) => commands::run::run(cli, args, &console),
        Command::Push(args) => commands::push::run(cli, args, &console),
        Command::Images => commands::images::run(cli),
        Command::Rmi(args) => commands::rmi::run(cli, args, &console),
        Command::Cache(args) => commands::cache::run(cli, args, &console),
        Command::Volumes(args) => commands::volumes::run(args, &console),
        Command::Ps => Ok(commands::background::list()),
        Command::Stop { name } => commands::background::stop(name),
        Command::Up(args) => develop::up::run(cli, args, &console),
        Command::Down(args) => develop::down::run(args, &console),
        Command::Status(args) => develop::status::run(args),
        Command::Logs(args) => develop::logs::run(args),
        Command::Exec(args) => develop::exec::run(cli, args),
        Command::Attach { program } => develop::attach::run(program),
        Command::Manage { arguments } => develop::manage::manage(cli, arguments, &console),
        Command::Shell => develop::manage::shell(cli, &console),
        Command::Db(args) => develop::db::run(cli, args, &console),
        Command::Doctor(args) => commands::doctor::run(cli, args),
    };
    result.unwrap_or_else(|report| {
        console.end();
        report.print();
        report.kind.code()
    })
}
