//! Namespaces and networks of others: what can be shared, and what is said where it cannot.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};

/// A sleeping container.
fn sleeper(e: &Engine, what: &str, options: &[&str]) -> String {
    let name = e.name(what);
    let mut args = vec!["run", "-d", "--stop-signal", "KILL", "--name", &name];
    args.extend(options);
    args.extend([IMAGE, "sleep", "1000"]);
    e.ok(&args);
    name
}

/// Status and message of the start of a container with this configuration of its host.
fn start(e: &Engine, host: Value) -> (u16, String) {
    let body = json!({"Image": IMAGE, "Cmd": ["true"], "HostConfig": host});
    let made = e.api("POST", "/v1.51/containers/create", Some(&body));
    assert_eq!(made.status, 201, "{host}: {}", made.message());
    let id = made.json()["Id"].as_str().expect("an id").to_owned();
    let started = e.api("POST", &format!("/v1.51/containers/{id}/start"), None);
    let message = if started.status < 300 {
        String::new()
    } else {
        started.message()
    };
    let told = (started.status, message.replace(&id, "ID"));
    e.ok(&["rm", "-f", &id]);
    told
}

#[test]
fn only_what_is_shareable_is_shared() {
    let e = Engine::start();
    let private = sleeper(&e, "private", &[]);
    let none = sleeper(&e, "none", &["--ipc", "none"]);
    let shareable = sleeper(&e, "shareable", &["--ipc", "shareable"]);
    for name in [&private, &none] {
        let id = e.ok(&["inspect", "-f", "{{.Id}}", name]);
        let text = format!(
            "failed to join IPC namespace: container {id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        );
        assert_eq!(
            start(&e, json!({"IpcMode": format!("container:{name}")})),
            (400, text)
        );
    }
    let of = format!("container:{shareable}");
    assert_eq!(start(&e, json!({"IpcMode": of})).0, 204);
    e.ok(&["exec", &shareable, "sh", "-c", "echo seen >/dev/shm/file"]);
    assert_eq!(e.sh(&["--ipc", &of], "cat /dev/shm/file"), "seen");
    // Of its processes there is no such question.
    assert_eq!(
        start(&e, json!({"PidMode": format!("container:{private}")})).0,
        204
    );
    e.ok(&["rm", "-f", &private, &none, &shareable]);
}

#[test]
fn what_does_not_run_has_nothing_to_share() {
    let e = Engine::start();
    let name = e.name("stopped");
    let id = e.ok(&["create", "--name", &name, "--ipc", "shareable", IMAGE, "true"]);
    let of = format!("container:{name}");
    for (mode, statuses, text) in [
        // The reference has one status for one, and another for the other.
        (
            "PidMode",
            [409, 500],
            format!("failed to join PID namespace: container {id} is not running"),
        ),
        (
            "IpcMode",
            [409, 409],
            format!("failed to join IPC namespace: container {id} is not running"),
        ),
        (
            "NetworkMode",
            [409, 409],
            format!("cannot join network namespace of a non running container: container {name} is created"),
        ),
    ] {
        let (status, message) = start(&e, json!({mode: of}));
        assert!(statuses.contains(&status), "{mode}: {status}");
        assert_eq!(message, text, "{mode}");
    }
    e.ok(&["rm", &name]);
}

#[test]
fn a_network_may_come_between_create_and_start() {
    let e = Engine::start();
    let (name, network) = (e.name("late"), e.name("late-net"));
    e.ok(&["create", "--name", &name, "--network", &network, IMAGE, "true"]);
    let want = format!("failed to set up container networking: network {network} not found");
    let started = e.api("POST", &format!("/v1.51/containers/{name}/start"), None);
    assert_eq!((started.status, started.message()), (404, want.clone()));
    let state = "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}";
    assert_eq!(
        e.ok(&["inspect", "-f", state, &name]),
        format!("created 128 {want}")
    );
    e.ok(&["network", "create", &network]);
    e.ok(&["start", "-a", &name]);
    e.ok(&["rm", &name]);
    e.ok(&["network", "rm", &network]);
    // A client that is told "not found" by a create looks for the image.
    let (code, _, err) = e.code(&["run", "--rm", "--network", &network, IMAGE, "true"]);
    assert_eq!(code, 125, "{err}");
    assert!(
        err.contains(&want) && !err.contains("Unable to find image"),
        "{err}"
    );
}
