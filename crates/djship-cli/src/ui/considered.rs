//! What became of an alternative, in words.

use djship_django::plan::explain::{Considered, Verdict};

/// A mark for the beginning of a line, and the reason.
pub(crate) fn verdict(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Taken => ("+", String::new()),
        Verdict::Absent => ("-", "not there".to_owned()),
        Verdict::ComesAfter(place) => ("-", format!("ignored: comes after {place}")),
        Verdict::ExcludedBy(place) => ("-", format!("ruled out by {place}")),
        Verdict::NotOnOffer => ("-", "Debian has no such version".to_owned()),
        Verdict::NoCommand(left) => ("-", super::why_not(left)),
        Verdict::AskedInABuild => ("?", "asked in a build".to_owned()),
    }
}

/// The same for scripts.
pub(crate) fn to_json(one: &Considered) -> serde_json::Value {
    let kind = match one.verdict {
        Verdict::Taken => "taken",
        Verdict::Absent => "absent",
        Verdict::ComesAfter(_) => "comes after",
        Verdict::ExcludedBy(_) | Verdict::NoCommand(_) => "excluded",
        Verdict::NotOnOffer => "not on offer",
        Verdict::AskedInABuild => "asked in a build",
    };
    let (_, why) = verdict(&one.verdict);
    serde_json::json!({ "place": one.place, "found": one.found, "verdict": kind, "why": why })
}
