//! A client of AMQP 0-9-1 that can put messages into a lasting queue and take them out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const END: u8 = 0xCE;

/// A connection with one channel.
#[derive(Debug)]
pub(crate) struct Client(TcpStream);

impl Client {
    /// Connects; `None` when the account is refused.
    pub(crate) fn connect(address: SocketAddr, user: &str, password: &str, vhost: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Self(stream);
        client.0.write_all(b"AMQP\0\0\x09\x01").unwrap();
        client.expect((10, 10))?;
        let response = format!("\0{user}\0{password}");
        let length = u32::try_from(response.len()).unwrap().to_be_bytes();
        client.send(
            0,
            (10, 11),
            &[&[0; 4], &short("PLAIN")[..], &length, response.as_bytes(), &short("en_US")].concat(),
        );
        let tune = client.expect((10, 30))?;
        client.send(0, (10, 31), &tune);
        client.send(0, (10, 40), &[&short(vhost)[..], &[0, 0]].concat());
        client.expect((10, 41))?;
        client.send(1, (20, 10), &[0]);
        client.expect((20, 11))?;
        Some(client)
    }

    /// Declares a queue that outlasts the server.
    pub(crate) fn declare(&mut self, queue: &str) {
        self.send(1, (50, 10), &[&[0, 0], &short(queue)[..], &[0b10, 0, 0, 0, 0]].concat());
        self.expect((50, 11)).unwrap();
    }

    /// Puts a lasting message into a queue, and waits until the server has it safe.
    pub(crate) fn publish(&mut self, queue: &str, body: &str) {
        self.send(1, (85, 10), &[0]);
        self.expect((85, 11)).unwrap();
        self.send(1, (60, 40), &[&[0, 0], &short("")[..], &short(queue)[..], &[0]].concat());
        let size = u64::try_from(body.len()).unwrap().to_be_bytes();
        // Of the properties only the delivery mode: lasting.
        self.frame(2, 1, &[&[0, 60, 0, 0][..], &size, &0x1000_u16.to_be_bytes(), &[2]].concat());
        self.frame(3, 1, body.as_bytes());
        self.expect((60, 80)).unwrap();
    }

    /// Takes a message out of a queue; `None` when it is empty.
    pub(crate) fn get(&mut self, queue: &str) -> Option<String> {
        self.send(1, (60, 70), &[&[0, 0], &short(queue)[..], &[1]].concat());
        let (_, method) = self.next()?;
        if method[..4] == [0, 60, 0, 72] {
            return None;
        }
        self.next()?;
        self.next().map(|(_, body)| String::from_utf8(body).unwrap())
    }

    fn send(&mut self, channel: u16, (class, method): (u16, u16), arguments: &[u8]) {
        let numbers = [class.to_be_bytes(), method.to_be_bytes()].concat();
        self.frame(1, channel, &[&numbers[..], arguments].concat());
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&[kind][..], &channel.to_be_bytes(), &size, payload, &[END]].concat();
        self.0.write_all(&frame).unwrap();
    }

    /// The arguments of the next method, if it is this one.
    fn expect(&mut self, (class, method): (u16, u16)) -> Option<Vec<u8>> {
        let (_, mut payload) = self.next()?;
        let numbers = [class.to_be_bytes(), method.to_be_bytes()].concat();
        payload.starts_with(&numbers).then(|| payload.split_off(4))
    }

    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).ok()?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(size).unwrap() + 1];
        self.0.read_exact(&mut payload).ok()?;
        assert_eq!(payload.pop(), Some(END));
        Some((head[0], payload))
    }
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}
