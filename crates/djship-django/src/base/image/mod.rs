//! An image that takes the place of Debian's packages: pulled, flattened, and asked what it is.
//!
//! Its layers become one tree. What they say with marks (removed files, replaced folders) cannot be mounted by an ordinary user,
//! and everything that djship does with a root, from the proof that it is clean to a push, is done with trees.

mod error;
mod meaning;
pub(crate) mod system;

use std::collections::BTreeMap;

use djship_oci::Platform;
use djship_oci::registry::{Client, Options, Reference, RegistryError, pull};
use djship_store::fetch::Progress as FetchProgress;
use djship_store::{Bucket, Digest, Node, TreePath};
use pep440_rs::Version;

pub use error::BaseImageError;
use meaning::Meaning;

use super::{ARCHITECTURE, BUCKET, Interpreter};
use crate::child::{self, ChildError};
use crate::laid::{Key, Laid};
use crate::plan::foundation::BaseImage;
use crate::plan::python::Release;
use crate::python;
use crate::report::{Note, Progress};
use crate::tools::Tools;

/// The root that an image brings.
#[derive(Debug, Clone)]
pub struct ImageRoot {
    /// The image, as the project names it.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its files, as they came.
    pub laid: Laid,
    /// What is known about it.
    pub facts: ImageFacts,
}

/// What is known about an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageFacts {
    /// Codename of its Debian.
    codename: String,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Its Python.
    pub python: ImagePython,
}

/// The Python of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImagePython {
    /// The program.
    pub program: String,
    /// The whole version.
    pub version: String,
    /// Where its headers are.
    pub include: String,
    /// Where its standard library is.
    pub library: String,
}

/// What the program says.
#[derive(serde::Deserialize)]
struct Said {
    implementation: String,
    version: String,
    include: String,
    library: String,
}

impl ImageRoot {
    /// The image that the project names: from the store when it is there and the meaning of its tag is known, else from its registry.
    pub(super) fn bring(tools: &Tools<'_>, base: &BaseImage) -> Result<Self, BaseImageError> {
        let registry = base.registry.as_deref().or(tools.host.registries.default.as_deref());
        let name = Reference::parse(&base.name.value, registry)?;
        let mut unreached = None;
        let root = match Self::known(tools, base, &name)? {
            Some(root) => root,
            None => match Self::pulled(tools, base, &name) {
                Ok((root, from_memory)) => {
                    unreached = from_memory.then(|| name.registry().to_owned());
                    root
                }
                Err(BaseImageError::Registry(error)) => {
                    // An old answer is better than none, as with Debian's indexes.
                    let passes = matches!(
                        *error,
                        RegistryError::Unreachable { .. } | RegistryError::RateLimited { .. }
                    );
                    let kept = Meaning::recall(tools.store, &name).filter(|_| passes);
                    let kept = kept.map(|kept| Self::kept(tools, base, kept.digest)).transpose()?.flatten();
                    unreached = Some(name.registry().to_owned());
                    kept.ok_or(BaseImageError::Registry(error))?
                }
                Err(error) => return Err(error),
            },
        };
        let unmet_wish = root.python_allowed(base)?;
        tools.reporter.note(Note::BaseImage { root: &root, unreached, unmet_wish });
        Ok(root)
    }

    /// The root, when no registry has to be asked.
    fn known(tools: &Tools<'_>, base: &BaseImage, name: &Reference) -> Result<Option<Self>, BaseImageError> {
        let Some(meaning) = Meaning::recall(tools.store, name) else { return Ok(None) };
        let holds = name.digest().is_some()
            || tools.host.offline
            || (meaning.is_fresh() && !tools.host.debian.refresh);
        if holds { Self::kept(tools, base, meaning.digest) } else { Ok(None) }
    }

    fn kept(tools: &Tools<'_>, base: &BaseImage, digest: Digest) -> Result<Option<Self>, BaseImageError> {
        let Some(laid) = Laid::find(tools.store, BUCKET, &key(&digest))? else { return Ok(None) };
        let Some(file) = tools.store.find(Bucket::Facts, &facts_key(&digest)) else { return Ok(None) };
        let Ok(facts) = serde_json::from_slice(&fs_err::read(file)?) else { return Ok(None) };
        Ok(Some(Self { name: base.name.value.clone(), digest, laid, facts }))
    }

    /// The second value says that the registry could not be asked what the tag means.
    fn pulled(tools: &Tools<'_>, base: &BaseImage, name: &Reference) -> Result<(Self, bool), BaseImageError> {
        let registries = &tools.host.registries;
        let options = Options { insecure: registries.insecure.clone(), ..Options::default() };
        let client = Client { fetcher: tools.fetcher, credentials: tools.credentials, options };
        tools.reporter.note(Note::Pulling { name: name.to_string() });
        let pulled = pull(&client, name, &Platform::linux(ARCHITECTURE), tools.store, &Bytes(tools));
        tools.reporter.progress(Progress::Done);
        let pulled = pulled?;
        let digest = pulled.digest;
        let root = match Self::kept(tools, base, digest)? {
            Some(root) => root,
            None => Self::look(tools, base, digest, &pulled.flatten()?, &pulled.config.config)?,
        };
        if !pulled.from_memory {
            Meaning::remember(tools.store, name, digest)?;
        }
        Ok((root, pulled.from_memory))
    }

    /// Looks at what was pulled, and keeps it.
    fn look(
        tools: &Tools<'_>,
        base: &BaseImage,
        digest: Digest,
        tree: &djship_store::FileTree,
        config: &djship_oci::wire::RunConfig,
    ) -> Result<Self, BaseImageError> {
        let image = || base.name.value.clone();
        let release = system::release(&base.name.value, tree)?;
        let program = system::python(tree).ok_or_else(|| BaseImageError::NoPython { image: image() })?;
        let laid = Laid::keep(tools.store, BUCKET, &key(&digest), tree, |_| Ok(()))?;
        let asked = [program, "-I", "-S", "-B", "-c", python::DESCRIBE];
        let finished = match child::run(tools, &child::step([laid.fs()], asked)) {
            Err(ChildError::Start(error)) if error.exit_code().is_some() => {
                return Err(BaseImageError::Broken {
                    image: image(),
                    program,
                    output: vec![error.to_string()],
                });
            }
            finished => finished?,
        };
        let said = finished.lines.last().and_then(|line| serde_json::from_str::<Said>(line).ok());
        let Some(said) = said.filter(|_| finished.success()) else {
            let output = finished.tail(20).to_vec();
            return Err(BaseImageError::Broken { image: image(), program, output });
        };
        if said.implementation != "cpython" {
            let implementation = said.implementation;
            return Err(BaseImageError::Implementation { image: image(), implementation });
        }
        let run: djship_oci::ImageConfig = config.clone().into();
        let facts = ImageFacts {
            codename: release.codename().to_owned(),
            env: run.env,
            python: ImagePython {
                program: program.to_owned(),
                version: said.version,
                include: said.include,
                library: said.library,
            },
        };
        let text = serde_json::to_vec(&facts).map_err(std::io::Error::other)?;
        tools.store.insert_file(
            Bucket::Facts,
            &facts_key(&digest),
            |writer| -> Result<(), BaseImageError> { Ok(writer.write_all(&text)?) },
        )?;
        Ok(Self { name: image(), digest, laid, facts })
    }

    fn python_allowed(
        &self,
        base: &BaseImage,
    ) -> Result<Option<crate::plan::Sourced<String>>, BaseImageError> {
        let Some(version) = self.python_version() else {
            let (image, program) = (self.name.clone(), "Python");
            let output = vec![self.facts.python.version.clone()];
            return Err(BaseImageError::Broken { image, program, output });
        };
        Ok(base.check(&version)?)
    }

    /// The Debian release that it is.
    pub fn release(&self) -> Release {
        let found = Release::ALL.into_iter().find(|release| release.codename() == self.facts.codename);
        found.unwrap_or(Release::Trixie)
    }

    /// The whole version of its Python; `None` when what it says is none.
    pub(super) fn python_version(&self) -> Option<Version> {
        // A plus is Debian's, and CPython's between two releases.
        self.facts.python.version.trim_end_matches('+').parse().ok()
    }

    /// Its Python.
    pub(super) fn interpreter(&self) -> Interpreter {
        let mut numbers = self.facts.python.version.split('.').map(|part| part.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(3), numbers.next().unwrap_or(0));
        let tree = &self.laid.tree;
        let program = djship_deb::root::resolve(tree, &self.facts.python.program);
        let is_python =
            |path: &TreePath| program.as_ref() == Some(path) || path.file_name().starts_with("libpython");
        // Whoever made the image may have changed its standard library as well, and what compiles is a program of theirs: what it
        // makes is this image's alone.
        let mut key = Key::new("python of an image, form 2").part(&self.facts.python.version);
        key = key.part(tree.digest().as_bytes());
        for (path, entry) in tree.iter().filter(|(path, _)| is_python(path)) {
            if let Node::File { digest, .. } = &entry.node {
                key = key.part(path.as_str()).part(digest.as_bytes());
            }
        }
        Interpreter { program: self.facts.python.program.clone(), version, digest: key.digest() }
    }

    /// Whether it is one that Debian's package `python3-dev` has the headers of.
    pub(super) fn has_debians_python(&self) -> bool {
        self.facts.python.program == Interpreter::DEBIAN
    }

    /// That headers are there, when they are the image's own business.
    pub(super) fn check_headers(&self) -> Result<(), BaseImageError> {
        let folder = &self.facts.python.include;
        let header = format!("{folder}/Python.h");
        if self.has_debians_python() || djship_deb::root::resolve(&self.laid.tree, &header).is_some() {
            return Ok(());
        }
        Err(BaseImageError::NoHeaders { image: self.name.clone(), folder: folder.clone() })
    }
}

/// Passes downloaded bytes on to the reporter.
struct Bytes<'a>(&'a Tools<'a>);

impl FetchProgress for Bytes<'_> {
    fn add(&self, bytes: u64) {
        self.0.reporter.progress(Progress::Bytes(bytes));
    }
}

fn key(digest: &Digest) -> Digest {
    Key::new("base image, form 1").part(digest.as_bytes()).digest()
}

fn facts_key(digest: &Digest) -> Digest {
    Key::new("facts of a base image, form 1").part(python::DESCRIBE).part(digest.as_bytes()).digest()
}
