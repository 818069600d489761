//! Text in SQL and in the server's list of who may connect.

/// A string. With the escapes spelled out, so that it means the same whatever the server is set to.
pub(super) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_quotes() {
        assert_eq!(literal(r"a'b\'c"), r"E'a''b\\''c'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
