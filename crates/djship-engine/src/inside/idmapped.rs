//! Ids on the disk and ids in a container, where root's files are to be somebody else's: a user namespace that exists for its
//! maps alone, for mounts that show files through them.

#![expect(unsafe_code, reason = "fork and unshare")]

use std::{fs::File, io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
    thread::{UnshareFlags, unshare_unsafe},
};

use crate::identity::lines;

/// A namespace through whose maps root's files are those of a user and group of the host. Made by root, before or after it
/// enters other namespaces than that of users.
pub(super) fn namespace_for((uid, gid): (u32, u32)) -> io::Result<OwnedFd> {
    let existing = |file: &str| fs_err::read_to_string(format!("/proc/self/{file}"));
    namespace_with(&exchange(&existing("uid_map")?, uid), &exchange(&existing("gid_map")?, gid))
}

/// Every id that exists here (by this process' own map) is itself, but root and `owner` have changed places. Both sides have
/// to be complete: the kernel lets nobody write to a file whose user or group is not in the map, whatever its mode.
fn exchange(existing: &str, owner: u32) -> String {
    let single = [0, 1, u64::from(owner), u64::from(owner) + 1];
    let mut map = String::new();
    for line in lines(existing) {
        let (first, end) = (u64::from(line.inside), u64::from(line.inside) + u64::from(line.count));
        let mut cuts: Vec<u64> = single.into_iter().filter(|cut| (first..end).contains(cut)).collect();
        cuts.extend([first, end]);
        cuts.sort_unstable();
        cuts.dedup();
        for piece in cuts.windows(2) {
            let shown = match piece[0] {
                0 => u64::from(owner),
                id if id == u64::from(owner) => 0,
                id => id,
            };
            map += &format!("{} {shown} {}\n", piece[0], piece[1] - piece[0]);
        }
    }
    map
}

fn namespace_with(uids: &str, gids: &str) -> io::Result<OwnedFd> {
    let (ready, speaker) = pipe_with(PipeFlags::CLOEXEC)?;
    // SAFETY: this process has one thread, so the child is a complete copy of it.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(ready);
        // SAFETY: the descriptor table is not among the flags.
        if unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.is_ok() {
            let _ = rustix::io::write(&speaker, b"r");
            // Killed as soon as the namespace was opened.
            // SAFETY: plain system call.
            unsafe { libc::pause() };
        }
        std::process::exit(0);
    }
    drop(speaker);
    let pid = Pid::from_raw(child).ok_or_else(io::Error::last_os_error)?;
    let opened = (|| {
        let mut byte = [0_u8; 1];
        if rustix::io::read(&ready, &mut byte)? != 1 {
            return Err(Errno::PERM.into());
        }
        write_map(child, "gid_map", gids)?;
        write_map(child, "uid_map", uids)?;
        Ok(OwnedFd::from(File::open(format!("/proc/{child}/ns/user"))?))
    })();
    let _ = kill_process(pid, Signal::KILL);
    let _ = waitpid(Some(pid), WaitOptions::empty());
    opened
}

fn write_map(pid: i32, name: &str, text: &str) -> io::Result<()> {
    // One write: the kernel takes a map as a whole or not at all.
    let mut file = File::options().write(true).open(format!("/proc/{pid}/{name}"))?;
    io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_owner_change_places() {
        let whole = exchange("         0          0 4294967295\n", 1000);
        assert_eq!(whole, "0 1000 1\n1 1 999\n1000 0 1\n1001 1001 4294966294\n");
        assert_eq!(exchange("0 0 4294967295\n", 1), "0 1 1\n1 0 1\n2 2 4294967293\n");
        let last = exchange("0 0 4294967295\n", 4_294_967_294);
        assert_eq!(last, "0 4294967294 1\n1 1 4294967293\n4294967294 0 1\n");
    }

    #[test]
    fn only_ids_that_exist_are_named() {
        assert_eq!(exchange("0 1000 1\n1 100000 65536\n", 40), "0 40 1\n1 1 39\n40 0 1\n41 41 65496\n");
    }
}
