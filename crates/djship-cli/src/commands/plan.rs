//! `djship plan`.

use djship_django::plan::{Origin, Plan, PlanError, Sourced};
use djship_django::project::Project;

use crate::args::PlanArgs;
use crate::errors::{self, Report};
use crate::ui::origin;

pub(crate) fn run(args: &PlanArgs) -> Result<i32, Report> {
    let project = Project::open(&args.path).map_err(|error| errors::build(&error.into()))?;
    let plan = Plan::for_project(&project).map_err(|error: PlanError| errors::build(&error.into()))?;
    let (major, minor) = plan.release.value.python();
    let rows = [
        ("name", plan.name.value.clone(), origin(&plan.name.origin)),
        ("manage.py", plan.project.manage_py.as_str().to_owned(), "found in the project".to_owned()),
        ("python", format!("{major}.{minor}"), origin(&plan.release.origin)),
        ("debian", plan.release.value.to_string(), "has that Python".to_owned()),
        ("dependencies", plan.dependencies.value.files().join(", "), origin(&plan.dependencies.origin)),
    ];
    if args.json {
        let object: serde_json::Map<_, _> = rows
            .iter()
            .map(|(key, value, from)| {
                ((*key).to_owned(), serde_json::json!({ "value": value, "origin": from }))
            })
            .collect();
        anstream::println!("{}", serde_json::Value::Object(object));
        return Ok(0);
    }
    for (key, value, from) in rows {
        anstream::println!("{key:<14} {value:<40} {from}");
    }
    if !plan.passed_over.is_empty() {
        anstream::println!("{:<14} {:<40} beside it, not used", "", plan.passed_over.join(", "));
    }
    if let Some(Sourced { value, origin: from @ Origin::File(..) }) = &plan.unmet_wish {
        anstream::println!("{:<14} {value:<40} wished for by {}, not to be had", "", origin(from));
    }
    Ok(0)
}
