//! One binary package of an archive, with what is needed to resolve, fetch and report it.

use std::fmt;

use djship_store::Digest;

use crate::release::Suite;

/// How much a package matters. Decides between providers of a virtual package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Without it nothing works.
    Required,
    /// Expected on any such system.
    Important,
    /// On a default installation.
    Standard,
    /// Everything else, unknown values too.
    Optional,
}

impl Priority {
    /// Reads the field; what is unknown is optional.
    pub fn parse(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            _ => Self::Optional,
        }
    }

    /// The name as control files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Important => "important",
            Self::Standard => "standard",
            Self::Optional => "optional",
        }
    }
}

/// A package as a signed index describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// The source package, with its version in brackets where it differs; empty if it has the package's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// How much it matters.
    pub priority: Priority,
    /// Whether every system has it, so that nobody says that it is needed.
    #[serde(default)]
    pub essential: bool,
    /// The suite that it comes from.
    pub suite: Suite,
    /// The path of the `.deb` below the archive's base.
    pub filename: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// Digest of the `.deb`.
    pub sha256: Digest,
    /// Estimate of the space that it takes when unpacked, in KiB.
    #[serde(default)]
    pub installed_kib: u64,
    /// What it needs before it is unpacked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pre_depends: String,
    /// What it needs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub depends: String,
    /// Virtual packages that it stands for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub provides: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
