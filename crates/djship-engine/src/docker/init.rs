//! The first process of every container, which `build.rs` compiles from the folder `init`.

use crate::container::Stdio;

/// A static program without any library.
pub(crate) const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
/// Where it is inside: in a folder that no Debian package has.
pub(crate) const FOLDER: &str = "/.djship";
pub(crate) const PATH: &str = "/.djship/init";

/// How its records on standard error begin.
pub(crate) const MARK: &[u8] = b"\0djship:";

/// How the program's input is, in its words.
pub(crate) fn input(tty: bool, stdin: Stdio) -> &'static str {
    match (tty, stdin) {
        (true, _) => "tty",
        (false, Stdio::Null) => "null",
        (false, Stdio::Inherit | Stdio::Piped) => "pipe",
    }
}

/// A frame of input for it.
pub(crate) fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut frame = vec![kind];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// The program was executed, or the kernel refused with this number.
    Executed(Option<u8>),
    /// It ended with this code.
    Code(u8),
    /// This signal ended it.
    Signal(u8),
}

/// Takes records out of a stream.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// What may be the beginning of one.
    held: Vec<u8>,
}

impl Records {
    /// The bytes that are the program's, and the records between them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<Record>) {
        self.held.extend_from_slice(bytes);
        let (mut plain, mut records) = (Vec::new(), Vec::new());
        let mut rest = &self.held[..];
        while let Some(at) = rest.iter().position(|byte| *byte == MARK[0]) {
            plain.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let known = rest.len().min(MARK.len());
            if rest[..known] != MARK[..known] {
                plain.push(rest[0]);
                rest = &rest[1..];
            } else if let Some([kind, value]) = rest.get(MARK.len()..MARK.len() + 2) {
                match kind {
                    b'x' => records.push(Record::Executed((*value != 0).then_some(*value))),
                    b'c' => records.push(Record::Code(*value)),
                    _ => records.push(Record::Signal(*value)),
                }
                rest = &rest[MARK.len() + 2..];
            } else {
                self.held = rest.to_vec();
                return (plain, records);
            }
        }
        plain.extend_from_slice(rest);
        self.held.clear();
        (plain, records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_whatever_pieces_they_come() {
        let stream = b"a\0b\0djship:x\0some\0djs words\0djship:s\x0f\n";
        for piece in 1..stream.len() {
            let mut records = Records::default();
            let (mut plain, mut found) = (Vec::new(), Vec::new());
            for bytes in stream.chunks(piece) {
                let (text, more) = records.take(bytes);
                plain.extend(text);
                found.extend(more);
            }
            assert_eq!(plain, b"a\0bsome\0djs words\n", "{piece}");
            assert_eq!(found, [Record::Executed(None), Record::Signal(15)], "{piece}");
        }
    }
}
