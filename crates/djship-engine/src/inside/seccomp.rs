//! The system calls that no program in a container makes.
//!
//! In the spirit of Docker's default list: what reaches the kernel's administration, other processes' memory or namespaces is
//! refused even where the missing capabilities would refuse it, too, because that is where the kernel's bugs have been. It is
//! a list of refusals; so that it stays complete, numbers newer than it was written for do not exist inside.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use super::set_ids;
use crate::assignment::Workload;

/// The highest number that was reviewed (`removexattrat`); the same on every architecture since 424.
const LAST_REVIEWED: u32 = 466;
/// Set in the numbers of the x32 ABI, through which a list for x86-64 could be evaded.
const X32_BIT: u32 = 0x4000_0000;
/// `CLONE_NEWTIME`; in `clone` the bit is part of the exit signal.
const CLONE_NEWTIME: u64 = 0x80;

/// Refused whatever the arguments.
const REFUSED: &[i64] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // Namespaces and other processes.
    libc::SYS_setns,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Keys: the keyring is the invoking user's, shared with the host.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Parts of the kernel with a long history of holes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // The machine itself.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// Refused where they exist.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS__sysctl,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// What a container's switches allow.
#[derive(Debug, Clone, Copy)]
struct Allowed {
    unix_sockets: bool,
    ptrace: bool,
    set_ids: bool,
}

/// Installs the list for this process and its descendants, for good. The error is the text of what went wrong.
pub(super) fn install(workload: &Workload) -> Result<(), String> {
    let allowed =
        Allowed { unix_sockets: workload.unix_sockets, ptrace: workload.ptrace, set_ids: workload.set_ids };
    for program in [build(allowed).map_err(|error| error.to_string())?, guard(allowed)] {
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Numbers nobody reviewed do not exist, nor does `clone3`, whose flags are out of a filter's sight (the C library falls back
/// to `clone`), nor `openat2` where modes matter. Numbers of the x32 ABI end the process.
fn guard(allowed: Allowed) -> BpfProgram {
    const LOAD: u16 = 0x20;
    const JUMP_GREATER_EQUAL: u16 = 0x35;
    const JUMP_GREATER: u16 = 0x25;
    const JUMP_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let absent = u32::from(SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(435);
    let second = if allowed.set_ids { clone3 } else { set_ids::OPENAT2 };
    [
        (LOAD, 0, 0, 0),
        (JUMP_GREATER_EQUAL, 4, 0, X32_BIT),
        (JUMP_GREATER, 4, 0, LAST_REVIEWED),
        (JUMP_EQUAL, 3, 0, clone3),
        (JUMP_EQUAL, 2, 0, second),
        (RETURN, 0, 0, SeccompAction::Allow.into()),
        (RETURN, 0, 0, SeccompAction::KillProcess.into()),
        (RETURN, 0, 0, absent),
    ]
    .map(|(code, jt, jf, k)| sock_filter { code, jt, jf, k })
    .into()
}

/// The list proper. `seccompiler` adds the check of the architecture.
fn build(allowed: Allowed) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|number| (*number, Vec::new())).collect();
    if !allowed.ptrace {
        rules.insert(libc::SYS_ptrace, Vec::new());
    }
    rules.insert(libc::SYS_clone, any_bit(0, namespace_flags())?);
    rules.insert(libc::SYS_unshare, any_bit(0, namespace_flags().chain([CLONE_NEWTIME]))?);
    rules.insert(libc::SYS_mknodat, device_kinds(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_mknod, device_kinds(1)?);
    rules.insert(libc::SYS_personality, vec![none_of(0, &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff])?]);
    rules.insert(libc::SYS_socket, sockets(allowed.unix_sockets)?);
    if !allowed.unix_sockets {
        rules.insert(libc::SYS_socketpair, datagram_pairs()?);
    }
    // Typing at a terminal in its owner's name.
    let typing =
        [libc::TIOCSTI, libc::TIOCLINUX].map(|request| rule(vec![equals(1, request & 0xffff_ffff)?]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    if !allowed.set_ids {
        for (number, more) in set_ids::rules()? {
            rules.entry(number).or_default().extend(more);
        }
    }

    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}

pub(super) type Built<T> = Result<T, seccompiler::BackendError>;

/// Families of the network, the local one where allowed, and of netlink the routing part, from which the C library learns
/// addresses.
fn sockets(unix_sockets: bool) -> Built<Vec<SeccompRule>> {
    let mut families = vec![libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    if unix_sockets {
        families.push(libc::AF_UNIX);
    }
    let families: Vec<u64> = families.into_iter().map(|family| u64::from(family.unsigned_abs())).collect();
    let netlink = u64::from(libc::AF_NETLINK.unsigned_abs());
    let route = u64::from(libc::NETLINK_ROUTE.unsigned_abs());
    Ok(vec![none_of(0, &families)?, rule(vec![equals(0, netlink)?, condition(2, SeccompCmpOp::Ne, route)?])?])
}

/// A datagram socket of a pair can be connected again, to an abstract address; a stream cannot. The kernel takes the raw kind
/// for datagrams, too.
fn datagram_pairs() -> Built<Vec<SeccompRule>> {
    let kinds = [libc::SOCK_DGRAM, libc::SOCK_RAW].map(|kind| {
        let kind = u64::from(kind.unsigned_abs());
        rule(vec![
            equals(0, u64::from(libc::AF_UNIX.unsigned_abs()))?,
            condition(1, SeccompCmpOp::MaskedEq(0xf), kind)?,
        ])
    });
    kinds.into_iter().collect()
}

fn device_kinds(argument: u8) -> Built<Vec<SeccompRule>> {
    let mask = u64::from(libc::S_IFMT);
    let kinds = [libc::S_IFCHR, libc::S_IFBLK]
        .map(|kind| rule(vec![condition(argument, SeccompCmpOp::MaskedEq(mask), u64::from(kind))?]));
    kinds.into_iter().collect()
}

fn namespace_flags() -> impl Iterator<Item = u64> {
    [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ]
    .into_iter()
    .map(|flag| u64::from(flag.cast_unsigned()))
}

/// All bits of a number are set.
pub(super) fn all_bits(argument: u8, bits: u64) -> Built<SeccompCondition> {
    condition(argument, SeccompCmpOp::MaskedEq(bits), bits)
}

fn any_bit(argument: u8, bits: impl Iterator<Item = u64>) -> Built<Vec<SeccompRule>> {
    bits.map(|bit| rule(vec![all_bits(argument, bit)?])).collect()
}

fn none_of(argument: u8, values: &[u64]) -> Built<SeccompRule> {
    rule(values.iter().map(|value| condition(argument, SeccompCmpOp::Ne, *value)).collect::<Built<_>>()?)
}

fn equals(argument: u8, value: u64) -> Built<SeccompCondition> {
    condition(argument, SeccompCmpOp::Eq, value)
}

/// All arguments looked at are 32 bits wide for the kernel; the upper half of the register means nothing to it.
fn condition(argument: u8, operation: SeccompCmpOp, value: u64) -> Built<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)
}

pub(super) fn rule(conditions: Vec<SeccompCondition>) -> Built<SeccompRule> {
    SeccompRule::new(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_compiles_and_fits() {
        for number in 0..8 {
            let [unix_sockets, ptrace, set_ids] = [1, 2, 4].map(|bit| number & bit != 0);
            let program = build(Allowed { unix_sockets, ptrace, set_ids }).unwrap();
            assert!(program.len() < 4096, "{}", program.len());
        }
    }

    #[test]
    fn the_list_does_not_name_what_it_cannot_see() {
        // A number above the reviewed ones is absent anyway; in the list it would only mislead.
        for number in REFUSED.iter().chain(REFUSED_HERE) {
            assert!(u32::try_from(*number).unwrap() <= LAST_REVIEWED);
        }
    }
}
