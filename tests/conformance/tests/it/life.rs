//! A container's life through the stock CLI.

use shoal_tests_conformance::{Engine, IMAGE};

#[test]
fn run_prints_and_returns_the_exit_code() {
    let e = Engine::start();
    assert_eq!(e.sh(&[], "echo hello; echo there >&2"), "hello");
    let (code, out, err) = e.code(&["run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((code, out.as_str(), err.as_str()), (7, "out", "err"));
}

#[test]
fn exit_codes_125_126_127() {
    let e = Engine::start();
    let (code, _, err) = e.code(&["run", "--rm", IMAGE, "no-such-program"]);
    assert_eq!(code, 127, "{err}");
    assert!(
        err.contains("exec: \"no-such-program\": executable file not found in $PATH"),
        "{err}"
    );
    let (code, _, err) = e.code(&["run", "--rm", IMAGE, "/etc/passwd"]);
    assert_eq!(code, 126, "{err}");
    assert!(err.contains("permission denied"), "{err}");
    // Which code a client makes of this depends on its age.
    let (code, _, err) = e.code(&["run", "--rm", IMAGE, "/www"]);
    assert!(code == 126 || code == 125, "{err}");
    assert!(
        err.contains("permission denied") || err.contains("is a directory"),
        "{err}"
    );
    let (code, _, err) = e.code(&["run", "--rm", "--pull", "never", "no-such-image:here", "true"]);
    assert_eq!(code, 125, "{err}");
    assert!(err.contains("No such image: no-such-image:here"), "{err}");
}

#[test]
fn create_start_stop_rm_and_what_ps_says() {
    let e = Engine::start();
    let name = e.name("life");
    let id = e.ok(&[
        "create", "--name", &name, "--label", "a=b", IMAGE, "sleep", "1000",
    ]);
    assert_eq!(id.len(), 64);
    let ps = |all: bool| {
        let mut args = vec![
            "ps",
            "--format",
            "{{.Names}} {{.State}} {{.Status}} {{.Command}}",
            "--filter",
            "label=a=b",
        ];
        let filter = format!("name={name}");
        args.extend(["--filter", filter.as_str()]);
        if all {
            args.push("-a");
        }
        e.ok(&args)
    };
    assert_eq!(ps(true), format!("{name} created Created \"sleep 1000\""));
    assert_eq!(ps(false), "");
    e.ok(&["start", &name]);
    assert!(
        ps(false).starts_with(&format!("{name} running Up ")),
        "{}",
        ps(false)
    );
    let pid: i32 = e.ok(&["inspect", "-f", "{{.State.Pid}}", &name]).parse().unwrap();
    assert!(pid > 0);
    e.ok(&["stop", "-t", "1", &name]);
    assert!(
        ps(true).starts_with(&format!("{name} exited Exited (137) ")),
        "{}",
        ps(true)
    );
    e.ok(&["start", &id[..12]]);
    e.ok(&["rm", "-f", &name]);
    assert_eq!(ps(true), "");
    let (code, _, err) = e.code(&["rm", &name]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("No such container: {name}")), "{err}");
}

#[test]
fn stop_lets_a_process_heed_its_signal() {
    let e = Engine::start();
    let name = e.name("heed");
    let script = "trap 'exit 3' TERM; trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done";
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sh", "-c", script]);
    while !e.ok(&["logs", &name]).contains("ready") {}
    e.ok(&["stop", &name]);
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.ExitCode}}", &name]), "3");
    e.ok(&["start", &name]);
    while e.ok(&["logs", &name]).matches("ready").count() < 2 {}
    e.ok(&["kill", "-s", "USR1", &name]);
    assert_eq!(e.ok(&["wait", &name]), "4");
    e.ok(&["rm", &name]);
}

#[test]
fn kill_restart_and_wait() {
    let e = Engine::start();
    let name = e.name("kill");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    let started = e.ok(&["inspect", "-f", "{{.State.StartedAt}}", &name]);
    e.ok(&["restart", "-t", "0", &name]);
    assert_ne!(e.ok(&["inspect", "-f", "{{.State.StartedAt}}", &name]), started);
    e.ok(&["kill", &name]);
    assert_eq!(e.ok(&["wait", &name]), "137");
    let (_, _, err) = e.code(&["kill", &name]);
    assert!(err.contains("is not running"), "{err}");
    e.ok(&["rm", &name]);
}

#[test]
fn rename_top_and_pause_free_listing() {
    let e = Engine::start();
    let (one, two) = (e.name("one"), e.name("two"));
    e.ok(&["run", "-d", "--name", &one, IMAGE, "sleep", "1000"]);
    e.ok(&["rename", &one, &two]);
    let top = e.ok(&["top", &two]);
    assert!(top.contains("PID") && top.contains("sleep 1000"), "{top}");
    let (_, _, err) = e.code(&["create", "--name", &two, IMAGE]);
    assert!(
        err.contains(&format!(
            "Conflict. The container name \"/{two}\" is already in use by container \""
        )),
        "{err}"
    );
    assert!(
        err.contains("You have to remove (or rename) that container to be able to reuse that name."),
        "{err}"
    );
    let three = e.name("three");
    e.ok(&["create", "--name", &three, IMAGE]);
    let (_, _, err) = e.code(&["rename", &three, &two]);
    assert!(
        err.contains(&format!(
            "Error when allocating new name: Conflict. The container name \"/{two}\" is already in use by container \""
        )),
        "{err}"
    );
    e.ok(&["rm", "-f", &two, &three]);
}

#[test]
fn who_is_not_looked_at_is_not_healthy() {
    let e = Engine::start();
    let name = e.name("health");
    let check = ["--health-cmd", "true", "--health-interval", "200ms"];
    let mut args = vec!["run", "-d", "--stop-signal", "KILL", "--name", &*name];
    args.extend(check);
    args.extend([IMAGE, "sleep", "1000"]);
    e.ok(&args);
    let health = || {
        let shown = "{{.State.Health.Status}} {{.State.Health.FailingStreak}} {{len .State.Health.Log}}";
        e.ok(&["inspect", "-f", shown, &name])
    };
    let until = |want: &str| {
        let begun = std::time::Instant::now();
        while !health().starts_with(want) {
            assert!(begun.elapsed().as_secs() < 20, "{want}: {}", health());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    until("healthy 0 5");
    e.ok(&["pause", &name]);
    assert_eq!(health(), "unhealthy 0 5");
    e.ok(&["unpause", &name]);
    until("healthy 0");
    e.ok(&["stop", &name]);
    assert_eq!(health(), "unhealthy 0 5");
    let found = |filter: &str| {
        e.ok(&[
            "ps",
            "-aq",
            "--filter",
            &format!("name={name}"),
            "--filter",
            filter,
        ])
    };
    assert_eq!(found("health=healthy"), "");
    assert_ne!(found("health=unhealthy"), "");
    e.ok(&["start", &name]);
    // What was seen in the last run is still there.
    assert_eq!(health(), "starting 0 5");
    until("healthy 0");
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn a_running_container_is_not_removed_without_force() {
    let e = Engine::start();
    let name = e.name("running");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    let (code, _, err) = e.code(&["rm", &name]);
    assert_eq!(code, 1);
    assert!(
        err.contains("container is running: stop the container before removing or force remove"),
        "{err}"
    );
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn auto_remove_leaves_nothing() {
    let e = Engine::start();
    let name = e.name("gone");
    e.ok(&["run", "--rm", "--name", &name, IMAGE, "true"]);
    shoal_tests_harness::eventually(
        "the container is removed",
        std::time::Duration::from_secs(5),
        || (!e.docker(&["inspect", &name]).status.success()).then_some(()),
    );
}

#[test]
fn restart_policies() {
    let e = Engine::start();
    let name = e.name("again");
    e.ok(&[
        "run",
        "-d",
        "--restart",
        "on-failure:2",
        "--name",
        &name,
        IMAGE,
        "sh",
        "-c",
        "echo run; exit 1",
    ]);
    shoal_tests_harness::eventually(
        "two restarts, then the end",
        std::time::Duration::from_secs(10),
        || {
            let state = e.ok(&[
                "inspect",
                "-f",
                "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}",
                &name,
            ]);
            (state == "2 exited 1").then_some(())
        },
    );
    assert_eq!(e.ok(&["logs", &name]).lines().count(), 3);
    e.ok(&["rm", &name]);
    let always = e.name("always");
    e.ok(&[
        "run",
        "-d",
        "--restart",
        "always",
        "--name",
        &always,
        IMAGE,
        "sh",
        "-c",
        "sleep 0.2",
    ]);
    shoal_tests_harness::eventually("it is restarted", std::time::Duration::from_secs(10), || {
        (e.ok(&["inspect", "-f", "{{.RestartCount}}", &always])
            .parse::<u32>()
            .unwrap()
            > 1)
        .then_some(())
    });
    e.ok(&["stop", "-t", "1", &always]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Status}}", &always]), "exited");
    e.ok(&["rm", &always]);
}

#[test]
fn events_of_a_short_life() {
    let e = Engine::start();
    let name = e.name("seen");
    let since = e.ok(&["run", "--rm", IMAGE, "date", "+%s"]);
    e.ok(&["run", "--name", &name, IMAGE, "true"]);
    e.ok(&["rm", &name]);
    let until = (since.parse::<u64>().unwrap() + 2).to_string();
    let filter = format!("container={name}");
    let log = e.ok(&[
        "events",
        "--since",
        &since,
        "--until",
        &until,
        "--filter",
        &filter,
        "--format",
        "{{.Action}}",
    ]);
    let actions: Vec<&str> = log.lines().collect();
    let expected = ["create", "attach", "start", "die", "destroy"];
    let mut at = 0;
    for action in &actions {
        if at < expected.len() && *action == expected[at] {
            at += 1;
        }
    }
    assert_eq!(at, expected.len(), "{actions:?}");
}

#[test]
fn a_stop_right_after_the_start_is_heard() {
    let e = Engine::start();
    let name = e.name("early");
    // Docker's own signal is lost when the process is not ready for it; then it waits its ten seconds out.
    let late = if e.is_reference() { "" } else { "sleep 0.2; " };
    let script = format!("{late}trap 'exit 7' TERM; while :; do sleep 0.1; done");
    e.ok(&["create", "--name", &name, IMAGE, "sh", "-c", &script]);
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let post = |what: &str| {
            e.api("POST", &format!("/v1.44/containers/{name}/{what}"), None)
                .status
        };
        assert_eq!((post("start"), post("stop")), (204, 204));
        assert!(
            start.elapsed() < std::time::Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(e.ok(&["inspect", "-f", "{{.State.ExitCode}}", &name]), "7");
    }
    e.ok(&["rm", &name]);
}
