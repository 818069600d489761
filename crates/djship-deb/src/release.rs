//! The releases, suites and processor architectures that djship knows, as data.

use std::fmt;
use std::str::FromStr;

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codename {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

/// A text that names none of the known values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read `{text}` as {what}: expected {expected}")]
pub struct UnknownName {
    /// What was to be read.
    pub what: &'static str,
    /// The names that are known.
    pub expected: &'static str,
    /// The text as it was found.
    pub text: String,
}

impl Codename {
    /// Every release, oldest first.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// The name as archives write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// The number of the release.
    pub fn version(self) -> u32 {
        match self {
            Self::Bookworm => 12,
            Self::Trixie => 13,
        }
    }
}

impl fmt::Display for Codename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Codename {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|codename| codename.as_str() == text).ok_or_else(|| UnknownName {
            what: "a Debian release",
            expected: "`bookworm` or `trixie`",
            text: text.to_owned(),
        })
    }
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// The name that Debian (and OCI) use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The folder name of libraries: `/usr/lib/<triplet>`.
    pub fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// `e_machine` of this architecture's ELF files.
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }

    /// The flags of a library in `ld.so.cache`: "needs libc.so.6" (3) and the ABI (glibc's `ldconfig.h`).
    pub fn loader_flags(self) -> u32 {
        match self {
            Self::Amd64 => 0x0303,
            Self::Arm64 => 0x0a03,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Arch {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|arch| arch.as_str() == text).ok_or_else(|| UnknownName {
            what: "an architecture",
            expected: "`amd64` or `arm64`",
            text: text.to_owned(),
        })
    }
}

/// The three parts that a release is served in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// The release as of its last point release.
    Main,
    /// What cannot wait for the next one.
    Updates,
    /// Security updates, on an archive of their own.
    Security,
}

impl Suite {
    /// Every suite; of two equal versions the first suite's is taken.
    pub const ALL: [Self; 3] = [Self::Main, Self::Updates, Self::Security];

    /// What follows the codename (and `stable`, `oldstable`) in the suite's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Updates => "-updates",
            Self::Security => "-security",
        }
    }

    /// The folder below `dists/`, which is also the `Codename` that its InRelease must carry.
    pub fn dist(self, codename: Codename) -> String {
        format!("{codename}{}", self.suffix())
    }

    /// How the suite's InRelease spells the component `main`. Its index paths do not have the prefix.
    pub fn main_component(self) -> &'static str {
        match self {
            Self::Main | Self::Updates => "main",
            Self::Security => "updates/main",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for codename in Codename::ALL {
            assert_eq!(codename.to_string().parse(), Ok(codename));
        }
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
        }
        assert!("sid".parse::<Codename>().is_err());
        assert_eq!(Suite::Security.dist(Codename::Trixie), "trixie-security");
    }
}
