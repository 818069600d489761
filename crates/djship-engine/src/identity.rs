//! Decides which ids of the host stand behind the ids inside, and who writes the maps.

use rustix::process::{getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::{
    container::{Container, HostOwner, IdMap, IdRange},
    error::StartError,
};

/// Highest id that exists inside with [`IdMap::Range`].
const LAST_ID: u32 = 65_535;

/// The decision, as the first stage carries it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Lines of `uid_map`.
    pub(crate) uids: Vec<MapLine>,
    /// Lines of `gid_map`.
    pub(crate) gids: Vec<MapLine>,
    /// Who has the right to write these lines.
    pub(crate) writer: MapWriter,
    /// User and group inside to act as during the set-up; on the host, the invoking user or the host owner.
    pub(crate) owner: (u32, u32),
}

impl Identity {
    /// User and group on the host behind the owner.
    pub(crate) fn on_host(&self) -> (u32, u32) {
        let behind = |map: &[MapLine], id| {
            map.iter().find(|line| line.inside == id).map_or(u32::MAX, |line| line.outside)
        };
        (behind(&self.uids, self.owner.0), behind(&self.gids, self.owner.1))
    }

    /// Whether root starts the container and somebody else runs it.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.writer == MapWriter::Root && self.on_host().0 != 0
    }
}

/// `count` ids from `inside` on are the host's ids from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MapLine {
    pub(crate) inside: u32,
    pub(crate) outside: u32,
    pub(crate) count: u32,
}

/// Who writes the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MapWriter {
    /// The process itself: the kernel allows one line that holds its own id.
    Own,
    /// A helper process that is still root in the parent namespace.
    Root,
    /// `newuidmap` and `newgidmap`, the setuid tools of the distribution.
    Tools,
}

/// What the calling process is.
#[derive(Debug, Clone, Copy)]
struct Caller {
    uid: u32,
    gid: u32,
    /// Root of the machine, not merely of a user namespace.
    real_root: bool,
}

/// Decides for the calling process.
pub(crate) fn decide(
    container: &Container,
    default_owner: Option<HostOwner>,
) -> Result<Identity, StartError> {
    let uid_map = fs_err::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let caller =
        Caller { uid: geteuid().as_raw(), gid: getegid().as_raw(), real_root: is_whole_machine(&uid_map) };
    decide_for(caller, &uid_map, container, container.host_owner.or(default_owner))
}

/// Who files of a container that another program runs belong to on the host, when that is not the calling process itself.
pub(crate) fn host_owner(
    container: &Container,
    default_owner: Option<HostOwner>,
) -> Result<Option<(u32, u32)>, StartError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    match container.host_owner.or(default_owner) {
        None => Err(StartError::OwnerMissing),
        Some(HostOwner { uid, gid }) if uid == 0 || gid == 0 => Err(StartError::OwnerIsRoot { uid, gid }),
        Some(HostOwner { uid, gid }) => Ok(Some((uid, gid))),
    }
}

fn decide_for(
    caller: Caller,
    uid_map: &str,
    container: &Container,
    owner: Option<HostOwner>,
) -> Result<Identity, StartError> {
    // Root of a user namespace is an ordinary user outside; when the owner's id does not exist in it, there is nobody
    // better to become.
    let becomes = match owner {
        _ if caller.uid != 0 => None,
        Some(owner) if caller.real_root || maps(uid_map, owner.uid) => Some(owner),
        None if caller.real_root => return Err(StartError::OwnerMissing),
        _ => None,
    };
    if let Some(owner) = becomes.filter(|owner| owner.uid == 0 || owner.gid == 0) {
        return Err(StartError::OwnerIsRoot { uid: owner.uid, gid: owner.gid });
    }
    let (host_uid, host_gid) = becomes.map_or((caller.uid, caller.gid), |owner| (owner.uid, owner.gid));
    Ok(match container.id_map {
        IdMap::Single => Identity {
            uids: vec![MapLine { inside: container.user.uid, outside: host_uid, count: 1 }],
            gids: vec![MapLine { inside: container.user.gid, outside: host_gid, count: 1 }],
            writer: if becomes.is_some() { MapWriter::Root } else { MapWriter::Own },
            owner: (container.user.uid, container.user.gid),
        },
        IdMap::Range { uids, gids, invoker } => {
            if uids.count < LAST_ID || gids.count < LAST_ID || invoker.uid > LAST_ID || invoker.gid > LAST_ID
            {
                return Err(StartError::RangeTooShort { uids: uids.count, gids: gids.count });
            }
            Identity {
                uids: around(invoker.uid, host_uid, uids),
                gids: around(invoker.gid, host_gid, gids),
                writer: if caller.uid == 0 { MapWriter::Root } else { MapWriter::Tools },
                owner: (invoker.uid, invoker.gid),
            }
        }
    })
}

/// Maps `0..=LAST_ID`, with `owner` of the host at `hole` and the range in order everywhere else.
fn around(hole: u32, owner: u32, range: IdRange) -> Vec<MapLine> {
    [
        MapLine { inside: 0, outside: range.first, count: hole },
        MapLine { inside: hole, outside: owner, count: 1 },
        MapLine { inside: hole + 1, outside: range.first + hole, count: LAST_ID - hole },
    ]
    .into_iter()
    .filter(|line| line.count > 0)
    .collect()
}

/// Whether a `uid_map` is that of the first namespace: every id is itself.
fn is_whole_machine(uid_map: &str) -> bool {
    lines(uid_map).any(|line| line == MapLine { inside: 0, outside: 0, count: u32::MAX })
}

/// Whether an id exists in the namespace of a `uid_map`.
fn maps(uid_map: &str, uid: u32) -> bool {
    lines(uid_map).any(|line| uid >= line.inside && uid - line.inside < line.count)
}

/// The lines of a `uid_map` or `gid_map`.
pub(crate) fn lines(uid_map: &str) -> impl Iterator<Item = MapLine> {
    uid_map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(|number| number.parse().ok());
        Some(MapLine { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::RunUser;

    const WHOLE: &str = "         0          0 4294967295\n";
    const ROOT: Caller = Caller { uid: 0, gid: 0, real_root: true };
    const USER: Caller = Caller { uid: 1001, gid: 1002, real_root: false };

    fn container() -> Container {
        Container::new(["/"], ["true"])
    }

    #[test]
    fn a_user_is_itself_behind_the_run_user() {
        let identity = decide_for(USER, WHOLE, &container(), None).unwrap();
        assert_eq!(identity.uids, [MapLine { inside: 1000, outside: 1001, count: 1 }]);
        assert_eq!(identity.gids, [MapLine { inside: 1000, outside: 1002, count: 1 }]);
        assert_eq!(identity.writer, MapWriter::Own);
    }

    #[test]
    fn a_user_cannot_become_somebody_else() {
        let owner = HostOwner { uid: 5, gid: 5 };
        let identity = decide_for(USER, WHOLE, &container(), Some(owner)).unwrap();
        assert_eq!(identity.uids[0].outside, 1001);
    }

    #[test]
    fn root_becomes_the_owner_and_never_root() {
        let owner = HostOwner { uid: 1005, gid: 1006 };
        let identity = decide_for(ROOT, WHOLE, &container(), Some(owner)).unwrap();
        assert_eq!(identity.uids, [MapLine { inside: 1000, outside: 1005, count: 1 }]);
        assert_eq!(identity.writer, MapWriter::Root);
        assert_eq!(identity.on_host(), (1005, 1006));
        assert!(identity.is_handed_over());
        assert!(matches!(decide_for(ROOT, WHOLE, &container(), None), Err(StartError::OwnerMissing)));
        for owner in [HostOwner { uid: 0, gid: 7 }, HostOwner { uid: 7, gid: 0 }] {
            let refused = decide_for(ROOT, WHOLE, &container(), Some(owner));
            assert!(matches!(refused, Err(StartError::OwnerIsRoot { .. })));
        }
    }

    #[test]
    fn root_of_a_small_namespace_is_an_ordinary_user() {
        let map = "0 1000 1\n1 100000 65536\n";
        let inner_root = Caller { uid: 0, gid: 0, real_root: false };
        let identity = decide_for(inner_root, map, &container(), Some(HostOwner::NOBODY_ELSE)).unwrap();
        assert_eq!(identity.writer, MapWriter::Own);
        assert_eq!(identity.uids[0].outside, 0);
        assert!(!identity.is_handed_over());
        let mapped = decide_for(inner_root, map, &container(), Some(HostOwner { uid: 40, gid: 40 })).unwrap();
        assert_eq!(mapped.uids[0].outside, 40);
    }

    #[test]
    fn ranges_leave_a_hole_for_the_invoker() {
        let range = IdRange { first: 100_000, count: 65_536 };
        let mut container = container();
        let with = |uid| IdMap::Range { uids: range, gids: range, invoker: RunUser { uid, gid: uid } };
        container.id_map = with(1000);
        let identity = decide_for(USER, WHOLE, &container, None).unwrap();
        assert_eq!(
            identity.uids,
            [
                MapLine { inside: 0, outside: 100_000, count: 1000 },
                MapLine { inside: 1000, outside: 1001, count: 1 },
                MapLine { inside: 1001, outside: 101_000, count: 64_535 },
            ]
        );
        assert_eq!(identity.uids.iter().map(|line| line.count).sum::<u32>(), 65_536);
        assert_eq!(identity.on_host(), (1001, 1002));
        assert!(!identity.is_handed_over());
        container.id_map = with(0);
        assert_eq!(decide_for(USER, WHOLE, &container, None).unwrap().uids.len(), 2);
        container.id_map = with(65_535);
        assert_eq!(decide_for(USER, WHOLE, &container, None).unwrap().uids.len(), 2);
        container.id_map = with(65_536);
        assert!(matches!(decide_for(USER, WHOLE, &container, None), Err(StartError::RangeTooShort { .. })));
    }

    #[test]
    fn whole_machine_is_recognised() {
        assert!(is_whole_machine(WHOLE));
        assert!(!is_whole_machine("0 1000 1\n"));
        assert!(!is_whole_machine("garbage"));
    }
}
