//! `front-end`: which one is built, or that none is.

use super::ConfigError;
use super::keys::Value;

/// What is said about the front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontEndWish {
    /// `front-end = false`: none is built.
    Off,
    /// `front-end = "FOLDER"`, or a table with `folder` and `script`.
    On {
        /// The folder of its `package.json`, relative to the project; `""` is the project itself.
        folder: String,
        /// Its script, where that is not `build`.
        script: Option<String>,
    },
}

impl FrontEndWish {
    pub(super) fn of(value: &Value<'_>) -> Result<Self, ConfigError> {
        match value.boolean() {
            Ok(false) => return Ok(Self::Off),
            Ok(true) => return Err(value.fails("`false`, a folder, or a table with `folder` and `script`")),
            Err(_) => {}
        }
        if value.text().is_ok() {
            return Ok(Self::On { folder: super::folder(value)?, script: None });
        }
        let keys = value.keys(&["folder", "script"])?;
        Ok(Self::On {
            folder: keys.read("folder", super::folder)?.unwrap_or_default(),
            script: keys.read("script", |value| value.text().map(str::to_owned))?,
        })
    }
}
