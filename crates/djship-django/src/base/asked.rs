//! Debian packages that the project asks for by name: each is there, or the error says where it is asked for.

use djship_deb::closure::{ClosureError, ClosureRules};

use super::{BaseError, Roots};
use crate::plan::{Origin, Plan};

/// A package that the project asks for and that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the Debian package `{package}` in {codename}")]
pub struct AskedError {
    /// The name.
    pub package: String,
    /// Where the project asks for it.
    pub origin: Origin,
    /// Debian's code name.
    pub codename: &'static str,
    /// Why.
    #[source]
    pub source: ClosureError,
}

impl Roots<'_> {
    /// Checks every package that the project asks for, before anything is made.
    pub fn check_asked(&self, plan: &Plan) -> Result<(), BaseError> {
        for package in plan.packages.build.iter().chain(&plan.packages.run) {
            match self.packages("asked", &[&package.value], &ClosureRules::default()) {
                Ok(_) => {}
                Err(BaseError::Closure(source)) => {
                    return Err(BaseError::Asked(AskedError {
                        package: package.value.clone(),
                        origin: package.origin.clone(),
                        codename: self.release.codename(),
                        source,
                    }));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
