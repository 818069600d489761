//! `docs/real-projects.md`, from the rows.

use std::fmt::Write as _;

use super::known::Known;
use super::row::{Answer, Row};

/// The page of these rows.
pub(super) fn page(rows: &[Row], known: &[Known]) -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("\n| project | first page | static file | services | Python, Django | from nothing |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for row in rows {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&row.project),
            row.error.as_ref().map_or_else(|| answer(row.page.as_ref()), |_| "**does not work**".to_owned()),
            answer(row.static_file.as_ref()),
            if row.services.is_empty() { "none".to_owned() } else { cell(&row.services.join(", ")) },
            cell(&versions(row)),
            row.seconds.map(|seconds| format!("{seconds:.0} s")).unwrap_or_default(),
        );
    }
    // An empty cell is one space wide.
    while text.contains("|  |") {
        text = text.replace("|  |", "| |");
    }
    for row in rows {
        text.push_str(&details(row, known));
    }
    text
}

fn answer(answer: Option<&Answer>) -> String {
    answer.map(|Answer { path, status }| format!("{} `{}`", status, cell(path))).unwrap_or_default()
}

fn versions(row: &Row) -> String {
    [&row.python, &row.django].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// No text of a row ends a cell or the table.
fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

fn details(row: &Row, known: &[Known]) -> String {
    let known = known.iter().find(|known| known.name == row.project);
    let mut text = format!("\n## {}\n\n", row.project);
    let mut add = |what: &str, value: &str| {
        let _ = writeln!(text, "- {what}: {value}");
    };
    let code =
        |values: &[String]| values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    add("tried", &format!("{}, djship {}", row.date, row.djship));
    if let Some(commit) = &row.commit {
        add("commit", &format!("`{commit}`"));
    }
    if let Some(settings) = &row.settings {
        add("settings", &format!("`{settings}`"));
    }
    for (what, values) in [
        ("runs", &row.programs),
        ("done by its documentation", &row.documented),
        ("supplied by djship", &row.supplied),
        ("new files in its folder", &row.new_files),
    ] {
        if !values.is_empty() {
            add(what, &code(values));
        }
    }
    if let Some(note) = known.and_then(|known| known.note.as_deref()) {
        add("note", note);
    }
    if let Some(error) = &row.error {
        let _ = write!(text, "\n{}\n", fenced(error));
    }
    text
}

/// Text as it is, whatever it holds.
fn fenced(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

const INTRODUCTION: &str = "\
# Real projects

Public Django projects that nobody here wrote, as `djship up` runs them: nothing is added to them but what their own documentation tells
to do. Written by `cargo xtask projects --write` from `docs/real-projects.json`; do not edit. `cargo xtask projects FOLDER --write` tries the
projects in a folder again.

A project works when its first page answers 200 and says what it should, a static file that a page links to is served, every program
runs, every new file in its folder belongs to the owner of the folder, and `djship down` ends everything. \"From nothing\" is the time
to the first answer, with Debian's packages fetched and everything installed; it depends on the network, and a project that is tried after
another finds more there.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn works() -> Row {
        Row {
            project: "team/shop".to_owned(),
            commit: Some("0123abc".to_owned()),
            date: "2026-01-02".to_owned(),
            djship: "abc".to_owned(),
            seconds: Some(41.6),
            page: Some(Answer { path: "/".to_owned(), status: 200 }),
            static_file: Some(Answer { path: "/static/a.css".to_owned(), status: 200 }),
            services: vec!["PostgreSQL 17".to_owned(), "Redis 8".to_owned()],
            programs: vec!["web".to_owned(), "worker".to_owned()],
            settings: Some("shop.settings.local".to_owned()),
            django: Some("Django 5.2".to_owned()),
            python: Some("Python 3.13.5".to_owned()),
            documented: vec!["cp .env.example .env".to_owned()],
            supplied: vec!["SECRET_KEY".to_owned(), "DATABASE_URL".to_owned()],
            new_files: vec!["db.sqlite3".to_owned()],
            error: None,
        }
    }

    #[test]
    fn a_project_that_works_is_told_whole() {
        let known =
            Known { name: "team/shop".to_owned(), note: Some("A note.".to_owned()), ..Known::default() };
        let text = page(&[works()], &[known]);
        let rest = text.strip_prefix(INTRODUCTION).unwrap();
        let lines: Vec<&str> = rest.lines().collect();
        assert_eq!(
            lines[3..],
            [
                "| team/shop | 200 `/` | 200 `/static/a.css` | PostgreSQL 17, Redis 8 | Python 3.13.5, Django 5.2 | 42 s |",
                "",
                "## team/shop",
                "",
                "- tried: 2026-01-02, djship abc",
                "- commit: `0123abc`",
                "- settings: `shop.settings.local`",
                "- runs: `web`, `worker`",
                "- done by its documentation: `cp .env.example .env`",
                "- supplied by djship: `SECRET_KEY`, `DATABASE_URL`",
                "- new files in its folder: `db.sqlite3`",
                "- note: A note.",
            ]
        );
    }

    #[test]
    fn a_project_that_does_not_work_shows_its_error_as_it_is() {
        let row = Row {
            project: "team|shop".to_owned(),
            page: Some(Answer { path: "/".to_owned(), status: 500 }),
            error: Some("error: a | b\n```\n# not a heading\n".to_owned()),
            ..Row::default()
        };
        let text = page(&[row, works()], &[]);
        assert!(text.contains("\n| team\\|shop | **does not work** | | none | | |\n"), "{text}");
        assert!(
            text.contains("\n\n````text\nerror: a | b\n```\n# not a heading\n````\n\n## team/shop\n"),
            "{text}"
        );
    }

    #[test]
    fn the_page_that_is_here_is_that_of_the_rows_that_are_here() {
        let docs = crate::workspace::root().join("docs");
        let rows = Row::read_all(&docs.join("real-projects.json")).unwrap();
        if rows.is_empty() {
            assert!(!docs.join("real-projects.md").exists(), "a page without rows");
            return;
        }
        let written = fs_err::read_to_string(docs.join("real-projects.md")).unwrap();
        assert_eq!(page(&rows, &Known::all().unwrap()), written, "run `cargo xtask projects --write`");
    }
}
