use super::*;

fn parse_given(text: &str, given: &[(&str, &str)]) -> Result<Vec<(String, String)>, DotEnvError> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut all = Variables::default();
    all.add(".env", text, &given).map(|()| all.list)
}

fn parse(text: &str) -> Vec<(String, String)> {
    parse_given(text, &[]).unwrap()
}

/// The value of the last variable.
fn value(text: &str) -> String {
    parse(text).pop().unwrap().1
}

#[test]
fn lines_of_every_shape() {
    let text = "# comment\n\n  A=1\nexport B = two words  \n\texport\tC=\nD\nexport E\nexport=x\nF.g-h=1 # why\n  # end";
    let expected = [("A", "1"), ("B", "two words"), ("C", ""), ("export", "x"), ("F.g-h", "1")];
    assert_eq!(parse(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(parse("A=1\r\nB='x\r\ny'\r\n"), parse("A=1\nB='x\ny'\n"));
    assert_eq!(parse("A=1\rB=2"), parse("A=1\nB=2"));
    assert_eq!(parse("A=1\nB=2\nA=3"), parse("A=3\nB=2"));
}

#[test]
fn values_without_quotes() {
    assert_eq!(value("A=http://host/#top?x=1"), "http://host/#top?x=1");
    assert_eq!(value("A=b #c #d"), "b");
    assert_eq!(value("A=b\t# c"), "b");
    assert_eq!(value("A=#b"), "#b");
    assert_eq!(value("A= # b"), "");
    assert_eq!(value("A=b=c=="), "b=c==");
    assert_eq!(value("A=it's \"so\""), "it's \"so\"");
    assert_eq!(value("A=C:\\new\\table"), "C:\\new\\table");
    assert_eq!(value("A=django-insecure-$a5(b)^&*${"), "django-insecure-$a5(b)^&*${");
}

#[test]
fn values_in_quotes() {
    assert_eq!(value("A='a # b $B ${B} \\n'  # c"), "a # b $B ${B} \\n");
    assert_eq!(value("A='it\\'s'"), "it's");
    assert_eq!(value("A='C:\\dir\\'"), "C:\\dir\\");
    assert_eq!(value("A=''"), "");
    assert_eq!(value(r#"A="a\n\t\"b\" \\ \$B \x # c" # d"#), "a\n\t\"b\" \\ $B \\x # c");
    let key = "A=\"-----BEGIN\nabc=\n\n-----END\"\nB=1";
    assert_eq!(parse(key)[0].1, "-----BEGIN\nabc=\n\n-----END");
    assert_eq!(parse(key)[1].1, "1");
    assert_eq!(value("A='x\ny'"), "x\ny");
    assert_eq!(value("A=\"\u{e9}\\\u{e9}\""), "\u{e9}\\\u{e9}");
}

#[test]
fn variables_in_values() {
    let user = "USER=me\nEMPTY=\n";
    let cases = [
        ("${USER}:x", "me:x"),
        ("\"${USER}:$USER.$USER_\"", "me:me.$USER_"),
        ("$USER$USER", "meme"),
        ("$NONE-${NONE}-", "$NONE--"),
        ("${NONE:-a b}${EMPTY:-c}", "a bc"),
        ("${NONE-a}${EMPTY-c}", "a"),
        ("${USER:-a}", "me"),
        ("${USER:?a}${1}${}", "${USER:?a}${1}${}"),
        ("\\$USER", "$USER"),
        ("'$USER'", "$USER"),
        ("\"${USER\n}\"", "${USER\n}"),
        ("$", "$"),
    ];
    for (text, expected) in cases {
        assert_eq!(value(&format!("{user}A={text}")), expected, "{text}");
    }
    // What is referred to is not read again.
    assert_eq!(value("B='$C'\nC=1\nA=$B"), "$C");
    assert_eq!(value("A=1\nA=${A}2\n"), "12");
    let given = parse_given("A=1\nB=$A$C", &[("A", "given"), ("C", "3")]).unwrap();
    assert_eq!(given[0].1, "1");
    assert_eq!(given[1].1, "given3");
}

#[test]
fn what_is_wrong_is_named_without_the_value() {
    use LineProblem::{AfterQuote, Name, NoEquals, TooLong, Unclosed, Zero};
    let cases = [
        ("A=1\n=secret", 2, Name),
        ("1A=secret", 1, Name),
        ("A='x\ny'\n\n-----BEGIN", 4, Name),
        ("import os; secret", 1, NoEquals),
        ("A: secret", 1, NoEquals),
        ("A=1\nB='secret\n\n", 2, Unclosed),
        ("A=\"secret\\\"", 1, Unclosed),
        ("A=\"secret\\", 1, Unclosed),
        ("A=\"secret\" b", 1, AfterQuote),
        ("A='secret'b", 1, AfterQuote),
        ("A=sec\0ret", 1, Zero),
    ];
    for (text, at, what) in cases {
        let error = parse_given(text, &[]).unwrap_err();
        let DotEnvError::Line { line, problem, .. } = &error else { panic!("{error}") };
        assert_eq!((*line, *problem), (at, what), "{text:?}");
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    let long = format!("A={}\n", "x".repeat(MAX_VALUE));
    let doubled: String = std::iter::once("A0=xxxxxxxxxx\n".to_owned())
        .chain((0..60).map(|n| format!("A{}=$A{n}$A{n}\n", n + 1)))
        .collect();
    let many: String = (0..20).map(|n| format!("A{n}={}\n", "x".repeat(MAX_VALUE - 10))).collect();
    for text in [long, doubled, many] {
        let error = parse_given(&text, &[]).unwrap_err();
        assert!(matches!(error, DotEnvError::Line { problem: TooLong, .. }), "{error}");
    }
}

#[test]
fn the_file_beside_manage_py_wins() {
    let folder = tempfile::tempdir().unwrap();
    let manage_py = djship_store::TreePath::parse("app/manage.py").unwrap();
    let project = Project { folder: folder.path().to_owned(), manage_py };
    let given = BTreeMap::new();
    assert_eq!(DotEnv::of_project(&project, &given).unwrap(), DotEnv::default());
    // A virtual environment may have that name.
    fs_err::create_dir_all(folder.path().join("app/.env")).unwrap();
    fs_err::write(folder.path().join(".env"), "\u{feff}A=1\nB=2\n").unwrap();
    let found = DotEnv::of_project(&project, &given).unwrap();
    assert_eq!((found.files.len(), found.variables.len()), (1, 2));
    fs_err::remove_dir(folder.path().join("app/.env")).unwrap();
    fs_err::write(folder.path().join("app/.env"), "B=${A}3\n").unwrap();
    let found = DotEnv::of_project(&project, &given).unwrap();
    assert_eq!(found.files, [".env", "app/.env"]);
    assert_eq!(found.variables, parse("A=1\nB=13"));
    assert!(!format!("{found:?}").contains("13"));
    assert_eq!(read(&project, "app/.env", &given).unwrap().unwrap(), parse("B=3"));
    assert_eq!(read(&project, "app/none", &given).unwrap(), None);
    fs_err::write(folder.path().join(".env"), "A=1\n".repeat(1 << 19)).unwrap();
    let error = DotEnv::of_project(&project, &given).unwrap_err();
    assert!(matches!(error, DotEnvError::TooLarge { .. }), "{error}");
}

proptest::proptest! {
    /// No text, however strange, makes it fall, and every value can be given to a program.
    #[test]
    fn any_text_can_be_read(text in "[AB=#'\"\\\\${}:\\-n \n\r\u{e9}]{0,40}") {
        if let Ok(variables) = parse_given(&text, &[("A", "x")]) {
            for (name, value) in variables {
                proptest::prop_assert!(!name.is_empty() && !value.contains('\0'));
            }
        }
    }

    /// What is quoted is what is read.
    #[test]
    fn quoted_values_come_back(text in "[a-z #$'\"\\\\\n\u{e9}]{0,40}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        let read = value(&format!("A=\"{quoted}\" # end\n"));
        proptest::prop_assert_eq!(read, text);
    }
}
