//! A container in the words of Docker's API.

use std::{collections::BTreeMap, path::Path};

use djship_store::Digest;
use serde_json::{Map, Value, json};

use super::{contents::Contents, init, shown::Shown};
use crate::container::{Container, Network};

/// What volumes that keep a cache are called; behind it comes what stands for the folder on the host.
const CACHE: &str = "djship-cache-";

/// Who asks whom.
pub(crate) struct By<'a> {
    /// Who removes what is left of the container.
    pub(crate) owner: &'a str,
    /// The daemon is Podman.
    pub(crate) podman: bool,
    /// The user namespace, where it matters.
    pub(crate) users: &'a str,
}

/// The body of a request to create a container of `image`.
pub(crate) fn describe(
    container: &Container,
    image: &str,
    contents: &Contents,
    shown: &[Shown],
    by: &By<'_>,
) -> Value {
    let mut mounts = mounts(container);
    mounts.extend(shown.iter().map(Shown::mount));
    let mut entrypoint =
        vec![init::PATH.to_owned(), init::input(container.tty, container.stdio.stdin).to_owned()];
    entrypoint.extend(container.argv.iter().cloned());
    let mut env: Vec<String> = container.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !container.env.contains_key("HOSTNAME") {
        // The daemon's own addition; a name alone takes it away.
        env.push("HOSTNAME".to_owned());
    }
    let returns = contents.given.iter().any(|given| given.comes_back);
    json!({
        "Image": image,
        "Entrypoint": entrypoint,
        "Cmd": [],
        "Env": env,
        "WorkingDir": container.cwd.to_string_lossy(),
        "User": format!("{}:{}", container.user.uid, container.user.gid),
        "Hostname": container.hostname,
        // Its input is the lifeline: it ends when the connection does.
        "OpenStdin": true,
        "StdinOnce": true,
        "AttachStdin": true,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": false,
        "Labels": { super::LABEL: by.owner },
        "HostConfig": {
            "NetworkMode": match container.network { Network::Host => "host", Network::None => "none" },
            // What is put beside the mounts is put into the container's own layer, where its user owns nothing.
            "ReadonlyRootfs": contents.is_empty() && container.upper.is_none(),
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "IpcMode": "private",
            "UsernsMode": by.users,
            "Tmpfs": tmpfs(container, by.podman),
            "Mounts": mounts,
            "ExtraHosts": extra_hosts(container),
            "LogConfig": { "Type": "none", "Config": {} },
            // What comes back is taken out after the end.
            "AutoRemove": !returns,
        },
    })
}

fn tmpfs(container: &Container, podman: bool) -> Map<String, Value> {
    let one = |tmpfs: &crate::container::Tmpfs| {
        let size = tmpfs.size.map_or_else(String::new, |size| format!(",size={size}"));
        let (uid, gid) = (container.user.uid, container.user.gid);
        // Podman gives them to root alone; nobody else is inside.
        let (mode, owner) =
            if podman { (0o1777, String::new()) } else { (tmpfs.mode, format!(",uid={uid},gid={gid}")) };
        let options = format!("rw,exec,nosuid,nodev,mode={mode:o}{owner}{size}");
        (tmpfs.target.to_string_lossy().into_owned(), Value::from(options))
    };
    container.tmpfs.iter().map(one).collect()
}

/// The name of the volume that stands for a folder on the host that is only a cache.
fn cache_volume(source: &Path) -> String {
    format!("{CACHE}{}", &Digest::of(source.as_os_str().as_encoded_bytes()).hex()[..32])
}

fn mounts(container: &Container) -> Vec<Value> {
    let caches = container.binds.iter().filter(|bind| bind.cache);
    let cache = |bind: &crate::container::Bind| {
        json!({
            "Type": "volume",
            "Source": cache_volume(&bind.source),
            "Target": bind.target.to_string_lossy(),
            "VolumeOptions": { "NoCopy": true, "Labels": { super::LABEL: "cache" } },
        })
    };
    // Hides what the root has there, as a mount does, and goes with the container.
    let hidden = |target: &Path| json!({ "Type": "volume", "Target": target.to_string_lossy(), "VolumeOptions": { "NoCopy": true } });
    let folders = container
        .binds
        .iter()
        .filter(|bind| !bind.cache && bind.source.is_dir())
        .map(|bind| &bind.target)
        .chain(container.scratch_copies.iter().map(|copy| &copy.target));
    caches
        .map(cache)
        .chain(folders.filter(|target| is_there(container, target)).map(|target| hidden(target)))
        .collect()
}

/// Whether the root has a folder with something in it at a place.
fn is_there(container: &Container, target: &Path) -> bool {
    let Ok(relative) = target.strip_prefix("/") else { return false };
    container.lowers.iter().any(|lower| {
        let path = lower.join(relative);
        path.is_dir() && fs_err::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
    })
}

/// What `/etc/hosts` shall have besides what the daemon puts there itself.
fn extra_hosts(container: &Container) -> Vec<String> {
    let file = container.files.iter().rfind(|file| file.target == Path::new("/etc/hosts"));
    let text = file.map(|file| String::from_utf8_lossy(&file.content).into_owned()).unwrap_or_default();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut order = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next() else { continue };
        for name in words.filter(|name| !is_usual(name)) {
            // As in the file, the first line counts.
            if !names.contains_key(name) {
                names.insert(name, address);
                order.push(name);
            }
        }
    }
    order.into_iter().map(|name| format!("{name}:{}", names[name])).collect()
}

/// Names that the daemon's own file has, or the daemon's machine alone can know.
fn is_usual(name: &str) -> bool {
    name == "localhost" || name.starts_with("ip6-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container::{RunUser, Stdio},
        docker::contents::Owners,
    };

    const ME: By<'static> = By { owner: "me", podman: false, users: "" };

    #[test]
    fn everything_of_the_description_arrives() {
        let mut container = Container::new(["/lower"], ["sleep", "1"]);
        container.user = RunUser { uid: 999, gid: 998 };
        container.cwd = "/app".into();
        container.hostname = "shop".to_owned();
        container.network = Network::None;
        container.stdio.stdin = Stdio::Null;
        container
            .env("A", "1=2")
            .file("/etc/hosts", "127.0.0.1 localhost shop\n127.70.1.2 db # x\n1.1.1.1 db\n");
        container.cache("/host/cache", "/cache");
        let owners = Owners { on_host: (1000, 1000), inside: (999, 998) };
        let contents = Contents::of(&container, owners);
        let body = describe(&container, "djship-root:x", &contents, &[], &ME);
        assert_eq!(body["Entrypoint"], json!([init::PATH, "null", "sleep", "1"]));
        assert_eq!(body["User"], "999:998");
        assert_eq!((&body["WorkingDir"], &body["Hostname"]), (&json!("/app"), &json!("shop")));
        assert!(body["Env"].as_array().unwrap().contains(&json!("A=1=2")));
        let host = &body["HostConfig"];
        assert_eq!((&host["NetworkMode"], &host["AutoRemove"]), (&json!("none"), &json!(true)));
        assert_eq!(host["ExtraHosts"], json!(["shop:127.0.0.1", "db:127.70.1.2"]));
        assert_eq!(host["Mounts"][0]["Source"], json!(cache_volume(Path::new("/host/cache"))));
        assert_eq!(host["Tmpfs"]["/tmp"], "rw,exec,nosuid,nodev,mode=1777,uid=999,gid=998");
        assert_eq!(
            (&host["CapDrop"], &host["SecurityOpt"]),
            (&json!(["ALL"]), &json!(["no-new-privileges"]))
        );
    }

    #[test]
    fn the_root_is_read_only_unless_something_is_put_into_it() {
        let owners = Owners { on_host: (1000, 1000), inside: (1000, 1000) };
        let is_read_only = |container: &Container| {
            let contents = Contents::of(container, owners);
            describe(container, "x", &contents, &[], &ME)["HostConfig"]["ReadonlyRootfs"].clone()
        };
        let mut container = Container::new(["/lower"], ["true"]);
        assert_eq!(is_read_only(&container), json!(true));
        container.file("/etc/hosts", "1.1.1.1 x");
        assert_eq!(is_read_only(&container), json!(true), "the daemon makes this one");
        container.file("/etc/passwd", "x");
        assert_eq!(is_read_only(&container), json!(false));
    }
}
