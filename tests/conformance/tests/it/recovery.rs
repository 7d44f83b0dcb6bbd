//! What Docker cannot do: containers, their exit codes and their logs outlive the daemon, whatever ends it.

use shoal_tests_conformance::{Engine, IMAGE};
use std::time::Duration;

#[test]
fn sigkill_of_the_daemon_loses_no_container_exit_code_or_log_line() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let (keep, ends) = (e.name("keep"), e.name("ends"));
    e.ok(&[
        "run",
        "-d",
        "--name",
        &keep,
        IMAGE,
        "sh",
        "-c",
        "i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done",
    ]);
    e.ok(&[
        "run",
        "-d",
        "--name",
        &ends,
        IMAGE,
        "sh",
        "-c",
        "sleep 0.5; echo last words; exit 9",
    ]);
    let pid = e.ok(&["inspect", "-f", "{{.State.Pid}}", &keep]);
    e.host().unwrap().kill();
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "the container runs on"
    );
    e.host().unwrap().start();
    assert_eq!(
        e.ok(&["inspect", "-f", "{{.State.Pid}} {{.State.Status}}", &keep]),
        format!("{pid} running")
    );
    assert_eq!(
        e.ok(&["inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", &ends]),
        "9 exited"
    );
    assert_eq!(e.ok(&["logs", &ends]), "last words");
    let lines: Vec<u64> = e
        .ok(&["logs", &keep])
        .lines()
        .map(|l| l.parse().unwrap())
        .collect();
    assert!(
        lines.len() > 50,
        "it wrote on while no daemon was there: {}",
        lines.len()
    );
    assert!(
        lines.iter().enumerate().all(|(i, n)| *n == i as u64),
        "every line once, in order"
    );
    assert_eq!(e.ok(&["exec", &keep, "echo", "alive"]), "alive");
    e.ok(&["rm", "-f", &keep, &ends]);
}

#[test]
fn sigterm_stops_containers_only_without_live_restore() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let name = e.name("stay");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    let pid = e.ok(&["inspect", "-f", "{{.State.Pid}}", &name]);
    assert_eq!(e.host().unwrap().stop(), Some(0));
    assert!(
        std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "live-restore is the default"
    );
    e.host().unwrap().args = vec!["--live-restore=false".into(), "--shutdown-timeout=1".into()];
    e.host().unwrap().start();
    assert_eq!(e.host().unwrap().stop(), Some(0));
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "and false stops them"
    );
    e.host().unwrap().start();
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Status}}", &name]), "exited");
    e.ok(&["rm", &name]);
}

#[test]
fn unless_stopped_and_always_come_back_after_a_crash_of_the_host() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let (back, stopped, plain) = (e.name("back"), e.name("stopped"), e.name("plain"));
    e.ok(&[
        "run",
        "-d",
        "--restart",
        "always",
        "--name",
        &back,
        IMAGE,
        "sleep",
        "1000",
    ]);
    e.ok(&[
        "run",
        "-d",
        "--restart",
        "unless-stopped",
        "--name",
        &stopped,
        IMAGE,
        "sleep",
        "1000",
    ]);
    e.ok(&["run", "-d", "--name", &plain, IMAGE, "sleep", "1000"]);
    e.ok(&["stop", "-t", "0", &stopped]);
    e.host().unwrap().crash();
    e.host().unwrap().start();
    shoal_tests_harness::eventually("always is back", Duration::from_secs(5), || {
        (e.ok(&["inspect", "-f", "{{.State.Status}}", &back]) == "running").then_some(())
    });
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Status}}", &stopped]), "exited");
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Status}}", &plain]), "exited");
    e.ok(&["rm", "-f", &back, &stopped, &plain]);
}

#[test]
fn a_foreign_data_root_is_refused_untouched() {
    if std::env::var_os("SHOAL_CONFORMANCE_HOST").is_some() {
        return;
    }
    let mut world = shoal_tests_harness::World::new();
    for (name, content) in [
        ("format", "999\n"),
        ("containerd/daemon/x", ""),
        ("overlay2/l/x", ""),
    ] {
        let mut host = world.host();
        let path = host.data_root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        host.spawn();
        let code = shoal_tests_harness::eventually("it refuses", Duration::from_secs(10), || {
            (!host.log().is_empty() && host.processes().is_empty()).then(|| host.stop())
        });
        assert_eq!(code, Some(1), "{}", host.log());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        assert!(host.log().contains("untouched"), "{}", host.log());
    }
}
