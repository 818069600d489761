//! GeoDjango opens GDAL, GEOS and PROJ by name, and no requirements file says so: the project's files do.

use std::path::Path;

use djship_deb::{Codename, sets};
use djship_store::Beneath;
use memchr::memmem;

/// Files of Python are small; larger ones are data.
const LARGEST: u64 = 1 << 20;
/// More files are not looked at.
const MOST_FILES: usize = 20_000;

/// The Debian packages that a project with `django.contrib.gis` needs; none for others.
pub(super) fn packages(folder: &Path, codename: Codename) -> Vec<String> {
    let gis = memmem::Finder::new("django.contrib.gis");
    let spatialite = memmem::Finder::new("spatialite");
    let (mut geographic, mut with_spatialite) = (false, false);
    let walk = ignore::WalkBuilder::new(folder)
        .standard_filters(false)
        .filter_entry(|entry| {
            !crate::reads::is_passing(entry.file_name()) && !entry.path().join("pyvenv.cfg").exists()
        })
        .build();
    let python = walk.flatten().filter(|entry| {
        entry.path().extension().is_some_and(|extension| extension == "py")
            && entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST)
    });
    // What was a file a moment ago may be a link or a pipe by now.
    let Ok(top) = Beneath::open_without_links(folder) else { return Vec::new() };
    for entry in python.take(MOST_FILES) {
        let relative = entry.path().strip_prefix(folder).ok().and_then(Path::to_str);
        let Some(Ok(text)) = relative.map(|relative| top.read(relative, LARGEST)) else { continue };
        if gis.find(&text).is_some() {
            geographic = true;
            with_spatialite |= spatialite.find(&text).is_some();
        }
    }
    let libraries: &[&str] = match (geographic, with_spatialite) {
        (false, _) => &[],
        (true, false) => &["gdal", "geos", "proj"],
        (true, true) => &["gdal", "geos", "proj", "spatialite"],
    };
    let packages = libraries.iter().filter_map(|library| sets::opened_by_name(library, codename));
    packages.flatten().map(|&name| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_uses_it_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("settings.py");
        fs_err::write(&settings, "INSTALLED_APPS = ['django.contrib.admin']").unwrap();
        assert!(packages(folder.path(), Codename::Trixie).is_empty());
        fs_err::create_dir_all(folder.path().join("env/lib")).unwrap();
        fs_err::write(folder.path().join("env/pyvenv.cfg"), "").unwrap();
        fs_err::write(folder.path().join("env/lib/x.py"), "django.contrib.gis").unwrap();
        assert!(packages(folder.path(), Codename::Trixie).is_empty());
        fs_err::write(&settings, "INSTALLED_APPS = ['django.contrib.gis']").unwrap();
        assert_eq!(packages(folder.path(), Codename::Bookworm).len(), 3);
    }
}
