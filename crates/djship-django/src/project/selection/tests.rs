use super::*;

fn select(files: &[(&str, &str)]) -> (Vec<String>, Vec<(String, LeftOut)>) {
    select_with(files, &[])
}

fn select_with(files: &[(&str, &str)], include: &[&str]) -> (Vec<String>, Vec<(String, LeftOut)>) {
    let include = Include::new(include.iter().map(|&pattern| pattern.to_owned()).collect()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = folder.path().join(path);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    let selection = Selection::of(folder.path(), &include).unwrap();
    let files = selection.files.iter().map(|file| file.path.as_str().to_owned()).collect();
    let left = selection.left_out.iter().map(|(path, why)| (path.as_str().to_owned(), *why)).collect();
    (files, left)
}

#[test]
fn what_must_never_ship_stays_behind_whatever_the_ignore_file_says() {
    let (files, left) = select(&[
        (".dockerignore", "!.env\n"),
        (".env", "SECRET_KEY=x"),
        (".env.production", "SECRET_KEY=x"),
        (".env.example", "SECRET_KEY="),
        (".env.prod-sample", "SECRET_KEY="),
        ("manage.py", ""),
        ("certs/site.key", "-----BEGIN PRIVATE KEY-----\n"),
        ("certs/site.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("venv/pyvenv.cfg", ""),
        (".venv/x", ""),
        ("site/env/bin/python", "#!/bin/sh\nexit 3\n"),
        ("site/venv/templates.html", ""),
        (".envs/production/django", "SECRET_KEY=x"),
        ("db.sqlite3", "SQLite format 3"),
        ("docker-build-context.tar.gz", ""),
        ("app/__pycache__/a.pyc", ""),
        (".git/config", ""),
    ]);
    assert_eq!(
        files,
        [
            ".dockerignore",
            ".env.example",
            ".env.prod-sample",
            "certs/site.pem",
            "manage.py",
            "site/venv/templates.html"
        ]
    );
    let left: Vec<_> = left.iter().map(|(path, why)| (path.as_str(), *why)).collect();
    assert_eq!(
        left,
        [
            (".env", LeftOut::Environment),
            (".env.production", LeftOut::Environment),
            (".envs", LeftOut::Environment),
            (".git", LeftOut::VersionControl),
            (".venv", LeftOut::VirtualEnvironment),
            ("app/__pycache__", LeftOut::Cache),
            ("certs/site.key", LeftOut::PrivateKey),
            ("db.sqlite3", LeftOut::Database),
            ("docker-build-context.tar.gz", LeftOut::Cache),
            ("site/env", LeftOut::VirtualEnvironment),
            ("venv", LeftOut::VirtualEnvironment),
        ]
    );
}

#[test]
fn git_ignore_files_decide_without_a_docker_ignore() {
    let (files, left) = select(&[
        (".gitignore", "*.log\n/media/\n"),
        ("a.log", ""),
        ("media/x/y.png", ""),
        ("media/z.png", ""),
        ("site/manage.py", ""),
        ("site/media/keep.png", ""),
    ]);
    assert_eq!(files, [".gitignore", "site/manage.py", "site/media/keep.png"]);
    let left: Vec<_> = left.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(left, ["a.log", "media"]);
}

#[test]
fn the_nearest_ignore_file_decides() {
    let (files, _) = select(&[
        (".gitignore", "\u{feff}*.log\r\n/build/\nnotes\n[\n"),
        (".git/info/exclude", "own.txt\n!a.log\n"),
        ("a.log", ""),
        ("build/x", ""),
        ("own.txt", ""),
        ("site/.gitignore", "!keep.log\nlocal.py\n"),
        ("site/keep.log", ""),
        ("site/other.log", ""),
        ("site/local.py", ""),
        ("site/build/y", ""),
        ("site/notes/z", ""),
        ("local.py", ""),
    ]);
    assert_eq!(files, [".gitignore", "local.py", "site/.gitignore", "site/build/y", "site/keep.log"]);
}

#[test]
fn a_worktree_excludes_what_its_repository_does() {
    let (files, _) = select(&[
        ("tree/.git", "gitdir: ../main/.git/worktrees/tree\n"),
        ("tree/own.txt", ""),
        ("tree/kept.txt", ""),
        ("main/.git/worktrees/tree/commondir", "../..\n"),
        ("main/.git/info/exclude", "own.txt\n"),
    ]);
    assert_eq!(files, ["tree/kept.txt"]);
}

#[test]
fn an_ignore_file_that_is_none_is_an_error_and_nothing_that_is_waited_for() {
    for name in [".gitignore", "site/.gitignore", ".dockerignore"] {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("site")).unwrap();
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
        let file = folder.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, &file, kind, mode, 0).unwrap();
        let error = Selection::of(folder.path(), &Include::default()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn docker_ignore_replaces_git_ignore() {
    let (files, _) = select(&[
        (".gitignore", "static/\n"),
        (".dockerignore", "*.md\n!README.md\n"),
        ("static/a.css", ""),
        ("README.md", ""),
        ("docs/a.md", ""),
        ("NOTES.md", ""),
    ]);
    assert_eq!(files, [".dockerignore", ".gitignore", "README.md", "docs/a.md", "static/a.css"]);
}

#[test]
fn include_brings_back_what_every_rule_leaves_out() {
    let files = [
        (".gitignore", "dist/\n*.pem\n"),
        ("front/dist/app.js", ""),
        ("front/dist/app.map", ""),
        ("front/node_modules/dist/x.js", ""),
        (".env.production", "A=b"),
        (".env", "A=b"),
        ("certs/test.key", "-----BEGIN PRIVATE KEY-----\n"),
        ("demo/db.sqlite3", ""),
        ("djship.toml", ""),
    ];
    let include = ["front/dist/*.js", ".env.production", "certs/test.key", "demo", "djship.toml"];
    let (kept, left) = select_with(&files, &include);
    assert_eq!(
        kept,
        [".env.production", ".gitignore", "certs/test.key", "demo/db.sqlite3", "front/dist/app.js"]
    );
    let left: Vec<_> = left.iter().map(|(path, why)| (path.as_str(), *why)).collect();
    assert_eq!(
        left,
        [
            (".env", LeftOut::Environment),
            ("djship.toml", LeftOut::Configuration),
            ("front/dist/app.map", LeftOut::GitIgnore),
            ("front/node_modules", LeftOut::GitIgnore),
        ]
    );
    let (kept, _) =
        select_with(&[(".dockerignore", "docs\n"), ("docs/a.md", ""), ("docs/b.md", "")], &["docs/a.md"]);
    assert_eq!(kept, [".dockerignore", "docs/a.md"]);
}

#[test]
fn pipes_stay_behind_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("manage.py"), "").unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644));
    rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), kind, mode, 0).unwrap();
    let selection = Selection::of(folder.path(), &Include::default()).unwrap();
    let left: Vec<_> = selection.left_out.iter().map(|(path, why)| (path.as_str(), *why)).collect();
    assert_eq!((selection.files.len(), left), (1, vec![("pipe", LeftOut::Special)]));
}

#[test]
fn dockers_whole_rule() {
    let rules = "# comment\n*.log\n**/__pycache__\ndocs\n!docs/readme.md\nignored/*\n!ignored/*/\n.env\n/media/\n\
                 node_modules/\n   .git   \n\n./data\n";
    let files = [
        "ignored/a",
        "ignored/sub/b",
        "docs/readme.md",
        "docs/other.md",
        "media/2024/x.bin",
        ".env",
        "app/.env",
        "app/views.py",
        "app/__pycache__/v.pyc",
        "node_modules/x/i.js",
        "app/debug.log",
        "debug.log",
        "with space/f",
        "#literal",
        "data/x",
    ];
    let mut all: Vec<_> = files.iter().map(|file| (*file, "")).collect();
    all.push((".dockerignore", rules));
    let (kept, left) = select(&all);
    // Docker keeps `app/.env` as well; that is what is always left out.
    assert_eq!(
        kept,
        [
            "#literal",
            ".dockerignore",
            "app/debug.log",
            "app/views.py",
            "docs/readme.md",
            "ignored/a",
            "ignored/sub/b",
            "with space/f",
        ]
    );
    assert!(left.contains(&("app/.env".to_owned(), LeftOut::Environment)), "{left:?}");
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join(".dockerignore"), "a\n[a-\n").unwrap();
    let error = Selection::of(folder.path(), &Include::default()).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("[a-"), "{error}");
}

#[test]
fn a_folder_that_is_closed_is_named_unless_it_stays_behind() {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().is_root() {
        // Nothing is closed to root; `host_ship_config` looks as somebody else.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("data/pg");
    fs_err::create_dir_all(&closed).unwrap();
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let error = Selection::of(folder.path(), &Include::default()).unwrap_err().to_string();
    assert!(error.contains("the folder `data/pg`: it belongs to user"), "{error}");
    for file in [".gitignore", ".dockerignore"] {
        fs_err::write(folder.path().join(file), "data/\n").unwrap();
        let selection = Selection::of(folder.path(), &Include::default()).unwrap();
        assert!(selection.left_out.iter().any(|(path, _)| path.is_within("data")), "{file}");
    }
    fs_err::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
}
