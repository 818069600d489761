//! `djship status`.

use djship_django::supervisor::{Phase, ProgramCondition, ProgramState, State, without_controls};

use crate::args::StatusArgs;
use crate::errors::{self, Report};

/// How many of the last lines of a program that does not serve are shown.
const SHOWN_LINES: usize = 12;

pub(crate) fn run(args: &StatusArgs) -> Result<i32, Report> {
    let environment = super::environment(&args.path)?;
    let Some(state) = environment.running().map_err(|error| errors::environment(&error))? else {
        if args.json {
            let document =
                serde_json::json!({"version": 1, "running": false, "project": environment.project()});
            anstream::println!("{document}");
            return Ok(1);
        }
        return Err(super::not_running(&environment));
    };
    if args.json {
        anstream::println!("{}", document(&state));
    } else {
        show(&state);
    }
    Ok(0)
}

fn document(state: &State) -> serde_json::Value {
    let program = |program: &ProgramState| {
        let output: Vec<_> = program.output.iter().map(|line| without_controls(line)).collect();
        serde_json::json!({
            "name": program.name, "role": program.role, "condition": program.condition,
            "restarts": program.restarts, "debugging": program.debugging, "output": output,
            "pid": program.container.as_ref().map(|container| container.pid),
        })
    };
    serde_json::json!({
        "version": 1,
        "running": true,
        "phase": state.phase,
        "for_commands": state.for_commands,
        "project": state.project,
        "started_at": state.started_at,
        "pid": state.process.pid,
        "url": state.url,
        "programs": state.programs.iter().map(program).collect::<Vec<_>>(),
        "services": state.services,
        "interpreter": state.facts.get("interpreter"),
        "python": state.facts.get("python"),
        "settings": state.facts.get("settings"),
        "supplied": state.facts.get("supplied"),
    })
}

fn show(state: &State) {
    let bold = anstyle::Style::new().bold();
    let phase = match state.phase {
        Phase::Starting => "starting",
        Phase::Running if state.for_commands => "only services, until the commands that use them end",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
    };
    let url = state.url.as_deref().unwrap_or_default();
    anstream::println!("{bold}{}{bold:#}  {phase}  {url}", state.project.display());
    let width = state.programs.iter().map(|program| program.name.len()).max().unwrap_or(0);
    for program in &state.programs {
        let service = state.services.iter().find(|service| service.name == program.name);
        let what = service.map_or_else(String::new, |service| {
            format!("  {}  {}", service.title, service.url.as_deref().unwrap_or(&service.address))
        });
        let restarts = match program.restarts {
            0 => String::new(),
            number => format!("  (started again {number}x)"),
        };
        let debugging = if program.debugging {
            format!("  waits in a debugger: djship attach {}", program.name)
        } else {
            String::new()
        };
        anstream::println!(
            "  {:width$}  {:11}{what}{restarts}{debugging}",
            program.name,
            condition(program.condition)
        );
        if !program.output.is_empty() {
            for line in program.output.iter().skip(program.output.len().saturating_sub(SHOWN_LINES)) {
                anstream::println!("  {:width$}  | {line}", "");
            }
            anstream::println!("  {:width$}  All of it: djship logs {}", "", program.name);
        }
    }
    if let Some(interpreter) = state.facts.get("interpreter").and_then(serde_json::Value::as_str) {
        let python = state.facts.get("python").and_then(serde_json::Value::as_str).unwrap_or_default();
        anstream::println!("Interpreter for an editor: {interpreter} (Python {python})");
    }
}

fn condition(condition: ProgramCondition) -> &'static str {
    match condition {
        ProgramCondition::Starting => "starting",
        ProgramCondition::Ready => "ready",
        ProgramCondition::NotServing => "not serving",
        ProgramCondition::Waiting => "ended",
        ProgramCondition::Stopping => "stopping",
        ProgramCondition::Stopped => "stopped",
        ProgramCondition::Failed => "failed",
    }
}
