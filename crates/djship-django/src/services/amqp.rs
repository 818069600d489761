//! As much of AMQP 0-9-1 as it takes to know that an account gets in: the opening and closing of a connection.

use std::net::SocketAddr;

use super::talk::Talk;

/// The class of all methods that are used here, those of connections.
const CONNECTION: u16 = 10;
const START: u16 = 10;
const START_OK: u16 = 11;
const TUNE: u16 = 30;
const TUNE_OK: u16 = 31;
const OPEN: u16 = 40;
const OPEN_OK: u16 = 41;
const CLOSE: u16 = 50;
const CLOSE_OK: u16 = 51;
/// What ends a frame.
const FRAME_END: u8 = 0xCE;
/// The largest frame that is read, in bytes.
const LARGEST: u32 = 128 << 10;

/// Who may connect to what.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) virtual_host: String,
}

/// Whether the account gets in. `None` when there is no answer, or when it is a refusal.
pub(super) fn open(address: SocketAddr, account: &Account) -> Option<()> {
    let mut talk = Talk::with(address)?;
    talk.say(b"AMQP\x00\x00\x09\x01")?;
    expect(&mut talk, START)?;
    let mut answer = vec![0; 4];
    short_string(&mut answer, "PLAIN")?;
    long_string(&mut answer, &format!("\0{}\0{}", account.user, account.password))?;
    short_string(&mut answer, "en_US")?;
    send(&mut talk, START_OK, &answer)?;
    // What the server proposes is agreed to.
    let tune = expect(&mut talk, TUNE)?;
    send(&mut talk, TUNE_OK, &tune)?;
    let mut open = Vec::new();
    short_string(&mut open, &account.virtual_host)?;
    open.extend([0, 0]);
    send(&mut talk, OPEN, &open)?;
    expect(&mut talk, OPEN_OK)?;
    // Without a good-bye the server would complain in its log: 200, no text, because of no method.
    send(&mut talk, CLOSE, &[0, 200, 0, 0, 0, 0, 0])?;
    expect(&mut talk, CLOSE_OK)?;
    Some(())
}

/// A method on channel 0, which is the connection's.
fn send(talk: &mut Talk, method: u16, arguments: &[u8]) -> Option<()> {
    let size = u32::try_from(arguments.len() + 4).ok()?;
    let mut frame = vec![1, 0, 0];
    frame.extend(size.to_be_bytes());
    frame.extend(CONNECTION.to_be_bytes());
    frame.extend(method.to_be_bytes());
    frame.extend(arguments);
    frame.push(FRAME_END);
    talk.say(&frame)
}

/// The arguments of the next frame, if it is that method.
fn expect(talk: &mut Talk, method: u16) -> Option<Vec<u8>> {
    let head = talk.hear(7)?;
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    if head[..3] != [1, 0, 0] || !(4..LARGEST).contains(&size) {
        return None;
    }
    let mut frame = talk.hear(usize::try_from(size).ok()? + 1)?;
    let numbers = [CONNECTION.to_be_bytes(), method.to_be_bytes()].concat();
    if frame.pop() != Some(FRAME_END) || !frame.starts_with(&numbers) {
        return None;
    }
    Some(frame.split_off(4))
}

fn short_string(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.push(u8::try_from(text.len()).ok()?);
    bytes.extend(text.as_bytes());
    Some(())
}

fn long_string(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    bytes.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
    bytes.extend(text.as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn frame(method: u16, arguments: &[u8]) -> Vec<u8> {
        let size = u8::try_from(arguments.len() + 4).unwrap();
        let mut frame = vec![1, 0, 0, 0, 0, 0, size, 0, 10];
        frame.extend(method.to_be_bytes());
        frame.extend(arguments);
        frame.push(FRAME_END);
        frame
    }

    /// A server that sends these frames one after the other, each after it heard something; what it heard.
    fn served(answers: Vec<Vec<u8>>) -> (Option<()>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = Vec::new();
            for answer in answers {
                let mut bytes = [0; 1024];
                let length = stream.read(&mut bytes).unwrap();
                heard.extend(&bytes[..length]);
                stream.write_all(&answer).unwrap();
            }
            heard
        });
        let account = Account { user: "ada".into(), password: "secret".into(), virtual_host: "/".into() };
        (open(address, &account), server.join().unwrap())
    }

    #[test]
    fn an_account_gets_in_or_does_not() {
        let tune = [0, 0, 0, 2, 0, 0, 0, 60];
        // Two messages follow each other without an answer between them, and may arrive as one.
        let tune_and_open = [frame(TUNE, &tune), frame(OPEN_OK, &[0])].concat();
        let (open, heard) = served(vec![frame(START, b"x"), tune_and_open, frame(CLOSE_OK, &[])]);
        let text = String::from_utf8_lossy(&heard).into_owned();
        assert!(text.starts_with("AMQP\0\0\u{9}\u{1}") && text.contains("\0ada\0secret"), "{text}");
        assert!(open.is_some() || text.contains("en_US"));
        let (refused, _) = served(vec![frame(START, b"x"), frame(CLOSE, b"403")]);
        assert_eq!(refused, None);
        assert_eq!(served(vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]).0, None);
    }
}
