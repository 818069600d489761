//! One index in the form in which it is cached: found by name without reading the rest.
//!
//! ```text
//! djship-index 1 SUITE RECORDS PROVISIONS ESSENTIAL TEXT-BYTES\n
//! text        one record per package, its fields ended by \n, records sorted by name
//! text        one line per provision: VIRTUAL SPACE PACKAGE \n, sorted
//! text        one line per essential package
//! offsets     of the records, then of the provisions: u32, little endian
//! ```

use std::cmp::Ordering;
use std::fmt::Write as _;

use djship_store::Digest;

use crate::package::{Package, Priority};
use crate::release::Suite;

/// The first word and version of the form. Part of the key under which a part is cached.
pub(crate) const FORM: &str = "djship-index 1";

/// The packages of one index.
#[derive(Debug)]
pub struct IndexPart {
    suite: Suite,
    /// The head and the text.
    text: String,
    /// Where the text begins; offsets count from there.
    base: usize,
    records: Vec<u32>,
    provisions: Vec<u32>,
    /// Where the names of the essential packages begin.
    essential: usize,
}

/// A cached index that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the cached package index: its {0} is damaged")]
pub struct MalformedPart(pub &'static str);

/// Collects records, which must come sorted by name.
#[derive(Debug)]
pub(crate) struct PartWriter {
    suite: Suite,
    text: String,
    records: Vec<u32>,
    provisions: Vec<(String, String)>,
    essential: Vec<String>,
}

/// Fields of a record on the way in.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Record<'text> {
    pub(crate) name: &'text str,
    pub(crate) version: &'text str,
    pub(crate) architecture: &'text str,
    pub(crate) source: &'text str,
    pub(crate) priority: &'text str,
    pub(crate) essential: bool,
    pub(crate) filename: &'text str,
    pub(crate) size: &'text str,
    pub(crate) sha256: &'text str,
    pub(crate) installed_kib: &'text str,
    pub(crate) pre_depends: &'text str,
    pub(crate) depends: &'text str,
    pub(crate) provides: &'text str,
}

impl PartWriter {
    pub(crate) fn new(suite: Suite) -> Self {
        Self {
            suite,
            text: String::new(),
            records: Vec::new(),
            provisions: Vec::new(),
            essential: Vec::new(),
        }
    }

    /// Adds a package. No field may have a line break.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        self.records.push(offset(&self.text));
        let essential = if record.essential { "1" } else { "0" };
        let fields = [
            record.name,
            record.version,
            record.architecture,
            record.source,
            record.priority,
            essential,
            record.filename,
            record.size,
            record.sha256,
            record.installed_kib,
            record.pre_depends,
            record.depends,
            record.provides,
        ];
        for field in fields {
            self.text.push_str(field);
            self.text.push('\n');
        }
        if record.essential {
            self.essential.push(record.name.to_owned());
        }
        for provided in crate::depends::groups(record.provides) {
            if let Ok(provided) = crate::depends::Dependency::parse(provided) {
                self.provisions.push((provided.name.to_owned(), record.name.to_owned()));
            }
        }
    }

    /// The part in the form of the cache.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.provisions.sort_unstable();
        self.provisions.dedup();
        let mut provisions = Vec::with_capacity(self.provisions.len());
        for (name, package) in &self.provisions {
            provisions.push(offset(&self.text));
            // Writing to a `String` cannot fail.
            let _ = writeln!(self.text, "{name} {package}");
        }
        for name in &self.essential {
            self.text.push_str(name);
            self.text.push('\n');
        }
        let head = format!(
            "{FORM} {} {} {} {} {}\n",
            self.suite.suffix().trim_start_matches('-'),
            self.records.len(),
            provisions.len(),
            self.essential.iter().map(|name| name.len() + 1).sum::<usize>(),
            self.text.len(),
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.text.as_bytes());
        bytes.extend(self.records.iter().chain(&provisions).flat_map(|offset| offset.to_le_bytes()));
        bytes
    }
}

impl IndexPart {
    /// Reads the form of the cache.
    pub fn parse(mut bytes: Vec<u8>) -> Result<Self, MalformedPart> {
        let wrong = || MalformedPart("head");
        let head_end = memchr::memchr(b'\n', &bytes[..bytes.len().min(200)]).ok_or_else(wrong)?;
        let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| wrong())?;
        let words: Vec<&str> =
            head.strip_prefix(FORM).ok_or_else(wrong)?.trim_start_matches(' ').split(' ').collect();
        let (suite, numbers) = match words.as_slice() {
            numbers if numbers.len() == 4 => ("", numbers),
            [suite, numbers @ ..] if numbers.len() == 4 => (*suite, numbers),
            _ => return Err(wrong()),
        };
        let suite = Suite::ALL
            .into_iter()
            .find(|known| known.suffix().trim_start_matches('-') == suite)
            .ok_or_else(wrong)?;
        let mut sizes = [0_usize; 4];
        for (size, word) in sizes.iter_mut().zip(numbers) {
            *size = word.parse().map_err(|_| wrong())?;
        }
        let [records, provisions, essential, text] = sizes;
        let text_start = head_end + 1;
        let text_end = text_start.checked_add(text).filter(|end| *end <= bytes.len()).ok_or_else(wrong)?;
        let offsets: Vec<u32> = bytes[text_end..]
            .chunks_exact(4)
            .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        if records.checked_add(provisions) != Some(offsets.len()) || essential > text {
            return Err(MalformedPart("table"));
        }
        bytes.truncate(text_end);
        let text = String::from_utf8(bytes).map_err(|_| MalformedPart("text"))?;
        let (records, provisions) = offsets.split_at(records);
        let essential = text.len() - essential;
        Ok(Self {
            suite,
            base: text_start,
            essential,
            records: records.to_vec(),
            provisions: provisions.to_vec(),
            text,
        })
    }

    /// Number of packages.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no packages.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The package of that name.
    pub fn get(&self, name: &str) -> Option<Package> {
        let at = self.records.binary_search_by(|offset| self.line(*offset).cmp(name)).ok()?;
        self.package(self.records[at])
    }

    /// The names of the packages that provide `name` in some version.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = &str> {
        let first =
            self.provisions.partition_point(|offset| self.provision(*offset).0.cmp(name) == Ordering::Less);
        self.provisions[first..]
            .iter()
            .map(|offset| self.provision(*offset))
            .take_while(move |(virtual_name, _)| *virtual_name == name)
            .map(|(_, package)| package)
    }

    /// The names of the essential packages.
    pub fn essential(&self) -> impl Iterator<Item = &str> {
        self.text.get(self.essential..).unwrap_or("").lines()
    }

    /// The names that begin with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let first = self.records.partition_point(|offset| self.line(*offset) < prefix);
        self.records[first..]
            .iter()
            .map(|offset| self.line(*offset))
            .take_while(move |name| name.starts_with(prefix))
    }

    /// The line that begins at `offset`; nothing if the table is damaged.
    fn line(&self, offset: u32) -> &str {
        let rest = self.text.get(self.base + offset as usize..).unwrap_or("");
        memchr::memchr(b'\n', rest.as_bytes()).map_or(rest, |end| &rest[..end])
    }

    fn provision(&self, offset: u32) -> (&str, &str) {
        self.line(offset).split_once(' ').unwrap_or(("", ""))
    }

    fn package(&self, offset: u32) -> Option<Package> {
        let mut fields = self.text.get(self.base + offset as usize..)?.split('\n');
        let mut next = || fields.next().map(str::to_owned);
        Some(Package {
            name: next()?,
            version: next()?,
            architecture: next()?,
            source: next()?,
            priority: Priority::parse(&next()?),
            essential: next()? == "1",
            suite: self.suite,
            filename: next()?,
            size: next()?.parse().ok()?,
            sha256: next()?.parse::<Digest>().ok()?,
            installed_kib: next()?.parse().unwrap_or(0),
            pre_depends: next()?,
            depends: next()?,
            provides: next()?,
        })
    }
}

/// The end of `text` as an offset. Indexes are limited to far less than 4 GiB when they are decompressed.
fn offset(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}
