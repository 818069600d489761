//! What a hostile program would try. Each attempt gives the kernel's error number, 0 for success.

#![expect(unsafe_code, reason = "the attempts are raw system calls")]

use std::{collections::BTreeMap, ffi::CString, io, os::fd::AsRawFd as _};

type Attempts = BTreeMap<&'static str, i32>;

/// Arguments: a process of the host to signal, and the name of an abstract socket on which the host listens.
pub(crate) fn run(arguments: &[String]) -> String {
    let mut attempts = Attempts::new();
    mounts(&mut attempts);
    namespaces(&mut attempts);
    kernel(&mut attempts);
    devices(&mut attempts);
    sockets(&mut attempts, arguments.get(1).map_or("", String::as_str));
    others(&mut attempts, arguments.first().and_then(|text| text.parse().ok()).unwrap_or(0));
    serde_json::json!(attempts).to_string()
}

/// What a program can do to the binary that is about to become it: run as the interpreter of a script that names
/// `/proc/self/exe`, which is the djship binary then.
pub(crate) fn own_binary() -> String {
    let path = "/proc/self/exe";
    let open = match std::fs::File::options().write(true).open(path) {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    };
    let file = std::fs::File::open(path);
    let change = file.map_or(-1, |file| {
        // SAFETY: plain system call on an open file.
        call(|| unsafe { libc::syscall(libc::SYS_fchmod, file.as_raw_fd(), 0o755) })
    });
    serde_json::json!({"open": open, "change": change}).to_string()
}

pub(crate) fn call(attempt: impl FnOnce() -> libc::c_long) -> i32 {
    if attempt() < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 }
}

/// One attempt: name and arguments of a system call. All pointers are null or static strings.
macro_rules! attempt {
    ($attempts:expr, $name:literal, $($argument:expr),+) => {
        // SAFETY: the kernel checks every pointer; nothing here points to memory that it may write to and that is ours.
        $attempts.insert($name, call(|| unsafe { libc::syscall($($argument),+) }));
    };
}

fn mounts(attempts: &mut Attempts) {
    let (none, tmp, tmpfs) = (c"none".as_ptr(), c"/tmp".as_ptr(), c"tmpfs".as_ptr());
    attempt!(attempts, "mount", libc::SYS_mount, none, tmp, tmpfs, 0, 0);
    attempt!(attempts, "umount", libc::SYS_umount2, tmp, 0);
    attempt!(attempts, "pivot_root", libc::SYS_pivot_root, tmp, tmp);
    attempt!(attempts, "chroot", libc::SYS_chroot, tmp);
    attempt!(attempts, "fsopen", libc::SYS_fsopen, tmpfs, 0);
    attempt!(attempts, "open_tree", libc::SYS_open_tree, libc::AT_FDCWD, tmp, 1);
    attempt!(attempts, "move_mount", libc::SYS_move_mount, libc::AT_FDCWD, tmp, libc::AT_FDCWD, tmp, 0);
    attempt!(attempts, "mount_setattr", libc::SYS_mount_setattr, libc::AT_FDCWD, tmp, 0, 0, 0);
    attempt!(attempts, "swapon", libc::SYS_swapon, tmp, 0);
    attempt!(attempts, "open_by_handle_at", libc::SYS_open_by_handle_at, libc::AT_FDCWD, 0, 0);
    attempt!(attempts, "open_tree_attr", 467, libc::AT_FDCWD, tmp, 1, 0, 0);
    attempt!(attempts, "unknown", 999, 0);
}

fn namespaces(attempts: &mut Attempts) {
    attempt!(attempts, "unshare_user", libc::SYS_unshare, libc::CLONE_NEWUSER);
    attempt!(attempts, "unshare_mount", libc::SYS_unshare, libc::CLONE_NEWNS);
    attempt!(attempts, "unshare_time", libc::SYS_unshare, 0x80);
    attempt!(attempts, "unshare_files", libc::SYS_unshare, libc::CLONE_FS);
    attempt!(attempts, "clone3", libc::SYS_clone3, 0, 0);
    attempt!(attempts, "setns", libc::SYS_setns, 0, 0);
    // Refused before there is a child; if it were not, the child would leave at once.
    // SAFETY: no stack is given, so the child has a copy of ours.
    let clone = call(|| unsafe {
        let child = libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0);
        if child == 0 {
            libc::_exit(0);
        }
        child
    });
    attempts.insert("clone_user", clone);
}

fn kernel(attempts: &mut Attempts) {
    let name = c"/tmp".as_ptr();
    attempt!(attempts, "bpf", libc::SYS_bpf, 0, 0, 0);
    attempt!(attempts, "perf_event_open", libc::SYS_perf_event_open, 0, 0, -1, -1, 0);
    attempt!(attempts, "userfaultfd", libc::SYS_userfaultfd, 1);
    attempt!(attempts, "io_uring_setup", libc::SYS_io_uring_setup, 1, 0);
    attempt!(attempts, "init_module", libc::SYS_init_module, 0, 0, name);
    attempt!(attempts, "kexec_load", libc::SYS_kexec_load, 0, 0, 0, 0);
    attempt!(attempts, "reboot", libc::SYS_reboot, 0, 0, 0, 0);
    attempt!(attempts, "acct", libc::SYS_acct, name);
    attempt!(attempts, "settimeofday", libc::SYS_settimeofday, 0, 0);
    attempt!(attempts, "sethostname", libc::SYS_sethostname, name, 4);
    attempt!(attempts, "syslog", libc::SYS_syslog, 3, 0, 0);
    attempt!(attempts, "keyctl", libc::SYS_keyctl, 0, -3, 0);
    attempt!(attempts, "add_key", libc::SYS_add_key, c"user".as_ptr(), name, name, 1, -3);
    attempt!(attempts, "request_key", libc::SYS_request_key, c"user".as_ptr(), name, 0, -3);
    attempt!(attempts, "personality_no_random", libc::SYS_personality, 0x0004_0000);
    attempt!(attempts, "personality_ask", libc::SYS_personality, 0xffff_ffff_u32);
}

fn devices(attempts: &mut Attempts) {
    let null = 0x103_u64;
    let at = libc::AT_FDCWD;
    attempt!(attempts, "mknod_char", libc::SYS_mknodat, at, c"/tmp/c".as_ptr(), libc::S_IFCHR | 0o600, null);
    attempt!(
        attempts,
        "mknod_block",
        libc::SYS_mknodat,
        at,
        c"/tmp/b".as_ptr(),
        libc::S_IFBLK | 0o600,
        0x800_u64
    );
    attempt!(attempts, "mknod_whiteout", libc::SYS_mknodat, at, c"/tmp/w".as_ptr(), libc::S_IFCHR, 0);
    attempt!(attempts, "mknod_fifo", libc::SYS_mknodat, at, c"/tmp/f".as_ptr(), libc::S_IFIFO | 0o600, 0);
    attempt!(attempts, "type_at_terminal", libc::SYS_ioctl, 0, libc::TIOCSTI, c"x".as_ptr());
}

fn sockets(attempts: &mut Attempts, abstract_name: &str) {
    attempt!(attempts, "socket_inet", libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    attempt!(attempts, "socket_unix", libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
    attempt!(attempts, "socket_packet", libc::SYS_socket, libc::AF_PACKET, libc::SOCK_DGRAM, 0);
    attempt!(attempts, "socket_vsock", libc::SYS_socket, libc::AF_VSOCK, libc::SOCK_STREAM, 0);
    attempt!(attempts, "socket_alg", libc::SYS_socket, libc::AF_ALG, libc::SOCK_SEQPACKET, 0);
    attempt!(
        attempts,
        "netlink_route",
        libc::SYS_socket,
        libc::AF_NETLINK,
        libc::SOCK_RAW,
        libc::NETLINK_ROUTE
    );
    attempt!(attempts, "netlink_uevent", libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 15);
    for (name, kind) in [
        ("pair_stream", libc::SOCK_STREAM),
        ("pair_datagram", libc::SOCK_DGRAM),
        ("pair_raw", libc::SOCK_RAW),
    ] {
        let mut pair = [0; 2];
        // SAFETY: the array has room for two descriptors.
        let result = call(|| unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) }.into());
        attempts.insert(name, result);
    }
    attempts.insert("abstract_socket", connect_abstract(abstract_name));
}

fn connect_abstract(name: &str) -> i32 {
    use std::os::{linux::net::SocketAddrExt as _, unix::net};
    let outcome =
        net::SocketAddr::from_abstract_name(name).and_then(|address| net::UnixStream::connect_addr(&address));
    outcome.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}

fn others(attempts: &mut Attempts, host_pid: i32) {
    attempt!(attempts, "kill_host", libc::SYS_kill, host_pid, 0);
    attempt!(attempts, "ptrace", libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0);
    attempt!(attempts, "process_vm_readv", libc::SYS_process_vm_readv, 1, 0, 0, 0, 0, 0);
    attempt!(attempts, "pidfd_getfd", libc::SYS_pidfd_getfd, 0, 0, 0);
    for (name, path) in
        [("init_binary", "/proc/1/exe"), ("init_root", "/proc/1/root"), ("init_handle", "/proc/1/fd/1")]
    {
        let outcome = std::fs::read_link(path);
        attempts.insert(name, outcome.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1)));
    }
    let memory = CString::new("/proc/1/mem").unwrap_or_default();
    attempt!(attempts, "init_memory", libc::SYS_openat, libc::AT_FDCWD, memory.as_ptr(), libc::O_RDWR);
    attempts.insert("x32", foreign_number());
}

/// Calls `getpid` by its x32 number in a child; gives 0 when that worked, and the signal that ended the child otherwise.
#[cfg(target_arch = "x86_64")]
fn foreign_number() -> i32 {
    // SAFETY: the child makes two system calls and no other thread exists.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::syscall(0x4000_0000 | libc::SYS_getpid);
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn foreign_number() -> i32 {
    libc::SIGSYS
}
