use std::sync::mpsc;

use super::super::environment::Environments;
use super::*;

#[test]
fn requests_are_answered_and_nonsense_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("x".repeat(100));
    fs_err::create_dir(&project).unwrap();
    let environment = Environments::at(&home.path().join("h".repeat(100))).open(&project).unwrap();
    fs_err::create_dir_all(environment.folder()).unwrap();
    assert!(matches!(request_stop(&environment), Err(ControlError::Io(_))));
    let (sender, messages) = mpsc::channel();
    let terminals = Terminals::default();
    let listening =
        serve(environment.folder(), terminals.clone(), Users::new(sender.clone()), sender).unwrap();
    request_restart(&environment, "web").unwrap();
    assert!(matches!(messages.recv().unwrap(), Message::Restart(name) if name == "web"));
    request_stop(&environment).unwrap();
    assert!(matches!(messages.recv().unwrap(), Message::Stop));
    let refused = attach(&environment, "web", 24, 80).unwrap_err();
    assert!(matches!(refused, ControlError::NoTerminal { program } if program == "web"));
    for nonsense in ["\n", "{}\n", "{\"request\": \"burn\"}\n", &format!("{}\n", "x".repeat(10_000))] {
        let (_handle, path) = reach(environment.folder()).unwrap();
        let mut stream = UnixStream::connect(path).unwrap();
        // It may be refused before all of it is read.
        let _ = stream.write_all(nonsense.as_bytes());
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.is_empty() || text.contains("malformed"), "{text}");
    }
    drop(listening);
}

#[test]
fn keys_and_output_pass_and_a_restart_is_survived() {
    let home = tempfile::tempdir().unwrap();
    let environment = Environments::at(home.path()).open(home.path()).unwrap();
    fs_err::create_dir_all(environment.folder()).unwrap();
    let terminals = Terminals::default();
    let (sender, _messages) = mpsc::channel();
    let _listening =
        serve(environment.folder(), terminals.clone(), Users::new(sender.clone()), sender).unwrap();
    let (end, program) = UnixStream::pair().unwrap();
    let terminal = terminals.open("web", end.into());
    let attached = attach(&environment, "web", 24, 80).unwrap();
    attached.keys(b"p 1\r").unwrap();
    let mut typed = [0; 4];
    (&program).read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"p 1\r");
    terminal.show(b"1\r\n");
    let mut shown = [0; 3];
    attached.output().read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"1\r\n");
    let (end, program) = UnixStream::pair().unwrap();
    let again = terminals.open("web", end.into());
    attached.keys(b"c\r").unwrap();
    let mut typed = [0; 2];
    (&program).read_exact(&mut typed).unwrap();
    again.show(b"ok\n");
    attached.output().read_exact(&mut shown).unwrap();
    assert_eq!((&typed, &shown), (b"c\r", b"ok\n"));
    terminals.close("web");
}

#[test]
fn a_lease_keeps_and_the_last_one_ends() {
    let home = tempfile::tempdir().unwrap();
    let environment = Environments::at(home.path()).open(home.path()).unwrap();
    fs_err::create_dir_all(environment.folder()).unwrap();
    let (sender, messages) = mpsc::channel();
    let users = Users::new(sender.clone());
    let (reader, writer) = io::pipe().unwrap();
    users.end_with_the_last(reader);
    let _listening = serve(environment.folder(), Terminals::default(), users, sender).unwrap();
    let one = Lease::of(&environment).unwrap();
    let killed = Lease::of(&environment).unwrap();
    drop(writer);
    // One that just goes away is noticed.
    drop(killed);
    let two = Lease::of(&environment).unwrap();
    assert!(!one.leave().unwrap());
    assert!(messages.try_recv().is_err());
    while !Lease::of(&environment).unwrap().leave().is_ok_and(|last| !last) {}
    drop(two);
    assert!(matches!(messages.recv().unwrap(), Message::Stop));
    assert!(matches!(Lease::of(&environment), Err(ControlError::Ending)));
}
