//! The examination of a host on which containers are known to run.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use support::{Kind, as_each_user};

#[test]
#[ignore = "needs root and user namespaces"]
fn a_working_host_has_nothing_that_blocks() {
    as_each_user(|place| {
        let findings: Vec<serde_json::Value> = place.ask(&["doctor"], serde_json::json!({}));
        let severity = |check: &str| {
            let finding = findings.iter().find(|finding| finding["check"] == check).expect(check);
            finding["severity"].as_str().unwrap().to_owned()
        };
        assert!(findings.iter().all(|finding| finding["severity"] != "blocking"), "{findings:#?}");
        assert_eq!(severity("container"), "good", "{findings:#?}");
        assert_eq!(severity("kernel"), "good");
        assert_eq!(severity("system-call-filter"), "good");
        let expected = if place.kind == Kind::Plain { "notice" } else { "good" };
        assert_eq!(severity("subordinate-ids"), expected, "{findings:#?}");
        assert_eq!(fs_err::read_dir(place.path("scratch")).unwrap().count(), 0, "nothing is left");
    });
}

#[test]
#[ignore = "needs root and user namespaces"]
fn a_partly_hidden_proc_is_explained() {
    as_each_user(|place| {
        if place.kind != Kind::Root {
            return;
        }
        // As other container engines hide parts of it, in a mount namespace of this command's own.
        let hide = "mount -t tmpfs none /proc/sys && exec \"$0\" doctor";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", hide]).arg(place.binary());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", place.wish(serde_json::json!({}))).unwrap();
        let output = child.wait_with_output().unwrap();
        let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let container = findings.iter().find(|finding| finding["check"] == "container").unwrap();
        assert_eq!(container["severity"], "blocking");
        assert!(container["why"].as_str().unwrap().contains("partly hidden"), "{container}");
    });
}
