//! Docker as the engine: the same containers, run by a daemon that may be on another machine.
//!
//! | module | holds |
//! |---|---|
//! | [`address`], [`stream`], [`tls`], [`ssh`], [`http`], [`client`] | where the daemon is, a connection, a request, the API |
//! | [`root`], [`load`], [`archive`] | roots as images, loaded once; tar streams |
//! | [`description`], [`contents`], [`results`] | a container in the API's words; what goes in before the start and comes out after the end |
//! | [`shown`], [`sight`] | folders of the host as they are, and whether the daemon sees them |
//! | [`init`], [`streams`], [`process`] | the first process inside, the standard streams, the handle |
//! | [`sweep`] | what a killed djship may have left |
//!
//! # No orphan
//!
//! PID 1 of every container is a small static program of ours, brought in a layer of the root's image. Its standard input is the
//! connection over which the container is attached: when this process ends, however it ends, the daemon sees the
//! connection end and closes that input, PID 1 ends, and the kernel ends everything inside. Containers whose results are taken out
//! after the end are removed by this process, or, when it was killed, by the next djship on this machine.

mod address;
mod archive;
mod client;
mod contents;
mod description;
mod error;
mod http;
mod init;
mod load;
mod process;
mod results;
mod root;
mod shown;
mod sight;
mod ssh;
mod stream;
mod streams;
mod sweep;
mod tls;

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::mpsc,
};

use serde::Deserialize;
use serde_json::json;

pub use address::DockerSettings;
pub use error::DockerError;
pub(crate) use process::Process;

use self::{
    address::Address,
    client::Client,
    contents::{Contents, Owners},
    description::By,
    http::{Body, Response},
    init::Record,
    process::{Parts, What},
    results::Results,
    root::Known,
    sight::Sight,
    streams::Outputs,
};
use crate::{
    container::{Container, HostOwner, Stdio, Streams},
    error::{NotRunnable, StartError},
    identity,
    joining::Exec,
    record::{ContainerRecord, RecordError},
    scratch::ScratchFolder,
    streams as own_streams,
};

/// What everything of djship's in a daemon is labelled with; the value says what it is, or whose.
const LABEL: &str = "djship";

/// A Docker daemon, or one that speaks its language, such as Podman's.
#[derive(Debug, Clone)]
pub struct Docker {
    client: Client,
    roots: Known,
    /// Who removes what this process leaves.
    owner: String,
    /// Folders are shown as they are; whether the daemon sees them is looked at once.
    sight: Option<Sight>,
}

/// What is written down about a container, so that another djship can enter it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub(crate) struct Recorded {
    id: String,
    daemon: Address,
}

/// A container that runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) process: Process,
    pub(crate) recorded: Recorded,
    /// Its user inside.
    pub(crate) user: (u32, u32),
    /// Its first process as this one sees it, where that is known.
    pub(crate) pid: Option<i32>,
    /// What is shown of this is gone after the container.
    _folder: Option<ScratchFolder>,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

impl Docker {
    /// Finds the daemon, and removes what a djship of this machine that was killed has left there.
    pub fn connect(settings: &DockerSettings) -> Result<Self, DockerError> {
        let client = Client::connect(Address::find(settings)?)?;
        sweep::abandoned(&client);
        Ok(Self { client, roots: Known::default(), owner: sweep::owner(), sight: None })
    }

    /// Shows folders of the host to containers as they are, instead of copying them in and out: for what must be on the disk while
    /// containers run. The daemon must be on this machine, and programs run as [`crate::Engine::host_owner`] or the invoking
    /// user.
    #[must_use]
    pub fn showing_folders(mut self) -> Self {
        self.sight = Some(Sight::default());
        self
    }

    /// Where the daemon is.
    pub fn address(&self) -> String {
        self.client.daemon().to_string()
    }

    /// Starts a container and returns once its program was executed. `scratch` is the caller's folder for work space.
    pub(crate) fn start(
        &self,
        container: &Container,
        scratch: &Path,
        host_owner: Option<HostOwner>,
        held: &[BorrowedFd<'_>],
    ) -> Result<Started, StartError> {
        let lowers = container.lowers.iter().map(|lower| canonical(lower)).collect::<Result<Vec<_>, _>>()?;
        let image = root::image(&self.client, &self.roots, &lowers)?;
        let owner = identity::host_owner(container, host_owner)?;
        let own = || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let on_host = owner.unwrap_or_else(own);
        let (mut container, mut shown, mut folder) = (container.clone(), Vec::new(), None);
        let mut users = "";
        if let Some(sight) = &self.sight {
            let scratch = ScratchFolder::new(&canonical(scratch)?)?;
            if container.upper.as_ref().is_some_and(|upper| !upper.volatile) {
                return Err(DockerError::Unsupported { what: "a lasting layer over an image" }.into());
            }
            shown = shown::take(&mut container, &scratch, on_host)?;
            if !shown.is_empty() {
                users = sight.check(&self.client, &image, scratch.path())?;
            }
            folder = Some(scratch);
        }
        let owners = Owners { on_host, inside: (container.user.uid, container.user.gid) };
        let mut contents = Contents::of(&container, owners);
        contents.mounted = shown.iter().map(|shown| shown.target.clone()).collect();
        let by = By { owner: &self.owner, podman: self.client.is_podman(), users };
        let body = description::describe(&container, &image, &contents, &shown, &by);
        let what = "create a container";
        let created = self.client.document::<Created>(what, "POST", "/containers/create", Some(&body));
        let id = created.map_err(|error| sight::unseen(error, &self.client))?.id;
        let started = self.fill(&id, &contents).and_then(|()| {
            let results = Results { targets: contents.targets(), given: contents.given, owner };
            self.run(&id, &container, results, held)
        });
        if started.is_err() {
            process::remove(&self.client, &id);
        }
        let process = started?;
        let pid = self.sight.as_ref().and_then(|_| shown::first_process(&self.client, &id));
        let recorded = Recorded { id, daemon: self.client.daemon().clone() };
        Ok(Started { process, recorded, user: owners.inside, pid, _folder: folder })
    }

    /// Puts in what the container is given.
    fn fill(&self, id: &str, contents: &Contents) -> Result<(), StartError> {
        if contents.is_empty() {
            return Ok(());
        }
        let mut at = PathBuf::new();
        let mut failed = false;
        let mut write = |to: &mut dyn std::io::Write| {
            let written = contents.write(to, &mut at);
            failed = written.as_ref().is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe);
            written
        };
        let path = format!("/containers/{id}/archive?path=/");
        let sent = self.client.ask("put files into a container", "PUT", &path, Body::Archive(&mut write));
        match sent {
            Ok(_) => Ok(()),
            Err(DockerError::Connection { source, .. }) if failed => {
                Err(DockerError::Copy { path: at, direction: "into", source }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn run(
        &self,
        id: &str,
        container: &Container,
        results: Results,
        held: &[BorrowedFd<'_>],
    ) -> Result<Process, StartError> {
        let spawned = |verb| move |source: std::io::Error| StartError::Spawn { verb, source };
        let (what, query) = ("attach to a container", "stream=1&stdin=1&stdout=1&stderr=1");
        let attached = self.client.ask(
            what,
            "POST",
            &format!("/containers/{id}/attach?{query}"),
            Body::Upgrade(Vec::new()),
        )?;
        let end = format!("/containers/{id}/wait?condition=next-exit");
        let end = self.client.ask("wait for a container", "POST", &end, Body::None)?;
        let what = What::Container(id.to_owned(), end);
        let ends = Ends::open(container.tty, container.stdio)?;
        let held = held.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<Vec<OwnedFd>, _>>();
        let held = held.map_err(spawned("hold descriptors"))?;
        let (process, started) = attach(&self.client, what, attached, ends, results, held)?;
        self.client.ask("start a container", "POST", &format!("/containers/{id}/start"), Body::None)?;
        await_start(process, &started, &container.argv)
    }
}

/// Runs a further program in a container, wherever its daemon is.
pub(crate) fn exec(
    recorded: &Recorded,
    record: &ContainerRecord,
    exec: &Exec,
) -> Result<Started, StartError> {
    let client = Client::connect(recorded.daemon.clone())?;
    let kind = init::input(exec.tty, exec.stdio.stdin);
    let mut command = vec![init::PATH.to_owned(), kind.to_owned()];
    command.extend(exec.argv.iter().cloned());
    let (uid, gid) = exec.user.map_or(record.user, |user| (user.uid, user.gid));
    let body = json!({
        "AttachStdin": true,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": false,
        "Cmd": command,
        "Env": exec.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "WorkingDir": exec.cwd.to_string_lossy(),
        "User": format!("{uid}:{gid}"),
    });
    let what = "run a program in a container";
    let path = format!("/containers/{}/exec", recorded.id);
    let created: Created =
        client.document(what, "POST", &path, Some(&body)).map_err(|error| match error {
            DockerError::Refused { status: 404 | 409, .. } => RecordError::Gone { pid: record.pid }.into(),
            error => StartError::Docker(error),
        })?;
    let ends = Ends::open(exec.tty, exec.stdio)?;
    let start = json!({ "Detach": false, "Tty": false }).to_string().into_bytes();
    let attached = client.ask(what, "POST", &format!("/exec/{}/start", created.id), Body::Upgrade(start))?;
    let (process, started) = attach(&client, What::Exec, attached, ends, Results::default(), Vec::new())?;
    let process = await_start(process, &started, &exec.argv)?;
    Ok(Started { process, recorded: recorded.clone(), user: record.user, pid: None, _folder: None })
}

fn await_start(
    mut process: Process,
    started: &mpsc::Receiver<Record>,
    argv: &[String],
) -> Result<Process, StartError> {
    let program = || argv.first().cloned().unwrap_or_default();
    match started.recv() {
        Ok(Record::Executed(None)) => Ok(process),
        Ok(Record::Executed(Some(errno))) => {
            let errno = i32::from(errno);
            let reason = match errno {
                libc::ENOENT => NotRunnable::NotFound,
                _ => NotRunnable::Refused { file: program(), errno },
            };
            Err(StartError::Program { program: program(), reason })
        }
        _ => {
            let stage = process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(StartError::Lost { stage })
        }
    }
}

/// Both ends of the standard streams.
struct Ends {
    outputs: Outputs,
    /// Where input comes from, and whether it is a terminal.
    input: Option<(OwnedFd, bool)>,
    ours: own_streams::Ours,
    terminal: Option<OwnedFd>,
}

impl Ends {
    fn open(tty: bool, stdio: Streams) -> Result<Self, StartError> {
        if tty {
            let failed = |source| StartError::Spawn { verb: "open a terminal", source };
            let (master, other) = streams::terminal().map_err(failed)?;
            let clone = || other.try_clone().map_err(failed);
            let outputs = Outputs { stdout: clone()?, stderr: clone()? };
            let ours = own_streams::Ours::default();
            return Ok(Self { outputs, input: Some((other, true)), ours, terminal: Some(master) });
        }
        let prepared = own_streams::prepare(stdio)?;
        let [stdin, stdout, stderr] = prepared.theirs;
        let input = (stdio.stdin != Stdio::Null).then_some((stdin, false));
        Ok(Self { outputs: Outputs { stdout, stderr }, input, ours: prepared.ours, terminal: None })
    }
}

fn attach(
    client: &Client,
    what: What,
    attached: Response,
    ends: Ends,
    results: Results,
    held: Vec<OwnedFd>,
) -> Result<(Process, mpsc::Receiver<Record>), StartError> {
    let Ends { outputs, input, ours, terminal } = ends;
    let (client, attached) = (client.clone(), attached.into_stream());
    let parts = Parts { client, what, attached, outputs, input, ours, terminal, results, held };
    Process::attach(parts).map_err(|source| StartError::Spawn { verb: "follow a container", source })
}

fn canonical(path: &Path) -> Result<PathBuf, StartError> {
    fs_err::canonicalize(path).map_err(|source| StartError::Source { path: path.to_owned(), source })
}
