//! What is known of distributions that use system libraries, as data.

use std::collections::BTreeMap;

/// One row of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Native {
    /// Debian packages that a build needs.
    pub build: Vec<String>,
    /// Libraries that are opened by name at run time, as `djship_deb::sets::opened_by_name` calls them.
    pub opened: Vec<String>,
}

/// The table, by normalised name.
pub fn table() -> BTreeMap<String, Native> {
    toml::from_str(include_str!("../data/native.toml")).unwrap_or_default()
}

/// Libraries that wheels take for granted (`manylinux` allows them) and that a production root does not have, with the
/// Debian package of each. <https://peps.python.org/pep-0599/>
pub const ASSUMED: &[(&str, &str)] = &[
    ("libstdc++.so.6", "libstdc++6"),
    ("libgomp.so.1", "libgomp1"),
    ("libX11.so.6", "libx11-6"),
    ("libXext.so.6", "libxext6"),
    ("libXrender.so.1", "libxrender1"),
    ("libICE.so.6", "libice6"),
    ("libSM.so.6", "libsm6"),
    ("libGL.so.1", "libgl1"),
    ("libpq.so.5", "libpq5"),
    ("libxcb.so.1", "libxcb1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads_and_its_names_are_normalised() {
        let table = table();
        assert_eq!(table["psycopg2"].build, ["libpq-dev"]);
        assert_eq!(table["psycopg"].opened, ["pq"]);
        for name in table.keys() {
            assert_eq!(*name, crate::project::requirements::normalise(name));
        }
    }
}
