//! A freshly installed environment made independent of when and where it was installed.

use std::path::{Path, PathBuf};

/// Files that installing leaves and running does not need: locks, markers, and shell scripts that name their folder.
const LEFTOVERS: &[&str] = &[".lock", ".gitignore", "CACHEDIR.TAG"];

/// Metadata that differs between machines or installs and that nothing reads at run time.
const VARYING_METADATA: &[&str] =
    &["uv_cache.json", "uv_build.json", "direct_url.json", "INSTALLER", "REQUESTED"];

/// An installed distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Distribution {
    /// Its name as it writes it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Built from source here: its wheel has a tag that no index accepts.
    pub compiled: bool,
}

/// Removes what varies from the environment in `venv`, and lists what is installed, sorted by name.
pub(super) fn normalise(venv: &Path) -> Result<Vec<Distribution>, std::io::Error> {
    for name in LEFTOVERS {
        remove_if_there(&venv.join(name))?;
    }
    for entry in fs_err::read_dir(venv.join("bin"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("activate") || name == "deactivate.bat" || name == "pydoc.bat" {
            fs_err::remove_file(path)?;
        }
    }
    let mut distributions = Vec::new();
    for site_packages in site_packages(venv)? {
        remove_if_there(&site_packages.join("_virtualenv.py"))?;
        remove_if_there(&site_packages.join("_virtualenv.pth"))?;
        for entry in fs_err::read_dir(&site_packages)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "dist-info") {
                distributions.extend(normalise_metadata(&path)?);
            }
        }
    }
    distributions.sort();
    Ok(distributions)
}

/// `lib/python3.X/site-packages` of an environment.
fn site_packages(venv: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(venv.join("lib"))? {
        let path = entry?.path().join("site-packages");
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

fn normalise_metadata(dist_info: &Path) -> Result<Option<Distribution>, std::io::Error> {
    for name in VARYING_METADATA {
        remove_if_there(&dist_info.join(name))?;
    }
    // Django and others look up entry points here, so the file stays, without what was removed.
    let record = dist_info.join("RECORD");
    if let Ok(text) = fs_err::read_to_string(&record) {
        let removed = |line: &&str| {
            let path = line.split(',').next().unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            (path.contains(".dist-info/") && VARYING_METADATA.contains(&name))
                || path.contains("__pycache__/")
        };
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !removed(line)).collect();
        lines.sort_unstable();
        lines.dedup();
        let mut text = lines.join("\n");
        text.push('\n');
        fs_err::write(&record, text)?;
    }
    let Ok(metadata) = fs_err::read_to_string(dist_info.join("METADATA")) else { return Ok(None) };
    let field = |name: &str| {
        let header = metadata.lines().take_while(|line| !line.is_empty());
        header
            .filter_map(|line| line.split_once(": "))
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.to_owned())
    };
    let wheel = fs_err::read_to_string(dist_info.join("WHEEL")).unwrap_or_default();
    // PEP 600: an index takes `manylinux` and `musllinux`; plain `linux` comes from a build on this machine.
    let compiled = wheel.lines().any(|line| line.starts_with("Tag: ") && line.contains("-linux_"));
    Ok(field("Name").zip(field("Version")).map(|(name, version)| Distribution { name, version, compiled }))
}

fn remove_if_there(path: &Path) -> Result<(), std::io::Error> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_installs_of_the_same_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let info = folder.path().join("lib/python3.13/site-packages/psycopg2-2.9.11.dist-info");
        fs_err::create_dir_all(&info).unwrap();
        fs_err::create_dir_all(folder.path().join("bin")).unwrap();
        for (name, text) in [
            ("METADATA", "Metadata-Version: 2.1\nName: psycopg2\nVersion: 2.9.11\n\nName: other\n"),
            ("WHEEL", "Wheel-Version: 1.0\nTag: cp313-cp313-linux_x86_64\n"),
            (
                "RECORD",
                "psycopg2/b.py,sha256=x,1\npsycopg2/a.py,sha256=x,1\npsycopg2-2.9.11.dist-info/INSTALLER,,\n",
            ),
            ("INSTALLER", "uv"),
            ("direct_url.json", "{\"url\": \"file:///somewhere\"}"),
        ] {
            fs_err::write(info.join(name), text).unwrap();
        }
        fs_err::write(folder.path().join("bin/activate.fish"), "").unwrap();
        let found = normalise(folder.path()).unwrap();
        let expected = Distribution { name: "psycopg2".into(), version: "2.9.11".into(), compiled: true };
        assert_eq!(found, [expected]);
        assert_eq!(
            fs_err::read_to_string(info.join("RECORD")).unwrap(),
            "psycopg2/a.py,sha256=x,1\npsycopg2/b.py,sha256=x,1\n"
        );
        assert!(!info.join("direct_url.json").exists() && !info.join("INSTALLER").exists());
        assert!(!folder.path().join("bin/activate.fish").exists());
    }
}
