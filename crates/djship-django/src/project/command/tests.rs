use std::process::Command;

use super::*;

fn words(line: &str) -> Vec<String> {
    match CommandLine::parse(line).unwrap() {
        CommandLine::Words(words) => words,
        CommandLine::Shell(script) => panic!("a shell for {line:?}: {script:?}"),
    }
}

fn script(line: &str) -> String {
    match CommandLine::parse(line).unwrap() {
        CommandLine::Shell(script) => script,
        CommandLine::Words(words) => panic!("no shell for {line:?}: {words:?}"),
    }
}

#[test]
fn plain_words_need_no_shell() {
    assert_eq!(words("celery -A config worker -l info"), ["celery", "-A", "config", "worker", "-l", "info"]);
    assert_eq!(
        words(r#"watchfiles "celery -A x worker" 'a b' c\ d"#)[1..],
        ["celery -A x worker", "a b", "c d"]
    );
    assert_eq!(words("exec  python manage.py qcluster # a comment"), ["python", "manage.py", "qcluster"]);
    assert_eq!(words("npm run watch --prefix=a#b"), ["npm", "run", "watch", "--prefix=a#b"]);
}

#[test]
fn the_shell_becomes_the_last_command_where_that_is_sure() {
    let cases = [
        ("celery -A $APP worker", "exec celery -A $APP worker"),
        ("cd frontend && npm run dev", "cd frontend && exec npm run dev"),
        ("a; b 2>&1", "a; exec b 2>&1"),
        ("cd x\nFOO=$BAR npm start", "cd x\nFOO=$BAR exec npm start"),
        ("A=1 b", "A=1 exec b"),
        ("a -w $(nproc) \"${B:-c}\"", "exec a -w $(nproc) \"${B:-c}\""),
        ("a \"x && y\" > out.txt", "exec a \"x && y\" > out.txt"),
        ("a *.py;", "exec a *.py;"),
    ];
    for (line, expected) in cases {
        assert_eq!(script(line), expected);
    }
    let unchanged = [
        "a | b",
        "a || b",
        "a & b",
        "(a; b)",
        "a && { b; c; }",
        "if a; then b; fi",
        "while true; do a; sleep 1; done",
        "trap '' INT; a",
        "cd x && exec b",
        "A=1 exec b",
        "a && B=1",
        "export A=1; . ./b",
        "a $(b \"$(c)\") ; d",
        "a `b \"c\"`; d",
        "a \"$(b \"c\")\"",
    ];
    for line in unchanged {
        assert_eq!(script(line), line);
    }
}

#[test]
fn what_is_made_does_in_a_shell_what_the_line_does() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir(folder.path().join("sub")).unwrap();
    fs_err::write(folder.path().join("a.txt"), "").unwrap();
    let output = |argv: &[String]| {
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(folder.path())
            .env("PORT", "5000")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for line in [
        "echo $PORT 'a  b' \"c  $PORT\"",
        "cd sub && pwd -P",
        "X=\"$PORT 1\" Y=2 env | grep -E '^[XY]=' | sort",
        "X=\"$PORT 1\" printenv X",
        "true; echo a 2>&1 # comment",
        "false && echo never",
        "echo *.txt; echo ${NONE:-else}",
        "echo \"a;b\" 'c && d' e\\;f",
        "exec echo \"x\" # y",
        "if true; then echo yes; fi",
        "echo $(echo 1) `echo 2` \"$(echo \"3 4\")\"",
        "echo a\n# nothing; here\necho b",
    ] {
        let plain = output(&["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]);
        assert_eq!(output(&CommandLine::parse(line).unwrap().argv()), plain, "{line}");
    }
}

#[test]
fn commands_are_told_apart() {
    let line = CommandLine::parse("cd \"a b\" && N=1 exec celery -A 'x' worker > out").unwrap();
    assert_eq!(line.commands(), [vec!["cd", "a b"], vec!["celery", "-A", "x", "worker", ">", "out"]]);
    assert_eq!(CommandLine::parse("a $B").unwrap().commands(), [["a", "$B"]]);
    assert_eq!(CommandLine::parse("a 'b c'").unwrap().commands(), [["a", "b c"]]);
}

#[test]
fn what_is_no_command_is_named() {
    for line in ["", "   ", "# only words", "A=1", "exec", ";"] {
        assert_eq!(CommandLine::parse(line), Err(CommandError::Empty), "{line:?}");
    }
    for line in ["a 'b", "a \"b", "a \\", "a \"b\\\""] {
        assert_eq!(CommandLine::parse(line), Err(CommandError::Unclosed), "{line:?}");
    }
    assert_eq!(CommandLine::parse("a\0b"), Err(CommandError::Zero));
    assert_eq!(CommandLine::parse(&"a".repeat(MAX_LENGTH + 1)), Err(CommandError::TooLong));
    assert_eq!(CommandLine::of_words(Vec::new()), Err(CommandError::Empty));
    assert_eq!(CommandLine::of_words(vec![String::new(), "a".into()]), Err(CommandError::Empty));
}

proptest::proptest! {
    /// No line, however strange, makes it fall.
    #[test]
    fn any_line_can_be_read(line in "[a-c &;|'\"\\\\$(){}`#=<>*\n\u{e9}]{0,24}") {
        if let Ok(command) = CommandLine::parse(&line) {
            proptest::prop_assert!(!command.argv().is_empty());
            command.commands();
        }
    }
}
