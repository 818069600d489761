//! `pyproject.toml` as it ships: with the values of `build-env` emptied, since they are for builds alone.

use toml::de::{DeTable, DeValue};

/// The text with every value of `tool.djship.build-env` replaced by an empty one; `None` when there is none to replace.
pub(crate) fn without_build_values(text: &str) -> Option<String> {
    let top = DeTable::parse(text).ok()?;
    let table = top.get_ref().get("tool")?.get_ref().get("djship")?.get_ref().get("build-env")?;
    let DeValue::Table(values) = table.get_ref() else { return None };
    let mut places: Vec<_> = values.iter().map(|(_, value)| value.span()).collect();
    places.sort_by_key(|place| place.start);
    let mut text = text.to_owned();
    for place in places.iter().rev() {
        text.replace_range(place.clone(), "\"\"");
    }
    (!places.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_wherever_they_stand() {
        let tables = [
            "[project]\nname = \"x\"\n[tool.djship.build-env]\nA = \"secret-1\" # why\nB = '''\nsecret-2'''\n[tool.black]\na = 1\n",
            "[tool.djship]\nbuild-env = { A = \"secret-1\", B = \"secret-2\" }\n[project]\nname = \"x\"\n",
            "[project]\nname = \"x\"\n[tool]\ndjship.build-env.A = \"secret-1\"\ndjship.build-env.B = 'secret-2'\n",
        ];
        for text in tables {
            let shipped = without_build_values(text).unwrap();
            assert!(!shipped.contains("secret"), "{shipped}");
            let table: toml::Table = toml::from_str(&shipped).unwrap();
            assert_eq!(table["project"]["name"].as_str(), Some("x"));
            assert_eq!(table["tool"]["djship"]["build-env"]["B"].as_str(), Some(""));
        }
    }

    #[test]
    fn nothing_else_is_touched() {
        for text in [
            "",
            "[tool.djship]\nsettings = \"a\"\n",
            "[tool.djship.build-env]\n",
            "not toml",
            "build-env = 3",
        ] {
            assert_eq!(without_build_values(text), None, "{text}");
        }
    }
}
