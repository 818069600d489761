//! The table: for people in Markdown, for programs in JSON.

use std::fmt::Write as _;
use std::time::Duration;

/// What a row's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    Seconds,
    Bytes,
}

/// One number of the table, with what it is judged by.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Row {
    /// The job; empty when it is that of the row above.
    pub(super) what: String,
    pub(super) who: String,
    pub(super) unit: Unit,
    /// The median; absent when djship cannot do it yet.
    pub(super) value: Option<f64>,
    /// The smallest and the largest value.
    pub(super) spread: Option<(f64, f64)>,
    /// How many runs it is the median of.
    pub(super) runs: usize,
    /// Peak memory of the process itself, in bytes.
    pub(super) own_peak: Option<u64>,
    /// Peak memory of the largest process among it and its children, in bytes.
    pub(super) largest_peak: Option<u64>,
    /// Our value divided by the other's that counts.
    pub(super) ratio: Option<f64>,
    pub(super) goal: Option<String>,
    pub(super) is_reached: Option<bool>,
}

impl Row {
    pub(super) fn new(what: &str, who: &str, unit: Unit) -> Self {
        Self {
            what: what.to_owned(),
            who: who.to_owned(),
            unit,
            value: None,
            spread: None,
            runs: 0,
            own_peak: None,
            largest_peak: None,
            ratio: None,
            goal: None,
            is_reached: None,
        }
    }
}

/// The rows in Markdown.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut text =
        String::from("| what | who | median | spread | ratio | goal | |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let number = |value: f64| match row.unit {
            Unit::Seconds => seconds(value),
            Unit::Bytes => megabytes(value),
        };
        let spread = row.spread.map(|(least, most)| format!("{} - {}", number(least), number(most)));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.what,
            row.who,
            row.value.map_or_else(|| "not measured in this run".to_owned(), number),
            spread.unwrap_or_default(),
            row.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            row.goal.as_deref().unwrap_or_default(),
            match row.is_reached {
                Some(true) => "reached",
                Some(false) => "NOT reached",
                None => "",
            },
        );
    }
    // An empty cell is one space wide.
    while text.contains("|  |") {
        text = text.replace("|  |", "| |");
    }
    text
}

fn seconds(value: f64) -> String {
    if value < 1.0 { format!("{:.1} ms", value * 1000.0) } else { format!("{value:.2} s") }
}

fn megabytes(value: f64) -> String {
    format!("{:.1} MB", value / 1e6)
}

/// A duration as the table has it.
pub(super) fn time(duration: Duration) -> String {
    seconds(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_is_known() {
        let measured = Row {
            value: Some(0.02),
            spread: Some((0.019, 1.5)),
            ratio: Some(0.2),
            goal: Some("1/4 of BuildKit".to_owned()),
            is_reached: Some(true),
            ..Row::new("rebuild", "djship", Unit::Seconds)
        };
        let rows = [
            measured,
            Row { value: Some(105_400_000.0), ..Row::new("size", "djship", Unit::Bytes) },
            Row::new("up", "djship", Unit::Seconds),
        ];
        let table = markdown(&rows);
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "| rebuild | djship | 20.0 ms | 19.0 ms - 1.50 s | 0.200 | 1/4 of BuildKit | reached |",
                "| size | djship | 105.4 MB | | | | |",
                "| up | djship | not measured in this run | | | | |",
            ]
        );
    }
}
