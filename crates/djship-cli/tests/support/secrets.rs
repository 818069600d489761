//! A copy of polls with everything in it that must never ship, each with a word of its own to search for.

use anyhow::Result;
use djship_testkit::{Djship, TempProject};

/// The words, by where they are.
pub(crate) const WORDS: [(&str, &str); 7] = [
    ("a `.env` file", "word-in-dot-env-5b1f"),
    ("a private key", "word-in-private-key-77c2"),
    ("the git folder", "word-in-git-folder-19ad"),
    ("a virtual environment", "word-in-virtualenv-e204"),
    ("the key in djship's environment", "word-in-secret-key-c96d"),
    ("the password in djship's environment", "word-in-password-3a08"),
    ("a token for the Python index", "word-in-index-token-f51e"),
];

/// The project.
pub(crate) fn project() -> Result<TempProject> {
    let word = |number: usize| WORDS[number].1;
    TempProject::copy_of(super::polls())?
        .with(".env", &format!("DJANGO_SECRET_KEY={}\n", word(0)))?
        .with("polls/.env.production", &format!("POSTGRES_PASSWORD={}\n", word(0)))?
        // In two parts, so that this file is not one itself.
        .with("deploy/server.pem", &format!("-----BEGIN PRIVATE {}-----\n{}\n", "KEY", word(1)))?
        .with(".git/config", &format!("[remote \"origin\"]\n\turl = https://{}@git.invalid/\n", word(2)))?
        .with(".venv/pyvenv.cfg", &format!("home = /usr/bin\nprompt = {}\n", word(3)))?
        .with(".venv/lib/python3.13/site-packages/x.py", &format!("x = '{}'\n", word(3)))
}

/// djship with secrets in its environment.
pub(crate) fn environment(djship: Djship) -> Djship {
    let word = |number: usize| WORDS[number].1;
    djship
        .env("DJANGO_SECRET_KEY", word(4))
        .env("POSTGRES_USER", "polls")
        .env("POSTGRES_PASSWORD", word(5))
        // uv reads it as the password of an index called `private`, which nothing names.
        .env("UV_INDEX_PRIVATE_PASSWORD", word(6))
}
