//! What a djship that was killed leaves: containers that have ended and wait for somebody to take their results.

use std::process;

use djship_store::Digest;
use serde_json::{Value, json};

use super::{
    LABEL,
    client::{Client, escaped},
    process::remove,
};
use crate::record::start_time;

/// Names this process in a label: the machine, its start, the process namespace, the process and when it began.
pub(crate) fn owner() -> String {
    let pid = i32::try_from(process::id()).unwrap_or(0);
    let began = start_time(pid).unwrap_or(0);
    format!("{}/{}/{}/{pid}/{began}", machine(), boot(), namespace())
}

/// Stands for this machine, without saying its id to a daemon that may be on another one.
fn machine() -> String {
    named(&read("/etc/machine-id"))
}

fn nameless() -> String {
    named("")
}

fn named(id: &str) -> String {
    Digest::of(format!("djship machine {id}").as_bytes()).hex()[..16].to_owned()
}

fn boot() -> String {
    read("/proc/sys/kernel/random/boot_id").replace('-', "")
}

fn namespace() -> String {
    let link = fs_err::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

fn read(path: &str) -> String {
    fs_err::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Removes containers of processes of this machine that are gone.
pub(crate) fn abandoned(client: &Client) {
    let filters = escaped(&json!({ "label": [LABEL] }).to_string());
    let path = format!("/containers/json?all=1&filters={filters}");
    // One that is in use, or a daemon that does not say: the next time.
    let Ok(found) = client.document::<Vec<Value>>("list containers", "GET", &path, None) else { return };
    let own = owner();
    for container in found {
        let owner = container["Labels"][LABEL].as_str().unwrap_or_default();
        if let Some(id) = container["Id"].as_str()
            && is_gone(owner, &own)
        {
            remove(client, id);
        }
    }
}

/// Whether the process that an owner names is one of this machine's and has ended.
fn is_gone(owner: &str, own: &str) -> bool {
    let (theirs, ours): (Vec<&str>, Vec<&str>) = (owner.split('/').collect(), own.split('/').collect());
    let ([machine, boot, namespace, pid, began], [own_machine, own_boot, own_namespace, ..]) =
        (&theirs[..], &ours[..])
    else {
        return false;
    };
    // Machines without an id, as small images of CI are, cannot be told apart.
    if machine != own_machine || *machine == nameless() {
        return false;
    }
    if boot != own_boot {
        return true;
    }
    // Processes of another namespace cannot be seen.
    namespace == own_namespace
        && pid
            .parse()
            .is_ok_and(|pid| start_time(pid).ok().map(|time| time.to_string()).as_deref() != Some(*began))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_gone_is() {
        let own = owner();
        assert!(!is_gone(&own, &own), "this process lives");
        let parts: Vec<&str> = own.split('/').collect();
        let with = |index: usize, value: &str| {
            let mut parts = parts.clone();
            parts[index] = value;
            is_gone(&parts.join("/"), &own)
        };
        assert!(with(4, "1"), "the number is another process' now");
        assert!(with(1, "another start of the machine"));
        assert!(!with(0, "another machine"));
        assert!(!with(2, "12"), "another namespace");
        assert!(!is_gone("root", &own) && !is_gone("", &own));
    }
}
