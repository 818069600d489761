//! What a container is to be: plain data, made by the caller, read by [`crate::Engine`].

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The whole description of one container.
///
/// Paths of the host are absolute and UTF-8; targets are absolute paths inside the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Container {
    /// Read-only folders that make up the root, first is topmost.
    pub lowers: Vec<PathBuf>,
    /// Where changes to the root go; without it the root is read-only.
    pub upper: Option<Upper>,
    /// Folders and files of the host that appear inside.
    pub binds: Vec<Bind>,
    /// Folders of the host that appear inside as copies, which go with the container.
    #[serde(default)]
    pub scratch_copies: Vec<ScratchCopy>,
    /// Fresh file systems in memory. [`Container::new`] asks for `/tmp`, `/run` and `/dev/shm`.
    pub tmpfs: Vec<Tmpfs>,
    /// Small read-only files whose content the caller gives.
    pub files: Vec<InlineFile>,
    /// Program and arguments. A program without a slash is searched for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Working folder inside.
    pub cwd: PathBuf,
    /// Who the program is, as seen inside.
    pub user: RunUser,
    /// Which ids of the host stand behind the ids inside.
    pub id_map: IdMap,
    /// Overrides [`crate::Engine::host_owner`] for this container.
    pub host_owner: Option<HostOwner>,
    /// Host name inside.
    pub hostname: String,
    /// Which network the container sees.
    pub network: Network,
    /// Where the three standard streams go. Ignored when `tty` is set.
    pub stdio: Streams,
    /// Give the program a terminal of its own; [`crate::Running::attach_terminal`] drives it.
    pub tty: bool,
    /// Whether `socket(AF_UNIX)` is allowed. On the host's network, abstract sockets of the host are reachable through it
    /// on kernels before 6.12 (later ones confine them); refuse it for programs of strangers.
    pub unix_sockets: bool,
    /// Whether `ptrace` and its relatives are allowed (debuggers, profilers).
    pub ptrace: bool,
}

/// The two folders of a writable overlay. Both on one file system, owned by the user that the container runs as.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upper {
    /// Receives what changes.
    pub upper: PathBuf,
    /// Work space of the kernel; empty at the start.
    pub work: PathBuf,
    /// Skip every sync to disk. For work that is thrown away when the machine crashes.
    pub volatile: bool,
}

/// A folder or file of the host that appears inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bind {
    /// Path on the host.
    pub source: PathBuf,
    /// Path inside.
    pub target: PathBuf,
    /// Refuse every change, also in file systems mounted below the source.
    pub read_only: bool,
    /// Show root's own files as the container's, as [`Container::bind_as_owner`] says.
    #[serde(default)]
    pub as_owner: bool,
    /// It only saves work, as [`Container::cache`] says.
    #[serde(default)]
    pub cache: bool,
}

/// A folder of the host that appears inside as a copy; see [`Container::throw_away`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScratchCopy {
    /// Path on the host, of a folder.
    pub source: PathBuf,
    /// Path inside.
    pub target: PathBuf,
    /// Show root's own files as the container's, as [`Container::throw_away_as_owner`] says.
    #[serde(default)]
    pub as_owner: bool,
}

/// A file system in memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Path inside.
    pub target: PathBuf,
    /// Mode of its top folder, such as `0o1777`.
    pub mode: u32,
    /// Most bytes it may hold; `None` is the kernel's default, half of the memory.
    pub size: Option<u64>,
}

/// A read-only file given by content, such as `/etc/hosts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InlineFile {
    /// Path inside.
    pub target: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A user and group, as seen inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunUser {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
}

/// A user and group of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostOwner {
    /// User id on the host.
    pub uid: u32,
    /// Group id on the host.
    pub gid: u32,
}

impl HostOwner {
    /// Ids that no user has: outside every range that distributions, `useradd` and systemd hand out. For containers started
    /// by root that work on nothing a real user owns.
    pub const NOBODY_ELSE: Self = Self { uid: 1_900_000_000, gid: 1_900_000_000 };
}

/// How ids inside map to ids of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdMap {
    /// One user: [`Container::user`] inside is the invoking user (or the host owner) outside; no other id exists. Needs no
    /// preparation of the host.
    #[default]
    Single,
    /// Ids `0..=65535` exist inside. `invoker` inside is the invoking user (or the host owner); the others are subordinate
    /// ids, taken in order. Ordinary users need `newuidmap`, `newgidmap` and ranges in `/etc/subuid` and `/etc/subgid`.
    Range {
        /// Subordinate user ids.
        uids: IdRange,
        /// Subordinate group ids.
        gids: IdRange,
        /// The invoking user, as seen inside.
        invoker: RunUser,
    },
}

/// Consecutive ids of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// How many; at least 65535 for [`IdMap::Range`].
    pub count: u32,
}

/// Which network a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's own.
    #[default]
    Host,
    /// A network of its own that holds nothing but a loopback device.
    None,
}

/// Where one standard stream goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// The calling process' own stream.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// A pipe; take the other end from [`crate::Running`].
    Piped,
}

/// The three standard streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// Standard input.
    pub stdin: Stdio,
    /// Standard output.
    pub stdout: Stdio,
    /// Standard error.
    pub stderr: Stdio,
}

impl Streams {
    /// All three go nowhere.
    pub const NULL: Self = Self { stdin: Stdio::Null, stdout: Stdio::Null, stderr: Stdio::Null };
}

impl Container {
    /// A container with a read-only root made of `lowers` (first is topmost), on the host's network, with the caller's
    /// streams, running `argv` as 1000:1000.
    pub fn new<P, A>(lowers: impl IntoIterator<Item = P>, argv: impl IntoIterator<Item = A>) -> Self
    where
        P: Into<PathBuf>,
        A: Into<String>,
    {
        let tmpfs = |target: &str, mode| Tmpfs { target: target.into(), mode, size: None };
        Self {
            lowers: lowers.into_iter().map(Into::into).collect(),
            upper: None,
            binds: Vec::new(),
            scratch_copies: Vec::new(),
            tmpfs: vec![tmpfs("/tmp", 0o1777), tmpfs("/run", 0o755), tmpfs("/dev/shm", 0o1777)],
            files: Vec::new(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::from([(
                "PATH".to_owned(),
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            )]),
            cwd: "/".into(),
            user: RunUser { uid: 1000, gid: 1000 },
            id_map: IdMap::Single,
            host_owner: None,
            hostname: "djship".to_owned(),
            network: Network::Host,
            stdio: Streams::default(),
            tty: false,
            unix_sockets: true,
            ptrace: false,
        }
    }

    /// Sets one variable of the environment.
    pub fn env(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Shows a folder or file of the host read-only.
    pub fn bind_read_only(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> &mut Self {
        self.add_bind(source.into(), target.into(), true, false)
    }

    /// Shows a folder or file of the host, writable.
    pub fn bind(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> &mut Self {
        self.add_bind(source.into(), target.into(), false, false)
    }

    /// Shows a folder or file of the host, writable, also where it is root's own.
    ///
    /// Programs that root starts run as [`crate::Engine::host_owner`], to whom root's folders are closed. Here, what
    /// belongs to root (user 0, group 0) on the disk belongs to the owner inside (with [`IdMap::Single`] that is
    /// [`Container::user`]), in what is mounted below the source, too; and what the owner writes is root's on the disk. Files of
    /// others stay theirs, and what belongs to the host owner on the disk already seems to be nobody's. This takes an idmapped mount: Linux 5.12, and a file system that knows them (ext4, XFS and btrfs
    /// do, overlays and NFS do not); otherwise the start fails in [`crate::Step::MapOwner`], and nothing is silently unwritable.
    /// No link on the way to the source is followed.
    ///
    /// A set-user-ID program of root's in such a folder would make its users root. So programs inside cannot set these bits
    /// (`EPERM`), neither for users nor for groups, which is also refused for folders (mode `2775`), and `openat2` does not exist
    /// (`ENOSYS`). A folder that holds programs with such bits or with capabilities already has no business here, as programs
    /// inside could change them.
    ///
    /// Without effect, that is, like [`Container::bind`], where the starter is not root or becomes nobody else, or the source
    /// does not belong to root.
    pub fn bind_as_owner(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> &mut Self {
        self.add_bind(source.into(), target.into(), false, true)
    }

    /// Shows a folder of the host, writable, that only saves work: programs find there what earlier ones left, or nothing.
    /// An engine on another machine keeps a folder of its own instead, one for each source.
    pub fn cache(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> &mut Self {
        self.add_bind(source.into(), target.into(), false, false);
        if let Some(bind) = self.binds.last_mut() {
            bind.cache = true;
        }
        self
    }

    fn add_bind(&mut self, source: PathBuf, target: PathBuf, read_only: bool, as_owner: bool) -> &mut Self {
        self.binds.push(Bind { source, target, read_only, as_owner, cache: false });
        self
    }

    /// Shows a folder of the host as a copy: what programs change is in the container's memory and goes with it, and the
    /// folder itself is never changed. The copy costs nothing until something in it is changed.
    ///
    /// Files whose user and group exist inside can be changed as their modes say, and the top of the copy is the owner's.
    /// Files of others can be read where their modes allow it, and deleted or replaced in folders that can be changed;
    /// writing to them fails (`EACCES`, `EOVERFLOW`). Other mounts may lie below the target; what they need there is made in the
    /// copy. Renaming a folder of the source fails (`EXDEV`), upon which `mv` copies it. What the host changes in the
    /// meantime may or may not be seen.
    ///
    /// File systems mounted below the source cannot be part of the copy, and the kernel does not let users look under them:
    /// the start fails in [`crate::Step::CopyFolder`] and names the first one. Before Linux 6.6 a file system in memory cannot mark
    /// folders, so deleting a folder of the source that is not empty fails, as does making one where something of the source
    /// was deleted (`EIO`).
    pub fn throw_away(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> &mut Self {
        let (source, target) = (source.into(), target.into());
        self.scratch_copies.push(ScratchCopy { source, target, as_owner: false });
        self
    }

    /// The same, and in the copy of a folder of root's own, what is root's is the owner's inside, as with
    /// [`Container::bind_as_owner`], from Linux 5.19 on. Nothing reaches the disk, so set-user-ID bits are free.
    pub fn throw_away_as_owner(
        &mut self,
        source: impl Into<PathBuf>,
        target: impl Into<PathBuf>,
    ) -> &mut Self {
        let (source, target) = (source.into(), target.into());
        self.scratch_copies.push(ScratchCopy { source, target, as_owner: true });
        self
    }

    /// Adds a file system in memory, or changes the one already asked for at that target.
    pub fn tmpfs(&mut self, target: impl Into<PathBuf>, mode: u32, size: Option<u64>) -> &mut Self {
        let target = target.into();
        self.tmpfs.retain(|other| other.target != target);
        self.tmpfs.push(Tmpfs { target, mode, size });
        self
    }

    /// Adds a read-only file with the given content, or changes the one already asked for at that target.
    pub fn file(&mut self, target: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> &mut Self {
        let target = target.into();
        self.files.retain(|other| other.target != target);
        self.files.push(InlineFile { target, content: content.into() });
        self
    }
}
