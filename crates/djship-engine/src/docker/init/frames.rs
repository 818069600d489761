//! What the caller says, in pieces as the pipe delivers them.

/// One message; input comes in as many pieces as the pipe makes of it.
pub(crate) enum Frame<'a> {
    Input(&'a [u8]),
    End,
    Size(u16, u16),
    Signal(u8),
}

/// The reader's state between two pieces.
pub(crate) struct Frames {
    header: [u8; 5],
    /// Bytes of the header that are there.
    known: usize,
    /// Bytes of input that are still to come.
    input: usize,
    /// A short message's content, and how much of it is there.
    content: [u8; 4],
    filled: usize,
}

impl Frames {
    pub(crate) const fn new() -> Self {
        Self { header: [0; 5], known: 0, input: 0, content: [0; 4], filled: 0 }
    }

    /// The next message in `bytes`, which becomes what is behind it.
    pub(crate) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Frame<'a>> {
        loop {
            if self.input > 0 {
                if bytes.is_empty() {
                    return None;
                }
                let (now, later) = bytes.split_at(self.input.min(bytes.len()));
                self.input -= now.len();
                *bytes = later;
                return Some(Frame::Input(now));
            }
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            if self.known < 5 {
                self.header[self.known] = *first;
                self.known += 1;
            } else {
                self.content[self.filled & 3] = *first;
                self.filled += 1;
            }
            if self.known < 5 {
                continue;
            }
            let [kind, length @ ..] = self.header;
            let length = u32::from_be_bytes(length) as usize;
            if kind == b'd' {
                self.known = 0;
                self.input = length;
            } else if self.filled >= length {
                (self.known, self.filled) = (0, 0);
                let [a, b, c, d] = self.content;
                match kind {
                    b'e' => return Some(Frame::End),
                    b'w' => return Some(Frame::Size(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
                    b's' => return Some(Frame::Signal(a)),
                    // Of a later djship: what is not known is left out.
                    _ => {}
                }
            }
        }
    }
}
