//! How the image's containers run.

use std::time::Duration;

use djship_oci::{Healthcheck, ImageConfig};

use crate::application::layer::{OPEN_FOLDERS, USER, open_folders, writable};
use crate::base::ImageRoot;
use crate::facts::Facts;
use crate::plan::Plan;

/// The search path that a system without words about it has.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What an image stands on, as everybody's labels say it
/// (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// The config of the image: the same for every output. The variables of an image that it stands on stay, unless they are set here.
pub fn image_config(plan: &Plan, facts: &Facts, base: Option<&ImageRoot>) -> ImageConfig {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let mut config = ImageConfig {
        user: format!("{USER}:{USER}"),
        entrypoint: words(&["/usr/bin/tini-static", "--", "/opt/djship/start"]),
        command: words(&["web"]),
        working_dir: format!("/app/{}", plan.project.django_folder()).trim_end_matches('/').to_owned(),
        exposed_ports: [String::from("8000/tcp")].into(),
        stop_signal: Some("SIGTERM".to_owned()),
        volumes: writable(plan, facts).into_iter().map(|folder| folder.path).collect(),
        healthcheck: Some(Healthcheck {
            test: words(&["CMD", "/venv/bin/python", "/opt/djship/healthcheck.py"]),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            start_period: Duration::from_secs(30),
            retries: 3,
        }),
        ..ImageConfig::default()
    };
    let mut path = PATH.to_owned();
    if let Some(base) = base {
        config.env.clone_from(&base.facts.env);
        path = config.env.get("PATH").filter(|path| !path.is_empty()).cloned().unwrap_or(path);
        config.labels.insert(BASE_NAME.to_owned(), base.name.clone());
        config.labels.insert(BASE_DIGEST.to_owned(), base.digest.to_string());
    }
    let path = format!("/venv/bin:{path}");
    for (name, value) in [
        ("PATH", path.as_str()),
        ("LANG", "C.UTF-8"),
        ("PYTHONUNBUFFERED", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ] {
        config.env.insert(name.to_owned(), value.to_owned());
    }
    let open = open_folders(plan, facts);
    if !open.is_empty() {
        config.labels.insert(OPEN_FOLDERS.to_owned(), open.join(":"));
    }
    for switch in &facts.switches {
        config.env.insert(switch.name.clone(), switch.value.clone());
    }
    config
}
