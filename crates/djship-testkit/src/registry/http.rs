//! Requests and answers over kept-alive connections, one thread for each.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::{Asked, Shared};

/// A request.
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// The length that is promised, when it is not that of the body.
    pub(super) promised: Option<u64>,
}

/// What answers a request.
pub(super) type Handler = fn(&Shared, &Request) -> Answer;

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first value of a field of the query, as it was sent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query_all(name).next()
    }

    pub(super) fn query_all(&self, name: &str) -> impl Iterator<Item = &str> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A refusal in the form of registries.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
        Self { body: body.into_bytes(), ..Self::status(status) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Answers everybody who connects, until the process ends.
pub(super) fn serve(listener: TcpListener, shared: &Arc<Shared>, handler: Handler) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // A client that goes away has its reasons.
            std::thread::spawn(move || converse(stream, &shared, handler).unwrap_or_default());
        }
    });
}

fn converse(stream: TcpStream, shared: &Shared, handler: Handler) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = read_head(&mut reader)? {
        let length: u64 = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if request.header("expect").is_some() {
            let early = shared.lock().behaviour.refuses_early;
            if let Some(status) = early {
                note(shared, &request, status);
                let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                return writer.write_all(head.as_bytes());
            }
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let breaks = request.method == "PATCH" && length > 1 && take_one(shared);
        let wanted = if breaks { length / 2 } else { length };
        (&mut reader).take(wanted).read_to_end(&mut request.body)?;
        let answer = handler(shared, &request);
        let status = if breaks { 0 } else { answer.status };
        note(shared, &request, status);
        if breaks {
            return Ok(());
        }
        let length = answer.promised.unwrap_or(answer.body.len() as u64);
        let mut head = format!("HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\n");
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        writer.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            writer.write_all(&answer.body)?;
            if length > answer.body.len() as u64 {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Keeps what was asked and answered.
fn note(shared: &Shared, request: &Request, status: u16) {
    shared.lock().asked.push(Asked {
        method: request.method.clone(),
        path: request.target.clone(),
        authorization: request.header("authorization").map(str::to_owned),
        body: request.body.len() as u64,
        status,
    });
}

/// Whether this upload is one that breaks.
fn take_one(shared: &Shared) -> bool {
    let mut state = shared.lock();
    let left = state.behaviour.breaks;
    state.behaviour.breaks = left.saturating_sub(1);
    left > 0
}

/// The next request without its body; `None` at the end of the connection.
fn read_head(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    // What a proxy is asked for is a whole address.
    let target =
        match target.strip_prefix("http://").and_then(|rest| rest.find('/').map(|slash| &rest[slash..])) {
            Some(path) => path.to_owned(),
            None => target,
        };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some(Request { method, target, headers, body: Vec::new() }));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}
