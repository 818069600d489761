//! Starts containers. Safe from any thread of any process: between fork and exec nothing of ours runs.

use std::{
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    net::{Shutdown, shutdown},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde::Serialize;

use crate::{
    assignment::{Assignment, Workload},
    container::{Container, HostOwner, Network},
    control::{self, Event},
    docker::Docker,
    error::StartError,
    holding, identity,
    inside::{ARGV0, Role},
    mount_points::{self, Mount},
    running::{Folders, Process, Running},
    scratch::{ScratchFolder, WorkFolder},
    streams::{self, Prepared},
};

/// Our own binary, whatever its name is now.
const OWN_BINARY: &str = "/proc/self/exe";

/// Starts containers.
#[derive(Debug, Clone)]
pub struct Engine {
    /// A folder in which each container gets a small work space of its own while it runs.
    pub scratch: PathBuf,
    /// Who containers run as on the host when djship itself is root. Ordinary users always run them as themselves.
    pub host_owner: Option<HostOwner>,
    /// Mount the root as kernels before 6.5 need it. For tests of that path.
    #[doc(hidden)]
    pub old_mount_call: bool,
    /// Who runs containers instead of this process.
    pub(crate) docker: Option<Docker>,
}

impl Engine {
    /// An engine that keeps its work spaces in `scratch`, an existing folder.
    pub fn new(scratch: impl Into<PathBuf>) -> Self {
        Self { scratch: scratch.into(), host_owner: None, old_mount_call: false, docker: None }
    }

    /// An engine whose containers a Docker daemon runs. They see the same, and what they change comes back: folders of the host are
    /// copied in and out, so the daemon may be on another machine.
    #[must_use]
    pub fn with_docker(mut self, docker: Docker) -> Self {
        self.docker = Some(docker);
        self
    }

    /// The daemon that runs containers, if it is not this process.
    pub fn docker(&self) -> Option<&Docker> {
        self.docker.as_ref()
    }

    /// Sets who containers run as on the host when djship itself is root.
    #[must_use]
    pub fn with_host_owner(mut self, owner: HostOwner) -> Self {
        self.host_owner = Some(owner);
        self
    }

    /// Starts a container, and returns once its program was executed.
    ///
    /// The container ends when its program ends, when the returned handle is dropped, and when this process ends in
    /// whatever way.
    pub fn start(&self, container: &Container) -> Result<Running, StartError> {
        self.start_holding(container, &[])
    }

    /// The same, and as long as anything of the container runs, `held` stay open: a lock that `flock` put on such a file
    /// before is free again when the caller has closed its own descriptor, and everything inside is gone, however this
    /// process ends.
    ///
    /// The program has them open under numbers from 900 on, and passes them on to what it starts; PID 1 has them open, too.
    /// Whatever they allow is allowed to the program, such as writing to the file or unlocking it, so better give it an
    /// empty file. Folders would lead out of the container and are refused. Programs of [`Engine::exec`] do not have them.
    pub fn start_holding(
        &self,
        container: &Container,
        held: &[BorrowedFd<'_>],
    ) -> Result<Running, StartError> {
        check_words(container)?;
        holding::check(held)?;
        if let Some(docker) = &self.docker {
            return docker.start(container, &self.scratch, self.host_owner, held).map(Running::in_docker);
        }
        let identity = identity::decide(container, self.host_owner)?;
        let parent = canonical(&self.scratch)?;
        let scratch = ScratchFolder::new(&parent)?;
        let mounts = mount_points::plan(container, &scratch, identity.is_handed_over())?;
        let mut lowers = vec![scratch.stubs()];
        for lower in &container.lowers {
            lowers.push(canonical(lower)?);
        }
        let mut upper = container.upper.clone();
        if let Some(upper) = &mut upper {
            upper.upper = canonical(&upper.upper)?;
            upper.work = canonical(&upper.work)?;
        }
        let owner = identity.owner;
        let own_network = container.network == Network::None;
        let workload = workload(container, &mounts);
        let work = upper.as_ref().map(|upper| WorkFolder::new(&upper.work));
        let assignment = Assignment {
            identity,
            lowers,
            upper,
            landing: scratch.landing(),
            old_mount_call: self.old_mount_call,
            own_network,
            hostname: container.hostname.clone(),
            mounts,
            held: held.len(),
            workload: workload.clone(),
        };
        let streams = if container.tty { crate::container::Streams::NULL } else { container.stdio };
        let prepared = streams::prepare(streams)?;
        let process = launch(Path::new(OWN_BINARY), Role::Stage, &assignment, prepared, container.tty, held)?;
        let folders = Folders { _scratch: Some(scratch), _work: work.map(WorkFolder::mounted) };
        Ok(Running::new(process, folders, owner, workload))
    }
}

fn workload(container: &Container, mounts: &[Mount]) -> Workload {
    Workload {
        argv: container.argv.clone(),
        env: container.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        cwd: container.cwd.clone(),
        uid: container.user.uid,
        gid: container.user.gid,
        tty: container.tty,
        unix_sockets: container.unix_sockets,
        ptrace: container.ptrace,
        set_ids: !mounts.iter().any(|mount| mount.what.writes_as_root()),
        host_network: container.network == Network::Host,
    }
}

/// Executes a stage, hands it what it needs, and waits until the program runs or something failed.
pub(crate) fn launch(
    binary: &Path,
    role: Role,
    assignment: &impl Serialize,
    streams: Prepared,
    tty: bool,
    held: &[BorrowedFd<'_>],
) -> Result<Process, StartError> {
    let failed = |verb| move |source: io::Error| StartError::Spawn { verb, source };
    let file = write_assignment(assignment).map_err(failed("write its description"))?;
    let (ours, theirs) = control::pair().map_err(io::Error::from).map_err(failed("make a socket pair"))?;
    let mut stage = Command::new(binary)
        .arg0(ARGV0)
        .arg(role.name())
        .env_clear()
        .stdin(file)
        .stdout(theirs)
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed("execute the djship binary again"))?;
    let mut descriptors: Vec<_> = streams.theirs.iter().map(OwnedFd::as_fd).collect();
    let stdin = io::stdin();
    if tty && rustix::termios::isatty(&stdin) {
        // So that it can be put in order again even when this process is killed.
        descriptors.push(stdin.as_fd());
    }
    let handed_over = holding::hand_over(ours.as_fd(), &descriptors, held);
    if handed_over.is_err() {
        // Nobody inside shall wait for the rest.
        let _ = shutdown(&ours, Shutdown::Write);
    }
    drop(streams.theirs);
    let started = await_start(&ours, &mut stage);
    if let Ok(Some((pidfd, pid, terminal))) = started {
        if role == Role::Stage {
            // It ends as soon as it gave birth. The one that joins stays, and is what the caller waits for.
            stage.wait().map_err(failed("wait for the stage"))?;
        }
        return Ok(Process::new(pid, pidfd, ours, streams.ours, terminal));
    }
    let stage = stage.wait().map_err(failed("wait for the stage"))?;
    handed_over.map_err(io::Error::from).map_err(failed("hand over its descriptors"))?;
    started.and(Err(StartError::Lost { stage: stage.to_string() }))
}

type Started = (OwnedFd, Pid, Option<OwnedFd>);

fn await_start(socket: &OwnedFd, stage: &mut Child) -> Result<Option<Started>, StartError> {
    let mut born: Option<(OwnedFd, Pid)> = None;
    let mut terminal = None;
    let failed = |verb| move |errno| StartError::Spawn { verb, source: io::Error::from(errno) };
    let mut silent = false;
    let result = loop {
        match control::receive_event(socket.as_fd(), true) {
            Ok(Some((Event::Born { pid }, _))) => {
                // Our own child, and nobody else waits for it: the number cannot have been given away.
                let opened = Pid::from_raw(pid).map(|pid| (pidfd_open(pid, PidfdFlags::empty()), pid));
                match opened {
                    Some((Ok(pidfd), pid)) => born = Some((pidfd, pid)),
                    Some((Err(errno), _)) => break Err(failed("watch the container's first process")(errno)),
                    None => break Ok(None),
                }
            }
            Ok(Some((Event::Terminal, descriptor))) => terminal = descriptor,
            Ok(Some((Event::Started, _))) => {
                break Ok(born.take().map(|(pidfd, pid)| (pidfd, pid, terminal)));
            }
            Ok(Some((Event::Failed(fault), _))) => break Err(StartError::Setup(fault)),
            Ok(Some((Event::NotRunnable(reason, program), _))) => {
                break Err(StartError::Program { program, reason });
            }
            Ok(Some((Event::Ended(_), _))) => break Ok(None),
            Ok(None) => {
                silent = true;
                break Ok(None);
            }
            Err(errno) => break Err(failed("hear from the container")(errno)),
        }
    };
    if result.as_ref().is_ok_and(Option::is_some) {
        return result;
    }
    // Nothing may be left of a start that failed. The stage itself is collected by our caller; when everybody has hung up it
    // has ended, and how is of interest.
    if !silent {
        let _ = stage.kill();
    }
    if let Some((pidfd, pid)) = born
        && i64::from(stage.id()) != i64::from(pid.as_raw_nonzero().get())
    {
        crate::running::kill_and_reap(&pidfd);
    }
    result
}

fn write_assignment(assignment: &impl Serialize) -> io::Result<OwnedFd> {
    use io::{Seek as _, Write as _};
    let mut file = std::fs::File::from(memfd_create("djship-assignment", MemfdFlags::CLOEXEC)?);
    serde_json::to_writer(io::BufWriter::new(&file), assignment)?;
    file.flush()?;
    file.rewind()?;
    Ok(file.into())
}

fn canonical(path: &Path) -> Result<PathBuf, StartError> {
    fs_err::canonicalize(path).map_err(|source| StartError::Source { path: path.to_owned(), source })
}

/// The kernel takes no zero bytes, and the assignment no paths that are not UTF-8.
fn check_words(container: &Container) -> Result<(), StartError> {
    if container.lowers.is_empty() {
        return Err(StartError::NoRoot);
    }
    check_program(
        &container.argv,
        container.env.iter().map(|(name, value)| (name.as_str(), value.as_str())),
    )?;
    let binds = container.binds.iter().flat_map(|bind| [&bind.source, &bind.target]);
    let copies = container.scratch_copies.iter().flat_map(|copy| [&copy.source, &copy.target]);
    let targets = container.tmpfs.iter().map(|tmpfs| &tmpfs.target);
    let files = container.files.iter().map(|file| &file.target);
    let uppers = container.upper.iter().flat_map(|upper| [&upper.upper, &upper.work]);
    let all = container.lowers.iter().chain(binds).chain(copies).chain(targets).chain(files).chain(uppers);
    for path in all.chain([&container.cwd]) {
        if path.to_str().is_none_or(|text| text.contains('\0')) {
            return Err(StartError::Unspeakable { what: "path", value: path.to_string_lossy().into_owned() });
        }
    }
    Ok(())
}

pub(crate) fn check_program<'a>(
    argv: &[String],
    env: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), StartError> {
    if argv.first().is_none_or(String::is_empty) {
        return Err(StartError::NoProgram);
    }
    if let Some(argument) = argv.iter().find(|argument| argument.contains('\0')) {
        return Err(StartError::Unspeakable { what: "argument", value: argument.clone() });
    }
    for (name, value) in env {
        // The name alone: the value may be a secret.
        if name.contains(['\0', '=']) || name.is_empty() || value.contains('\0') {
            return Err(StartError::Unspeakable { what: "variable", value: name.to_owned() });
        }
    }
    Ok(())
}
