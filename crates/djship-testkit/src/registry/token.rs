//! Who may do what, and the token server, which is the registry itself under another path.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{Answer, Request};
use super::{Access, Shared, State};

/// Whether the request may be answered; otherwise the refusal.
pub(super) fn check(shared: &Shared, state: &State, request: &Request) -> Option<Answer> {
    let unauthorized = Answer::error(401, "UNAUTHORIZED", "authentication required");
    match &state.behaviour.access {
        Access::Open => None,
        Access::Basic(user, password) => (request.header("authorization") != Some(&basic(user, password)))
            .then(|| unauthorized.with("WWW-Authenticate", "Basic realm=\"test\"")),
        Access::Token(..) | Access::Identity(_) => {
            let needed = needed(request);
            let given = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
            let allowed = given.and_then(|token| state.tokens.get(token));
            if allowed.is_some_and(|allowed| needed.iter().all(|scope| allowed.contains(scope))) {
                return None;
            }
            let own = format!("http://127.0.0.1:{}/token", shared.port);
            let realm = state.behaviour.realm.as_ref().unwrap_or(&own);
            let scope = needed.first().map_or_else(String::new, |scope| format!(",scope=\"{scope}\""));
            let header = format!("Bearer realm=\"{realm}\",service=\"test registry\"{scope}");
            Some(unauthorized.with("WWW-Authenticate", header))
        }
    }
}

/// What a request needs: `repository:NAME:ACTION`, one for each action.
fn needed(request: &Request) -> Vec<String> {
    let path = request.path();
    let name = ["/blobs/", "/manifests/"].iter().find_map(|part| {
        let (name, _) = path.strip_prefix("/v2/")?.split_once(part)?;
        Some(name)
    });
    let Some(name) = name else { return Vec::new() };
    let mut scopes = vec![format!("repository:{name}:pull")];
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        scopes.push(format!("repository:{name}:push"));
    }
    if let Some(from) = request.query("from") {
        scopes.push(format!("repository:{from}:pull"));
    }
    scopes
}

/// Gives a token. Repositories whose name begins with `secret` are for nobody.
pub(super) fn give(state: &mut State, request: &Request) -> Answer {
    let (known, scopes): (bool, Vec<String>) = match &state.behaviour.access {
        Access::Token(user, password) => {
            let told = request.header("authorization");
            if told.is_some_and(|told| told != basic(user, password)) {
                let body = r#"{"details":"incorrect username or password"}"#;
                return Answer { body: body.into(), ..Answer::status(401) };
            }
            (told.is_some(), request.query_all("scope").map(decode).collect())
        }
        Access::Identity(identity) => {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let field = |name: &str| {
                form.split('&').find_map(|pair| Some(decode(pair.strip_prefix(name)?.strip_prefix('=')?)))
            };
            if request.method != "POST" || field("refresh_token").as_deref() != Some(identity) {
                return Answer::error(401, "UNAUTHORIZED", "unknown identity");
            }
            let scopes = field("scope").unwrap_or_default();
            (true, scopes.split(' ').map(str::to_owned).collect())
        }
        _ => return Answer::status(404),
    };
    if request.query("service").is_some_and(|service| decode(service) != "test registry") {
        return Answer::error(400, "INVALID", "unknown service");
    }
    let mut allowed = std::collections::BTreeSet::new();
    for scope in scopes {
        let Some((resource, actions)) = scope.rsplit_once(':') else { continue };
        for action in actions.split(',') {
            let is_secret = resource.starts_with("repository:secret");
            if !is_secret && (known || action == "pull") {
                allowed.insert(format!("{resource}:{action}"));
            }
        }
    }
    let token = format!("token-{}", state.tokens.len());
    let body = format!(r#"{{"token":"{token}","expires_in":60}}"#);
    state.tokens.insert(token, allowed);
    Answer { body: body.into_bytes(), ..Answer::status(200) }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A value of a query.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
