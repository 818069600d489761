//! What cannot be removed, in words.

use djship_oci::records::RecordError;
use djship_oci::removal::RemovalError;
use djship_store::SweepError;

use super::{Kind, Report, storage};

/// An image that cannot be used.
pub(crate) fn image(error: &RecordError) -> Report {
    match error {
        RecordError::Store(_) | RecordError::Io { .. } => storage(error),
        RecordError::Unknown { .. } | RecordError::LayerGone { .. } => {
            Report::new(Kind::User, error.to_string()).causes(error).hint("See what there is: djship images")
        }
        RecordError::Ambiguous { .. } => {
            Report::new(Kind::User, error.to_string()).hint("Give more digits of the id")
        }
        _ => Report::new(Kind::User, error.to_string()).causes(error),
    }
}

/// An image that stays.
pub(crate) fn removal(error: &RemovalError) -> Report {
    match error {
        RemovalError::Record(error) => image(error),
        RemovalError::InUse { by, .. } => {
            let report = Report::new(Kind::User, error.to_string());
            by.iter().fold(report, |report, one| {
                report
                    .line(format!("The container `{}` is process {}.", one.container, one.process))
                    .hint(format!("Stop it first: djship stop {}, or Ctrl-C where it runs", one.container))
            })
        }
        RemovalError::SeveralNames { wanted, names } => {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            Report::new(Kind::User, error.to_string())
                .line(names.join(", "))
                .hint(format!("Remove it with all of them: djship rmi --force {wanted}"))
                .hint("Or give the names that are to go")
        }
    }
}

/// A store that cannot be pruned.
pub(crate) fn sweep(error: &SweepError) -> Report {
    match error {
        SweepError::Busy { .. } => {
            Report::new(Kind::User, error.to_string()).hint("Wait until it is done, and see: djship cache")
        }
        SweepError::Store(error) => storage(error),
    }
}
