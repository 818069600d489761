//! Text in SQL and in the server's list of who may connect.

/// A string. With the escapes spelled out, so that it means the same whatever the server is set to.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value in a client's connection string.
pub(super) fn connection_value(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(literal(r"a'b\'c"), r"E'a''b\\''c'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(connection_value(r"a'b\"), r"'a\'b\\'");
    }
}
