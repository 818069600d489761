//! `djship build`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use djship_django::build::{BuildOptions, Summary};
use djship_django::unchanged;
use djship_oci::{Compression, Image, ImageName, ImageStore, write_archive, write_layout};

use super::context::{self, Target};
use super::load::Client;
use super::{push, shared};
use crate::args::{BuildArgs, Cli};
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::{Console, brought, duration, size};

/// Where an image is written to besides the store.
pub(crate) enum Output {
    Layout(PathBuf),
    Archive(PathBuf),
    Context(Target),
    Load(Client),
}

pub(crate) fn run(cli: &Cli, args: &BuildArgs, console: &Console) -> Result<i32, Report> {
    let mut outputs = args.output.iter().map(|text| parse_output(text)).collect::<Result<Vec<_>, _>>()?;
    for tool in &args.load {
        outputs.push(Output::Load(Client::find(*tool)?));
    }
    make(cli, args, &outputs, console)
}

/// Builds, and hands the image to `outputs`; those that the arguments name are in there already.
pub(crate) fn make(
    cli: &Cli,
    args: &BuildArgs,
    outputs: &[Output],
    console: &Console,
) -> Result<i32, Report> {
    let since = Instant::now();
    let name = args.tag.as_deref().map(parse_name).transpose()?;
    let destination = push::wanted(args)?;
    let cache = shared::Wanted::of(args.cache.as_deref())?;
    let workshop = Workshop::open(cli, Some(&args.path), args.refresh)?;
    let options = BuildOptions { name, check: !args.no_check };
    if let Some(found) = unchanged::find(&workshop.store, &workshop.host, &args.path, &options) {
        let image = opened(&workshop.store, &found.name, outputs)?;
        for output in outputs {
            deliver(&workshop, image.as_ref(), &found.name, output, console)?;
        }
        summary(&found, console, since);
        console.line("Nothing has changed since the last build");
        push::built(&workshop, &found.name, destination.as_ref(), console)?;
        return Ok(0);
    }
    let (built, said) = shared::build_with(&workshop, cache, &args.path, &options, console)?;
    for output in outputs {
        deliver(&workshop, Some(&built.image), &built.summary.name, output, console)?;
    }
    summary(&built.summary, console, since);
    for line in &said {
        console.line(line);
    }
    workshop.store.settle().map_err(|error| errors::storage(&error))?;
    push::built(&workshop, &built.summary.name, destination.as_ref(), console)?;
    Ok(0)
}

pub(crate) fn parse_name(text: &str) -> Result<ImageName, Report> {
    text.parse().map_err(|error: djship_oci::name::NameError| {
        Report::new(Kind::Usage, error.to_string()).hint("Write NAME or NAME:TAG, such as shop:1.4")
    })
}

/// The path of something new in a folder that is there: a missing one is a slip of the pen.
pub(super) fn in_a_folder(path: &str) -> Result<PathBuf, Report> {
    let path = PathBuf::from(path);
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            let title =
                format!("cannot write to `{}`: there is no folder `{}`", path.display(), folder.display());
            Err(Report::new(Kind::Usage, title).hint(format!("mkdir -p {}", folder.display())))
        }
        _ => Ok(path),
    }
}

fn parse_output(text: &str) -> Result<Output, Report> {
    match text.split_once(':') {
        Some(("layout", path)) if !path.is_empty() => in_a_folder(path).map(Output::Layout),
        Some(("archive", path)) if !path.is_empty() => in_a_folder(path).map(Output::Archive),
        Some(("context", path)) if !path.is_empty() => Target::parse(path).map(Output::Context),
        _ => Err(Report::new(
            Kind::Usage,
            format!("cannot write the image to `{text}`: unknown kind of output"),
        )
        .hint("Use layout:DIR for an OCI layout, archive:FILE for a file that `docker load` reads, or context:FILE for `docker build -`")),
    }
}

/// The image, when it is to be written somewhere.
fn opened(store: &djship_store::Store, name: &str, outputs: &[Output]) -> Result<Option<Image>, Report> {
    if outputs.is_empty() {
        return Ok(None);
    }
    let stored = ImageStore::new(store).find(name).and_then(djship_oci::records::StoredImage::open);
    stored.map(Some).map_err(|error| told(&error))
}

fn deliver(
    workshop: &Workshop,
    image: Option<&Image>,
    name: &str,
    output: &Output,
    console: &Console,
) -> Result<(), Report> {
    let Some(image) = image else { return Ok(()) };
    let names = [parse_name(name)?];
    let names = &names;
    match output {
        Output::Layout(folder) => write_layout(image, folder, names, Compression::Gzip, &workshop.store)
            .map(drop)
            .map_err(|error| told(&error)),
        Output::Archive(file) => write_archive(image, file, names, Compression::Gzip, &workshop.store)
            .map(drop)
            .map_err(|error| told(&error)),
        Output::Context(target) => context::write(image, target, &workshop.store, console),
        Output::Load(client) => client.load(image, &names[0], &workshop.store, console),
    }
}

pub(super) fn told(error: &(dyn std::error::Error + 'static)) -> Report {
    Report::new(Kind::User, error.to_string()).causes(error)
}

/// What there is now, in a few lines.
pub(crate) fn summary(summary: &Summary, console: &Console, since: Instant) {
    let id: String = summary.id.hex().chars().take(12).collect();
    console.heading(&format!("Image {} ({id})", summary.name));
    console.line(&format!(
        "{}, {} Debian packages, {} Python distributions, {} files",
        size(summary.size),
        summary.packages,
        summary.distributions,
        summary.files
    ));
    if let Some(base) = &summary.base {
        console.line(&format!("On {} ({})", base.name, base.digest));
    }
    match summary.base.as_ref().and_then(|base| brought(&base.brought)) {
        Some(brought) => {
            console.line("0 compilers, 0 -dev files, 0 installers in what djship adds");
            console.line(&brought);
        }
        None => console.line("0 compilers, 0 -dev files, 0 installers"),
    }
    if summary.headers > 0 {
        console.line(&format!("{} headers that belong to installed distributions", summary.headers));
    }
    if summary.writable.is_empty() {
        console.line("Everything is read-only");
    } else {
        console.line(&format!("Writable: {}; everything else is read-only", summary.writable.join(", ")));
    }
    let supplied: Vec<_> =
        summary.supplied.iter().map(|(name, version)| format!("{name} {version}")).collect();
    if !supplied.is_empty() {
        console.line(&format!("Supplied: {}", supplied.join(", ")));
    }
    if summary.commands.len() > 1 {
        console.line(&format!("Commands: {}", summary.commands.join(", ")));
    }
    if !summary.checked {
        console.line("Not checked: --no-check");
    }
    let times: Vec<_> =
        console.times().iter().map(|(stage, time)| format!("{stage:?} {}", duration(*time))).collect();
    let stages = if times.is_empty() { String::new() } else { format!(": {}", times.join(", ")) };
    console.line(&format!("{} in all{stages}", duration(since.elapsed())));
}

/// Whether a text names a folder rather than an image.
pub(crate) fn is_folder(text: &str) -> bool {
    Path::new(text).is_dir()
        && (text.contains('/') || text == "." || text == ".." || Path::new(text).join("manage.py").exists())
}
