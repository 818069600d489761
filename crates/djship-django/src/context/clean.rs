//! The proof that an image is clean: everything in its trees is looked at, nothing is taken on trust.

use std::collections::BTreeMap;

use djship_store::{Entry, FileTree, Node, TreePath};

/// What must not be in a production image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// The path in the image.
    pub path: TreePath,
    /// Which rule it breaks.
    pub rule: Rule,
}

/// A rule of the definition of clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Rule {
    /// A compiler or a build tool.
    Compiler,
    /// An assembler, linker or archive tool.
    Linker,
    /// A debugger.
    Debugger,
    /// A package manager or installer, as a program or as a Python package.
    Installer,
    /// Perl.
    Perl,
    /// A static library of the system.
    StaticLibrary,
    /// A header below a system include folder.
    Header,
    /// A file of a `-dev` package.
    DevPackage,
    /// A set-user-id or set-group-id program.
    SetUid,
}

/// What the proof found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Everything that breaks a rule; empty when the image is clean.
    pub offences: Vec<Offence>,
    /// What a base image brings of that kind, by rule: not for djship to remove.
    pub brought: BTreeMap<Rule, usize>,
    /// Headers inside installed distributions, which belong to them.
    pub distribution_headers: usize,
    /// Number of files looked at.
    pub files: usize,
}

impl Proof {
    /// Looks at everything in `tree`. What is as it is in `base`, an image of somebody else's, is counted apart.
    pub fn of(tree: &FileTree, base: Option<&FileTree>) -> Self {
        let mut proof = Self::default();
        for (path, entry) in tree.iter().filter(|(_, entry)| !entry.is_dir()) {
            proof.files += 1;
            let set_id = entry.mode & 0o6000 != 0 && matches!(entry.node, Node::File { .. });
            let rule = if set_id { Some(Rule::SetUid) } else { broken_rule(path) };
            let is_brought =
                || base.and_then(|base| base.get(path.as_str())).is_some_and(|there| same(there, entry));
            if let Some(rule) = rule.filter(|_| is_brought()) {
                *proof.brought.entry(rule).or_default() += 1;
            } else if let Some(rule) = rule {
                proof.offences.push(Offence { path: path.clone(), rule });
            }
            if path.as_str().starts_with("venv/") && has_extension(path, &["h", "hpp", "pxd"]) {
                proof.distribution_headers += 1;
            }
        }
        proof
    }
}

/// Whether an entry is what it was, wherever its bytes lie.
pub(crate) fn same(one: &Entry, other: &Entry) -> bool {
    let node = match (&one.node, &other.node) {
        (Node::File { digest: left, .. }, Node::File { digest: right, .. }) => left == right,
        (left, right) => left == right,
    };
    node && (one.mode, one.uid, one.gid, one.mtime) == (other.mode, other.uid, other.gid, other.mtime)
}

const PROGRAM_FOLDERS: &[&str] =
    &["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "venv/bin", "opt/djship/bin"];

fn broken_rule(path: &TreePath) -> Option<Rule> {
    let text = path.as_str();
    let folder = path.parent().map_or_else(String::new, |parent| parent.as_str().to_owned());
    if PROGRAM_FOLDERS.contains(&folder.as_str())
        && let Some(rule) = forbidden_program(path.file_name())
    {
        return Some(rule);
    }
    if text.starts_with("usr/include/") || text.starts_with("usr/local/include/") {
        return Some(Rule::Header);
    }
    let system_library = text.starts_with("usr/lib") || text.starts_with("usr/local/lib");
    if system_library && has_extension(path, &["a", "la"]) {
        return Some(Rule::StaticLibrary);
    }
    if text.strip_prefix("var/lib/dpkg/status.d/").is_some_and(|package| package.ends_with("-dev")) {
        return Some(Rule::DevPackage);
    }
    let python_package = |name: &str| {
        text.split_once("site-packages/")
            .or_else(|| text.split_once("dist-packages/"))
            .is_some_and(|(_, rest)| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')))
    };
    (python_package("pip") || python_package("uv") || text.starts_with("var/lib/dpkg/info/"))
        .then_some(Rule::Installer)
}

fn has_extension(path: &TreePath, extensions: &[&str]) -> bool {
    path.file_name().rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end))
}

fn forbidden_program(name: &str) -> Option<Rule> {
    let mut rule = None;
    for line in include_str!("../data/forbidden.txt").lines() {
        rule = match line {
            "[compiler]" => Some(Rule::Compiler),
            "[linker]" => Some(Rule::Linker),
            "[debugger]" => Some(Rule::Debugger),
            "[installer]" => Some(Rule::Installer),
            "[perl]" => Some(Rule::Perl),
            line if line.is_empty() || line.starts_with('#') => continue,
            line => match line.strip_suffix('*') {
                Some(start) if name.starts_with(start) => return rule,
                None if name == line => return rule,
                _ => continue,
            },
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use djship_store::Digest;

    fn offences(path: &str, mode: u32) -> Vec<Rule> {
        let entry = Entry::file(Digest::of(b""), 0, "").with_mode(mode);
        let tree = [(TreePath::parse(path).unwrap(), entry)].into_iter().collect();
        Proof::of(&tree, None).offences.into_iter().map(|offence| offence.rule).collect()
    }

    #[test]
    fn every_rule_can_be_broken() {
        let cases = [
            ("usr/bin/x86_64-linux-gnu-gcc-14", Rule::Compiler),
            ("usr/bin/ld", Rule::Linker),
            ("usr/bin/gdb", Rule::Debugger),
            ("venv/bin/pip3.13", Rule::Installer),
            ("usr/bin/dpkg-deb", Rule::Installer),
            ("venv/lib/python3.13/site-packages/pip/__init__.py", Rule::Installer),
            ("usr/bin/perl5.40", Rule::Perl),
            ("usr/lib/x86_64-linux-gnu/libpq.a", Rule::StaticLibrary),
            ("usr/include/libpq-fe.h", Rule::Header),
            ("var/lib/dpkg/status.d/libpq-dev", Rule::DevPackage),
        ];
        for (path, rule) in cases {
            assert_eq!(offences(path, 0o644), [rule], "{path}");
        }
        assert_eq!(offences("usr/bin/chfn", 0o4755), [Rule::SetUid]);
    }

    #[test]
    fn what_a_base_image_brings_is_counted_and_what_changed_is_not_its() {
        let entry = |text: &[u8], mode| Entry::file(Digest::of(text), 1, "").with_mode(mode);
        let path = |text: &str| TreePath::parse(text).unwrap();
        let base: FileTree =
            [(path("usr/bin/apt-get"), entry(b"a", 0o755)), (path("usr/bin/su"), entry(b"s", 0o4755))]
                .into_iter()
                .collect();
        let mut tree = base.clone();
        tree.insert(path("usr/bin/gcc"), entry(b"g", 0o755));
        let proof = Proof::of(&tree, Some(&base));
        assert_eq!(proof.brought, BTreeMap::from([(Rule::Installer, 1), (Rule::SetUid, 1)]));
        assert_eq!(proof.offences, [Offence { path: path("usr/bin/gcc"), rule: Rule::Compiler }]);
        tree.insert(path("usr/bin/apt-get"), entry(b"another", 0o755));
        assert_eq!(Proof::of(&tree, Some(&base)).offences.len(), 2);
    }

    #[test]
    fn what_belongs_there_is_no_offence() {
        for path in [
            "venv/lib/python3.13/site-packages/numpy/core/include/numpy/arrayobject.h",
            "venv/lib/python3.13/site-packages/setuptools/__init__.py",
            "venv/lib/python3.13/site-packages/pipeline/__init__.py",
            "usr/bin/python3.13",
            "app/make/gcc",
        ] {
            assert_eq!(offences(path, 0o644), [], "{path}");
        }
    }
}
