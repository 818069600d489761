//! Whether the daemon sees this machine's folders.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use serde_json::{Value, json};

use super::{client::Client, error::DockerError, process::remove, shown::Shown};

/// How the daemon says that a folder is not there.
const NOT_THERE: &str = "bind source path does not exist: ";

/// What was seen: how the daemon is asked to count users. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight(Arc<OnceLock<&'static str>>);

/// Podman of an ordinary user: this user has the same number inside.
const SAME_USER: &str = "keep-id";

impl Sight {
    /// Looks once: a file that was just written must be seen in a container of `image`, which is never started. The answer is the
    /// user namespace to ask for.
    pub(crate) fn check(
        &self,
        client: &Client,
        image: &str,
        folder: &Path,
    ) -> Result<&'static str, DockerError> {
        if let Some(users) = self.0.get() {
            return Ok(users);
        }
        let about: Value = client.document("ask about the daemon", "GET", "/info", None)?;
        let options = about["SecurityOptions"].as_array().map_or(&[][..], Vec::as_slice);
        let said = |option: &Value| option.as_str().is_some_and(|option| option.contains("rootless"));
        let is_rootless = about["Rootless"] == true || options.iter().any(said);
        if is_rootless && !client.is_podman() {
            // Its users are counted in a way that it cannot be asked to change.
            let what = "a folder of the host, with a Docker daemon that is not root's,";
            return Err(DockerError::Unsupported { what });
        }
        let users = if is_rootless { SAME_USER } else { "" };
        let failed = |source| DockerError::Copy { path: folder.to_owned(), direction: "into", source };
        fs_err::write(folder.join("seen"), "").map_err(failed)?;
        let shown = Shown { source: folder.to_owned(), target: "/seen".into(), read_only: true };
        let body = json!({
            "Image": image,
            "Cmd": ["/"],
            "Labels": { super::LABEL: super::sweep::owner() },
            "HostConfig": { "Mounts": [shown.mount()], "NetworkMode": "none" },
        });
        let what = "create a container";
        let created = client.document::<Value>(what, "POST", "/containers/create", Some(&body));
        let created = created.map_err(|error| unseen(error, client))?;
        let id = created["Id"].as_str().unwrap_or_default();
        let seen = client.has("look into a container", &format!("/containers/{id}/archive?path=/seen/seen"));
        remove(client, id);
        if !seen? {
            return Err(DockerError::Unseen {
                path: folder.to_owned(),
                address: client.daemon().to_string(),
            });
        }
        // Somebody else's look saw the same.
        let _ = self.0.set(users);
        Ok(users)
    }
}

/// A refusal because of a folder that the daemon does not see, as such.
pub(crate) fn unseen(error: DockerError, client: &Client) -> DockerError {
    match error {
        DockerError::Refused { message, .. } if message.contains(NOT_THERE) => {
            let path = message.split_once(NOT_THERE).map_or("", |(_, path)| path).trim();
            DockerError::Unseen { path: path.into(), address: client.daemon().to_string() }
        }
        error => error,
    }
}
