//! `docker logs`, log drivers and their options.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::run_ok;

/// Creates a container with this log configuration; status and message or id.
fn create(e: &Engine, kind: &str, options: Value, command: &str) -> (u16, String) {
    let body = json!({
        "Image": IMAGE,
        "Cmd": ["sh", "-c", command],
        "Labels": {"colour": "red", "shape.x": "a b", "other": "no"},
        "Env": ["HUE=blue", "SHADE=dark"],
        "HostConfig": {"LogConfig": {"Type": kind, "Config": options}},
    });
    let answer = e.api("POST", "/v1.44/containers/create", Some(&body));
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let text = json["Id"]
        .as_str()
        .or(json["message"].as_str())
        .unwrap_or("")
        .to_owned();
    (answer.status, text)
}

/// The same, run to its end.
fn ran(e: &Engine, kind: &str, options: Value, command: &str) -> String {
    let (status, id) = create(e, kind, options, command);
    assert_eq!(status, 201, "{id}");
    e.ok(&["start", &id]);
    e.ok(&["wait", &id]);
    id
}

/// The payload of Docker's frames, by stream.
fn unframed(mut bytes: &[u8]) -> (String, String) {
    let mut out = [Vec::new(), Vec::new()];
    while bytes.len() >= 8 {
        let length = u32::from_be_bytes(bytes[4..8].try_into().expect("four")) as usize;
        out[usize::from(bytes[0]) - 1].extend_from_slice(&bytes[8..8 + length]);
        bytes = &bytes[8 + length..];
    }
    assert!(bytes.is_empty(), "a torn frame");
    let [stdout, stderr] = out.map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
    (stdout, stderr)
}

/// As the API takes times.
fn seconds(stamp: &str) -> String {
    run_ok(std::process::Command::new("date").args(["-u", "-d", stamp, "+%s.%N"]))
}

fn logs(e: &Engine, id: &str, query: &str) -> (String, String) {
    let answer = e.api("GET", &format!("/v1.44/containers/{id}/logs?{query}"), None);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    unframed(&answer.body)
}

#[test]
fn mistakes_in_options_are_said_in_dockers_words() {
    let e = Engine::start();
    for (kind, options, want) in [
        (
            "json-file",
            json!({"x": "y"}),
            "unknown log opt 'x' for json-file log driver",
        ),
        (
            "",
            json!({"x": "y"}),
            "unknown log opt 'x' for json-file log driver",
        ),
        (
            "local",
            json!({"x": "y"}),
            "unknown log opt 'x' for log driver local",
        ),
        (
            "local",
            json!({"labels": "y"}),
            "unknown log opt 'labels' for log driver local",
        ),
        (
            "json-file",
            json!({"mode": "odd"}),
            "logger: logging mode not supported: odd",
        ),
        (
            "json-file",
            json!({"max-buffer-size": "1m"}),
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "json-file",
            json!({"mode": "non-blocking", "max-buffer-size": "zz"}),
            "error parsing option max-buffer-size: invalid size: 'zz'",
        ),
    ] {
        assert_eq!(
            create(&e, kind, options.clone(), "true"),
            (400, want.into()),
            "{kind} {options}"
        );
    }
    for (kind, options, want) in [
        ("json-file", json!({"max-size": "zehn"}), "invalid size: 'zehn'"),
        (
            "json-file",
            json!({"max-size": "0"}),
            "max-size must be a positive number",
        ),
        (
            "json-file",
            json!({"max-size": "1m", "max-file": "0"}),
            "max-file cannot be less than 1",
        ),
        (
            "json-file",
            json!({"max-size": "1m", "max-file": "x"}),
            "strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            "json-file",
            json!({"compress": "true"}),
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        (
            "json-file",
            json!({"compress": "maybe", "max-size": "1m", "max-file": "2"}),
            "strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            "json-file",
            json!({"labels-regex": "("}),
            "error parsing regexp: missing closing ): `(`",
        ),
        (
            "json-file",
            json!({"env-regex": "("}),
            "error parsing regexp: missing closing ): `(`",
        ),
        (
            "local",
            json!({"max-size": "zehn"}),
            "invalid value for max-size: zehn: invalid size: 'zehn'",
        ),
        (
            "local",
            json!({"max-file": "1"}),
            "compression cannot be enabled when max file count is 1",
        ),
        (
            "local",
            json!({"compress": "no"}),
            "error reading compress log option: strconv.ParseBool: parsing \"no\": invalid syntax",
        ),
    ] {
        let (status, id) = create(&e, kind, options.clone(), "true");
        assert_eq!(status, 201, "{id}");
        let answer = e.api("POST", &format!("/v1.44/containers/{id}/start"), None);
        let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let message =
            format!("failed to create task for container: failed to initialize logging driver: {want}");
        assert_eq!(
            (answer.status, json["message"].as_str()),
            (500, Some(&*message)),
            "{options}"
        );
        e.ok(&["rm", &id]);
    }
    let (_, id) = create(&e, "json-file", json!({"tag": "{{.Nope}}"}), "true");
    let (code, _, err) = e.code(&["start", &id]);
    assert!(
        code != 0 && err.contains("failed to initialize logging driver: template: log-tag:1"),
        "{err}"
    );
    e.ok(&["rm", &id]);
}

#[test]
fn details_are_what_the_options_ask_for() {
    let e = Engine::start();
    let options = json!({
        "labels": "colour,none", "labels-regex": "^shape", "env": "HUE", "tag": "{{.Name}}/{{.ImageName}}",
    });
    let id = ran(&e, "json-file", options, "echo one; echo two >&2");
    let name = e.ok(&["inspect", "-f", "{{slice .Name 1}}", &id]);
    let tag = format!("{name}%2F{}", IMAGE.replace(':', "%3A"));
    let want = format!("HUE=blue,colour=red,shape.x=a+b,tag={tag} ");
    let (out, err) = logs(&e, &id, "stdout=1&stderr=1&details=1");
    assert_eq!((out, err), (format!("{want}one\n"), format!("{want}two\n")));
    let (out, _) = logs(&e, &id, "stdout=1&details=1&timestamps=1");
    let (time, rest) = out.split_once(' ').expect("a time");
    assert_eq!((time.len(), rest), (30, format!("{want}one\n").as_str()));
    let (out, err) = logs(&e, &id, "stdout=1");
    assert_eq!((out.as_str(), err.as_str()), ("one\n", ""));
    e.ok(&["rm", &id]);
    for kind in ["json-file", "local"] {
        let id = ran(&e, kind, json!({}), "echo one");
        assert_eq!(logs(&e, &id, "stdout=1&details=1").0, " one\n", "{kind}");
        e.ok(&["rm", &id]);
    }
}

#[test]
fn every_option_of_logs_for_both_file_drivers() {
    let e = Engine::start();
    for kind in ["json-file", "local"] {
        let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; usleep 20000; done; sleep 1; echo late; printf end";
        let id = ran(&e, kind, json!({}), script);
        let (out, err) = logs(&e, &id, "stdout=1&stderr=1");
        assert_eq!(out, "out 1\nout 2\nout 3\nlate\nend", "{kind}");
        assert_eq!(err, "err 1\nerr 2\nerr 3\n", "{kind}");
        assert_eq!(logs(&e, &id, "stdout=1&stderr=1&tail=2").0, "late\nend", "{kind}");
        assert_eq!(logs(&e, &id, "stdout=1&stderr=1&tail=0").0, "", "{kind}");
        assert_eq!(
            logs(&e, &id, "stdout=1&tail=all").0,
            "out 1\nout 2\nout 3\nlate\nend",
            "{kind}"
        );
        assert_eq!(logs(&e, &id, "stdout=1&tail=7000").0.len(), 26, "{kind}");
        assert_eq!(logs(&e, &id, "stderr=1").0, "", "{kind}");
        let stamped = logs(&e, &id, "stdout=1&timestamps=1").0;
        let stamps: Vec<&str> = stamped.lines().map(|l| &l[..30]).collect();
        assert!(stamps.is_sorted() && stamps[0].ends_with('Z'), "{stamps:?}");
        let since = logs(&e, &id, &format!("stdout=1&since={}", seconds(stamps[3]))).0;
        assert_eq!(since, "late\nend", "{kind}");
        let until = logs(&e, &id, &format!("stdout=1&until={}", seconds(stamps[2]))).0;
        assert_eq!(until, "out 1\nout 2\nout 3\n", "{kind}");
        // A follower of one that has ended gets all of it and its end.
        assert_eq!(
            logs(&e, &id, "stdout=1&follow=1").0,
            "out 1\nout 2\nout 3\nlate\nend",
            "{kind}"
        );
        e.ok(&["rm", &id]);
    }
}

#[test]
fn a_follower_sees_lines_as_they_come() {
    let e = Engine::start();
    for kind in ["json-file", "local"] {
        let (_, id) = create(
            &e,
            kind,
            json!({}),
            "for i in $(seq 1 20); do echo $i; usleep 30000; done",
        );
        e.ok(&["start", &id]);
        let want: String = (1..=20).map(|i| format!("{i}\n")).collect();
        assert_eq!(logs(&e, &id, "stdout=1&follow=1").0, want, "{kind}");
        e.ok(&["rm", "-f", &id]);
    }
}

#[test]
fn long_lines_and_odd_bytes_come_back() {
    let e = Engine::start();
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'tab\\tq\"b\\\\ <&>\\n'; printf 'gr\\303\\274n\\n'";
    for kind in ["json-file", "local"] {
        let id = ran(&e, kind, json!({}), script);
        let want = format!("{}\ntab\tq\"b\\ <&>\ngrün\n", "x".repeat(40000));
        assert!(logs(&e, &id, "stdout=1").0 == want, "{kind}");
        // Each piece of 16 KiB counts.
        assert_eq!(
            logs(&e, &id, "stdout=1&tail=3").0.len(),
            40000 - 32768 + 1 + 13 + 6,
            "{kind}"
        );
        e.ok(&["rm", &id]);
    }
}

#[test]
fn rotation_keeps_the_last() {
    let e = Engine::start();
    for (kind, options) in [
        ("json-file", json!({"max-size": "10k", "max-file": "3"})),
        (
            "json-file",
            json!({"max-size": "10k", "max-file": "3", "compress": "true"}),
        ),
        ("local", json!({"max-size": "10k", "max-file": "3"})),
        (
            "local",
            json!({"max-size": "10k", "max-file": "1", "compress": "false"}),
        ),
    ] {
        // The newest file grows on while the compressor has the names: a breath for it now and then.
        let script =
            "for i in $(seq 1 3000); do echo line number $i; [ $((i % 100)) != 0 ] || sleep 0.02; done";
        let id = ran(&e, kind, options.clone(), script);
        let (out, _) = logs(&e, &id, "stdout=1");
        let lines: Vec<&str> = out.lines().collect();
        assert!(
            lines.len() < 1500 && !lines.is_empty(),
            "{kind} {options}: {}",
            lines.len()
        );
        let first = 3001 - lines.len();
        let want: Vec<String> = (first..=3000).map(|i| format!("line number {i}")).collect();
        assert_eq!(lines, want, "{kind} {options}");
        // Reaches over the files.
        let last = logs(&e, &id, "stdout=1&tail=150").0;
        assert!(
            last.lines().count() <= 150 && last.ends_with("line number 3000\n"),
            "{kind} {options}"
        );
        e.ok(&["rm", &id]);
    }
}

#[test]
fn none_keeps_nothing() {
    let e = Engine::start();
    let id = ran(&e, "none", json!({"x": "y"}), "echo hi");
    let answer = e.api("GET", &format!("/v1.44/containers/{id}/logs?stdout=1"), None);
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let message = "configured logging driver does not support reading";
    assert_eq!((answer.status, json["message"].as_str()), (501, Some(message)));
    assert_eq!(e.ok(&["inspect", "-f", "{{.LogPath}}", &id]), "");
    e.ok(&["rm", &id]);
}

#[test]
fn the_file_is_dockers() {
    let mut e = Engine::start();
    let id = ran(&e, "json-file", json!({"labels": "colour"}), "echo 'a<b'");
    let path = e.ok(&["inspect", "-f", "{{.LogPath}}", &id]);
    assert!(path.ends_with(&format!("/{id}/{id}-json.log")), "{path}");
    if e.host().is_some() {
        let text = std::fs::read_to_string(&path).expect("the file");
        let want = r#"{"log":"a\u003cb\n","stream":"stdout","attrs":{"colour":"red"},"time":""#;
        assert!(text.starts_with(want) && text.ends_with("Z\"}\n"), "{text}");
    }
    e.ok(&["rm", &id]);
}

/// What Docker does not do: bounded by default, compressed by the daemon, counted when lost.
#[test]
fn logs_are_bounded_by_default_and_losses_are_told() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let id = ran(
        &e,
        "json-file",
        json!({}),
        "yes 0123456789012345678901234567890123456789 | head -c 40000000",
    );
    let path = e.ok(&["inspect", "-f", "{{.LogPath}}", &id]);
    let dir = std::path::Path::new(&path).parent().expect("a folder").to_owned();
    let packed = dir.join(format!("{id}-json.log.2.gz"));
    for _ in 0..100 {
        if packed.exists() && !dir.join(format!("{id}-json.log.1")).exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let names: Vec<_> = std::fs::read_dir(&dir)
        .expect("listed")
        .flatten()
        .map(|f| f.file_name())
        .collect();
    assert!(packed.exists(), "{names:?}");
    let kept = logs(&e, &id, "stdout=1").0.len();
    assert!(kept <= 40_000_000 && kept > 25_000_000, "{kept}");
    assert_eq!(
        logs(&e, &id, "stdout=1&tail=600000").0.len(),
        (599_999 * 41 + 31).min(kept),
        "the last line was cut short"
    );
    e.ok(&["rm", &id]);
    assert!(e.host().is_some());
}

#[test]
fn options_of_network_drivers_are_checked() {
    let e = Engine::start();
    for (kind, options, want) in [
        (
            "syslog",
            json!({"x": "y"}),
            "unknown log opt 'x' for syslog log driver",
        ),
        (
            "syslog",
            json!({"syslog-address": "foo://x"}),
            "unsupported scheme: 'foo'",
        ),
        (
            "syslog",
            json!({"syslog-facility": "nope"}),
            "invalid syslog facility",
        ),
        (
            "syslog",
            json!({"syslog-format": "nope"}),
            "Invalid syslog format",
        ),
        ("gelf", json!({}), "gelf-address is a required parameter"),
        (
            "gelf",
            json!({"gelf-address": "foo://x"}),
            "gelf: endpoint needs to be TCP or UDP",
        ),
        (
            "fluentd",
            json!({"x": "y"}),
            "unknown log opt 'x' for fluentd log driver",
        ),
        (
            "fluentd",
            json!({"fluentd-buffer-limit": "x"}),
            "invalid size: 'x'",
        ),
        (
            "fluentd",
            json!({"fluentd-address": "foo://x"}),
            "invalid fluentd-address (foo://x): unsupported scheme: 'foo'",
        ),
        (
            "journald",
            json!({"x": "y"}),
            "unknown log opt 'x' for journald log driver",
        ),
    ] {
        assert_eq!(
            create(&e, kind, options.clone(), "true"),
            (400, want.into()),
            "{kind} {options}"
        );
    }
}
