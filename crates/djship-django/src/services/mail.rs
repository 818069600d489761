//! What catches the mail that a project sends, and shows it.

use std::net::SocketAddr;
use std::time::Duration;

use djship_engine::Signal;

use super::ServiceError;
use super::container::{self, DATA};
use super::inside::Inside;
use super::making::Making;
use super::server::{Prepared, Service};
use super::talk::{self, Talk};
use crate::base::Interpreter;
use crate::python;
use crate::supervisor::Ending;

/// The port on which messages can be read with a browser.
pub(super) const WEB_PORT: u16 = 8025;
/// The form of what it keeps.
const FORM: &str = "1";
/// Where the program and its modules are inside.
const FOLDER: &str = "/opt/djship";
const PROGRAM: &str = "/opt/djship/mailbox.py";

/// Prepares the mail catcher, a Python program of ours. Messages are kept: what was sent before a restart can still be read.
pub(super) fn prepare(making: &Making<'_>) -> Result<Prepared, ServiceError> {
    let (volume, notes) = making.volume(FORM, "", |_, _| Ok(()))?;
    let (smtp, web): (Vec<SocketAddr>, Vec<SocketAddr>) =
        making.listen.iter().partition(|address| address.port() != WEB_PORT);
    let mut argv = [Interpreter::DEBIAN, "-B", PROGRAM].map(str::to_owned).to_vec();
    for (option, addresses) in [("--smtp", &smtp), ("--http", &web)] {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        argv.extend([option.to_owned(), addresses.join(",")]);
    }
    argv.extend(["--folder", DATA].map(str::to_owned));
    let root = making.roots.debian_installer()?.fs();
    let mut container = container::server(root, argv, "mail", making.place.names);
    container.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    for (name, text) in python::MAILBOX {
        container.file(format!("{FOLDER}/{name}"), *text);
    }
    container.bind(volume.data(), DATA);
    Ok(Prepared {
        title: "mail catcher".to_owned(),
        container,
        volume: Some(volume),
        service: Box::new(Mail { smtp, web }),
        notes,
    })
}

struct Mail {
    smtp: Vec<SocketAddr>,
    web: Vec<SocketAddr>,
}

impl Service for Mail {
    fn look(&mut self, _: &Inside<'_>) -> Result<bool, ServiceError> {
        // The greeting of RFC 5321; and a good-bye, so that nobody is left waiting.
        let serves = |address: &SocketAddr| {
            let mut talk = Talk::with(*address)?;
            let greeting = talk.hear_line()?;
            talk.say(b"QUIT\r\n")?;
            Some(greeting.starts_with("220"))
        };
        let smtp = self.smtp.iter().all(|address| serves(address) == Some(true));
        Ok(smtp && self.web.iter().all(|address| talk::listens(*address)))
    }

    fn ending(&self) -> Ending {
        Ending { signal: Signal::TERM, grace: Duration::from_secs(5) }
    }

    fn url(&self) -> Option<String> {
        self.web.first().map(|address| format!("http://{address}/"))
    }
}
