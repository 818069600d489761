//! A WebSocket as a browser opens one (RFC 6455), as far as the tests talk through it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail, ensure};

use super::SOON;

/// The example of section 1.3: a key, and what a server that understands it answers.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// What a client's bytes are hidden with. Any will do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// No answer to a request for a socket is longer, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// An open socket.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: TcpStream,
}

impl WebSocket {
    /// Opens one as a page of `origin` does.
    pub(crate) fn open(port: u16, path: &str, origin: &str) -> Result<Self> {
        let (stream, head) = request(port, path, origin)?;
        ensure!(status(&head)? == 101, "no socket is opened\n{head}");
        ensure!(head.contains(ACCEPTED), "the key is not answered\n{head}");
        Ok(Self { stream })
    }

    /// The status that a page of `origin` gets in the place of a socket.
    pub(crate) fn refusal(port: u16, path: &str, origin: &str) -> Result<u16> {
        status(&request(port, path, origin)?.1)
    }

    /// Sends a short text.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        self.send(TEXT, text.as_bytes())
    }

    /// The next text.
    pub(crate) fn hear(&mut self) -> Result<String> {
        loop {
            let mut start = [0; 2];
            self.stream.read_exact(&mut start).context("nothing is heard")?;
            let [kind, length] = start;
            let mut length = usize::from(length);
            ensure!(kind & 0x80 != 0 && length <= 126, "a frame of another kind: {start:?}");
            if length == 126 {
                let mut long = [0; 2];
                self.stream.read_exact(&mut long)?;
                length = u16::from_be_bytes(long).into();
            }
            let mut content = vec![0; length];
            self.stream.read_exact(&mut content)?;
            match kind & 0x0f {
                TEXT => return Ok(String::from_utf8(content)?),
                PING => self.send(PONG, &content)?,
                other => bail!("a frame of kind {other}: {}", String::from_utf8_lossy(&content)),
            }
        }
    }

    fn send(&mut self, kind: u8, content: &[u8]) -> Result<()> {
        let length = u8::try_from(content.len()).ok().filter(|length| *length < 126).context("too long")?;
        let hidden = content.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [0x80 | kind, 0x80 | length].into_iter().chain(MASK).chain(hidden).collect();
        Ok(self.stream.write_all(&frame)?)
    }
}

/// The connection, and the head of the answer.
fn request(port: u16, path: &str, origin: &str) -> Result<(TcpStream, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SOON))?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    // What follows the head is a frame, and left for later.
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(answer.len() < LONGEST_HEAD, "the answer has no end");
        stream.read_exact(&mut byte).context("the answer ends early")?;
        answer.push(byte[0]);
    }
    Ok((stream, String::from_utf8(answer)?))
}

fn status(head: &str) -> Result<u16> {
    let word = head.split(' ').nth(1).context("no status")?;
    word.parse().with_context(|| format!("no status: {word}"))
}
