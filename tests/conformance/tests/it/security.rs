//! What a container may reach by default: Docker's facts, one assertion a line, for `run` and `exec` alike.
//! `tests/cluster` asserts the same for service tasks.

use crate::security_facts::{PROBE, check};
use shoal_tests_conformance::{Engine, IMAGE};

#[test]
fn facts_hold_for_run() {
    let e = Engine::start();
    check(&e.sh(&[], PROBE), "run");
}

#[test]
fn facts_hold_for_exec() {
    let e = Engine::start();
    let name = e.name("probe");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    check(&e.ok(&["exec", &name, "sh", "-c", PROBE]), "exec");
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn a_user_has_no_capabilities_and_options_tighten() {
    let e = Engine::start();
    let read = "grep -E 'Cap(Eff|Prm|Bnd)' /proc/self/status | cut -f2 | tr '\\n' ' '";
    assert_eq!(
        e.sh(&["-u", "app"], read),
        "0000000000000000 0000000000000000 00000000a80425fb"
    );
    let name = e.name("user");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    assert_eq!(
        e.ok(&["exec", "-u", "app", &name, "sh", "-c", read]),
        "0000000000000000 0000000000000000 00000000a80425fb"
    );
    e.ok(&["rm", "-f", &name]);
    assert_eq!(
        e.sh(
            &["--security-opt", "no-new-privileges"],
            "grep NoNewPrivs /proc/self/status | cut -f2"
        ),
        "1"
    );
    assert_eq!(
        e.sh(
            &["--security-opt", "seccomp=unconfined"],
            "grep '^Seccomp:' /proc/self/status | cut -f2"
        ),
        "0"
    );
}
