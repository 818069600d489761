//! The testkit's own needs of the machine: other users, and a way to Debian's packages.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use djship_testkit::http::Request;
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{TempProject, User, need, needs, user};

fn says(user: &User, line: &str) -> String {
    let output = user.command("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs root and the users of `cargo xtask setup`"]
fn commands_run_as_ordinary_users() {
    for name in [user::WITH_SUBORDINATE_IDS, user::WITHOUT_SUBORDINATE_IDS] {
        let user = need!(needs::user(name));
        assert_eq!(
            says(&user, "id -un; id -u; echo $HOME").lines().collect::<Vec<_>>(),
            [name, &user.uid.to_string(), user.home.to_str().unwrap(),]
        );
        // Nothing of root's comes along: no group, no capability.
        assert_eq!(says(&user, "id -G"), user.gid.to_string());
        assert_eq!(says(&user, "grep CapEff /proc/self/status | cut -f2"), "0000000000000000");
        let ranges = fs_err::read_to_string("/etc/subuid").unwrap();
        let has_range = ranges.lines().any(|line| line.starts_with(&format!("{name}:")));
        assert_eq!(has_range, name == user::WITH_SUBORDINATE_IDS);
        let project = TempProject::of(&[("deep/file", "text")]).unwrap().owned_by(&user).unwrap();
        assert_eq!(
            says(&user, &format!("cat {0}/deep/file; rm -r {0}/deep", project.path().display())),
            "text"
        );
    }
}

#[test]
#[ignore = "needs the network"]
fn the_loopback_mirror_serves_debian() {
    let mirror = DebianMirror::start().unwrap();
    for (base, suite) in [(mirror.main(), "trixie"), (mirror.security(), "trixie-security")] {
        let response = Request::get(&format!("{base}/dists/{suite}/InRelease")).send().unwrap();
        assert_eq!(response.status, 200);
        assert!(response.text().contains(&format!("\nCodename: {suite}\n")), "{}", response.text());
    }
    let response = Request::get(&format!("{}/dists/no-such-suite/InRelease", mirror.main())).send().unwrap();
    assert_eq!(response.status, 404);
}
