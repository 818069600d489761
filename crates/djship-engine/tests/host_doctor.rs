//! The examination of a host on which containers are known to run.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use support::as_each_user;

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
        let expected = if place.kind == support::Kind::Plain { "notice" } else { "good" };
        assert_eq!(severity("subordinate-ids"), expected, "{findings:#?}");
        assert_eq!(fs_err::read_dir(place.path("scratch")).unwrap().count(), 0, "nothing is left");
    });
}
