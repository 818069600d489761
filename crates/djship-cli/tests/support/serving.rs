//! A production image that serves, as a test sees it.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::http::{Request, Response, await_http};
use djship_testkit::{Djship, Output, Running};
use rustix::process::Signal;

use super::SOON;

/// A port of the loopback interface that nobody listened on a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// `djship run ... -p PORT` that has said it serves.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) running: Running,
    pub(crate) port: u16,
}

impl Serving {
    /// Starts `djship run` with these arguments on a free port, and waits for the first answer.
    pub(crate) fn start(djship: &Djship, arguments: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let publish = port.to_string();
        // One worker: Gunicorn that is ended while it starts another one waits for that one's time-out, and is killed.
        let mut all = vec!["run", "-e", "WEB_CONCURRENCY=1"];
        all.extend(arguments);
        all.extend(["-p", &publish]);
        let mut running = djship.start(&all)?;
        // A build may come first.
        running.await_text("Serving on http://", 10 * SOON)?;
        await_http(&format!("http://127.0.0.1:{port}/"), SOON)
            .with_context(|| format!("djship said:\n{}", running.text()))?;
        Ok(Self { running, port })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The page, which must be there.
    pub(crate) fn page(&self, path: &str) -> Result<Response> {
        let response = Request::get(&self.url(path)).send()?;
        let status = response.status;
        ensure!(
            status == 200,
            "{path} has the status {status}\n{}\n{}",
            response.text(),
            self.running.text()
        );
        Ok(response)
    }

    /// A style sheet that a page links to, which must be there and not empty.
    pub(crate) fn style_sheet(&self, page: &str, part: &str) -> Result<String> {
        let html = self.page(page)?.text();
        let path = html
            .split('"')
            .find(|text| text.contains(part) && text.contains(".css"))
            .with_context(|| format!("{page} links to no style sheet `{part}`\n{html}"))?
            .to_owned();
        let response = self.page(&path)?;
        let kind = response.header("content-type").unwrap_or_default();
        ensure!(kind.starts_with("text/css"), "{path} is {kind}");
        ensure!(response.text().contains('{'), "{path} is empty: {}", response.text());
        Ok(path)
    }

    /// Asks it to end, as Ctrl-C does, and checks that it does so well.
    pub(crate) fn stop(self) -> Result<Output> {
        self.running.signal(Signal::INT)?;
        self.running.wait(SOON)?.success()
    }
}
