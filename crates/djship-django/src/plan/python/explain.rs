//! Where the choice of Python came from.

use super::{PYTHON_FILES, Release, allows, hard_ranges, wish};
use crate::plan::explain::{Considered, Verdict, at};
use crate::plan::{Plan, PlanError};

/// Everything that was looked at: ranges, wishes, what is on offer.
pub(in crate::plan) fn explain(plan: &Plan) -> Result<Vec<Considered>, PlanError> {
    let ranges = hard_ranges(&plan.project, &plan.dependencies.value)?;
    let mut all = Vec::new();
    for range in &ranges {
        let who = range.django.as_ref().map_or_else(
            || "requires Python".to_owned(),
            |series| format!("Django {series} supports Python"),
        );
        let place = range.origin.to_string();
        all.push(Considered::new(place, Some(format!("{who} {}", range.range)), Verdict::Taken));
    }
    let chosen = plan.foundation.release();
    let wish = wish(&plan.project)?;
    let place_of_wish = wish.as_ref().map(|wish| wish.origin.to_string());
    for folder in plan.project.folders() {
        for name in PYTHON_FILES {
            let file = at(&folder, name);
            if plan.project.read(&file)?.is_none() {
                all.push(Considered::new(file, None, Verdict::Absent));
                continue;
            }
            match (&wish, &place_of_wish) {
                (Some(wish), Some(place)) if *place == file || place.starts_with(&format!("{file}, ")) => {
                    let (text, version) = &wish.value;
                    let offered = Release::ALL.iter().find(|release| release.python() == *version);
                    let verdict = match (chosen, offered) {
                        // What the image has is known when it is there.
                        (None, _) => Verdict::AskedInABuild,
                        (Some(_), None) => Verdict::NotOnOffer,
                        (Some(chosen), Some(release)) if *release == chosen => Verdict::Taken,
                        (Some(_), Some(release)) => excluded(&ranges, *release)?,
                    };
                    all.push(Considered::new(place.clone(), Some(format!("wishes for {text}")), verdict));
                }
                (Some(_), Some(place)) => {
                    all.push(Considered::new(
                        file,
                        Some("there".to_owned()),
                        Verdict::ComesAfter(place.clone()),
                    ));
                }
                _ => all.push(Considered::new(file, Some("names no version".to_owned()), Verdict::Absent)),
            }
        }
    }
    if let Some(image) = plan.foundation.image() {
        let found = format!("base = \"{}\": the image brings its Python", image.name.value);
        all.push(Considered::new(image.name.origin.to_string(), Some(found), Verdict::Taken));
    }
    for release in Release::ALL {
        let (major, minor) = release.python();
        let verdict = match chosen {
            None => Verdict::ComesAfter(format!("`base` in {}", plan.foundation.origin())),
            Some(chosen) if release == chosen => Verdict::Taken,
            Some(chosen) => match excluded(&ranges, release)? {
                Verdict::Absent => Verdict::ComesAfter(format!("Python of {chosen}")),
                other => other,
            },
        };
        all.push(Considered::new(
            format!("Debian {release}"),
            Some(format!("has Python {major}.{minor}")),
            verdict,
        ));
    }
    Ok(all)
}

/// What excludes a release; `Absent` when nothing does.
fn excluded(ranges: &[super::HardRange], release: Release) -> Result<Verdict, PlanError> {
    for range in ranges {
        if !allows(range, &release.version())? {
            return Ok(Verdict::ExcludedBy(format!("{} ({})", range.origin, range.range)));
        }
    }
    Ok(Verdict::Absent)
}
