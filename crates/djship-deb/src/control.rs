//! Paragraphs of fields, the form of Debian's control files, indexes and modern apt sources. Reads on borrowed text.

/// Splits `text` into paragraphs. Empty lines (spaces and tabs count as nothing) stand between them.
pub fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (paragraph, after) = split_paragraph(rest);
            rest = after;
            if !paragraph.trim().is_empty() {
                return Some(Paragraph(paragraph));
            }
        }
    })
}

/// Some fields, in the order in which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paragraph<'text>(&'text str);

impl<'text> Paragraph<'text> {
    /// The first paragraph of `text`, if there is one.
    pub fn first(text: &'text str) -> Option<Self> {
        paragraphs(text).next()
    }

    /// The text as it was written, without the empty line after it.
    pub fn as_str(self) -> &'text str {
        self.0.trim_end_matches('\n')
    }

    /// The fields. A value keeps its line breaks, and its comment lines (`#`) too; see [`value_lines`].
    pub fn fields(self) -> impl Iterator<Item = (&'text str, &'text str)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            loop {
                if rest.is_empty() {
                    return None;
                }
                let end = field_end(rest);
                let (field, after) = rest.split_at(end);
                rest = after;
                if field.starts_with('#') {
                    continue;
                }
                if let Some((name, value)) = field.split_once(':') {
                    return Some((name.trim_end(), value.trim()));
                }
            }
        })
    }

    /// The value of a field; names are compared without regard to case.
    pub fn get(self, name: &str) -> Option<&'text str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The lines of a value without comments and surrounding space.
pub fn value_lines(value: &str) -> impl Iterator<Item = &str> {
    value.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
}

/// The words of a value of several lines, without comments.
pub fn value_words(value: &str) -> impl Iterator<Item = &str> {
    value_lines(value).flat_map(str::split_whitespace)
}

/// The front of `text` up to the empty line, and what follows that line.
fn split_paragraph(text: &str) -> (&str, &str) {
    let mut from = 0;
    while let Some(found) = memchr::memchr(b'\n', &text.as_bytes()[from..]) {
        let line_start = from + found + 1;
        let line_end =
            memchr::memchr(b'\n', &text.as_bytes()[line_start..]).map_or(text.len(), |end| line_start + end);
        if text[line_start..line_end].trim().is_empty() {
            return (&text[..line_start], text.get(line_end + 1..).unwrap_or(""));
        }
        from = line_start;
    }
    (text, "")
}

/// Where the field at the start of `text` ends: behind the last line that continues it. Comment lines belong to the
/// field that they stand in.
fn field_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_comment = bytes.first() == Some(&b'#');
    let mut end = 0;
    let mut certain = 0;
    loop {
        end = memchr::memchr(b'\n', &bytes[end..]).map_or(bytes.len(), |found| end + found + 1);
        match bytes.get(end) {
            Some(b' ' | b'\t') if !is_comment => certain = 0,
            // Goes to the field if the field goes on behind it, else it stands alone.
            Some(b'#') if !is_comment => certain = if certain == 0 { end } else { certain },
            _ => return if certain == 0 { end } else { certain },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_continuations_and_comments() {
        let text = "\n# about\nTypes: deb\n# between\nURIs: http://a\n  http://b\n# inside\n  http://c\nSuites: x\n \n\nA: 1\nb:2";
        let all: Vec<_> = paragraphs(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("types"), Some("deb"));
        assert_eq!(all[0].get("Suites"), Some("x"));
        let uris: Vec<_> = value_words(all[0].get("URIs").unwrap()).collect();
        assert_eq!(uris, ["http://a", "http://b", "http://c"]);
        assert_eq!(all[1].fields().collect::<Vec<_>>(), [("A", "1"), ("b", "2")]);
        assert_eq!(all[1].get("C"), None);
    }

    #[test]
    fn empty_text_has_no_paragraphs() {
        assert_eq!(paragraphs("").count(), 0);
        assert_eq!(paragraphs("\n \n\t\n").count(), 0);
    }
}
