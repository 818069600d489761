//! What happens, told to whoever shows it. The words are not here: they belong to the command line.

use std::path::Path;
use std::time::Duration;

use djship_store::TreePath;

use crate::application::layer::Serving;
use crate::base::ImageRoot;
use crate::develop::{DevelopmentFacts, Migrated, processes};
use crate::facts::Facts;
use crate::plan::development::DevelopmentPlan;
use crate::plan::{Plan, Sourced};
use crate::project::selection::LeftOut;
use crate::services::ServiceNote;
use crate::shared::SharedNote;

/// The stages of a build, in order; development has the first four of them, and two of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Reading the folder and deciding.
    Plan,
    /// The Debian root.
    Base,
    /// Installing the dependencies.
    Builder,
    /// Asking Django.
    Facts,
    /// Putting together what ships.
    Context,
    /// Layers, config, checks.
    Image,
    /// Databases and other servers.
    Services,
    /// Migrations, the development server, and what runs beside it.
    Start,
}

impl Stage {
    /// All stages of a build, in order.
    pub const ALL: [Self; 6] =
        [Self::Plan, Self::Base, Self::Builder, Self::Facts, Self::Context, Self::Image];
}

/// Something worth saying within a stage.
#[derive(Debug)]
#[non_exhaustive]
pub enum Note<'a> {
    /// The plan is made.
    Planned(&'a Plan),
    /// The package index is at hand.
    Index {
        /// Debian's codename.
        codename: &'a str,
        /// When the archive made the newest of its indexes, in seconds since 1970.
        date: u64,
        /// Why the archive could not be asked whether there are newer ones, when it was time to.
        unreached: Option<String>,
    },
    /// An image is asked for, and what is not in the store comes.
    Pulling {
        /// Its whole name.
        name: String,
    },
    /// The image that takes the place of Debian's packages is at hand.
    BaseImage {
        /// The image.
        root: &'a ImageRoot,
        /// The registry that could not be asked whether there is a newer one, when it was time to.
        unreached: Option<String>,
        /// A wish for another Python than it has.
        unmet_wish: Option<Sourced<String>>,
    },
    /// Packages of the base image are replaced by later ones, which what was compiled, or a found library, needs.
    Upgraded {
        /// Name, version before, version now.
        packages: Vec<(String, String, String)>,
    },
    /// A root file system is at hand.
    Root {
        /// What it is for.
        what: Root,
        /// Number of packages.
        packages: usize,
        /// Bytes in regular files; 0 where it was not counted.
        size: u64,
        /// It was there already.
        reused: bool,
    },
    /// Something must be compiled, so the toolchain comes in.
    MustCompile {
        /// The distributions without a wheel, as the installer names them.
        distributions: Vec<String>,
    },
    /// These come without hashes and are installed in a step of their own: commits, folders, files.
    WithoutHashes {
        /// Names with where they come from.
        packages: &'a [String],
    },
    /// setuptools is installed although nothing asks for it, because something imports `pkg_resources`.
    PkgResources {
        /// The version of setuptools.
        version: String,
        /// The package that imports it.
        wanted_by: String,
    },
    /// The dependencies are installed.
    Installed {
        /// Number of distributions.
        distributions: usize,
        /// Why they were installed anew; `None` when they were reused.
        because: Option<Because>,
    },
    /// A run-time library was found to be needed.
    Library {
        /// The library's name.
        soname: String,
        /// Who needs it.
        needed_by: TreePath,
        /// The Debian package that ships it.
        package: String,
    },
    /// What Django said.
    Facts {
        /// All of it.
        facts: &'a Facts,
        /// Why it was asked again; `None` when the answers were reused.
        because: Option<Because>,
    },
    /// What stays behind.
    LeftOut(&'a [(TreePath, LeftOut)]),
    /// The ejected files do not build the project's front end, which is in this folder.
    FrontEndStays(&'a str),
    /// The dependencies of a front end are installed.
    NodeModules {
        /// Number of packages.
        packages: usize,
        /// Why they were installed; `None` when they were reused.
        because: Option<Because>,
    },
    /// A front end is built.
    FrontEnd {
        /// The folder of `package.json`, relative to the project.
        folder: String,
        /// Its script.
        script: String,
        /// The number of files that it made or changed.
        files: usize,
        /// Why it ran; `None` when its files were reused.
        because: Option<Because>,
    },
    /// A folder of the project that is a large part of what ships.
    Large {
        /// Relative to the project.
        folder: String,
        /// Bytes.
        size: u64,
    },
    /// Static files are collected.
    Static {
        /// Number of files.
        files: usize,
        /// Bytes.
        size: u64,
        /// Where they are in the image.
        root: String,
        /// Why they were collected again; `None` when they were reused.
        because: Option<Because>,
    },
    /// Static files are not collected.
    NoStatic(NoStatic),
    /// A folder of code that the project writes to.
    OpenFolder {
        /// The folder in the image.
        path: String,
        /// What writes to it.
        why: String,
    },
    /// What the image starts.
    Commands(&'a Serving),
    /// djship adds something that the project does not bring.
    Supplied {
        /// Name of the distribution.
        name: &'a str,
        /// Version.
        version: String,
    },
    /// A Python file that ships cannot be compiled.
    SyntaxError {
        /// The path in the image.
        path: String,
        /// Line, from 1.
        line: Option<u64>,
        /// What Python says.
        message: String,
    },
    /// The finished image passed a check.
    Checked(Check),
    /// Something about the shared cache.
    Shared(&'a SharedNote<'a>),
    /// The plan of a development environment is made.
    Develop(&'a DevelopmentPlan),
    /// The project belongs to root, who started djship: its code runs as somebody else.
    RootsProject,
    /// The project's `.cache` is somebody else's; this folder is used in its place.
    CacheElsewhere(&'a Path),
    /// What Django said in development.
    Development(&'a DevelopmentFacts),
    /// A service was made new, or changed to fit the settings.
    Service {
        /// Its name.
        name: &'a str,
        /// What was done.
        note: &'a ServiceNote,
    },
    /// What became of the migrations.
    Migrated(Migrated),
    /// A database is not migrated: djship did not start its server.
    NotMigrated {
        /// Its key in `DATABASES`.
        alias: &'a str,
        /// Where it is.
        host: &'a str,
    },
    /// The first page that the development server was asked for is an error: its status.
    FirstPage(u16),
    /// The development server listens, and has not answered for this long.
    FirstPageWaits(std::time::Duration),
    /// Something that a file of the project names does not run.
    LeftOutProcess(&'a processes::LeftOut),
    /// A process of the project has another name, because a service has its own.
    RenamedProcess(&'a processes::Renamed),
}

/// A root file system's purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// What ships.
    Production,
    /// What ships, on an image.
    OnImage,
    /// Installs wheels.
    Installer,
    /// Compiles.
    Toolchain,
    /// Runs a database server.
    Service,
    /// Builds front ends.
    FrontEnd,
}

/// Why something is done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It was never done.
    First,
    /// A setting, a dependency or djship itself changed.
    InputsChanged,
    /// This file or folder changed, relative to the project.
    Changed(String),
}

/// Why there are no static files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStatic {
    /// `django.contrib.staticfiles` is not installed.
    AppMissing,
    /// The storage is not a file system.
    NotAFileSystem,
    /// The configuration says so.
    SwitchedOff,
}

/// A check that the finished image passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Nothing that the definition of clean excludes.
    Clean,
    /// The same of what is added to a base image.
    CleanOver,
    /// Every file is readable by the run user and by an arbitrary user.
    Permissions,
    /// Django starts and its modules import as the run user.
    Starts,
    /// It did, and nothing that it read then has changed.
    Started,
}

/// Where a long transfer or loop stands.
#[derive(Debug, Clone, Copy)]
pub enum Progress {
    /// So many packages and bytes are to be fetched.
    Expect {
        /// Number of packages.
        packages: usize,
        /// Bytes to download.
        bytes: u64,
    },
    /// So many bytes are to come, or bytes are sent, nobody knows how many: 0.
    Transfer(u64),
    /// Bytes came in.
    Bytes(u64),
    /// A package is unpacked.
    Package,
    /// It is over.
    Done,
}

/// Is told what happens.
pub trait Reporter: Sync {
    /// A stage begins.
    fn stage(&self, stage: Stage);
    /// Something worth saying.
    fn note(&self, note: Note<'_>);
    /// Progress within a stage.
    fn progress(&self, progress: Progress);
    /// A line that a child process wrote.
    fn output(&self, line: &str);
}

/// How long each stage took.
#[derive(Debug, Clone, Default)]
pub struct Times(pub Vec<(Stage, Duration)>);
