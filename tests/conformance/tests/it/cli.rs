//! `shoal` prints what `docker` prints, over the same daemon.

use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{binary, run};
use std::process::{Command, Stdio};

fn shoal(e: &Engine, args: &[&str]) -> (i32, String, String) {
    let mut command = e.command_of(binary("shoal").to_str().expect("a path"));
    let out = run(command.args(["-H", e.url()]).args(args));
    let text = |b: &[u8]| String::from_utf8_lossy(b).trim_end().to_owned();
    (
        out.status.code().unwrap_or(-1),
        text(&out.stdout),
        text(&out.stderr),
    )
}

/// Numbers of seconds differ between two calls.
fn steady(text: &str) -> String {
    let line = |line: &str| {
        let words = line.split_whitespace().filter(|word| {
            word.parse::<u32>().is_err()
                && !["Less", "than", "a", "About", "second", "seconds"].contains(word)
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn disk_usage_and_plugins_as_docker_shows_them() {
    let e = Engine::start();
    let (name, volume) = (e.name("df"), e.name("df-volume"));
    e.ok(&["tag", IMAGE, "other:1"]);
    let data = format!("{volume}:/data");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "-v",
        &data,
        IMAGE,
        "sh",
        "-c",
        "echo x >/x; exec sleep 1000",
    ]);
    for args in [
        vec!["system", "df"],
        vec!["system", "df", "-v"],
        vec![
            "system",
            "df",
            "--format",
            "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}",
        ],
        vec![
            "system",
            "df",
            "-v",
            "--format",
            "{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}};{{end}}{{range .Images}}{{.ID}} {{.UniqueSize}};{{end}}",
        ],
        vec!["plugin", "ls"],
        vec!["plugin", "ls", "-q"],
    ] {
        let (code, out, err) = e.code(&args);
        let ours = shoal(&e, &args);
        // The reference lists volumes in another order each time.
        let lines = |text: &str| {
            let mut lines: Vec<String> = steady(text).split(['\n', ';']).map(str::to_owned).collect();
            if e.is_reference() {
                lines.sort();
            }
            lines
        };
        assert_eq!(
            (ours.0, lines(&ours.1), ours.2),
            (code, lines(&out), err),
            "{args:?}"
        );
    }
    // What is not here yet, and what is off unless asked for.
    let refused = [
        (vec!["plugin", "rm", "nope"], "plugin \"nope\" not found"),
        (vec!["plugin", "inspect", "nope"], "plugin \"nope\" not found"),
        (vec!["plugin", "install", "nope"], "plugins"),
        (
            vec!["checkpoint", "create", &*name, "one"],
            "This experimental feature is disabled by default.",
        ),
        (
            vec!["checkpoint", "ls", &*name],
            "This experimental feature is disabled by default.",
        ),
    ];
    for (args, text) in refused.into_iter().filter(|_| !e.is_reference()) {
        let (code, _, err) = shoal(&e, &args);
        assert!(code == 1 && err.contains(text), "{args:?}: {code} {err}");
    }
    e.ok(&["rm", "-f", &name]);
    e.ok(&["volume", "rm", &volume]);
    e.ok(&["rmi", "other:1"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_reason_to_panic() {
    let e = Engine::start();
    let mut command: Command = e.command_of(binary("shoal").to_str().expect("a path"));
    let command = command.args(["-H", e.url(), "info"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("shoal starts");
    drop(child.stdout.take());
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
}
