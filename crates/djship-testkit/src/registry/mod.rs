//! A registry in the test's own process, on the loopback interface, that keeps everything in memory and misbehaves on demand.
//! Real registries behave; what clients must stand is what some of them do at times.

mod http;
mod protocol;
mod token;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use djship_store::Digest;

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody everything.
    #[default]
    Open,
    /// Whoever knows this user and password, sent with every request.
    Basic(String, String),
    /// Whoever has a token, which is given for this user and password. Anonymous tokens are for pulling only.
    Token(String, String),
    /// The same with an identity token, which another token is given for.
    Identity(String),
}

/// What it answers to a request for a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mount {
    /// It mounts what is there.
    #[default]
    Works,
    /// It begins an upload instead.
    Uploads,
    /// It refuses with this status.
    Refused(u16),
}

/// How it behaves.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault that a registry may have")]
pub struct Behaviour {
    /// Who may do what.
    pub access: Access,
    /// Where tokens are said to be given, when it is not here.
    pub realm: Option<String>,
    /// What a request for a mount comes to.
    pub mount: Mount,
    /// Blobs come from another origin, which refuses credentials.
    pub redirects: bool,
    /// That origin wants a login of its own.
    pub storage_asks: bool,
    /// Blobs redirect to themselves for ever.
    pub redirects_for_ever: bool,
    /// Addresses of uploads are paths, not URLs.
    pub relative: bool,
    /// `Range` always says that nothing is there.
    pub stale: bool,
    /// How many requests for manifests are answered with 429.
    pub limited: u32,
    /// What those are told to wait, in seconds.
    pub retry_after: Option<u32>,
    /// How many requests are answered with 503.
    pub busy: u32,
    /// How many uploads break off in the middle.
    pub breaks: u32,
    /// How many downloads of blobs break off in the middle.
    pub cuts: u32,
    /// Uploads are answered with this status and body.
    pub refuses: Option<(u16, String)>,
    /// Uploads whose content waits for a word are answered with this status at once, and the connection is closed.
    pub refuses_early: Option<u16>,
    /// Blobs come with one byte changed.
    pub lies: bool,
    /// It never names digests.
    pub nameless: bool,
    /// It says `WRONG` of manifests' digests.
    pub misnames: bool,
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// Bytes of the body that came.
    pub body: u64,
    /// What was answered; 0 for a broken connection.
    pub status: u16,
}

/// The running registry. It serves until the process ends.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
}

/// What all connections know.
#[derive(Debug)]
struct Shared {
    /// Port of the registry, and of the storage that blobs may come from.
    port: u16,
    storage: u16,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    /// By digest.
    blobs: BTreeMap<String, Vec<u8>>,
    /// Repository and digest.
    homes: BTreeSet<(String, String)>,
    /// Repository, and tag or digest, to media type and content.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// What came of an upload so far.
    uploads: BTreeMap<String, Vec<u8>>,
    asked: Vec<Asked>,
    /// Tokens and what they allow.
    tokens: BTreeMap<String, BTreeSet<String>>,
}

impl Registry {
    /// Starts it.
    pub fn start(behaviour: Behaviour) -> Result<Self> {
        let (listener, storage) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let (port, storage_port) = (listener.local_addr()?.port(), storage.local_addr()?.port());
        let state = State { behaviour, ..State::default() };
        let shared = Arc::new(Shared { port, storage: storage_port, state: Mutex::new(state) });
        http::serve(listener, &shared, protocol::answer);
        http::serve(storage, &shared, protocol::store);
        Ok(Self { shared })
    }

    /// Host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.shared.port)
    }

    /// Lets it behave in another way from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviour = behaviour;
    }

    /// Everything that was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.lock().asked)
    }

    /// Puts a blob there.
    pub fn put_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let mut state = self.shared.lock();
        state.blobs.insert(digest.to_string(), content.to_vec());
        state.homes.insert((repository.to_owned(), digest.to_string()));
        digest
    }

    /// Puts a manifest there, under a tag and its digest.
    pub fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let mut state = self.shared.lock();
        for name in [tag.to_owned(), digest.to_string()] {
            let manifest = (media_type.to_owned(), content.to_vec());
            state.manifests.insert((repository.to_owned(), name), manifest);
        }
        digest
    }

    /// A manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, wanted: &str) -> Option<Vec<u8>> {
        let state = self.shared.lock();
        state.manifests.get(&(repository.to_owned(), wanted.to_owned())).map(|(_, content)| content.clone())
    }

    /// A blob, if it is in the repository.
    pub fn blob(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        let (state, digest) = (self.shared.lock(), digest.to_string());
        let is_there = state.homes.contains(&(repository.to_owned(), digest.clone()));
        state.blobs.get(&digest).filter(|_| is_there).cloned()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
