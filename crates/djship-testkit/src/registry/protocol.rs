//! The registry's side of the distribution protocol.

use djship_store::Digest;

use super::http::{Answer, Request};
use super::{Mount, Shared, State, token};

/// What uploads carry around in their address; clients must keep it as it is.
const UPLOAD_STATE: &str = "_state=a%2Bb%3D%3D&k=1";

/// Answers a request to the registry.
pub(super) fn answer(shared: &Shared, request: &Request) -> Answer {
    let mut state = shared.lock();
    if request.path() == "/token" {
        return token::give(&mut state, request);
    }
    if state.behaviour.busy > 0 && request.path() != "/v2/" {
        state.behaviour.busy -= 1;
        return Answer::error(503, "UNAVAILABLE", "busy");
    }
    if let Some(refusal) = token::check(shared, &state, request) {
        return refusal;
    }
    let path = request.path().strip_prefix("/v2/").unwrap_or_default();
    if path.is_empty() {
        return Answer::status(200);
    }
    let method = request.method.as_str();
    if let Some((name, id)) = path.split_once("/blobs/uploads/") {
        return match method {
            "POST" => begin(shared, &mut state, request, name),
            _ => upload(shared, &mut state, request, name, id),
        };
    }
    if let Some((name, digest)) = path.split_once("/blobs/") {
        return blob(shared, &mut state, method, name, digest);
    }
    match path.split_once("/manifests/") {
        Some((name, wanted)) => manifest(&mut state, request, name, wanted),
        None => Answer::status(404),
    }
}

/// Answers a request to the storage that blobs may come from.
pub(super) fn store(shared: &Shared, request: &Request) -> Answer {
    if request.header("authorization").is_some() {
        return Answer { body: b"only one auth mechanism allowed".to_vec(), ..Answer::status(400) };
    }
    if shared.lock().behaviour.storage_asks {
        let realm = format!("Bearer realm=\"http://127.0.0.1:{}/token\"", shared.storage);
        return Answer::status(401).with("WWW-Authenticate", realm);
    }
    let digest = request.path().trim_start_matches("/store/");
    match shared.lock().blobs.get(digest) {
        Some(content) => Answer { body: content.clone(), ..Answer::status(200) },
        None => Answer::status(404),
    }
}

fn blob(shared: &Shared, state: &mut State, method: &str, name: &str, digest: &str) -> Answer {
    if !state.homes.contains(&(name.to_owned(), digest.to_owned())) {
        return Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    }
    if method == "GET" && state.behaviour.redirects_for_ever {
        return Answer::status(307).with("Location", format!("/v2/{name}/blobs/{digest}"));
    }
    if method == "GET" && state.behaviour.redirects {
        let target = format!("http://localhost:{}/store/{digest}?signature=s3cret", shared.storage);
        return Answer::status(307).with("Location", target);
    }
    let mut body = state.blobs.get(digest).cloned().unwrap_or_default();
    let length = body.len() as u64;
    if method == "GET" && state.behaviour.lies {
        body.iter_mut().take(1).for_each(|byte| *byte ^= 1);
    }
    if method == "GET" && state.behaviour.cuts > 0 {
        state.behaviour.cuts -= 1;
        body.truncate(body.len() / 2);
    }
    Answer { body, promised: Some(length), ..Answer::status(200) }
}

fn manifest(state: &mut State, request: &Request, name: &str, wanted: &str) -> Answer {
    let key = (name.to_owned(), wanted.to_owned());
    if request.method == "PUT" {
        let digest = Digest::of(&request.body);
        let kind = request.header("content-type").unwrap_or_default().to_owned();
        for name_in in [wanted.to_owned(), digest.to_string()] {
            state.manifests.insert((name.to_owned(), name_in), (kind.clone(), request.body.clone()));
        }
        return named(state, Answer::status(201), digest);
    }
    if state.behaviour.limited > 0 {
        state.behaviour.limited -= 1;
        let refusal = Answer::error(429, "TOOMANYREQUESTS", "you have reached your pull rate limit");
        return match state.behaviour.retry_after {
            Some(seconds) => refusal.with("Retry-After", seconds.to_string()),
            None => refusal,
        };
    }
    let Some((kind, content)) = state.manifests.get(&key).cloned() else {
        return Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    };
    let digest = Digest::of(&content);
    let answer = Answer { body: content, ..Answer::status(200) }.with("Content-Type", kind);
    named(state, answer, digest)
}

fn named(state: &State, answer: Answer, digest: Digest) -> Answer {
    let digest = if state.behaviour.misnames { Digest::of(b"WRONG") } else { digest };
    if state.behaviour.nameless { answer } else { answer.with("Docker-Content-Digest", digest.to_string()) }
}

fn begin(shared: &Shared, state: &mut State, request: &Request, name: &str) -> Answer {
    if let (Some(digest), Some(from)) = (request.query("mount"), request.query("from")) {
        let is_there = state.homes.contains(&(from.to_owned(), digest.to_owned()));
        match state.behaviour.mount {
            Mount::Refused(status) => return Answer::error(status, "UNAUTHORIZED", "not from there"),
            Mount::Works if is_there => {
                state.homes.insert((name.to_owned(), digest.to_owned()));
                return Answer::status(201).with("Location", format!("/v2/{name}/blobs/{digest}"));
            }
            Mount::Works | Mount::Uploads => {}
        }
    }
    if let Some((status, body)) = state.behaviour.refuses.clone() {
        return Answer { body: body.into_bytes(), ..Answer::status(status) };
    }
    let id = format!("u{}", state.uploads.len());
    state.uploads.insert(id.clone(), Vec::new());
    at(shared, state, Answer::status(202), name, &id)
}

fn upload(shared: &Shared, state: &mut State, request: &Request, name: &str, id: &str) -> Answer {
    if !request.target.contains(UPLOAD_STATE) {
        return Answer::error(400, "BLOB_UPLOAD_INVALID", "the state is lost");
    }
    let Some(there) = state.uploads.get(id).map(Vec::len) else {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
    };
    let first = request.header("content-range").and_then(|range| range.split('-').next()?.parse().ok());
    if request.method == "PATCH" && first.unwrap_or(0usize) != there {
        return at(shared, state, Answer::status(416), name, id);
    }
    if let Some(content) = state.uploads.get_mut(id) {
        content.extend_from_slice(&request.body);
    }
    match request.method.as_str() {
        "GET" => at(shared, state, Answer::status(204), name, id),
        "PATCH" => at(shared, state, Answer::status(202), name, id),
        "PUT" => {
            let content = state.uploads.remove(id).unwrap_or_default();
            let digest = Digest::of(&content).to_string();
            // So that no name is given twice.
            state.uploads.insert(format!("{id} is done"), Vec::new());
            if request.query("digest") != Some(&digest) {
                return Answer::error(
                    400,
                    "DIGEST_INVALID",
                    "provided digest did not match uploaded content",
                );
            }
            state.blobs.insert(digest.clone(), content);
            state.homes.insert((name.to_owned(), digest.clone()));
            Answer::status(201).with("Location", format!("/v2/{name}/blobs/{digest}"))
        }
        _ => Answer::status(405),
    }
}

/// With the address of an upload and what is there of it.
fn at(shared: &Shared, state: &State, answer: Answer, name: &str, id: &str) -> Answer {
    let path = format!("/v2/{name}/blobs/uploads/{id}?{UPLOAD_STATE}");
    let origin = format!("http://127.0.0.1:{}", shared.port);
    let location = if state.behaviour.relative { path } else { format!("{origin}{path}") };
    let there = state.uploads.get(id).map_or(0, Vec::len);
    let last = if state.behaviour.stale { 0 } else { there.saturating_sub(1) };
    answer.with("Location", location).with("Range", format!("0-{last}"))
}
