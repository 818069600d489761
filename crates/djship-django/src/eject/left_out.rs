//! What must not ship, in Docker's way of writing for `.dockerignore`, and in tar's for the builder.

use crate::facts::Facts;

/// Left out of every image, in Docker's way of writing: a plain name is beside `.dockerignore`, `**/` is anywhere.
const ALWAYS: &[&str] = &[
    ".dockerignore",
    "docker",
    "docker-compose.yml",
    "docker-build-context.tar.gz",
    ".git",
    "**/.env",
    "**/.env.*",
    "!**/.env.example",
    "!**/.env.sample",
    "**/.cache",
    "**/.venv",
    "venv",
    "**/__pycache__",
    "**/*.pyc",
    "**/.mypy_cache",
    "**/.pytest_cache",
    "**/.ruff_cache",
    "**/db.sqlite3",
    "**/*.key",
    "**/id_ed25519",
    "**/id_rsa",
];

/// Lines of `.dockerignore`.
pub(super) fn for_docker(facts: &Facts) -> Vec<String> {
    ALWAYS.iter().map(|&pattern| pattern.to_owned()).chain(made_folders(facts)).collect()
}

/// Patterns for tar's `--exclude`, with paths that begin with `./`. It knows no exceptions: what is one for Docker is not sent.
pub(super) fn for_tar(facts: &Facts, git: &[String]) -> Vec<String> {
    let mut patterns: Vec<String> = Vec::new();
    let all = for_docker(facts);
    for pattern in all.iter().chain(git).filter(|pattern| !pattern.starts_with('!')) {
        let pattern = match pattern.strip_prefix("**/") {
            Some(anywhere) => anywhere.to_owned(),
            None => format!("./{pattern}"),
        };
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    patterns
}

/// Folders in the project that are filled while the site is built or runs.
fn made_folders(facts: &Facts) -> impl Iterator<Item = String> {
    let roots = [facts.static_files.root.clone(), facts.media_root.clone()].into_iter().flatten();
    roots.filter_map(|root| {
        let inside = root.strip_prefix("/app/")?.trim_end_matches('/').to_owned();
        Some(inside).filter(|inside| !inside.is_empty())
    })
}

/// The lines of a `.gitignore` beside `.dockerignore`, in Docker's way of writing: `.dockerignore` replaces git's rule, and what git
/// ignores is no more to ship with it than without.
pub(super) fn from_git(text: &str, known: &[String]) -> Vec<String> {
    let mut patterns = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (exception, pattern) = match line.strip_prefix('!') {
            Some(rest) => ("!", rest),
            None => ("", line),
        };
        let pattern = pattern.trim_end_matches('/');
        // Git: a slash at the beginning or in the middle binds a pattern to the folder of its file.
        let docker = match pattern.strip_prefix('/') {
            Some(bound) => format!("{exception}{bound}"),
            None if pattern.contains('/') => format!("{exception}{pattern}"),
            None => format!("{exception}**/{pattern}"),
        };
        if !pattern.is_empty() && !known.contains(&docker) && !patterns.contains(&docker) {
            patterns.push(docker);
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(root: &str) -> Facts {
        serde_json::from_value(serde_json::json!({"version": 1, "static": {"root": root}})).unwrap()
    }

    #[test]
    fn gits_lines_in_dockers_way_of_writing() {
        let known = for_docker(&facts("/app/staticfiles"));
        let text = "# a comment\n\n*.pyc\n/staticfiles/\n*.sqlite3\nnode_modules/\n!keep.sqlite3\ndocs/_build\n.venv/\n";
        assert_eq!(
            from_git(text, &known),
            ["**/*.sqlite3", "**/node_modules", "!**/keep.sqlite3", "docs/_build"]
        );
    }

    #[test]
    fn tar_has_no_exceptions() {
        let patterns =
            for_tar(&facts("/srv/static"), &["**/*.log".to_owned(), "!**/x".to_owned(), "a/b".to_owned()]);
        assert!(patterns.iter().any(|pattern| pattern == ".env.*"), "{patterns:?}");
        assert!(patterns.iter().any(|pattern| pattern == "__pycache__"), "{patterns:?}");
        assert_eq!(patterns[patterns.len() - 2..], ["*.log", "./a/b"]);
        assert!(
            !patterns.iter().any(|pattern| pattern.contains('!') || pattern.contains("srv")),
            "{patterns:?}"
        );
    }
}
