//! What a hostile program in a container cannot do, and what stands behind it on the host.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    collections::BTreeMap,
    os::{linux::net::SocketAddrExt as _, unix::net},
};

use djship_engine::{Network, RunUser};
use support::{Kind, Place, as_each_user, field, host_uids};

const EPERM: i32 = libc::EPERM;

fn probe(place: &Place, unix_sockets: bool, network: Network) -> BTreeMap<String, i32> {
    let name = format!("djship-test-{}-{}", std::process::id(), place.user.uid);
    let address = net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = net::UnixListener::bind_addr(&address).unwrap();
    let own_pid = std::process::id().to_string();
    let mut container = place.container(["/probe", "probe", &own_pid, &name]);
    container.bind_read_only(place.binary(), "/probe");
    container.unix_sockets = unix_sockets;
    container.network = network;
    serde_json::from_str(&place.output(&container)).unwrap()
}

#[test]
#[ignore = "needs root and user namespaces"]
fn hostile_calls_are_refused() {
    as_each_user(|place| {
        let attempts = probe(place, false, Network::Host);
        let allowed =
            ["unshare_files", "personality_ask", "mknod_fifo", "socket_inet", "netlink_route", "pair_stream"];
        let absent = ["clone3", "open_tree_attr", "unknown"];
        for (name, errno) in &attempts {
            let name = name.as_str();
            let expected = match name {
                name if allowed.contains(&name) => 0,
                name if absent.contains(&name) => libc::ENOSYS,
                "kill_host" => libc::ESRCH,
                "x32" => libc::SIGSYS,
                "init_binary" | "init_root" | "init_handle" | "init_memory" => libc::EACCES,
                _ => EPERM,
            };
            assert_eq!(*errno, expected, "{name} as {:?}", place.kind);
        }
        assert!(attempts.len() >= 60, "{}", attempts.len());
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    as_each_user(|place| {
        let allowed = probe(place, true, Network::Host);
        assert_eq!((allowed["socket_unix"], allowed["pair_datagram"]), (0, 0));
        let can_confine = djship_engine::doctor::can_confine_abstract_sockets();
        assert_eq!(allowed["abstract_socket"], if can_confine { EPERM } else { 0 });
        let own = probe(place, true, Network::None);
        assert_eq!(own["abstract_socket"], libc::ECONNREFUSED);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn every_capability_is_gone_for_every_user() {
    as_each_user(|place| {
        for uid in [0, 1000] {
            let mut container = place.script("cat /proc/self/status");
            container.user = RunUser { uid, gid: uid };
            let status = place.output(&container);
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                assert_eq!(field(&status, set), "0000000000000000", "{set} as user {uid}");
            }
            assert_eq!((field(&status, "NoNewPrivs"), field(&status, "Seccomp")), ("1".into(), "2".into()));
            assert_eq!(field(&status, "SigIgn"), "0000000000000000");
            assert_eq!(field(&status, "SigBlk"), "0000000000000000");
        }
        // Nothing of the starter's leaks in: three streams and the folder that `ls` itself reads.
        assert_eq!(place.output(&place.script("exec ls /proc/self/fd")), "0\n1\n2\n3\n");
        assert_eq!(place.output(&place.container(["env"])).lines().count(), 1);
        // Processes of the host are not seen.
        assert_eq!(place.output(&place.script("set -- /proc/[0-9]*; echo $#")), "2\n");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn root_of_the_host_runs_nothing_inside() {
    as_each_user(|place| {
        for uid in [0, 1000] {
            let mut container = place.script("sleep 1000 & echo ready; wait");
            container.user = RunUser { uid, gid: uid };
            container.stdio.stdin = djship_engine::Stdio::Null;
            let mut held = place.hold(&container);
            assert_eq!(held.line(), "ready");
            let processes = held.processes();
            assert_eq!(processes.len(), 3, "PID 1, the shell and its child");
            for pid in processes {
                let uids = host_uids(pid);
                assert!(!uids.contains(&0), "{uids:?}");
                if place.kind != Kind::Subordinate || uid == 1000 {
                    assert_eq!(uids, [place.owner().uid; 4]);
                }
                let status = fs_err::read_to_string(format!("/proc/{pid}/status")).unwrap();
                assert_eq!(field(&status, "NoNewPrivs"), "1");
            }
            let init = fs_err::read_to_string(format!("/proc/{}/status", held.record().pid)).unwrap();
            // The right to signal, where the program may be another user.
            let kept = if place.kind == Kind::Subordinate { "0000000000000020" } else { "0000000000000000" };
            assert_eq!(field(&init, "CapEff"), kept);
        }
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn the_djship_binary_cannot_be_changed_from_inside() {
    as_each_user(|place| {
        // The shell of the image is a script whose interpreter is whatever executes it.
        let trap = place.root().join("srv/trap");
        fs_err::write(&trap, "#!/proc/self/exe probe-own-binary\n").unwrap();
        support::set_mode(&trap, 0o755);
        let report = place.run(&place.container(["/srv/trap"]));
        let attempts: BTreeMap<String, i32> =
            serde_json::from_str(&report.stdout).unwrap_or_else(|_| panic!("{report:?}"));
        // As root's it could not be opened anyway.
        assert!([libc::EROFS, libc::EACCES, libc::ETXTBSY].contains(&attempts["open"]), "{attempts:?}");
        assert_eq!(attempts["change"], libc::EROFS);
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn set_uid_programs_gain_nothing() {
    as_each_user(|place| {
        let folder = place.owned_folder("bin");
        fs_err::copy("/usr/bin/id", folder.join("id")).unwrap();
        support::set_mode(&folder.join("id"), 0o6755);
        let mut container = place.script("/bin-there/id -u; grep NoNewPrivs /proc/self/status");
        container.bind_read_only(&folder, "/bin-there");
        assert!(place.output(&container).starts_with("1000\n"));
    });
}
