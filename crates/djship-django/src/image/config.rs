//! How the image's containers run.

use std::time::Duration;

use djship_oci::{Healthcheck, ImageConfig};

use crate::application::layer::{OPEN_FOLDERS, USER, open_folders, writable};
use crate::facts::Facts;
use crate::plan::Plan;

/// The config of the image: the same for every output.
pub fn image_config(plan: &Plan, facts: &Facts) -> ImageConfig {
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
    for (name, value) in [
        ("PATH", "/venv/bin:/usr/local/bin:/usr/bin:/bin"),
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
