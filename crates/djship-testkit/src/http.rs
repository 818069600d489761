//! One request over one plain connection: enough to ask a server on this machine, with every header in the caller's hand.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long one answer may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// No page of a test is larger.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// `200`.
    pub status: u16,
    /// In order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The content, chunks put together.
    pub body: Vec<u8>,
}

impl Request {
    /// A GET request for `http://HOST[:PORT]/PATH`.
    pub fn get(url: &str) -> Self {
        Self { method: "GET".to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// A POST request with the fields of a form.
    pub fn post_form(url: &str, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let request = Self { method: "POST".to_owned(), ..Self::get(url) };
        Self { body: pairs.join("&").into_bytes(), ..request }
            .header("Content-Type", "application/x-www-form-urlencoded")
    }

    /// With a header; `Host` replaces the one from the URL.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it and reads the whole answer. Redirections are answers like others.
    pub fn send(&self) -> Result<Response> {
        self.exchange().with_context(|| format!("cannot get an answer from {}", self.url))
    }

    fn exchange(&self) -> Result<Response> {
        let rest = self.url.strip_prefix("http://").context("not an http:// URL")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONGEST_ANSWER))?;
        stream.set_write_timeout(Some(LONGEST_ANSWER))?;
        let mut head = vec![format!("{} /{path} HTTP/1.1", self.method), "Connection: close".to_owned()];
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push(format!("Host: {authority}"));
        }
        head.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        head.push(format!("Content-Length: {}\r\n\r\n", self.body.len()));
        stream.write_all(head.join("\r\n").as_bytes())?;
        stream.write_all(&self.body)?;
        let mut answer = Vec::new();
        stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
        Response::parse(&answer)
    }
}

impl Response {
    fn parse(answer: &[u8]) -> Result<Self> {
        let end = find(answer, b"\r\n\r\n").context("the answer has no end of headers")?;
        let head = std::str::from_utf8(&answer[..end]).context("the headers are not UTF-8")?;
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).context("the answer has no status")?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self { status: status.parse()?, headers, body: answer[end + 4..].to_vec() };
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            response.body = join_chunks(&response.body)?;
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.parse()?;
            if response.body.len() < length {
                bail!("the answer ends after {} of {length} bytes", response.body.len());
            }
            response.body.truncate(length);
        }
        Ok(response)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of a cookie that the server sets.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == "set-cookie")
            .find_map(|(_, value)| value.split(';').next()?.strip_prefix(name)?.strip_prefix('='))
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks until an answer with a status below 500 comes, and returns it; an error with the last failure when the time is
/// over.
pub fn await_http(url: &str, limit: Duration) -> Result<Response> {
    await_answer(&Request::get(url), limit)
}

/// As [`await_http`], with a request of the caller's.
pub fn await_answer(request: &Request, limit: Duration) -> Result<Response> {
    let deadline = Instant::now() + limit;
    loop {
        let failure = match request.send() {
            Ok(response) if response.status < 500 => return Ok(response),
            Ok(response) => anyhow::anyhow!("status {}: {}", response.status, response.text()),
            Err(error) => error,
        };
        if Instant::now() >= deadline {
            return Err(failure.context(format!("{} did not answer within {limit:?}", request.url)));
        }
        // A server does not tell when it begins to listen.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").context("a chunk has no size")?;
        let size = std::str::from_utf8(&rest[..end])?.split(';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(size.trim(), 16).with_context(|| format!("not a chunk's size: {size}"))?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..size).context("the last chunk is cut off")?);
        rest = rest.get(size + 2..).context("the last chunk is cut off")?;
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

fn encode(text: &str) -> String {
    let encode_byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode_byte).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;

    /// Answers one connection with each of `answers`, and sends on what was asked.
    fn serve(answers: &'static [&'static str]) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).unwrap();
            }
        });
        (url, receiver)
    }

    #[test]
    fn headers_go_out_and_chunks_come_together() {
        let (url, asked) = serve(&[
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: csrftoken=abc; Path=/\r\n\r\n3\r\npol\r\n2;x=y\r\nls\r\n0\r\n\r\n",
        ]);
        let response = Request::get(&format!("{url}admin/")).header("host", "example.org").send().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "polls"));
        assert_eq!(response.cookie("csrftoken"), Some("abc"));
        let asked = asked.recv().unwrap();
        assert!(
            asked.starts_with("GET /admin/ HTTP/1.1\r\n") && asked.contains("host: example.org\r\n"),
            "{asked}"
        );
        assert!(!asked.contains("Host: 127"), "{asked}");
    }

    #[test]
    fn a_server_that_starts_is_waited_for() {
        let (url, _asked) = serve(&[
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nok and more",
        ]);
        let response = await_http(&url, Duration::from_secs(30)).unwrap();
        assert_eq!((response.status, response.text().as_str()), (302, "ok"));
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").is_err());
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort").is_err());
        assert!(Response::parse(b"").is_err());
    }

    #[test]
    fn forms_are_encoded() {
        let request = Request::post_form("http://localhost/", &[("question", "one & two"), ("é", "1")]);
        assert_eq!(request.body, b"question=one%20%26%20two&%C3%A9=1");
    }
}
