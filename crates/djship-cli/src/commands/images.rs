//! `djship images`.

use djship_oci::ImageStore;

use crate::args::Cli;
use crate::errors::{Kind, Report};
use crate::host::Workshop;
use crate::ui::size;

pub(crate) fn run(cli: &Cli) -> Result<i32, Report> {
    let workshop = Workshop::open(cli, None, false)?;
    let images = ImageStore::new(&workshop.store)
        .list()
        .map_err(|error| Report::new(Kind::User, error.to_string()).causes(&error))?;
    for named in images {
        let id: String = named.id.hex().chars().take(12).collect();
        anstream::println!("{:<40} {id}  {}", named.name.to_string(), size(named.tar_size));
    }
    Ok(0)
}
