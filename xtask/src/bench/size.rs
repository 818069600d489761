//! The size of the production image, both sides' by the same ruler: Docker's own sum of the files, and each layer through gzip.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::docker::{Builder, Docker};
use super::measure::run_once;
use super::ours::Ours;
use super::stage::{Copies, Stage};
use super::table::{Row, Unit};
use crate::workspace::{output_of, run};

/// Bytes that the image of djship may have.
const GOAL_UNPACKED: f64 = 105e6;
const GOAL_GZIP: f64 = 36e6;

/// Bytes.
struct Size {
    unpacked: f64,
    gzip: f64,
}

/// Weighs the images of the project as they were built last.
pub(super) fn rows(stage: &Stage, copies: &Copies) -> Result<Vec<Row>> {
    println!("image size");
    let project = copies.project.name();
    let archive = stage.folder.join("image.tar");
    if archive.exists() {
        fs_err::remove_file(&archive)?;
    }
    let image = Ours::image(project);
    run_once(
        stage.ours.build(&copies.ours, &image).arg("--output").arg(format!("archive:{}", archive.display())),
    )
    .context("cannot write the image as an archive")?;
    run(stage.docker.client(&["load", "--input"]).arg(&archive).stdout(Stdio::null()))?;
    let ours = weigh(&stage.docker, &image, &stage.folder)?;
    let theirs = weigh(&stage.docker, &Builder::BuildKit.image(project), &stage.folder)?;
    Ok([
        ("production image, unpacked", ours.unpacked, theirs.unpacked, GOAL_UNPACKED),
        ("production image, gzip", ours.gzip, theirs.gzip, GOAL_GZIP),
    ]
    .into_iter()
    .flat_map(|(what, ours, theirs, goal)| {
        let row = |what, who, value| Row { runs: 1, value: Some(value), ..Row::new(what, who, Unit::Bytes) };
        let judged = Row {
            ratio: Some(ours / theirs),
            goal: Some(format!("{} MB", goal / 1e6)),
            is_reached: Some(ours <= goal),
            ..row(what, "djship", ours)
        };
        [judged, row("", "multi-stage Dockerfile", theirs)]
    })
    .collect())
}

fn weigh(docker: &Docker, image: &str, place: &Path) -> Result<Size> {
    let unpacked = output_of(&mut docker.client(&["image", "inspect", "--format", "{{.Size}}", image]))?;
    let folder = place.join("saved");
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    fs_err::create_dir_all(&folder)?;
    let archive = folder.join("image.tar");
    run(docker.client(&["save", "--output"]).arg(&archive).arg(image))?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
    let manifest = fs_err::read_to_string(folder.join("manifest.json"))?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let layers = manifest.pointer("/0/Layers").and_then(serde_json::Value::as_array);
    let mut gzip = 0.0;
    for layer in layers.context("the saved image lists no layers")? {
        let layer = layer.as_str().context("a layer is not named by a text")?;
        // As a registry would be sent it.
        let line = "gzip -6 --no-name < \"$1\" | wc -c";
        let bytes = output_of(Command::new("sh").args(["-c", line, "sh"]).arg(folder.join(layer)))?;
        gzip += bytes.trim().parse::<f64>()?;
    }
    fs_err::remove_dir_all(&folder)?;
    Ok(Size { unpacked: unpacked.trim().parse()?, gzip })
}
