//! What the installer is given: files, an exported lock, or the two lists of a translated one.

use std::path::Path;

use super::Workplace;
use crate::base::Roots;
use crate::builder::{BuilderError, GIT, HASHED, InstallFailure, UNHASHED, pkg_resources, uv};
use crate::child::Finished;
use crate::plan::development::Install;
use crate::project::requirements::normalise;
use crate::report::Note;

/// What something is compiled with: for debuggers, as it never ships.
const COMPILER: &[(&str, &str)] = &[("CFLAGS", "-g1 -O2")];

impl Workplace<'_> {
    /// Installs for the interpreter at `python`; the distributions that the compiler came in for, `None` when all had wheels.
    pub(super) fn install_lists(
        &self,
        roots: &Roots<'_>,
        light: &Path,
        python: &str,
    ) -> Result<Option<Vec<String>>, BuilderError> {
        let dependencies = self.request.dependencies;
        let list = self.requirements(light)?;
        // A project's own package has no wheel, and needs no compiler.
        let own = dependencies.local() && matches!(dependencies.install, Install::Files { .. });
        let mut compiled = if list.is_empty() { None } else { self.install_list(roots, python, &list, own)? };
        if let Some(names) = self.install_apart(roots, light, python)? {
            compiled.get_or_insert_default().extend(names);
        }
        Ok(compiled)
    }

    /// Supplies setuptools when something imports `pkg_resources` and nothing brings it.
    pub(super) fn add_pkg_resources(
        &self,
        light: &Path,
        venv: &str,
        python: &str,
    ) -> Result<(), BuilderError> {
        let environment = self.request.cache.beneath().folder(venv)?;
        if let Some(wanted_by) = pkg_resources::wanted_beneath(&environment) {
            self.must(light, &pkg_resources::arguments(python), &[])?;
            let version = pkg_resources::version();
            self.tools.reporter.note(Note::PkgResources { version, wanted_by });
        }
        Ok(())
    }

    /// What has no hashes.
    fn install_apart(
        &self,
        roots: &Roots<'_>,
        light: &Path,
        python: &str,
    ) -> Result<Option<Vec<String>>, BuilderError> {
        let (file, shown) = match &self.request.dependencies.install {
            Install::List(list) if !list.unhashed.is_empty() => (UNHASHED, &list.without_hashes),
            Install::Lock { folder, extras, apart } if !apart.names.is_empty() => {
                self.export(light, folder, extras, "/out/apart.txt", "--only-emit-package", &apart.names)?;
                ("/out/apart.txt", &apart.shown)
            }
            _ => return Ok(None),
        };
        self.tools.reporter.note(Note::WithoutHashes { packages: shown });
        let list = ["--no-deps", "-r", file].map(str::to_owned);
        self.install_list(roots, python, &list, true)
    }

    /// Without a compiler first: only wheels, or, when `builds`, also what is plain Python.
    fn install_list(
        &self,
        roots: &Roots<'_>,
        python: &str,
        list: &[String],
        builds: bool,
    ) -> Result<Option<Vec<String>>, BuilderError> {
        let arguments = |further: &[&str]| {
            let mut arguments = ["pip", "install", "--python", python].map(str::to_owned).to_vec();
            arguments.extend(further.iter().map(|&text| text.to_owned()));
            arguments.extend(list.iter().cloned());
            arguments
        };
        let first = arguments(if builds { &[] } else { &["--no-build"] });
        let dependencies = self.request.dependencies;
        let mut packages = self.request.packages.to_vec();
        // Of a translated lock, what is built at once is what has no hashes.
        let strategy = dependencies.list().and_then(|_| self.settings.strategy(!builds));
        let light: Vec<_> = strategy.into_iter().collect();
        let mut finished = self.uv(&roots.installer()?.fs(), &first, &light)?;
        if uv::wants_git(&finished.lines) {
            packages.push(GIT.to_owned());
            finished = self.uv(&roots.development(&[], false, &packages)?.fs(), &first, &light)?;
        }
        if finished.success() {
            return Ok(None);
        }
        let names = self.to_compile(&finished, builds)?;
        self.tools.reporter.note(Note::MustCompile { distributions: names.clone() });
        let mut known: Vec<String> = names.iter().map(|name| normalise(name)).collect();
        known.extend(dependencies.names());
        let toolchain = roots.development(&known, true, &packages)?.fs();
        let environment: Vec<_> = COMPILER.iter().copied().chain(strategy).collect();
        let mut compiled = self.uv(&toolchain, &arguments(&[]), &environment)?;
        if uv::wants_git(&compiled.lines) {
            packages.push(GIT.to_owned());
            let git = roots.development(&known, true, &packages)?.fs();
            compiled = self.uv(&git, &arguments(&[]), &environment)?;
        }
        if !compiled.success() {
            return Err(self.failure(&compiled));
        }
        known.sort();
        known.dedup();
        Ok(Some(known))
    }

    /// What had to be compiled, when that is why it failed.
    fn to_compile(&self, finished: &Finished, builds: bool) -> Result<Vec<String>, BuilderError> {
        match uv::without_wheel(&finished.lines) {
            Some(names) => Ok(names),
            None if builds
                && matches!(uv::failure(&finished.lines), Some(InstallFailure::Compile { .. })) =>
            {
                Ok(Vec::new())
            }
            None => Err(self.failure(finished)),
        }
    }

    /// The arguments that name what is installed. A lock of uv's is exported to a hashed list first.
    fn requirements(&self, root: &Path) -> Result<Vec<String>, BuilderError> {
        match &self.request.dependencies.install {
            Install::List(list) if list.hashed.is_empty() => Ok(Vec::new()),
            Install::List(_) => {
                Ok(["--require-hashes", "--no-deps", "-r", HASHED].map(str::to_owned).to_vec())
            }
            Install::Files { files, groups, extras } => {
                let file = files.first().map_or("", String::as_str);
                let files = files.iter().flat_map(|file| ["-r".to_owned(), format!("/app/{file}")]);
                let extras = extras.iter().flat_map(|extra| ["--extra".to_owned(), extra.clone()]);
                let groups =
                    groups.iter().flat_map(|group| ["--group".to_owned(), format!("/app/{file}:{group}")]);
                Ok(files.chain(extras).chain(groups).collect())
            }
            Install::Lock { folder, extras, apart } => {
                self.export(
                    root,
                    folder,
                    extras,
                    "/out/requirements.txt",
                    "--no-emit-package",
                    &apart.names,
                )?;
                Ok(["--require-hashes", "--no-deps", "-r", "/out/requirements.txt"]
                    .map(str::to_owned)
                    .to_vec())
            }
        }
    }

    /// Writes what a `uv.lock` in `folder` installs as a requirements file: with or without these packages.
    fn export(
        &self,
        root: &Path,
        folder: &str,
        extras: &[String],
        to: &str,
        option: &str,
        names: &[String],
    ) -> Result<(), BuilderError> {
        let folder = format!("/app/{folder}");
        let mut export = vec![
            "export",
            "--project",
            &folder,
            "--frozen",
            "--no-emit-project",
            "--no-header",
            "--format",
            "requirements-txt",
            "--output-file",
            to,
        ];
        export.extend(extras.iter().flat_map(|extra| ["--extra", extra.as_str()]));
        export.extend(names.iter().flat_map(|name| [option, name.as_str()]));
        self.must(root, &export, &[])
    }
}
