//! What a registry says when it says no.

use djship_store::fetch::{Answer, FetchError, TlsFault};

use super::credentials::Login;
use super::error::RegistryError;
use super::session::Session;

/// How much of a refusal is read, in bytes.
const LIMIT: u64 = 16 * 1024;
/// How much of it is shown, in characters.
const SHOWN: usize = 300;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: u16,
    /// Codes such as `MANIFEST_UNKNOWN`.
    pub(super) codes: Vec<String>,
    /// In the registry's own words, shortened; may be empty.
    pub(super) message: String,
    /// It says that a disk or an allowance is full.
    pub(super) is_full: bool,
}

#[derive(serde::Deserialize)]
struct Document {
    #[serde(default)]
    errors: Vec<Line>,
    /// Token servers say it this way.
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
    #[serde(default)]
    details: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<String>,
}

#[derive(serde::Deserialize)]
struct Line {
    #[serde(default)]
    code: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    detail: Option<serde_json::Value>,
}

impl Refusal {
    /// Reads what the answer says; what is in `secrets` is struck out.
    pub(super) fn read(answer: Answer, secrets: &[String]) -> Self {
        let status = answer.status();
        Self::of(status, &answer.start(LIMIT), secrets)
    }

    fn of(status: u16, body: &[u8], secrets: &[String]) -> Self {
        let mut text = String::from_utf8_lossy(body).into_owned();
        for secret in secrets {
            text = text.replace(secret, "****");
        }
        let lower = text.to_ascii_lowercase();
        // 28 is the number of "no space left on device", which is all that a registry on a full disk says.
        let is_full =
            ["no space left", "disk quota", "quota exceeded", "exceed the configured", "storage quota"]
                .iter()
                .any(|words| lower.contains(words))
                || lower.replace(' ', "").contains("\"err\":28");
        let Ok(document) = serde_json::from_str::<Document>(&text) else {
            // A page for people, from a proxy in between, says nothing that the status does not.
            let message = if lower.contains("<html") || lower.contains("<!doctype") { "" } else { &text };
            return Self { status, codes: Vec::new(), message: shorten(message), is_full };
        };
        let codes = document.errors.iter().filter_map(|line| match &line.code {
            Some(serde_json::Value::String(code)) => Some(code.to_ascii_uppercase()),
            _ => None,
        });
        let codes = codes.collect();
        let words = |line: &Line| {
            let detail = match &line.detail {
                Some(serde_json::Value::String(detail)) => Some(detail.clone()),
                Some(value) if is_full => Some(value.to_string()),
                _ => None,
            };
            let parts = [line.message.clone(), detail];
            parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
        };
        let mut said: Vec<String> = document.errors.iter().map(words).collect();
        let detail = document.details.as_ref().and_then(serde_json::Value::as_str).map(str::to_owned);
        said.extend(document.error_description.or(detail).or(document.message).or(document.error));
        said.retain(|part| !part.is_empty());
        Self { status, codes, message: shorten(&said.join("; ")), is_full }
    }

    /// Whether one of the codes is `code`.
    pub(super) fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|known| known == code)
    }
}

impl Session<'_> {
    /// What a request without an answer says.
    pub(super) fn unreachable(&self, source: FetchError) -> RegistryError {
        let registry = self.registry().to_owned();
        match source.tls_fault() {
            Some(TlsFault::Certificate(fault)) => RegistryError::Certificate { registry, fault },
            Some(TlsFault::NotTls) => RegistryError::NotTls { registry },
            None => RegistryError::Unreachable { registry, source },
        }
    }

    /// What an answer that is none says; `what` was asked for.
    pub(super) fn refused(&self, answer: Answer, what: &str) -> RegistryError {
        let is_own = self.is_own(&answer);
        let refusal = Refusal::read(answer, &self.secrets());
        if !is_own {
            let (registry, what) = (self.registry().to_owned(), what.to_owned());
            let Refusal { status, message, .. } = refusal;
            return RegistryError::Rejected { registry, what, status, message };
        }
        if refusal.status == 401
            && let Some(login) = self.login()
        {
            let (registry, message) = (self.registry().to_owned(), refusal.message);
            if self.wants_passwords() {
                let Login { user, from, .. } = login;
                return RegistryError::WrongCredentials { registry, user, from, message };
            }
            // The token server accepted the password.
            let (repository, user) = (self.repository().to_owned(), Some(login.user));
            return RegistryError::Denied { registry, repository, user, message };
        }
        let user = self.login().map(|login| login.user);
        self.refused_for(refusal, what, user)
    }

    /// The same for a refusal that `user`, or nobody by name, met.
    pub(super) fn refused_for(&self, refusal: Refusal, what: &str, user: Option<String>) -> RegistryError {
        let (registry, repository) = (self.registry().to_owned(), self.repository().to_owned());
        let is = |code| refusal.has(code);
        let (limited, unknown) = (is("TOOMANYREQUESTS"), is("NAME_UNKNOWN"));
        let Refusal { status, message, is_full, .. } = refusal;
        match status {
            413 | 507 => RegistryError::Full { registry, repository, status, message },
            _ if is_full => RegistryError::Full { registry, repository, status, message },
            429 => RegistryError::RateLimited { registry, repository, user, message },
            _ if limited => RegistryError::RateLimited { registry, repository, user, message },
            401 | 403 if user.is_none() => RegistryError::LoginNeeded { registry, repository, message },
            401 | 403 => RegistryError::Denied { registry, repository, user, message },
            404 if unknown => RegistryError::NoRepository { registry, repository, message },
            _ => RegistryError::Rejected { registry, what: what.to_owned(), status, message },
        }
    }
}

/// One line of text of a bounded length, without control characters.
pub(super) fn shorten(text: &str) -> String {
    let words: Vec<_> =
        text.split(|character: char| character.is_whitespace() || character.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Refusal {
        Refusal::of(status, body.as_bytes(), &["cret".to_owned()])
    }

    #[test]
    fn registries_are_quoted() {
        let refusal = read(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}},
                {"code":7},{"code":"denied","message":"cret is\nwrong","detail":"sorry"}]}"#,
        );
        assert!(refusal.has("MANIFEST_UNKNOWN") && refusal.has("DENIED") && !refusal.is_full);
        assert_eq!(refusal.message, "manifest unknown; **** is wrong: sorry");
        assert_eq!(read(400, "Only one\tauth \u{1b}[31mmechanism").message, "Only one auth [31mmechanism");
        assert_eq!(read(502, "<!DOCTYPE html><html>nginx</html>").message, "");
        assert_eq!(
            read(401, r#"{"details":"incorrect username or password"}"#).message,
            "incorrect username or password"
        );
        let long = read(500, &"x".repeat(5000)).message;
        assert_eq!(long, format!("{}...", "x".repeat(SHOWN)));
    }

    #[test]
    fn a_full_disk_is_recognised() {
        let enclosed = r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Err":28}}}]}"#;
        assert!(read(500, enclosed).is_full);
        assert!(read(403, r#"{"errors":[{"code":"DENIED","message":"adding 1 MiB will exceed the configured upper limit"}]}"#).is_full);
        assert!(!read(500, r#"{"errors":[{"code":"UNKNOWN"}]}"#).is_full);
    }
}
