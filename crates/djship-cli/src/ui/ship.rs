//! The commands of an image, in words.

use djship_django::application::commands::{LeftOut, Why};
use djship_django::application::layer::Serving;
use djship_django::project::command::CommandLine;

use super::words::Words;

/// What the image starts, and what it does not.
pub(super) fn commands(serving: &Serving) -> Words {
    let mut words = Words::default();
    for command in &serving.commands {
        let said = match &command.line {
            CommandLine::Words(words) => words.join(" "),
            CommandLine::Shell(script) => script.trim_start_matches("exec ").to_owned(),
        };
        let said = said.replace("/venv/bin/python /opt/djship/launch.py ", "");
        words.lines.push(format!("{}: {said} (from {})", command.name, command.origin));
    }
    if !serving.dropped.is_empty() {
        let options = serving.dropped.join(" ");
        words.lines.push(format!("web listens on PORT, 8000 without it: `{options}` gives way to that"));
    }
    for left in &serving.left_out {
        let matters = ["web", "worker", "beat", "release"].contains(&left.name.as_str());
        let is_mistake = match left.why {
            Why::Overruled | Why::Repeated | Why::Reserved | Why::Service => false,
            Why::NoFile(_) | Why::NotExecutable(_) | Why::Unreadable => true,
            Why::NoProgram(_) | Why::DevelopmentServer | Why::StaticFiles => matters,
        };
        let list = if is_mistake { &mut words.warnings } else { &mut words.lines };
        list.push(why_not(left));
    }
    if serving.unserved {
        words.warnings.push(
            "nothing serves the static files: `web` is your own, and its application cannot be told (WhiteNoise in the settings would do)".to_owned(),
        );
    }
    words
}

/// Why something is no command of the image.
pub(crate) fn why_not(left: &LeftOut) -> String {
    let why = match &left.why {
        Why::NoProgram(program) => format!("the image has no program `{program}`"),
        Why::NoFile(file) => format!("`{file}` is not among the files that ship"),
        Why::NotExecutable(file) => format!("`{file}` is not executable"),
        Why::DevelopmentServer => "that is Django's development server".to_owned(),
        Why::Service => "it is no part of the project".to_owned(),
        Why::Repeated => "a later line has the same name".to_owned(),
        Why::Unreadable => "it cannot be read as NAME: COMMAND".to_owned(),
        Why::Overruled => "the configuration says otherwise".to_owned(),
        Why::Reserved => "djship has a command of that name".to_owned(),
        Why::StaticFiles => {
            "nothing would serve the static files, and its application cannot be told".to_owned()
        }
    };
    let instead =
        if left.name == "web" && left.why != Why::Overruled { "; the default server is used" } else { "" };
    format!("{}: `{}` is no command of the image: {why}{instead}", left.origin, left.name)
}
