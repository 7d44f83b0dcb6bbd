//! `docker exec`.

use shoal_tests_conformance::{Engine, IMAGE};

fn sleeper(e: &Engine, options: &[&str]) -> String {
    let name = e.name("exec");
    let mut args = vec!["run", "-d", "--name", &name];
    args.extend(options);
    args.extend([IMAGE, "sleep", "1000"]);
    e.ok(&args);
    name
}

#[test]
fn output_input_and_exit_code() {
    let e = Engine::start();
    let name = sleeper(&e, &[]);
    let (code, out, err) = e.code(&["exec", &name, "sh", "-c", "echo o; echo e >&2; exit 5"]);
    assert_eq!((code, out.as_str(), err.as_str()), (5, "o", "e"));
    let mut child = e
        .command(&["exec", "-i", &name, "sh", "-c", "cat; echo done"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"typed\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "typed\ndone\n");
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn environment_directory_user_and_missing_program() {
    let e = Engine::start();
    let name = sleeper(&e, &["-e", "A=1"]);
    assert_eq!(
        e.ok(&[
            "exec",
            "-e",
            "B=2",
            "-w",
            "/www",
            &name,
            "sh",
            "-c",
            "echo $A$B $(pwd)"
        ]),
        "12 /www"
    );
    assert_eq!(
        e.ok(&["exec", "-u", "app", &name, "id"]),
        "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"
    );
    let (code, out, err) = e.code(&["exec", &name, "no-such"]);
    assert_eq!(code, 127, "{out}{err}");
    assert!(
        format!("{out}{err}").contains("executable file not found in $PATH"),
        "{out}{err}"
    );
    e.ok(&["stop", "-t", "0", &name]);
    let (code, _, err) = e.code(&["exec", &name, "true"]);
    assert_eq!(code, 1);
    assert!(err.contains("is not running"), "{err}");
    e.ok(&["rm", &name]);
}

#[test]
fn a_detached_exec_runs_on_and_many_run_at_once() {
    let e = Engine::start();
    let name = sleeper(&e, &[]);
    e.ok(&["exec", "-d", &name, "sh", "-c", "sleep 0.2; echo yes > /tmp/done"]);
    let children: Vec<_> = (0..8)
        .map(|i| {
            e.command(&["exec", &name, "echo", &i.to_string()])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (i, child) in children.into_iter().enumerate() {
        assert_eq!(
            String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).trim(),
            i.to_string()
        );
    }
    shoal_tests_harness::eventually(
        "the detached one wrote",
        std::time::Duration::from_secs(5),
        || {
            e.docker(&["exec", &name, "test", "-s", "/tmp/done"])
                .status
                .success()
                .then_some(())
        },
    );
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn a_terminal_where_asked_for() {
    let e = Engine::start();
    let name = sleeper(&e, &[]);
    // `script` gives the CLI a terminal of its own.
    let command = format!(
        "{} -H {} exec -it {name} sh -c 'tty; stty size'",
        shoal_tests_harness::docker(),
        e.url()
    );
    let out = shoal_tests_harness::run_ok(std::process::Command::new("script").args([
        "-qec",
        &command,
        "/dev/null",
    ]));
    assert!(out.contains("/dev/pts/"), "{out}");
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn a_user_that_there_is_not_is_told_when_the_exec_is_made() {
    let e = Engine::start();
    let name = e.name("nobody");
    e.ok(&[
        "run",
        "-d",
        "--stop-signal",
        "KILL",
        "--name",
        &name,
        IMAGE,
        "sleep",
        "1000",
    ]);
    for (user, text) in [
        (
            "nobodyx",
            "unable to find user nobodyx: no matching entries in passwd file",
        ),
        (
            "5:nogroup",
            "unable to find group nogroup: no matching entries in group file",
        ),
        (
            ":nogroup",
            "unable to find group nogroup: no matching entries in group file",
        ),
        ("99999999999", "uids and gids must be in range 0-2147483647"),
    ] {
        let body = serde_json::json!({"Cmd": ["true"], "User": user});
        let answer = e.api("POST", &format!("/v1.51/containers/{name}/exec"), Some(&body));
        assert_eq!(
            (answer.status, answer.message()),
            (400, text.to_owned()),
            "{user}"
        );
        let (code, out, err) = e.code(&["exec", "-u", user, &name, "true"]);
        assert_eq!((code, out.as_str()), (1, ""), "{user}");
        assert_eq!(err, format!("Error response from daemon: {text}"));
    }
    assert_eq!(e.ok(&["inspect", "-f", "{{.ExecIDs}}", &name]), "[]");
    for (user, ids) in [
        ("12345", "12345 0"),
        ("app", "1000 1000"),
        ("7:extra", "7 2000"),
        (":9", "0 9"),
    ] {
        assert_eq!(
            e.ok(&["exec", "-u", user, &name, "sh", "-c", "echo $(id -u) $(id -g)"]),
            ids,
            "{user}"
        );
    }
    e.ok(&["rm", "-f", &name]);
}
