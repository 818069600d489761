//! Keeps programs from setting the bits of a mode with which a file runs as its owner or group: for containers whose owner
//! writes files of root's on the host.
//!
//! `mkdir` is left alone, as the kernel takes these bits out of its modes itself. Whether a mode is for a file or a folder is out
//! of a filter's sight, so folders do not get the group's bit, either.

use seccompiler::SeccompRule;

use super::seccomp::{Built, all_bits, rule};

/// The arguments of `openat2` and with them its mode are out of sight.
pub(super) const OPENAT2: u32 = 437;
/// Newer than some C libraries; the same on every architecture.
const FCHMODAT2: i64 = 452;

const BITS: [libc::mode_t; 2] = [libc::S_ISUID, libc::S_ISGID];
/// Without one of these there is no mode, and the argument may be anything. The other bits of `O_TMPFILE` are `O_DIRECTORY`'s.
const CREATING: [libc::c_int; 2] = [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY];

/// What is refused, for each number.
pub(super) fn rules() -> Built<Vec<(i64, Vec<SeccompRule>)>> {
    let mut rules = vec![
        (libc::SYS_fchmod, mode_in(1)?),
        (libc::SYS_fchmodat, mode_in(2)?),
        (FCHMODAT2, mode_in(2)?),
        (libc::SYS_mknodat, mode_in(2)?),
        (libc::SYS_openat, mode_of_new(2, 3)?),
    ];
    #[cfg(target_arch = "x86_64")]
    rules.extend([
        (libc::SYS_chmod, mode_in(1)?),
        (libc::SYS_creat, mode_in(1)?),
        (libc::SYS_mknod, mode_in(1)?),
        (libc::SYS_open, mode_of_new(1, 2)?),
    ]);
    Ok(rules)
}

fn mode_in(argument: u8) -> Built<Vec<SeccompRule>> {
    BITS.into_iter().map(|bit| rule(vec![all_bits(argument, u64::from(bit))?])).collect()
}

fn mode_of_new(flags: u8, mode: u8) -> Built<Vec<SeccompRule>> {
    let mut rules = Vec::new();
    for creating in CREATING.map(|flag| u64::from(flag.unsigned_abs())) {
        for bit in BITS.map(u64::from) {
            rules.push(rule(vec![all_bits(flags, creating)?, all_bits(mode, bit)?])?);
        }
    }
    Ok(rules)
}
