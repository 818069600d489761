//! What everything stands on, in words.

use std::collections::BTreeMap;

use djship_django::base::ImageRoot;
use djship_django::context::clean::Rule;
use djship_django::plan::Sourced;
use djship_django::plan::foundation::Foundation;

use super::{Words, origin};

/// Adds what the files decide.
pub(crate) fn planned(words: &mut Words, foundation: &Foundation) {
    match foundation {
        Foundation::Debian { release, unmet_wish } => {
            let (major, minor) = release.value.python();
            words.lines.push(format!(
                "Python {major}.{minor} on Debian {} (from {})",
                release.value,
                origin(&release.origin)
            ));
            if let Some(wish) = unmet_wish {
                words.warnings.push(format!(
                    "{} asks for Python {}; Debian has no such version, taking {major}.{minor}",
                    origin(&wish.origin),
                    wish.value
                ));
            }
        }
        Foundation::Image(image) => {
            let name = &image.name;
            words.lines.push(format!("Base image {} (from {})", name.value, origin(&name.origin)));
        }
    }
}

pub(super) fn image(root: &ImageRoot, unreached: Option<&str>, unmet: Option<&Sourced<String>>) -> Words {
    let python = &root.facts.python;
    let mut words = Words::of(format!(
        "{} is {}: Python {} ({}) on Debian {}",
        root.name,
        root.digest,
        python.version,
        python.program,
        root.release()
    ));
    if let Some(registry) = unreached {
        words.warnings.push(format!(
            "using the {} that is in the store, because {registry} cannot be reached",
            root.name
        ));
    }
    if let Some(wish) = unmet {
        words.warnings.push(format!(
            "{} asks for Python {}; the base image has {}",
            origin(&wish.origin),
            wish.value,
            python.version
        ));
    }
    words
}

pub(super) fn upgraded(packages: &[(String, String, String)]) -> Words {
    let list: Vec<_> =
        packages.iter().map(|(name, before, now)| format!("{name} {before} to {now}")).collect();
    Words::of(format!("Later than in the base image, as in the builder: {}", list.join(", ")))
}

/// What a base image brings that djship would not ship; `None` when there is nothing of that kind.
pub(crate) fn brought(brought: &BTreeMap<Rule, usize>) -> Option<String> {
    let what: Vec<_> = brought.keys().map(|rule| kind(*rule)).collect();
    let files: usize = brought.values().sum();
    (files > 0).then(|| {
        let files = super::count(files, "file");
        format!("The base image brings {}: {files}; not djship's to remove", what.join(", "))
    })
}

fn kind(rule: Rule) -> &'static str {
    match rule {
        Rule::Compiler => "compilers",
        Rule::Linker => "linkers",
        Rule::Debugger => "debuggers",
        Rule::Installer => "package managers and installers (apt, dpkg, pip)",
        Rule::Perl => "Perl",
        Rule::StaticLibrary => "static libraries",
        Rule::Header => "headers",
        Rule::DevPackage => "-dev packages",
        Rule::SetUid => "set-uid programs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_brings_is_counted() {
        assert_eq!(brought(&BTreeMap::new()), None);
        let found = BTreeMap::from([(Rule::Perl, 2), (Rule::SetUid, 7)]);
        let expected = "The base image brings Perl, set-uid programs: 9 files; not djship's to remove";
        assert_eq!(brought(&found).as_deref(), Some(expected));
    }
}
