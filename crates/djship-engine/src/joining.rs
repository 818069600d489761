//! Runs one more program in a container that is running already.

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::{
    assignment::{JoinAssignment, Workload},
    container::{RunUser, Streams},
    docker,
    engine::{Engine, check_program, launch},
    error::StartError,
    inside::Role,
    record::{ContainerRecord, RecordError, parse_start_time},
    running::{Folders, Running},
    streams,
};

/// A program to run in a running container.
#[derive(Debug, Clone)]
pub struct Exec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited from the container.
    pub env: BTreeMap<String, String>,
    /// Working folder inside.
    pub cwd: PathBuf,
    /// Who the program is; `None` is the container's own user.
    pub user: Option<RunUser>,
    /// Where the streams go. Ignored when `tty` is set.
    pub stdio: Streams,
    /// Give it a terminal of its own.
    pub tty: bool,
}

impl Exec {
    /// `argv` in `/`, as the container's user, with the caller's streams and a usual `PATH`.
    pub fn new<A: Into<String>>(argv: impl IntoIterator<Item = A>) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::from([("PATH".to_owned(), path.to_owned())]),
            cwd: "/".into(),
            user: None,
            stdio: Streams::default(),
            tty: false,
        }
    }

    /// Sets one variable of the environment.
    pub fn env(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }
}

impl Engine {
    /// Runs a program in the container of a record, under the same restrictions as the container's own. It ends with the
    /// container, and when this process ends. It holds no descriptors of [`Engine::start_holding`].
    ///
    /// Only the user that started the container, and root, may.
    pub fn exec(&self, record: &ContainerRecord, exec: &Exec) -> Result<Running, StartError> {
        check_program(&exec.argv, exec.env.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        if exec.cwd.to_str().is_none_or(|text| text.contains('\0')) {
            let value = exec.cwd.to_string_lossy().into_owned();
            return Err(StartError::Unspeakable { what: "path", value });
        }
        if let Some(recorded) = &record.docker {
            return docker::exec(recorded, record, exec).map(Running::in_docker);
        }
        let process = open_process(record)?;
        let (uid, gid) = exec.user.map_or(record.user, |user| (user.uid, user.gid));
        let workload = Workload {
            argv: exec.argv.clone(),
            env: exec.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            cwd: exec.cwd.clone(),
            uid,
            gid,
            tty: exec.tty,
            unix_sockets: record.unix_sockets,
            ptrace: record.ptrace,
            set_ids: record.set_ids,
            host_network: record.host_network,
        };
        let assignment = JoinAssignment {
            pid: record.pid,
            start_time: record.start_time,
            owner: record.owner,
            workload: workload.clone(),
        };
        let prepared = streams::prepare(if exec.tty { Streams::NULL } else { exec.stdio })?;
        // PID 1's own binary: it speaks the same dialect, and is the copy that nobody inside can write to.
        let binary = format!("/proc/self/fd/{}/exe", process.as_raw_fd());
        let process = launch(Path::new(&binary), Role::Join, &assignment, prepared, exec.tty, &[])?;
        Ok(Running::new(process, Folders::default(), record.owner, workload))
    }
}

/// Opens the process' folder in `/proc`, which stays with the process whatever becomes of its number, and checks that it is
/// the recorded one.
fn open_process(record: &ContainerRecord) -> Result<std::os::fd::OwnedFd, RecordError> {
    let gone = || RecordError::Gone { pid: record.pid };
    let path = PathBuf::from(format!("/proc/{}", record.pid));
    let folder = openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let folder = folder.map_err(|_| gone())?;
    let stat =
        openat(&folder, "stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|_| gone())?;
    let mut text = String::new();
    let read = std::fs::File::from(stat).read_to_string(&mut text);
    read.map_err(|source| RecordError::Read { path, source })?;
    if parse_start_time(&text) == Some(record.start_time) { Ok(folder) } else { Err(gone()) }
}
