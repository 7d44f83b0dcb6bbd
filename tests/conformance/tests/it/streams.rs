//! Logs, attach and interactive runs.

use shoal_tests_conformance::{Engine, IMAGE};
use std::io::Write;
use std::process::Stdio;

#[test]
fn logs_with_their_options() {
    let e = Engine::start();
    let name = e.name("logs");
    e.code(&[
        "run",
        "--name",
        &name,
        IMAGE,
        "sh",
        "-c",
        "for i in 1 2 3 4 5; do echo out $i; done; echo err >&2",
    ]);
    let (_, out, err) = e.code(&["logs", &name]);
    assert_eq!((out.lines().count(), err.as_str()), (5, "err"));
    let (_, out, err) = e.code(&["logs", "--tail", "2", &name]);
    assert_eq!(out.lines().count() + err.lines().count(), 2);
    let stamped = e.ok(&["logs", "-t", "--tail", "1", &name]) + &e.code(&["logs", "-t", &name]).1;
    assert!(stamped.contains("T") && stamped.contains("Z out 1"), "{stamped}");
    assert_eq!(e.code(&["logs", "--since", "2100-01-01T00:00:00", &name]).1, "");
    e.ok(&["rm", &name]);
}

#[test]
fn logs_follow_until_the_end() {
    let e = Engine::start();
    let name = e.name("follow");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        IMAGE,
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done",
    ]);
    assert_eq!(
        e.ok(&["logs", "-f", &name]).lines().collect::<Vec<_>>(),
        ["1", "2", "3", "4", "5", "6"]
    );
    e.ok(&["rm", &name]);
}

#[test]
fn standard_input_reaches_the_process_and_its_end_too() {
    let e = Engine::start();
    let mut child = e
        .command(&["run", "--rm", "-i", IMAGE, "wc", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&vec![b'x'; 3_000_000]));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "3000000");
}

#[test]
fn much_output_arrives_whole() {
    let e = Engine::start();
    let out = e.docker(&[
        "run",
        "--rm",
        IMAGE,
        "sh",
        "-c",
        "head -c 20000000 /dev/zero | tr '\\0' x",
    ]);
    assert_eq!(out.stdout.len(), 20_000_000);
}

#[test]
fn attach_to_a_running_container() {
    let e = Engine::start();
    let name = e.name("attach");
    e.ok(&[
        "run",
        "-di",
        "--name",
        &name,
        IMAGE,
        "sh",
        "-c",
        "read x; echo got $x; sleep 0.3; exit 4",
    ]);
    let mut child = e
        .command(&["attach", &name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept open: the CLI leaves when its own input ends.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"this\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "got this\n");
    assert_eq!(out.status.code(), Some(4));
    e.ok(&["rm", &name]);
}

#[test]
fn a_terminal_for_run() {
    let e = Engine::start();
    let command = format!(
        "{} -H {} run --rm -it {IMAGE} sh -c 'tty; echo $TERM; test -t 1 && echo terminal'",
        shoal_tests_harness::docker(),
        e.url()
    );
    let out = shoal_tests_harness::run_ok(std::process::Command::new("script").args([
        "-qec",
        &command,
        "/dev/null",
    ]));
    assert!(
        out.contains("/dev/") && out.contains("xterm") && out.contains("terminal"),
        "{out}"
    );
}
