//! Tokens: what a token server gives for a password, an identity token, or nothing.

use djship_store::fetch::{Method, Request, is_loopback};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::Refusal;
use super::credentials::{Login, Secret};
use super::error::RegistryError;
use super::session::Session;

/// The largest answer of a token server, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// What needs no escape in a query.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// What a token server is asked.
pub(super) struct Wanted<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [String],
    pub(super) login: Option<&'a Login>,
}

#[derive(serde::Deserialize)]
struct Document {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session<'_> {
    /// A token for these scopes.
    pub(super) fn ask_token(&self, wanted: &Wanted<'_>) -> Result<String, RegistryError> {
        let protocol = |reason| RegistryError::Protocol {
            registry: self.registry().to_owned(),
            what: "the address of its token server".to_owned(),
            reason,
        };
        // Passwords go there: no TLS is only good enough where it is for the registry itself.
        match wanted.realm.split_once("://") {
            Some(("https", _)) => {}
            Some(("http", rest)) => {
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                if !self.may_be_plain() || !(is_loopback(host) || self.is_declared(host)) {
                    let (registry, host) = (self.registry().to_owned(), host.to_owned());
                    return Err(RegistryError::PlainTokenServer { registry, host });
                }
            }
            _ => return Err(protocol("it is no URL")),
        }
        let answer = match wanted.login {
            Some(Login { secret: Secret::IdentityToken(token), .. }) => {
                self.exchange_identity(wanted, token)?
            }
            login => {
                let mut headers = Vec::new();
                if let Some(basic) = login.and_then(Login::basic) {
                    headers.push(("Authorization", basic));
                }
                let url = wanted.url();
                self.steadily(true, || {
                    let (method, headers) = (Method::Get, headers.as_slice());
                    self.fetcher().exchange(Request {
                        method,
                        url: &url,
                        headers,
                        body: None,
                        patience: None,
                    })
                })
                .map_err(|source| self.unreachable(source))?
            }
        };
        if answer.status() != 200 {
            let secrets = wanted.login.map(Login::secrets).unwrap_or_default();
            return Err(self.no_token(Refusal::read(answer, &secrets), wanted.login));
        }
        let text = answer.bytes(LIMIT).map_err(|source| self.unreachable(source))?;
        let what = || "the answer of its token server".to_owned();
        // The words of the JSON library could hold a part of a token.
        let malformed =
            |reason| RegistryError::Protocol { registry: self.registry().to_owned(), what: what(), reason };
        let document: Document =
            serde_json::from_slice(&text).map_err(|_| malformed("it is not JSON of the right form"))?;
        let token = document.token.or(document.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| malformed("it holds no token"))?;
        if token.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(token)
        } else {
            Err(malformed("its token holds characters that cannot be sent"))
        }
    }

    fn exchange_identity(
        &self,
        wanted: &Wanted<'_>,
        token: &str,
    ) -> Result<djship_store::fetch::Answer, RegistryError> {
        let mut form =
            vec![("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "djship")];
        form.extend(wanted.service.map(|service| ("service", service)));
        let scopes = wanted.scopes.join(" ");
        form.push(("scope", &scopes));
        let form = query(form.into_iter());
        let headers = [("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        self.steadily(true, || {
            let mut body = form.as_bytes();
            self.fetcher().exchange(Request {
                method: Method::Post,
                url: wanted.realm,
                headers: &headers,
                body: Some((&mut body, form.len() as u64)),
                patience: None,
            })
        })
        .map_err(|source| self.unreachable(source))
    }

    fn no_token(&self, refusal: Refusal, login: Option<&Login>) -> RegistryError {
        let registry = self.registry().to_owned();
        match (refusal.status, login) {
            // GitHub's and some others say 403 for a wrong password.
            (400 | 401 | 403, Some(login)) => RegistryError::WrongCredentials {
                registry,
                user: login.user.clone(),
                from: login.from.clone(),
                message: refusal.message,
            },
            _ => self.refused_for(refusal, "a token", login.map(|login| login.user.clone())),
        }
    }
}

impl Wanted<'_> {
    fn url(&self) -> String {
        let service = self.service.map(|service| ("service", service));
        let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
        let query = query(service.into_iter().chain(scopes));
        let separator = if self.realm.contains('?') { '&' } else { '?' };
        if query.is_empty() { self.realm.to_owned() } else { format!("{}{separator}{query}", self.realm) }
    }
}

fn query<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> =
        fields.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PLAIN))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_asked_for_one_by_one() {
        let scopes = ["repository:a/b:pull,push".to_owned(), "repository:c:pull".to_owned()];
        let wanted = |realm| Wanted { realm, service: Some("a b&c"), scopes: &scopes, login: None };
        let query = "service=a%20b%26c&scope=repository:a/b:pull%2Cpush&scope=repository:c:pull";
        assert_eq!(wanted("https://auth.test/token").url(), format!("https://auth.test/token?{query}"));
        assert_eq!(wanted("https://auth.test/t?x=1").url(), format!("https://auth.test/t?x=1&{query}"));
    }
}
