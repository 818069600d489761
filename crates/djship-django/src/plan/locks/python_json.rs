//! Values as Python's `json.dumps(value, sort_keys=True)` writes them: content hashes are made of such texts.

use std::collections::BTreeMap;

use toml::Value;

/// What a text is made of.
#[derive(Debug, Clone)]
pub(super) enum Json<'a> {
    /// `null`.
    Null,
    /// An object; keys come out sorted.
    Object(BTreeMap<&'a str, Json<'a>>),
    /// A value of a TOML file.
    Toml(&'a Value),
    /// A value of a JSON file.
    Parsed(&'a serde_json::Value),
}

/// How items and keys are separated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Separators {
    item: &'static str,
    key: &'static str,
}

/// Python's default.
pub(super) const SPACED: Separators = Separators { item: ", ", key: ": " };
/// `separators=(",", ":")`.
pub(super) const COMPACT: Separators = Separators { item: ",", key: ":" };

impl Json<'_> {
    pub(super) fn write(&self, separators: Separators) -> String {
        let mut text = String::new();
        self.add_to(&mut text, separators);
        text
    }

    fn add_to(&self, text: &mut String, separators: Separators) {
        match self {
            Json::Null => text.push_str("null"),
            Json::Object(entries) => {
                object(text, separators, entries.iter().map(|(key, value)| (*key, value)), |value, text| {
                    value.add_to(text, separators);
                });
            }
            Json::Toml(value) => toml_value(text, separators, value),
            Json::Parsed(value) => json_value(text, separators, value),
        }
    }
}

fn toml_value(text: &mut String, separators: Separators, value: &Value) {
    match value {
        Value::String(value) => string(text, value),
        Value::Integer(value) => text.push_str(&value.to_string()),
        Value::Float(value) => float(text, *value),
        Value::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        // Python's own writer refuses it, so no tool's hash has one.
        Value::Datetime(value) => string(text, &value.to_string()),
        Value::Array(items) => {
            list(text, separators, items, |item, text| toml_value(text, separators, item));
        }
        Value::Table(table) => {
            let sorted: BTreeMap<&str, &Value> =
                table.iter().map(|(key, value)| (key.as_str(), value)).collect();
            object(text, separators, sorted, |value, text| toml_value(text, separators, value));
        }
    }
}

fn json_value(text: &mut String, separators: Separators, value: &serde_json::Value) {
    match value {
        serde_json::Value::String(value) => string(text, value),
        serde_json::Value::Array(items) => {
            list(text, separators, items, |item, text| json_value(text, separators, item));
        }
        serde_json::Value::Object(entries) => {
            let sorted: BTreeMap<&str, _> =
                entries.iter().map(|(key, value)| (key.as_str(), value)).collect();
            object(text, separators, sorted, |value, text| json_value(text, separators, value));
        }
        other => text.push_str(&other.to_string()),
    }
}

fn object<'a, T>(
    text: &mut String,
    separators: Separators,
    entries: impl IntoIterator<Item = (&'a str, T)>,
    add: impl Fn(T, &mut String),
) {
    text.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            text.push_str(separators.item);
        }
        string(text, key);
        text.push_str(separators.key);
        add(value, text);
    }
    text.push('}');
}

fn list<'a, T>(
    text: &mut String,
    separators: Separators,
    items: impl IntoIterator<Item = &'a T>,
    add: impl Fn(&'a T, &mut String),
) where
    T: 'a,
{
    text.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push_str(separators.item);
        }
        add(item, text);
    }
    text.push(']');
}

/// A whole number keeps its `.0`.
fn float(text: &mut String, value: f64) {
    text.push_str(&format!("{value:?}"));
}

/// ASCII only: everything else as `\uXXXX`, in pairs where one unit is not enough.
fn string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_pythons() {
        let value: Value =
            toml::from_str("b = [1, 2.0, true]\na = {z = \"é\\n\\\"😀\\u007f\", y = []}\nc = {}\n").unwrap();
        let value = Json::Toml(&value);
        let python = r#"{"a": {"y": [], "z": "\u00e9\n\"\ud83d\ude00\u007f"}, "b": [1, 2.0, true], "c": {}}"#;
        assert_eq!(value.write(SPACED), python);
        assert_eq!(value.write(COMPACT), python.replace(", ", ",").replace(": ", ":"));
        let nested = Json::Object([("x", Json::Null), ("a", value)].into());
        assert!(nested.write(COMPACT).starts_with("{\"a\":{\"a\":"));
    }
}
