//! One request on a connection of its own, and its answer: as much of HTTP/1.1 as the daemon's API takes.
//!
//! Own code, and synchronous: an answer can be a stream of its own (attached containers), which the callers need as a descriptor, and
//! nothing else in the libraries is asynchronous.

use std::io::{self, BufRead as _, BufReader, Read, Write};

use super::stream::Stream;

/// Longest head of an answer, in bytes.
const LONGEST_HEAD: u64 = 64 << 10;
/// Pieces of a body of unknown length are about this long, in bytes.
const PIECE: usize = 64 << 10;

/// Writes a body.
pub(crate) type Writer<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// What is sent behind the head.
pub(crate) enum Body<'a> {
    None,
    Json(Vec<u8>),
    /// An archive of a length that is not known before.
    Archive(Writer<'a>),
    /// A document, or nothing, and the connection becomes a stream of its own.
    Upgrade(Vec<u8>),
}

/// The answer's head, and its body to be read.
pub(crate) struct Response {
    pub(crate) status: u16,
    length: Length,
    reader: BufReader<Stream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    /// Bytes that are left of the present piece, if one has begun.
    Pieces(Option<u64>),
    LastPiece,
    UntilEnd,
}

/// Sends a request and reads the head of the answer.
pub(crate) fn exchange(mut stream: Stream, method: &str, path: &str, body: Body<'_>) -> io::Result<Response> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: djship\r\n");
    match &body {
        Body::None => head.push_str("Connection: close\r\nContent-Length: 0\r\n"),
        Body::Json(text) => head.push_str(&format!(
            "Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            text.len()
        )),
        Body::Archive(_) => head.push_str(
            "Connection: close\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n",
        ),
        Body::Upgrade(text) => head.push_str(&format!(
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            text.len()
        )),
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let sent = match body {
        Body::None => Ok(()),
        Body::Json(text) | Body::Upgrade(text) => stream.write_all(&text),
        Body::Archive(write) => {
            let mut pieces = Pieces { stream: &mut stream, piece: Vec::with_capacity(PIECE) };
            write(&mut pieces).and_then(|()| pieces.end())
        }
    };
    match sent {
        Ok(()) => Response::read(stream),
        // It may have refused before everything was sent, and then its reason counts.
        Err(error) if is_hang_up(&error) => match Response::read(stream) {
            Ok(response) if response.status >= 300 => Ok(response),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// A body in pieces, each with its length.
struct Pieces<'a> {
    stream: &'a mut Stream,
    piece: Vec<u8>,
}

impl Pieces<'_> {
    fn end(&mut self) -> io::Result<()> {
        self.send()?;
        self.stream.write_all(b"0\r\n\r\n")
    }

    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.stream.write_all(format!("{:x}\r\n", self.piece.len()).as_bytes())?;
        self.piece.extend_from_slice(b"\r\n");
        self.stream.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Response {
    fn read(stream: Stream) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(PIECE, stream);
        let mut left = LONGEST_HEAD;
        let mut line = || -> io::Result<String> {
            let mut text = String::new();
            let length = (&mut reader).take(left).read_line(&mut text)?;
            left = left.saturating_sub(length as u64);
            if !text.ends_with('\n') {
                return Err(malformed("the head of an answer is cut off or too long"));
            }
            Ok(text.trim_end().to_owned())
        };
        let first = line()?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        let status: u16 = status
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| malformed("no answer of a web server"))?;
        let mut length = Length::UntilEnd;
        loop {
            let field = line()?;
            let Some((name, value)) = field.split_once(':') else { break };
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && length == Length::UntilEnd {
                length = Length::Known(value.parse().map_err(|_| malformed("a length that is no number"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
            {
                length = Length::Pieces(None);
            }
        }
        if matches!(status, 101 | 204 | 304) {
            length = Length::Known(0);
        }
        Ok(Self { status, length, reader })
    }

    /// The body as text, at most `limit` bytes of it.
    pub(crate) fn text(mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.by_ref().take(limit).read_to_end(&mut text)?;
        Ok(text)
    }

    /// The connection itself, with what was read of it already.
    pub(crate) fn into_stream(self) -> BufReader<Stream> {
        self.reader
    }

    /// The length of the next piece.
    fn next_piece(&mut self, first: bool) -> io::Result<u64> {
        let mut line = String::new();
        if !first {
            (&mut self.reader).take(2).read_line(&mut line)?;
            line.clear();
        }
        (&mut self.reader).take(128).read_line(&mut line)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(digits, 16).map_err(|_| malformed("a piece without a length"))
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Length::Pieces(left @ (None | Some(0))) = self.length {
            self.length = match self.next_piece(left.is_none())? {
                0 => Length::LastPiece,
                length => Length::Pieces(Some(length)),
            };
        }
        let room = match self.length {
            Length::Known(left) | Length::Pieces(Some(left)) => left,
            Length::Pieces(None) | Length::LastPiece => 0,
            Length::UntilEnd => u64::MAX,
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..room])?;
        match &mut self.length {
            Length::Known(_) | Length::Pieces(_) if read == 0 => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off"));
            }
            Length::Known(left) | Length::Pieces(Some(left)) => *left -= read as u64,
            Length::Pieces(None) | Length::LastPiece | Length::UntilEnd => {}
        }
        Ok(read)
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// What a request is answered with, and what it was.
    fn answered(answer: &'static [u8], body: Body<'_>) -> (io::Result<Response>, Vec<u8>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || {
            theirs.write_all(answer).unwrap();
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            let mut asked = Vec::new();
            theirs.read_to_end(&mut asked).unwrap();
            asked
        });
        let response = exchange(Stream::of(ours.into()), "POST", "/x", body);
        let response = response.map(|response| {
            let status = response.status;
            (status, response.text(100))
        });
        // The connection is closed by now, so that the server is at its end.
        let asked = server.join().unwrap();
        let response = response.and_then(|(status, text)| {
            let length = Length::UntilEnd;
            let (ours, mut theirs) = UnixStream::pair()?;
            theirs.write_all(&text?)?;
            Ok(Response { status, length, reader: BufReader::new(Stream::of(ours.into())) })
        });
        (response, asked)
    }

    fn text(response: io::Result<Response>) -> String {
        String::from_utf8(response.unwrap().text(1000).unwrap()).unwrap()
    }

    #[test]
    fn bodies_of_all_lengths() {
        let (response, asked) =
            answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", Body::None);
        assert_eq!(text(response), "hello");
        assert!(String::from_utf8(asked).unwrap().starts_with("POST /x HTTP/1.1\r\n"));
        let pieces =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n";
        assert_eq!(text(answered(pieces, Body::None).0), "hello!");
        assert_eq!(text(answered(b"HTTP/1.1 200 OK\r\n\r\nto the end", Body::None).0), "to the end");
        let (response, asked) = answered(
            b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
            Body::Archive(&mut |to| to.write_all(b"abc")),
        );
        assert_eq!(response.unwrap().status, 201);
        assert!(asked.ends_with(b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&asked));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"SSH-2.0-OpenSSH\r\n",
            b"",
        ] {
            assert!(answered(answer, Body::None).0.is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }
}
