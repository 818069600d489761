//! Programs in real containers under a supervisor that is a process of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod supervising;

use std::time::Duration;

use djship_django::supervisor::{LogReader, Phase, ProgramCondition, request_restart, request_stop};
use djship_testkit::{need, needs};
use serde_json::{Value, json};
use supervising::{Place, SOON, await_that};

/// Goes on until a signal is handled.
const WAIT: &str = "while :; do sleep 1000 & wait $!; done";
/// Minds no signal.
const DEAF: &str = "trap '' TERM INT HUP; echo deaf; while :; do sleep 1000 & wait $!; done";

/// A database that takes its time to end: until `/shared/written` is there.
fn database(place: &Place) -> Value {
    let end = "echo writing; until [ -e /shared/written ]; do sleep 0.01; done; echo written; exit 0";
    let mut postgres = place.program("postgres", "service", &format!("trap '{end}' INT; echo up; {WAIT}"));
    postgres["signal"] = json!(2);
    postgres["grace"] = json!(600_000);
    postgres
}

fn lines_of<'a>(all: &'a [Value], program: &str) -> Vec<&'a str> {
    all.iter()
        .filter(|value| value["program"] == program)
        .filter_map(|value| value["line"].as_str())
        .collect()
}

#[test]
#[ignore = "needs user namespaces"]
fn one_request_however_often_it_is_repeated_is_an_orderly_end() {
    need!(needs::user_namespaces());
    for requests in [&["press"][..], &["press", "press"], &["term", "press", "term"]] {
        let place = Place::new();
        let mut supervised =
            place.supervise(json!({"services": [database(&place)], "work": place.path("migrated")}));
        // All of them come while something else is done, and are heard after that.
        supervised.until_key("working");
        place.await_line("postgres", "up");
        for request in requests {
            supervised.signal(request);
        }
        fs_err::write(place.path("migrated"), "").unwrap();
        supervised.until_line("postgres", "writing");
        // So do these, as `djship down` sends them, and none of them hurries anything.
        supervised.signal("term");
        supervised.signal("term");
        request_stop(&place.environment()).unwrap();
        assert_eq!(place.await_state(|state| state.phase == Phase::Stopping).programs.len(), 1);
        fs_err::write(place.shared("written"), "").unwrap();
        let rest = supervised.rest();
        assert_eq!(lines_of(&rest, "postgres"), ["written"], "{requests:?}: {rest:?}");
    }
}

#[test]
#[ignore = "needs user namespaces"]
fn a_further_press_ends_what_is_left() {
    need!(needs::user_namespaces());
    let place = Place::new();
    let mut supervised = place.supervise(json!({"services": [database(&place)]}));
    supervised.until_key("settled");
    place.await_line("postgres", "up");
    supervised.signal("press");
    supervised.until_line("postgres", "writing");
    // Somebody loses patience; when, is up to them.
    loop {
        match supervised.next_within(Duration::from_millis(600)) {
            Ok(None) => break,
            Ok(Some(value)) => assert_ne!(value["line"], "written"),
            Err(_) => supervised.signal("press"),
        }
    }
    assert!(supervised.child.wait().unwrap().success());
    assert_eq!(place.environment().running().unwrap(), None);
}

#[test]
#[ignore = "needs user namespaces"]
fn the_end_comes_in_order_and_each_program_has_its_time() {
    need!(needs::user_namespaces());
    let place = Place::new();
    let says = |name: &str, role: &str| {
        let end = format!("echo {name} ends; sleep 0.1; echo {name} ended; exit 0");
        place.program(name, role, &format!("trap '{end}' TERM; echo up; {WAIT}"))
    };
    let mut deaf = place.program("deaf", "worker", DEAF);
    deaf["grace"] = json!(200);
    let services = [says("postgres", "service"), says("redis", "service")];
    let programs = [says("web", "web"), says("celery", "worker"), deaf];
    let mut supervised = place.supervise(json!({"services": services, "programs": programs}));
    supervised.until_key("settled");
    // Only what is ready to be asked can answer.
    for (name, text) in
        [("postgres", "up"), ("redis", "up"), ("web", "up"), ("celery", "up"), ("deaf", "deaf")]
    {
        place.await_line(name, text);
    }
    supervised.signal("press");
    let rest = supervised.rest();
    let at = |line: &str| {
        rest.iter().position(|value| value["line"] == line).unwrap_or_else(|| panic!("no {line}: {rest:#?}"))
    };
    assert!(at("celery ended") < at("web ends"));
    assert!(at("web ended") < at("postgres ends").min(at("redis ends")));
    at("postgres ended");
    at("redis ended");
}

#[test]
#[ignore = "needs user namespaces"]
fn a_program_that_takes_its_time_to_end_holds_up_nobody() {
    need!(needs::user_namespaces());
    let place = Place::new();
    let mut worker = place.program("worker", "worker", DEAF);
    worker["grace"] = json!(600_000);
    let crash = format!(
        "[ -e /shared/once ] || {{ until [ -e /shared/crash ]; do sleep 0.01; done; echo > /shared/once; exit 5; }}; echo again; {WAIT}"
    );
    let mut other = place.program("worker", "worker", "echo other; sleep 1000");
    other["grace"] = json!(600_000);
    let programs = [worker, place.program("web", "web", &crash)];
    let mut supervised = place.supervise(json!({"programs": programs, "other": other}));
    supervised.until_key("settled");
    place.await_line("worker", "deaf");
    request_restart(&place.environment(), "worker").unwrap();
    assert_eq!(supervised.until_event("restarting", "worker"), "Asked");
    let is_stopping = |state: &djship_django::supervisor::State| {
        state.program("worker").unwrap().condition == ProgramCondition::Stopping
    };
    place.await_state(is_stopping);
    // Everything else goes on.
    fs_err::write(place.shared("crash"), "").unwrap();
    assert_eq!(supervised.until_event("ended", "web"), 5);
    supervised.until_line("web", "again");
    // What takes its place waits for its end, and is already what others are told of.
    fs_err::write(place.path("project/replace.py"), "").unwrap();
    let replaced = supervised.until_key("replaced");
    assert_eq!(replaced["replaced"][2], "echo other; sleep 1000");
    let state = place.await_state(is_stopping);
    let container = state.program("worker").unwrap().container.as_ref().unwrap().pid;
    // Ended from outside: the new one comes.
    let pid = rustix::process::Pid::from_raw(container).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    supervised.until_line("worker", "other");
    assert_eq!(place.await_state(|state| !is_stopping(state)).program("worker").unwrap().restarts, 1);
    // One that is stopped is waited for, and gone then.
    fs_err::write(place.path("project/stop.py"), "").unwrap();
    assert_eq!(supervised.until_key("stopped")["stopped"], true);
    supervised.signal("press");
    supervised.rest();
}

#[test]
#[ignore = "needs user namespaces"]
fn the_end_is_heard_while_a_program_is_stopped() {
    need!(needs::user_namespaces());
    let place = Place::new();
    let mut worker = place.program("worker", "worker", DEAF);
    worker["grace"] = json!(2000);
    let mut supervised = place.supervise(json!({"programs": [worker.clone()], "other": worker}));
    supervised.until_key("settled");
    place.await_line("worker", "deaf");
    fs_err::write(place.path("project/stop.py"), "").unwrap();
    place.await_state(|state| state.programs.iter().any(|one| one.condition == ProgramCondition::Stopping));
    supervised.signal("press");
    supervised.until(|value| value["event"] == "stopping");
    supervised.rest();
}

#[test]
#[ignore = "needs user namespaces"]
fn a_terminal_that_stands_still_stops_no_program() {
    need!(needs::user_namespaces());
    let place = Place::new();
    let hold = place.path("hold");
    fs_err::write(&hold, "").unwrap();
    let script = format!("seq 1 50000; echo > /shared/printed; {WAIT}");
    let mut supervised =
        place.supervise(json!({"programs": [place.program("web", "web", &script)], "hold": hold}));
    await_that(|| place.shared("printed").exists());
    place.await_line("web", "50000");
    fs_err::remove_file(hold).unwrap();
    let left_out = supervised.until(|value| value["event"] == "left out")["detail"].as_u64().unwrap();
    assert!(left_out > 40_000, "{left_out}");
    supervised.until_line("web", "50000");
    supervised.signal("press");
    supervised.rest();
}

#[test]
#[ignore = "needs user namespaces"]
fn whoever_does_not_serve_any_more_is_said_to() {
    need!(needs::user_namespaces());
    let place = Place::new();
    let serving = place.shared("serving");
    fs_err::write(&serving, "").unwrap();
    let script =
        "while [ -e /shared/serving ]; do sleep 0.01; done; echo SyntaxError: invalid syntax; sleep 1000";
    let mut web = place.program("web", "web", script);
    web["serving"] = json!(serving);
    let mut supervised = place.supervise(json!({"programs": [web]}));
    supervised.until_key("settled");
    fs_err::remove_file(&serving).unwrap();
    let condition = |wanted: ProgramCondition| {
        place.await_state(|state| state.program("web").unwrap().condition == wanted)
    };
    // At the next look in the state; on the terminal when it lasts.
    condition(ProgramCondition::NotServing);
    supervised.until_event("not serving", "web");
    let state = place.await_state(|state| !state.program("web").unwrap().output.is_empty());
    assert_eq!(state.program("web").unwrap().output, ["SyntaxError: invalid syntax"]);
    // It mends itself.
    fs_err::write(&serving, "").unwrap();
    supervised.until_event("ready", "web");
    let state = condition(ProgramCondition::Ready);
    assert!(state.program("web").unwrap().output.is_empty() && state.program("web").unwrap().restarts == 0);
    // Or does not notice what mends it.
    fs_err::remove_file(&serving).unwrap();
    condition(ProgramCondition::NotServing);
    fs_err::write(place.path("project/views.py"), "").unwrap();
    assert_eq!(supervised.until_event("restarting", "web"), "Code");
    fs_err::write(&serving, "").unwrap();
    condition(ProgramCondition::Ready);
    supervised.signal("press");
    supervised.rest();
}

#[test]
#[ignore = "needs user namespaces"]
fn what_does_not_start_is_named_with_its_last_words_and_the_others_end_in_order() {
    need!(needs::user_namespaces());
    let place = Place::new();
    fs_err::write(place.shared("written"), "").unwrap();
    let script = "sleep 0.3; seq 1 40; echo FATAL: no room >&2; exit 4";
    let mut failing = place.program("redis", "service", script);
    failing["ready"] = json!(place.shared("never"));
    let mut supervised = place.supervise(json!({"services": [database(&place), failing]}));
    // The reason comes last.
    supervised.until_line("postgres", "written");
    let failed = supervised.until_key("failed");
    assert_eq!(failed["failed"], "redis");
    let output = failed["output"].as_array().unwrap();
    assert!(output.contains(&json!("40")) && output.contains(&json!("FATAL: no room")), "{output:?}");
    let all = LogReader::open(&place.environment().logs(), ["postgres"]).unwrap().last(None).unwrap();
    assert_eq!(all.last().unwrap().text, "written");
    assert!(supervised.next_within(SOON).is_ok());
}
