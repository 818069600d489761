//! A root written as `docker load` reads an image.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use djship_store::{DigestWriter, FileTree};
use serde_json::{Value, json};

use super::{
    archive::{Archive, Counted, Facts, write_layer},
    client::{Client, machine},
    error::DockerError,
    http::Body,
    init,
};

const WHAT: &str = "load a root";

/// Loads an image: a layer with our first process, a layer for each tree (bottom first), and what the image is. When the daemon
/// has the lowest layers, their digests are in `there`, and only the `trees` above are sent.
pub(crate) fn image(
    client: &Client,
    image: &str,
    label: &(&str, String),
    there: &[String],
    trees: &[(PathBuf, FileTree)],
) -> Result<(), DockerError> {
    let mut broken = None;
    let mut write = |to: &mut dyn Write| -> io::Result<()> {
        let mut layers = Layers { diff_ids: there.to_vec() };
        if there.is_empty() {
            layers.add(to, |to, contents| init_layer(contents, to))?;
        }
        for (folder, tree) in trees {
            let added = layers.add(to, |to, contents| write_layer(tree, contents, to));
            added.inspect_err(|_| broken = Some(folder.clone()))?;
        }
        layers.finish(to, image, label)
    };
    let answer = client.ask(WHAT, "POST", "/images/load?quiet=1", Body::Archive(&mut write));
    let answer = answer.map_err(|error| match (error, broken) {
        (DockerError::Connection { source, .. }, Some(path))
            if source.kind() != io::ErrorKind::BrokenPipe =>
        {
            DockerError::Root { path, reason: source.to_string() }
        }
        (error, _) => error,
    })?;
    // A stream of documents, one of which may be an error.
    let text = answer.text(1 << 20).map_err(DockerError::connection(WHAT))?;
    for line in String::from_utf8_lossy(&text).lines() {
        if let Some(message) = serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|line| line["error"].as_str().map(str::to_owned))
        {
            return Err(DockerError::Refused { what: WHAT, status: 200, message });
        }
    }
    Ok(())
}

fn init_layer(contents: bool, to: &mut dyn Write) -> io::Result<()> {
    let mut archive = Archive::new(to);
    let facts = Facts { mode: 0o755, owner: (0, 0), mtime: 0 };
    let (folder, program) = (init::FOLDER.trim_start_matches('/'), init::PATH.trim_start_matches('/'));
    archive.folder(folder, facts)?;
    let size = init::PROGRAM.len() as u64;
    if contents {
        archive.file(program, facts, size, init::PROGRAM)?;
    } else {
        archive.file(program, facts, size, io::repeat(0))?;
    }
    archive.end().map(drop)
}

/// The layers of an image that is being written, bottom first.
#[derive(Default)]
struct Layers {
    diff_ids: Vec<String>,
}

impl Layers {
    fn name(index: usize) -> String {
        format!("{index}.tar")
    }

    /// Writes one; `write` is called first to count its bytes, and then to write them.
    fn add(
        &mut self,
        to: &mut dyn Write,
        mut write: impl FnMut(&mut dyn Write, bool) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut counted = Counted::default();
        write(&mut counted, false)?;
        begin(to, &Self::name(self.diff_ids.len()), counted.0)?;
        let mut digested = DigestWriter::new(&mut *to);
        write(&mut digested, true)?;
        let (digest, _, _) = digested.finish();
        self.diff_ids.push(digest.to_string());
        // A tar stream is a whole number of blocks already.
        Ok(())
    }

    fn finish(self, to: &mut dyn Write, image: &str, label: &(&str, String)) -> io::Result<()> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let config = json!({
            "architecture": machine(),
            "os": "linux",
            "created": timestamp(now.as_secs()),
            "config": { "Labels": { super::LABEL: "root", label.0: label.1 } },
            "rootfs": { "type": "layers", "diff_ids": self.diff_ids },
        });
        let layers: Vec<String> = (0..self.diff_ids.len()).map(Self::name).collect();
        let manifest = json!([{ "Config": "config.json", "RepoTags": [image], "Layers": layers }]);
        for (name, document) in [("config.json", config), ("manifest.json", manifest)] {
            let text = document.to_string();
            begin(to, name, text.len() as u64)?;
            to.write_all(text.as_bytes())?;
            to.write_all(&[0; 512][..(512 - text.len() % 512) % 512])?;
        }
        to.write_all(&[0; 1024])
    }
}

/// The header of a file in the outer archive.
fn begin(to: &mut dyn Write, name: &str, size: u64) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    to.write_all(header.as_bytes())
}

/// Seconds since 1970 as RFC 3339 has them.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's `civil_from_days`, for days since 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use djship_store::Digest;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_868_799), "2000-02-29T23:59:59Z");
        assert_eq!(timestamp(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(timestamp(4_102_444_799), "2099-12-31T23:59:59Z");
    }

    #[test]
    fn an_image_is_as_docker_load_reads_it() {
        let place = tempfile::tempdir().unwrap();
        fs_err::write(place.path().join("a"), "content").unwrap();
        let tree = FileTree::scan(place.path()).unwrap();
        let mut bytes = Vec::new();
        let mut layers = Layers::default();
        layers.add(&mut bytes, |to, contents| write_layer(&tree, contents, to)).unwrap();
        layers.finish(&mut bytes, "djship-root:x", &("parts", "a,b".to_owned())).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut found = std::collections::BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).unwrap();
            found.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
        }
        let config: Value = serde_json::from_slice(&found["config.json"]).unwrap();
        let digest = Digest::of(&found["0.tar"]).to_string();
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest]));
        let manifest: Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["Layers"], json!(["0.tar"]));
    }
}
