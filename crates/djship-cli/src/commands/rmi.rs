//! `djship rmi`.

use djship_oci::ImageStore;
use djship_oci::removal::Removed;

use crate::args::{Cli, RmiArgs};
use crate::errors::{self, Report};
use crate::host::Workshop;
use crate::ui::Console;

pub(crate) fn run(cli: &Cli, args: &RmiArgs, console: &Console) -> Result<i32, Report> {
    let workshop = Workshop::open(cli, None, false)?;
    let images = ImageStore::new(&workshop.store);
    let mut code = 0;
    for wanted in &args.images {
        match images.remove_image(wanted, args.force) {
            Ok(Removed::Untagged { name, id }) => {
                anstream::println!("Untagged {name} (image {} has other names)", short(&id));
            }
            Ok(Removed::Whole { names, id }) => {
                for name in names {
                    anstream::println!("Untagged {name}");
                }
                anstream::println!("Removed image {}", short(&id));
            }
            // The others can go all the same.
            Err(error) => {
                let report = errors::removal(&error);
                report.print();
                code = report.kind.code();
            }
        }
    }
    if code == 0 {
        console
            .line("Its layers are removed by `djship cache prune --all`, as far as nothing else needs them");
    }
    Ok(code)
}

fn short(id: &djship_store::Digest) -> String {
    id.hex().chars().take(12).collect()
}
