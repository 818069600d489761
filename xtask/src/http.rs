//! A page of a web server on this machine, in as few lines as measuring and looking need.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// No page that is asked for here is larger, in bytes.
const LARGEST: u64 = 32 << 20;

/// Between two looks at a page that is not yet as it is wanted.
const INTERVAL: Duration = Duration::from_millis(20);

/// An answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: u16,
    /// What is no UTF-8 in it is replaced.
    pub(crate) text: String,
}

/// Asks for `http://HOST[:PORT][/PATH]` once. `patience` is for each step: connecting, and every wait for bytes.
pub(crate) fn get(url: &str, patience: Duration) -> Result<Page> {
    let place = url.strip_prefix("http://").with_context(|| format!("not an http:// address: {url}"))?;
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = connect(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    // In version 1.0 nothing comes in chunks, and the end of the connection is the end of the page.
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\nAccept: text/html,*/*\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes).with_context(|| format!("no whole answer from {url}"))?;
    parse(&String::from_utf8_lossy(&bytes)).with_context(|| format!("no HTTP answer from {url}"))
}

/// `localhost` may be two addresses, of which a server has one.
fn connect(address: &str, patience: Duration) -> Result<TcpStream> {
    let mut reason = None;
    for address in address.to_socket_addrs().with_context(|| format!("no such host: {address}"))? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = Some(error),
        }
    }
    match reason {
        Some(error) => Err(error).with_context(|| format!("cannot connect to {address}")),
        None => bail!("{address} has no address"),
    }
}

fn parse(answer: &str) -> Result<Page> {
    let (head, text) = answer.split_once("\r\n\r\n").context("no end of the headers")?;
    let mut words = head.split(' ');
    if !words.next().unwrap_or_default().starts_with("HTTP/1.") {
        bail!("it does not start with a version");
    }
    let status = words.next().and_then(|word| word.get(..3)).context("no status")?.parse()?;
    Ok(Page { status, text: text.to_owned() })
}

/// Asks again and again until the page is as it is wanted; an error tells what it was last.
pub(crate) fn wait_for(url: &str, patience: Duration, wanted: impl Fn(&Page) -> bool) -> Result<Page> {
    /// A server that is being restarted may take a connection and never answer.
    const ONE_LOOK: Duration = Duration::from_secs(5);
    let since = Instant::now();
    loop {
        let looked = get(url, ONE_LOOK);
        match looked {
            Ok(page) if wanted(&page) => return Ok(page),
            _ if since.elapsed() < patience => std::thread::sleep(INTERVAL),
            Ok(page) => bail!("{url} is not as expected after {patience:?}: status {}", page.status),
            Err(error) => return Err(error.context(format!("nothing at {url} after {patience:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Gives these answers, one to each connection, and returns the first lines of what was asked.
    fn serve(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                asked.push(lines.next().unwrap());
                while lines.next().is_some_and(|line| !line.is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        (address, server)
    }

    #[test]
    fn a_page_is_waited_for_until_it_is_as_wanted() {
        let (url, server) = serve(&[
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "no HTTP at all",
            "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nold",
            "HTTP/1.0 200 OK\r\n\r\nnew\r\n\r\nnews",
        ]);
        let page = wait_for(&format!("{url}/a?b=c"), Duration::from_mins(1), |page| {
            page.status == 200 && page.text.contains("new")
        });
        assert_eq!(page.unwrap(), Page { status: 200, text: "new\r\n\r\nnews".to_owned() });
        assert_eq!(server.join().unwrap(), ["GET /a?b=c HTTP/1.0"; 4]);
    }

    #[test]
    fn an_end_of_patience_tells_what_was_there() {
        let (url, server) = serve(&["HTTP/1.1 404 Not Found\r\n\r\n"]);
        let error = wait_for(&url, Duration::ZERO, |page| page.status == 200).unwrap_err().to_string();
        assert!(error.contains("status 404"), "{error}");
        server.join().unwrap();
        // Nobody listens there any more.
        let error = wait_for(&url, Duration::ZERO, |_| true).unwrap_err();
        assert!(format!("{error:#}").contains("cannot connect to localhost:"), "{error:#}");
        assert!(get("https://localhost/", Duration::ZERO).is_err());
    }
}
