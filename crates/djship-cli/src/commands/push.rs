//! `djship push`, and what `djship build --push` does at its end.

pub(crate) mod credentials;

use djship_oci::records::{RecordError, StoredImage};
use djship_oci::registry::push::Way;
use djship_oci::registry::{Client, Options, Pushed, Reference, push};
use djship_oci::{Image, ImageStore};
use djship_store::Store;

use crate::args::{BuildArgs, Cli, PushArgs};
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::host::Workshop;
use crate::ui::{Console, size};

use credentials::Files;

pub(crate) fn run(cli: &Cli, args: &PushArgs, console: &Console) -> Result<i32, Report> {
    let destination = destination(args.destination.as_deref().unwrap_or(&args.image))?;
    let workshop = Workshop::open(cli, None, false)?;
    let image = stored(&workshop.store, &args.image)?;
    let pushed = send(&workshop, &image, &destination, console)?;
    if args.json {
        let object = serde_json::json!({
            "name": pushed.name.to_string(), "digest": pushed.digest.to_string(),
            "sent": pushed.sent, "present": pushed.present, "mounted": pushed.mounted,
        });
        anstream::println!("{object}");
    }
    Ok(0)
}

/// Where `djship build --push` pushes to: known before anything is built.
pub(crate) fn wanted(args: &BuildArgs) -> Result<Option<Reference>, Report> {
    match &args.tag {
        _ if !args.push => Ok(None),
        Some(tag) => destination(tag).map(Some),
        None => Err(Report::new(Kind::Usage, "cannot push an image without a destination")
            .hint("Name the registry: -t REGISTRY/NAME:TAG --push")),
    }
}

/// Pushes the image `name` of the store.
pub(crate) fn built(
    workshop: &Workshop,
    name: &str,
    destination: Option<&Reference>,
    console: &Console,
) -> Result<(), Report> {
    let Some(destination) = destination else { return Ok(()) };
    send(workshop, &stored(&workshop.store, name)?, destination, console).map(drop)
}

fn destination(text: &str) -> Result<Reference, Report> {
    Reference::parse(text, env::text(env::REGISTRY).as_deref())
        .map_err(|error| errors::registry(&error.into()))
}

fn stored(store: &Store, wanted: &str) -> Result<Image, Report> {
    ImageStore::new(store).find(wanted).and_then(StoredImage::open).map_err(|error| {
        let report = Report::new(Kind::User, error.to_string()).causes(&error);
        match error {
            _ if super::build::is_folder(wanted) => report
                .hint(format!("Build and push a project: djship build {wanted} -t REGISTRY/NAME:TAG --push")),
            RecordError::Unknown { .. } => report
                .hint("djship images lists the images in the store")
                .hint("Name both: djship push IMAGE DESTINATION"),
            _ => report.hint("Build it again: djship build"),
        }
    })
}

fn send(workshop: &Workshop, image: &Image, name: &Reference, console: &Console) -> Result<Pushed, Report> {
    console.heading(&format!("Pushing {name}"));
    let client = client(workshop);
    console.begin_sending();
    let pushed = push(&client, image, name, &workshop.store, &Bar(console));
    console.end();
    let pushed = pushed.map_err(|error| errors::registry(&error))?;
    let count = |way| pushed.layers.iter().filter(|layer| layer.way == way).count();
    let part = |number: usize, what: &str| (number > 0).then(|| format!("{number} {what}"));
    let parts = [
        part(count(Way::Sent), "sent"),
        part(count(Way::Mounted), "taken from another repository"),
        part(count(Way::Present), "there already"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let plural = if pushed.layers.len() == 1 { "" } else { "s" };
    console.line(&format!("{} layer{plural}: {}", pushed.layers.len(), parts.join(", ")));
    let saved = pushed.present + pushed.mounted;
    let saved =
        if saved > 0 { format!(", {} not, as the registry has them", size(saved)) } else { String::new() };
    console.line(&format!("{} sent{saved}", size(pushed.sent)));
    console.result(&format!("Pushed {} ({})", pushed.name, pushed.digest));
    Ok(pushed)
}

/// What registries are spoken with by.
pub(super) fn client(workshop: &Workshop) -> Client<'_> {
    let options = Options { insecure: workshop.host.registries.insecure.clone(), ..Options::default() };
    Client { fetcher: &workshop.fetcher, credentials: &Files, options }
}

/// Shows how many bytes went.
pub(super) struct Bar<'a>(pub(super) &'a Console);

impl djship_store::fetch::Progress for Bar<'_> {
    fn add(&self, bytes: u64) {
        use djship_django::report::{Progress, Reporter as _};
        self.0.progress(Progress::Bytes(bytes));
    }
}
