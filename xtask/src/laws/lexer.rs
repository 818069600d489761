//! Just enough of Rust's grammar to tell code from comments and literals.

/// The text with everything in comments, strings and characters replaced by spaces. Bytes keep their places, and
/// line ends stay, so positions in one are positions in the other.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !follows_word(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'b' | b'c' if !follows_word(bytes, at) && bytes.get(at + 1) == Some(&b'r') => {
                raw_string_end(bytes, at + 1).unwrap_or(at)
            }
            b'\'' => character_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            at += 1;
        } else {
            for byte in &mut code[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
            at = end;
        }
    }
    // Whole characters were blanked or kept, never parts of one.
    String::from_utf8_lossy(&code).into_owned()
}

/// Whether the byte before `at` belongs to a word, so that an `r` there starts no raw string.
fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// Block comments nest.
fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"..."` or `r#"..."#` when `at` is at its `r`.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let length = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + close.len()))
}

/// The end of a character literal; `None` for a lifetime.
fn character_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let rest = bytes.get(at + 3..)?;
        return rest.iter().position(|byte| *byte == b'\'').map(|length| at + 3 + length + 1);
    }
    // One character of one to four bytes, then the closing quote.
    let rest = std::str::from_utf8(&bytes[at + 1..]).ok()?;
    let length = rest.chars().next()?.len_utf8();
    (bytes.get(at + 1 + length) == Some(&b'\'')).then_some(at + 1 + length + 1)
}

/// Where in `code` (as [`code_only`] made it) the items under `#[cfg(test)]` are, as byte ranges.
pub(super) fn test_only_spans(code: &str) -> Vec<std::ops::Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        let end = item_end(code, start + MARK.len());
        spans.push(start..end);
        from = end;
    }
    spans
}

/// The end of the item that begins at `from`: its `;`, or the brace that closes its body.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.as_bytes()[from..].iter().enumerate() {
        match byte {
            b';' if depth == 0 => return from + offset + 1,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return from + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        let text = "let a = \"un\\\"safe\"; // unsafe\nlet b = r#\"unsafe \"x\" \"#; /* unsafe /* nested */ */ f('\\'', 'é', &'a b);";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains("unsafe"), "{code}");
        assert!(code.contains("let b = ") && code.contains("f(") && code.contains("&'a b);"), "{code}");
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn byte_strings_and_words_ending_in_r() {
        assert_eq!(code_only("br\"x\" var\"y\" cr#\"z\"#;").replace(' ', ""), "var;");
    }

    #[test]
    fn test_modules_and_declarations_are_found() {
        let code = "fn a() { b() }\n#[cfg(test)]\nmod fixture;\nfn c() {}\n#[cfg(test)]\nmod tests { fn d() { {} } }\nfn e() {}";
        let mut rest = code.to_owned();
        for span in test_only_spans(code).into_iter().rev() {
            rest.replace_range(span, "");
        }
        assert_eq!(rest, "fn a() { b() }\n\nfn c() {}\n\nfn e() {}");
    }
}
