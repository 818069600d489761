//! Where a line's commands and words begin and end, as POSIX shells see it
//! (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html>). It need not understand everything:
//! what it is not sure of is `opaque`.

use std::ops::Range;

/// What a line consists of.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The commands between `&&`, `;` and line ends, each as the places of its words. None is empty.
    pub(super) parts: Vec<Vec<Range<usize>>>,
    /// Whether only a shell can run it.
    pub(super) shell: bool,
    /// Whether it has pipes, background commands, groups or something nested: the last command need not be the last to run.
    pub(super) opaque: bool,
}

impl Scan {
    /// `None` when a quotation mark is not closed.
    pub(super) fn of(line: &str) -> Option<Self> {
        let bytes = line.as_bytes();
        let mut scan = Self::default();
        let mut words = Vec::new();
        let mut begin = None;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let next = bytes.get(at + 1).copied();
            let is_break = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&');
            if byte == b'#' && begin.is_none() {
                // A comment, to the end of its line.
                at += line[at..].find('\n').unwrap_or(line.len() - at);
                continue;
            }
            // `>&` copies a descriptor and separates nothing.
            let copies = byte == b'&' && at > 0 && matches!(bytes[at - 1], b'>' | b'<');
            if is_break && !copies {
                words.extend(begin.take().map(|begin| begin..at));
            } else {
                begin.get_or_insert(at);
            }
            at = match byte {
                b'\\' => {
                    next?;
                    at + 2
                }
                b'\'' => at + 2 + line[at + 1..].find('\'')?,
                b'"' => scan.quoted(line, at + 1)?,
                b'$' | b'`' => scan.expansion(line, at),
                b'&' if copies => at + 1,
                b'&' | b';' | b'\n' => {
                    let ends = byte == b'\n' || (byte == b'&') == (next == Some(b'&'));
                    scan.shell = true;
                    scan.opaque |= !ends || byte == b';' && next == Some(b';');
                    scan.end(&mut words);
                    at + if byte == b'&' && ends { 2 } else { 1 }
                }
                b'|' | b'(' | b')' => {
                    (scan.shell, scan.opaque) = (true, true);
                    at + 1
                }
                b'*' | b'?' | b'[' | b'~' | b'<' | b'>' => {
                    scan.shell = true;
                    at + 1
                }
                _ => at + 1,
            };
        }
        words.extend(begin.map(|begin| begin..line.len()));
        scan.end(&mut words);
        Some(scan)
    }

    fn end(&mut self, words: &mut Vec<Range<usize>>) {
        if !words.is_empty() {
            self.parts.push(std::mem::take(words));
        }
    }

    /// The place after the closing mark of a text in double quotes that begins at `at`.
    fn quoted(&mut self, line: &str, mut at: usize) -> Option<usize> {
        loop {
            at = match line.as_bytes().get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at + 2,
                b'$' | b'`' => self.expansion(line, at),
                _ => at + 1,
            };
        }
    }

    /// The place after what begins with `$` or a back quote at `at`. What nests is not followed.
    fn expansion(&mut self, line: &str, at: usize) -> usize {
        self.shell = true;
        let rest = &line[at..];
        let close = match (rest.as_bytes()[0], rest.as_bytes().get(1)) {
            (b'$', Some(b'(')) => ')',
            (b'$', Some(b'{')) => '}',
            (b'$', _) => return at + 1,
            _ => '`',
        };
        let open = if close == '`' { 1 } else { 2 };
        match rest[open..].split_once(close) {
            Some((inside, _)) if !inside.contains(['(', '{', '`', '"', '\'', '\\']) => {
                at + open + inside.len() + 1
            }
            _ => {
                self.opaque = true;
                at + open
            }
        }
    }
}
