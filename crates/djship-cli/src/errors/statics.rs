//! Why static files are not collected, in words.

use djship_django::application::statics::StaticError;

use super::build::snapshot;
use super::{Kind, Report, child};

pub(super) fn statics(error: &StaticError) -> Report {
    match error {
        StaticError::Collect { output } => Report::new(Kind::User, error.to_string())
            .tail(output)
            .hint("It runs without network and database, with throw-away values for what is necessary"),
        StaticError::RootIsNoFolder { .. } => Report::new(Kind::User, error.to_string()).hint(
            "Set STATIC_ROOT to a folder that the project does not have, such as BASE_DIR / \"staticfiles\"",
        ),
        StaticError::ThrowAway { variable, .. } => Report::new(Kind::User, error.to_string())
            .hint(format!(
                "What is written into static files cannot be secret: give `{variable}` a default in the settings"
            ))
            .hint(format!("Or give the real value to builds: [tool.djship.build-env] with {variable} = \"...\"")),
        StaticError::Snapshot(error) => snapshot(error),
        StaticError::Child(error) => child(error),
        StaticError::Keep(error) => super::storage(error),
        StaticError::Io(_) => super::storage(error),
    }
}
