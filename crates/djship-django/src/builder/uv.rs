//! uv: fetched by pinned hash with Debian's pip, and what its words mean.

use std::path::PathBuf;

use djship_store::{Bucket, FileTree};

use super::index_settings::IndexSettings;
use super::network::online;
use super::{BuilderError, InstallFailure, make_owned};
use crate::base::{Interpreter, Roots};
use crate::child;
use crate::laid::{KeepError, Key, Laid};
use crate::python;
use crate::tools::Tools;

/// What uv is always told.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("UV_CACHE_DIR", "/cache"),
    ("UV_LINK_MODE", "copy"),
    ("UV_COMPILE_BYTECODE", "0"),
    ("UV_PYTHON_DOWNLOADS", "never"),
    ("UV_NATIVE_TLS", "1"),
    ("UV_SYSTEM_CERTS", "1"),
    ("UV_NO_PROGRESS", "1"),
    ("UV_NO_PYTHON_DOWNLOADS", "1"),
    ("NO_COLOR", "1"),
];

/// The folder that holds `bin/uv`, fetched once, with Debian's pip.
pub(crate) fn fetch(
    tools: &Tools<'_>,
    roots: &Roots<'_>,
    settings: &IndexSettings,
) -> Result<PathBuf, BuilderError> {
    let key = Key::new("uv, form 1").part(python::UV).part(std::env::consts::ARCH).digest();
    if let Some(folder) = tools.store.find(Bucket::Outputs, &key) {
        return Ok(folder.join(djship_store::saved::BYTES));
    }
    let work = tools.store.temp_dir("uv")?;
    let out = work.path().join("out");
    make_owned(&out, tools)?;
    let (_, pins) = tools.store.put_blob(python::UV.as_bytes())?;
    let arguments = [
        Interpreter::DEBIAN,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--no-compile",
        "--disable-pip-version-check",
        "--root-user-action",
        "ignore",
        "--target",
        "/out",
        "-r",
        "/uv.txt",
    ];
    let mut container = child::step([roots.debian_installer()?.fs()], arguments);
    container.bind_read_only(pins, "/uv.txt");
    container.bind(&out, "/out");
    online(&mut container, tools, settings);
    for (name, value) in &tools.host.installer {
        if name.starts_with("PIP_")
            && !matches!(name.as_str(), "PIP_CERT" | "PIP_CONFIG_FILE" | "PIP_CACHE_DIR")
        {
            container.env(name, value);
        }
    }
    for (index, file) in tools.host.pip_configuration.iter().enumerate() {
        // pip reads one file per place; the strongest of ours takes the site's.
        if index + 1 == tools.host.pip_configuration.len() {
            container.bind_read_only(file, "/etc/pip.conf");
        }
    }
    let finished = child::run(tools, &container)?;
    if !finished.success() {
        if tools.host.offline {
            let file = "what djship itself needs".to_owned();
            return Err(BuilderError::Install {
                file,
                output: Vec::new(),
                reason: Some(InstallFailure::Offline),
            });
        }
        return Err(BuilderError::NoInstaller { output: finished.tail(20).to_vec() });
    }
    let tree = FileTree::scan(&out).map_err(KeepError::from)?;
    let laid = Laid::keep(tools.store, Bucket::Outputs, &key, &tree, |_| Ok(()))?;
    Ok(laid.fs())
}

/// The distributions that uv names as having no wheel, when that is why it stopped; `None` when it stopped for another
/// reason. uv stops at the first ones that it meets.
pub(crate) fn without_wheel(lines: &[String]) -> Option<Vec<String>> {
    let text = joined(lines);
    let stopped =
        ["no usable wheels", "uilding source distributions is disabled", "building from source is disabled"]
            .iter()
            .any(|phrase| text.contains(phrase));
    let mut names = Vec::new();
    for rest in text.split("Wheels are required for `").skip(1) {
        let name = rest.split('`').next().unwrap_or_default().to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    stopped.then_some(names)
}

/// Whether it stopped because a repository is asked for and there is no git.
pub(crate) fn wants_git(lines: &[String]) -> bool {
    joined(lines).contains("Git executable not found")
}

/// What uv's last words say about the reason.
pub(crate) fn failure(lines: &[String]) -> Option<InstallFailure> {
    let text = joined(lines);
    if text.contains("No space left on device") {
        return Some(InstallFailure::NoSpace);
    }
    if text.contains("the network was disabled") || text.contains("network connectivity is disabled") {
        return Some(InstallFailure::Offline);
    }
    if [
        "dns error",
        "Connection refused",
        "Could not connect",
        "client error (Connect)",
        "Network is unreachable",
    ]
    .iter()
    .any(|phrase| text.contains(phrase))
    {
        return Some(InstallFailure::Network);
    }
    for start in ["Failed to build `", "Failed to download and build `"] {
        if let Some((_, rest)) = text.split_once(start) {
            let distribution = rest.split('`').next().unwrap_or_default().to_owned();
            let missing = lines
                .iter()
                .find(|line| {
                    [
                        "fatal error:",
                        "command not found",
                        "pg_config executable not found",
                        "No such file or directory: '",
                    ]
                    .iter()
                    .any(|phrase| line.contains(phrase))
                })
                .map(|line| line.trim().to_owned());
            return Some(InstallFailure::Compile { distribution, missing });
        }
    }
    for (before, after) in
        [("Because ", " was not found in the package registry"), ("there is no version of ", " and")]
    {
        if let Some((head, _)) = text.split_once(after)
            && let Some((_, requirement)) = head.rsplit_once(before)
        {
            return Some(InstallFailure::Unknown { requirement: requirement.to_owned() });
        }
    }
    None
}

/// All lines as one, without uv's markers and indentation, so that a wrapped sentence is whole.
fn joined(lines: &[String]) -> String {
    let words = lines.iter().flat_map(|line| line.split_whitespace());
    words.filter(|word| !matches!(*word, "×" | "╰─▶" | "├─▶" | "│" | "╰▶")).collect::<Vec<_>>().join(" ")
}

/// Flags that make compiled files independent of where, when and by whom they are compiled.
pub(super) const COMPILER: &[(&str, &str)] = &[
    ("CFLAGS", "-g0 -O2 -ffile-prefix-map=/cache=/build -ffile-prefix-map=/tmp=/build"),
    ("CXXFLAGS", "-g0 -O2 -ffile-prefix-map=/cache=/build -ffile-prefix-map=/tmp=/build"),
    ("LDFLAGS", "-Wl,--build-id=none -s"),
];

/// The arguments that install a list.
pub(super) fn install_arguments(list: &[String], further: &[&str]) -> Vec<String> {
    let mut arguments = ["pip", "install", "--python", "/venv/bin/python"].map(str::to_owned).to_vec();
    arguments.extend(further.iter().map(|&text| text.to_owned()));
    arguments.extend(list.iter().cloned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_unknown_distribution_is_named() {
        let text = "  × No solution found when resolving dependencies:\n  ╰─▶ Because no-such-thing-at-all was not found in the\n      package registry and you require no-such-thing-at-all, we can conclude";
        let expected = InstallFailure::Unknown { requirement: "no-such-thing-at-all".into() };
        assert_eq!(failure(&lines(text)), Some(expected));
        assert_eq!(without_wheel(&lines(text)), None);
    }

    #[test]
    fn a_missing_wheel_is_no_failure_yet() {
        let text = "error: No solution found when resolving dependencies\n  cause: Because psycopg2==2.9.13 has no usable wheels and you\n    require psycopg2==2.9.13, we can conclude that your requirements are unsatisfiable.\n\nhint: Wheels are required for `psycopg2` because building from source is disabled for all packages";
        assert_eq!(without_wheel(&lines(text)), Some(vec!["psycopg2".to_owned()]));
    }

    #[test]
    fn a_compile_error_names_distribution_and_what_is_missing() {
        let text = "  × Failed to build `thing==1.0`\n  ├─▶ The build backend returned an error\n      thing.c:1:10: fatal error: nope.h: No such file or directory";
        let expected = InstallFailure::Compile {
            distribution: "thing==1.0".into(),
            missing: Some("thing.c:1:10: fatal error: nope.h: No such file or directory".into()),
        };
        assert_eq!(failure(&lines(text)), Some(expected));
    }
}
