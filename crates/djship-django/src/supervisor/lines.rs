//! From a stream of bytes to lines, and to what stands on a line that is not finished: a prompt.

use std::time::Duration;

use super::controls;

/// A longer line is delivered in parts of this many bytes.
pub(super) const LONGEST_LINE: usize = 64 << 10;
/// An unfinished line counts as a prompt after this long without more.
pub(super) const SILENCE: Duration = Duration::from_millis(150);

/// A part of what a program printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A complete line, without its end.
    Line(String),
    /// All that stands so far on a line that is not finished. The [`Piece::Line`] that follows begins with it.
    Prompt(String),
}

#[cfg(test)]
impl Piece {
    fn text(&self) -> &str {
        match self {
            Self::Line(text) | Self::Prompt(text) => text,
        }
    }
}

/// Cuts one stream into pieces. Knows no time: who reads says when it was silent.
#[derive(Debug)]
pub(super) struct LineBuffer {
    /// Of the unfinished line.
    pending: Vec<u8>,
    /// How much of it was given out as a prompt.
    shown: usize,
}

impl LineBuffer {
    /// Nothing was read yet.
    pub(super) fn new() -> Self {
        Self { pending: Vec::new(), shown: 0 }
    }

    /// Takes what was read; gives out the lines that it finished.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.pending.extend_from_slice(part);
            while self.pending.len() > LONGEST_LINE {
                let end = whole_characters(&self.pending[..LONGEST_LINE]);
                let rest = self.pending.split_off(end);
                lines.push(self.take_line());
                self.pending = rest;
            }
            if part.ends_with(b"\n") {
                self.pending.pop();
                lines.push(self.take_line());
            }
        }
        lines
    }

    /// Whether something stands on the unfinished line that was not given out.
    pub(super) fn is_unfinished(&self) -> bool {
        self.pending.len() > self.shown
    }

    /// The stream was silent: what stands on the unfinished line, once.
    pub(super) fn silence(&mut self) -> Option<Piece> {
        if !self.is_unfinished() {
            return None;
        }
        self.shown = self.pending.len();
        let text = shown(&self.pending[..whole_characters(&self.pending)]);
        (!text.is_empty()).then_some(Piece::Prompt(text))
    }

    /// The stream has ended: what was left is the last line.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        (!self.pending.is_empty()).then(|| self.take_line())
    }

    fn take_line(&mut self) -> Piece {
        let line = std::mem::take(&mut self.pending);
        self.shown = 0;
        Piece::Line(shown(&line))
    }
}

/// As it is shown: colours stay, what moves the cursor goes.
fn shown(line: &[u8]) -> String {
    controls::with_colours_only(&String::from_utf8_lossy(line))
}

/// How many bytes make up whole characters: a read, or the limit, may end in the middle of one.
fn whole_characters(bytes: &[u8]) -> usize {
    match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Piece {
        Piece::Line(text.to_owned())
    }

    #[test]
    fn lines_are_put_together_from_reads_of_any_size() {
        let text = "one\r\ntwo \u{e9}\u{1f40d}\n\nlast".as_bytes();
        for size in 1..=text.len() {
            let mut buffer = LineBuffer::new();
            let mut pieces: Vec<Piece> = text.chunks(size).flat_map(|chunk| buffer.push(chunk)).collect();
            pieces.extend(buffer.finish());
            assert_eq!(pieces, [line("one"), line("two \u{e9}\u{1f40d}"), line(""), line("last")], "{size}");
            assert_eq!(buffer.finish(), None);
        }
    }

    #[test]
    fn an_unfinished_line_is_shown_once_and_comes_whole_in_the_end() {
        let prompt = |text: &str| Some(Piece::Prompt(text.to_owned()));
        let mut buffer = LineBuffer::new();
        assert!(buffer.push(b"-> breakpoint()\r\n(Pdb) ").len() == 1 && buffer.is_unfinished());
        assert_eq!(buffer.silence(), prompt("(Pdb) "));
        assert!(!buffer.is_unfinished());
        assert_eq!(buffer.silence(), None);
        assert_eq!(buffer.push(b"p 1"), []);
        assert_eq!(buffer.silence(), prompt("(Pdb) p 1"));
        assert_eq!(buffer.push(b"\r\n1\r\n"), [line("(Pdb) p 1"), line("1")]);
        assert_eq!(buffer.silence(), None);
        // Nothing to see, and half a character.
        buffer.push(b"\x1b[?2004h");
        assert_eq!(buffer.silence(), None);
        buffer.push(b"x\xc3");
        assert_eq!(buffer.silence(), prompt("x"));
        assert_eq!(buffer.push(b"\xa9\n"), [line("x\u{e9}")]);
    }

    #[test]
    fn long_lines_are_cut_and_nothing_is_lost() {
        let mut buffer = LineBuffer::new();
        let text = "\u{20ac}".repeat(LONGEST_LINE);
        let mut pieces: Vec<Piece> =
            text.as_bytes().chunks(5000).flat_map(|chunk| buffer.push(chunk)).collect();
        pieces.extend(buffer.push(b"\n"));
        assert_eq!(pieces.len(), 4);
        assert!(pieces.iter().all(|piece| piece.text().len() <= LONGEST_LINE));
        assert_eq!(pieces.iter().map(Piece::text).collect::<String>(), text);
        // Without an end in sight, memory stays bounded.
        let mut buffer = LineBuffer::new();
        assert_eq!(buffer.push(&vec![0xff; 10 * LONGEST_LINE]).len(), 9);
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        let mut buffer = LineBuffer::new();
        assert_eq!(buffer.push(b"a\xff\xfeb\n"), [line("a\u{fffd}\u{fffd}b")]);
    }
}
