//! Every way to a file that runs as its owner or group. Each attempt gives the kernel's error number, 0 for success.

#![expect(unsafe_code, reason = "the attempts are raw system calls")]

use std::{collections::BTreeMap, ffi::CString, path::Path};

use crate::probe::call;

/// What `openat2` takes.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Tries in a folder that can be written to.
pub(crate) fn run(folder: &str) -> String {
    let folder = Path::new(folder);
    let mut attempts = BTreeMap::new();
    for (bits, name) in [(0o4000, "user"), (0o2000, "group"), (0o1000, "sticky"), (0, "none")] {
        for (way, errno) in ways(folder, bits | 0o755, name) {
            attempts.insert(format!("{way} {name}"), errno);
        }
    }
    // Not a mode, where nothing is made.
    let here = CString::new(folder.as_os_str().as_encoded_bytes()).unwrap_or_default();
    // SAFETY: the path ends with a zero byte.
    let plain = call(|| unsafe {
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, here.as_ptr(), libc::O_RDONLY, 0o6755)
    });
    attempts.insert("openat without a mode".to_owned(), plain);
    serde_json::json!(attempts).to_string()
}

fn ways(folder: &Path, mode: libc::c_uint, name: &str) -> Vec<(&'static str, i32)> {
    let at = libc::AT_FDCWD;
    let path = |way: &str| {
        let path = folder.join(format!("{way}-{name}"));
        CString::new(path.into_os_string().into_encoded_bytes()).unwrap_or_default()
    };
    let existing = path("existing");
    let create = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let how = How { flags: u64::from(create.unsigned_abs()), mode: mode.into(), resolve: 0 };
    let here = path(".");
    let temporary = libc::O_TMPFILE | libc::O_WRONLY;
    let (file, folder_mode) = (std::fs::File::create(folder.join(format!("existing-{name}"))), mode);
    let descriptor = file.as_ref().map_or(-1, std::os::fd::AsRawFd::as_raw_fd);
    let _ = std::fs::create_dir(folder.join(format!(".-{name}")));
    let mut outcomes = Vec::new();
    let mut attempt = |way, outcome| outcomes.push((way, outcome));
    // SAFETY: paths end with zero bytes and outlive the calls, and so does the structure.
    unsafe {
        attempt("fchmod", call(|| libc::syscall(libc::SYS_fchmod, descriptor, mode)));
        attempt("fchmodat", call(|| libc::syscall(libc::SYS_fchmodat, at, existing.as_ptr(), mode)));
        attempt("fchmodat2", call(|| libc::syscall(452, at, existing.as_ptr(), mode, 0)));
        attempt(
            "fchmodat folder",
            call(|| libc::syscall(libc::SYS_fchmodat, at, here.as_ptr(), folder_mode)),
        );
        let fresh = path("openat");
        attempt("openat", call(|| libc::syscall(libc::SYS_openat, at, fresh.as_ptr(), create, mode)));
        attempt(
            "openat nameless",
            call(|| libc::syscall(libc::SYS_openat, at, here.as_ptr(), temporary, mode)),
        );
        let fresh = path("openat2");
        let size = size_of::<How>();
        attempt(
            "openat2",
            call(|| libc::syscall(libc::SYS_openat2, at, fresh.as_ptr(), &raw const how, size)),
        );
        let fresh = path("mknodat");
        let kind = libc::S_IFREG | mode;
        attempt("mknodat", call(|| libc::syscall(libc::SYS_mknodat, at, fresh.as_ptr(), kind, 0)));
        let fresh = path("mkdirat");
        attempt("mkdirat", call(|| libc::syscall(libc::SYS_mkdirat, at, fresh.as_ptr(), mode)));
    }
    outcomes.extend(older_ways(&path, mode));
    outcomes
}

/// Numbers that newer architectures do not have.
#[cfg(target_arch = "x86_64")]
fn older_ways(path: &dyn Fn(&str) -> CString, mode: libc::c_uint) -> Vec<(&'static str, i32)> {
    let create = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;
    let (existing, open, creat, mknod) = (path("existing"), path("open"), path("creat"), path("mknod"));
    // SAFETY: paths end with zero bytes and outlive the calls.
    unsafe {
        vec![
            ("chmod", call(|| libc::syscall(libc::SYS_chmod, existing.as_ptr(), mode))),
            ("open", call(|| libc::syscall(libc::SYS_open, open.as_ptr(), create, mode))),
            ("creat", call(|| libc::syscall(libc::SYS_creat, creat.as_ptr(), mode))),
            ("mknod", call(|| libc::syscall(libc::SYS_mknod, mknod.as_ptr(), libc::S_IFREG | mode, 0))),
        ]
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn older_ways(_: &dyn Fn(&str) -> CString, _: libc::c_uint) -> Vec<(&'static str, i32)> {
    Vec::new()
}
