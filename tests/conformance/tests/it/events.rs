//! `GET /events`: what is told of a container's, an image's, a volume's and a network's life, and how it is asked for.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{eventually, request_raw};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix seconds with a fraction, as `--since` sends them.
fn now() -> String {
    let d = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{}.{:09}", d.as_secs(), d.subsec_nanos())
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// What happened since then that passes the filters.
fn told(e: &Engine, since: &str, filters: &Value) -> Vec<Value> {
    let path = format!(
        "/v1.44/events?since={since}&until={}&filters={}",
        now(),
        escape(&filters.to_string())
    );
    let answer = e.api("GET", &path, None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

fn actions(events: &[Value]) -> Vec<String> {
    let mut out: Vec<String> = events
        .iter()
        .map(|event| event["Action"].as_str().expect("an action").to_owned())
        .collect();
    // Docker tells of a stop before or after the death that it brought about, as it happens.
    for at in 1..out.len() {
        if out[at - 1] == "stop" && out[at] == "die" {
            out.swap(at - 1, at);
        }
    }
    out
}

fn attribute<'a>(events: &'a [Value], action: &str, key: &str) -> &'a str {
    events
        .iter()
        .find(|event| event["Action"] == action)
        .and_then(|event| event["Actor"]["Attributes"][key].as_str())
        .unwrap_or_else(|| panic!("no {key} of {action} in {events:#?}"))
}

#[test]
fn a_containers_life_is_told() {
    let e = Engine::start();
    let (since, name, other, volume) = (now(), e.name("life"), e.name("after"), e.name("vol"));
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "--label",
        "tier=front",
        "-v",
        &format!("{volume}:/data"),
        "--memory",
        "64m",
        IMAGE,
        "sleep",
        "100",
    ]);
    e.code(&["exec", &name, "sh", "-c", "exit 3"]);
    eventually("the command's end is told", Duration::from_secs(5), || {
        (actions(&told(&e, &since, &json!({"container": [name]}))).last()? == "exec_die").then_some(())
    });
    e.ok(&["rename", &name, &other]);
    e.ok(&["update", "--memory", "96m", "--memory-swap", "192m", &other]);
    e.ok(&["pause", &other]);
    e.ok(&["unpause", &other]);
    e.ok(&["top", &other]);
    e.api(
        "POST",
        &format!("/v1.44/containers/{other}/resize?h=20&w=70"),
        None,
    );
    e.ok(&["kill", "-s", "WINCH", &other]);
    e.ok(&["restart", "-t", "0", &other]);
    e.ok(&["kill", &other]);
    e.ok(&["wait", &other]);
    e.ok(&["rm", &other]);
    e.ok(&["volume", "rm", &volume]);
    let of_type = |kind: &str| told(&e, &since, &json!({"type": [kind], "label": ["tier=front"]}));
    let events = of_type("container");
    assert_eq!(
        actions(&events),
        [
            "create",
            "start",
            "exec_create: sh -c exit 3",
            "exec_start: sh -c exit 3",
            "exec_die",
            "rename",
            "update",
            "pause",
            "unpause",
            "top",
            "resize",
            "kill",
            "kill",
            "kill",
            "die",
            "stop",
            "start",
            "restart",
            "kill",
            "die",
            "destroy",
        ]
        .into_iter()
        // A terminal that is not there has no size: Docker refuses, or does nothing and says so.
        .filter(|a| *a != "resize" || actions(&events).iter().any(|a| a == "resize"))
        .collect::<Vec<_>>()
    );
    assert_eq!(attribute(&events, "exec_die", "exitCode"), "3");
    assert_eq!(attribute(&events, "exec_die", "execID").len(), 64);
    assert_eq!(attribute(&events, "rename", "oldName"), format!("/{name}"));
    assert_eq!(attribute(&events, "rename", "name"), other);
    assert_eq!(attribute(&events, "kill", "signal"), "28");
    assert_eq!(attribute(&events, "die", "exitCode"), "137");
    attribute(&events, "die", "execDuration")
        .parse::<u64>()
        .expect("seconds");
    assert_eq!(attribute(&events, "create", "image"), IMAGE);
    let first = &events[0];
    assert_eq!(first["scope"], "local");
    assert_eq!(first["id"], first["Actor"]["ID"]);
    assert_eq!(first["status"], "create");
    assert_eq!(first["from"], IMAGE);
    let id = first["Actor"]["ID"].as_str().expect("an id");
    // The volume's and the network's part of it.
    let volumes = told(&e, &since, &json!({"type": ["volume"], "volume": [volume]}));
    assert_eq!(
        actions(&volumes),
        ["create", "mount", "unmount", "mount", "unmount", "destroy"]
    );
    assert_eq!(volumes[1]["Actor"]["Attributes"]["container"], id);
    assert_eq!(volumes[1]["Actor"]["Attributes"]["destination"], "/data");
    assert_eq!(volumes[1]["Actor"]["Attributes"]["read/write"], "true");
    assert_eq!(volumes[1]["Actor"]["Attributes"]["driver"], "local");
    let networks = told(&e, &since, &json!({"type": ["network"], "network": ["bridge"]}));
    let ours: Vec<Value> = networks
        .into_iter()
        .filter(|event| event["Actor"]["Attributes"]["container"] == id)
        .collect();
    assert_eq!(actions(&ours), ["connect", "disconnect", "connect", "disconnect"]);
}

#[test]
fn health_and_memory_are_told() {
    let e = Engine::start();
    let (since, name) = (now(), e.name("health"));
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "--health-cmd",
        "test -e /ok",
        "--health-interval",
        "200ms",
        "--health-retries",
        "1",
        IMAGE,
        "sh",
        "-c",
        "sleep 1; touch /ok; sleep 100",
    ]);
    eventually("health is told", Duration::from_secs(20), || {
        let events = told(
            &e,
            &since,
            &json!({"container": [name], "event": ["health_status"]}),
        );
        (actions(&events) == ["health_status: unhealthy", "health_status: healthy"]).then_some(())
    });
    let probes = told(
        &e,
        &since,
        &json!({"container": [name], "event": ["exec_create", "exec_start", "exec_die"]}),
    );
    let probe = "/bin/sh -c test -e /ok";
    assert_eq!(
        actions(&probes)[..3],
        [
            format!("exec_create: {probe}"),
            format!("exec_start: {probe}"),
            "exec_die".into()
        ]
    );
    e.ok(&["rm", "-f", &name]);
    let (since, name) = (now(), e.name("oom"));
    let hungry = "x=a; while :; do x=$x$x; done";
    e.docker(&[
        "run",
        "--name",
        &name,
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        IMAGE,
        "sh",
        "-c",
        hungry,
    ]);
    let events = told(&e, &since, &json!({"container": [name], "event": ["oom", "die"]}));
    assert_eq!(actions(&events), ["oom", "die"]);
    e.ok(&["rm", &name]);
}

#[test]
fn images_networks_and_prunes_are_told() {
    let e = Engine::start();
    let (since, one, two, net) = (now(), e.name("ev:1"), e.name("ev:2"), e.name("net"));
    let archive = std::env::temp_dir().join(format!("{}.tar", e.name("events")));
    let id = e
        .ok(&["image", "inspect", "-f", "{{.Id}}", IMAGE])
        .trim()
        .to_owned();
    e.ok(&["tag", IMAGE, &one]);
    e.ok(&["tag", IMAGE, &two]);
    e.ok(&["rmi", &one]);
    e.ok(&["save", "-o", &archive.display().to_string(), &two]);
    e.ok(&["rmi", &two]);
    e.ok(&["load", "-i", &archive.display().to_string()]);
    e.ok(&["rmi", &two]);
    let _ = std::fs::remove_file(&archive);
    let events = told(&e, &since, &json!({"type": ["image"]}));
    let of_it: Vec<&Value> = events
        .iter()
        .filter(|event| event["Actor"]["ID"] == id.as_str())
        .collect();
    let names: Vec<(&str, &str)> = of_it
        .iter()
        .filter_map(|event| {
            Some((
                event["Action"].as_str()?,
                event["Actor"]["Attributes"]["name"].as_str()?,
            ))
        })
        .collect();
    assert_eq!(
        names,
        [
            ("tag", one.as_str()),
            ("tag", &two),
            ("untag", &id),
            ("save", &id),
            ("untag", &id),
            ("load", &id),
            ("untag", &id),
        ]
    );
    assert_eq!(
        (&of_it[0]["status"], &of_it[0]["id"]),
        (&json!("tag"), &json!(id))
    );
    e.ok(&["network", "create", &net]);
    e.ok(&["network", "rm", &net]);
    let events = told(&e, &since, &json!({"type": ["network"], "network": [net]}));
    assert_eq!(actions(&events), ["create", "destroy"]);
    assert_eq!(attribute(&events, "create", "type"), "bridge");
    // A label that nothing has: nobody else's things are pruned.
    let since = now();
    let filter = escape(&json!({"label": [e.name("none")]}).to_string());
    for kind in ["containers", "volumes", "networks", "images"] {
        let answer = e.api("POST", &format!("/v1.44/{kind}/prune?filters={filter}"), None);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let events = told(&e, &since, &json!({"event": ["prune"]}));
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["Type"].as_str()).collect();
    assert_eq!(kinds, ["container", "volume", "network", "image"]);
    assert_eq!(
        events[0]["Actor"],
        json!({"ID": "", "Attributes": {"reclaimed": "0"}})
    );
}

#[test]
fn filters_are_dockers() {
    let e = Engine::start();
    let (since, name) = (now(), e.name("filtered"));
    e.ok(&[
        "create", "--name", &name, "--label", "a=b", "--label", "c", IMAGE, "true",
    ]);
    let id = e.ok(&["inspect", "-f", "{{.Id}}", &name]).trim().to_owned();
    e.ok(&["rm", &name]);
    let image = IMAGE.split(':').next().expect("a name");
    let count = |filters: Value| told(&e, &since, &filters).len();
    for (filters, expected) in [
        (json!({"container": [name]}), 2),
        (json!({"container": [id[..8]]}), 2),
        (json!({"container": [name[..name.len() - 2]]}), 2),
        (json!({"container": ["no-such"]}), 0),
        // Names and ids are compared whatever the event is about.
        (json!({"network": [id[..8]]}), 2),
        (json!({"volume": [name]}), 2),
        (json!({"daemon": [name]}), 2),
        (json!({"container": [name], "event": ["create"]}), 1),
        (json!({"container": [name], "event": ["create", "destroy"]}), 2),
        (json!({"container": [name], "event": ["creat"]}), 0),
        (json!({"container": [name], "type": ["container"]}), 2),
        (json!({"container": [name], "type": ["image"]}), 0),
        (json!({"container": [name], "type": ["no-such"]}), 0),
        (json!({"container": [name], "scope": ["local"]}), 2),
        (json!({"container": [name], "scope": ["swarm"]}), 0),
        (json!({"container": [name], "image": [IMAGE]}), 2),
        (json!({"container": [name], "image": [image]}), 2),
        (json!({"container": [name], "image": ["other"]}), 0),
        (json!({"container": [name], "label": ["a=b", "c"]}), 2),
        (json!({"container": [name], "label": ["a=b", "d"]}), 0),
        (json!({"container": [name], "label": ["a"]}), 2),
        (json!({"container": [name], "no-such-filter": ["x"]}), 2),
        (json!({"container": {name.as_str(): true}}), 2),
    ] {
        assert_eq!(count(filters.clone()), expected, "{filters}");
    }
    let answer = e.api("GET", "/v1.44/events?until=1&filters=nonsense", None);
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (400, "invalid filter")
    );
}

#[test]
fn since_and_until_in_every_form() {
    let e = Engine::start();
    let name = e.name("times");
    e.ok(&["create", "--name", &name, IMAGE, "true"]);
    e.ok(&["rm", &name]);
    let filter = escape(&json!({"container": [name]}).to_string());
    let lines = |query: &str| {
        let answer = e.api("GET", &format!("/v1.44/events?{query}&filters={filter}"), None);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.text().lines().count()
    };
    // An end before 1970 was over ends the stream at once, and limits nothing.
    assert_eq!(lines("since=0&until=0"), 2);
    assert_eq!(lines("until=0"), 2);
    assert_eq!(lines("since=0&until=1"), 0);
    assert_eq!(lines("since=-5&until=0.000"), 2);
    assert_eq!(lines(&format!("since=1.5&until={}", now())), 2);
    assert_eq!(lines(&format!("until={}", now())), 2);
    assert_eq!(lines("since=1&until=1.9999999999"), 0);
    for (query, text) in [
        ("since=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("since=1.x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("since=1e3", "strconv.ParseInt: parsing \"1e3\": invalid syntax"),
        ("until=5m", "strconv.ParseInt: parsing \"5m\": invalid syntax"),
        (
            "until=2026-01-01T00:00:00Z",
            "strconv.ParseInt: parsing \"2026-01-01T00:00:00Z\": invalid syntax",
        ),
        (
            "since=10&until=5",
            "`since` time (10) cannot be after `until` time (5)",
        ),
    ] {
        let answer = e.api("GET", &format!("/v1.44/events?{query}"), None);
        assert_eq!(answer.message(), text, "{query}");
        // The reference calls a number that it cannot read its own failure.
        let by_reference = e.is_reference() && answer.status == 500;
        assert!(answer.status == 400 || by_reference, "{query}: {}", answer.status);
    }
    // The CLI reads every form itself, and sends seconds.
    for since in ["10m", "2020-01-01", "2020-01-01T00:00:00", "1700000000"] {
        let filter = format!("container={name}");
        let out = e.ok(&["events", "--since", since, "--until", &now(), "--filter", &filter]);
        assert_eq!(out.lines().count(), 2, "{since}: {out}");
    }
}

#[test]
fn the_head_comes_at_once_and_events_as_they_happen() {
    let e = Engine::start();
    let name = e.name("live");
    let filter = escape(&json!({"container": [name]}).to_string());
    let mut stream = UnixStream::connect(e.socket()).expect("the socket");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    write!(
        stream,
        "GET /v1.44/events?filters={filter} HTTP/1.1\r\nHost: d\r\n\r\n"
    )
    .expect("a request");
    let mut text = String::new();
    let mut read_until = |what: &str, text: &mut String| {
        let mut piece = [0; 4096];
        while !text.contains(what) {
            let count = stream.read(&mut piece).expect("more of the answer");
            assert!(count > 0, "it ended: {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    read_until("\r\n\r\n", &mut text);
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.contains("Content-Type: application/json\r\n"), "{text}");
    e.ok(&["create", "--name", &name, IMAGE, "true"]);
    read_until("\"Action\":\"create\"", &mut text);
    e.ok(&["rm", &name]);
    read_until("\"Action\":\"destroy\"", &mut text);
}

#[test]
fn newer_clients_choose_the_kind_of_stream() {
    let mut e = Engine::start();
    if e.host().is_none() {
        return;
    }
    let name = e.name("kinds");
    e.ok(&["create", "--name", &name, IMAGE, "true"]);
    e.ok(&["rm", &name]);
    for (version, accept, kind) in [
        ("1.51", "application/json-seq", "application/json"),
        ("1.52", "application/json-seq", "application/json-seq"),
        ("1.52", "application/x-ndjson", "application/x-ndjson"),
        ("1.52", "application/jsonl", "application/json"),
        ("1.53", "application/jsonl", "application/jsonl"),
        (
            "1.53",
            "application/json-seq;q=0.5, application/x-ndjson",
            "application/x-ndjson",
        ),
        ("1.53", "text/html", "application/json"),
    ] {
        let path = format!("/v{version}/events?since=0&until=0");
        let head = format!("Accept: {accept}\r\n");
        let answer = request_raw(&e.socket(), "GET", &path, &head, b"").expect("an answer");
        assert_eq!(answer.header("content-type"), Some(kind), "{version} {accept}");
        let separated = answer.body.starts_with(b"\x1e{");
        assert_eq!(separated, kind == "application/json-seq", "{version} {accept}");
        // Members that only old clients know went with 1.52.
        assert_eq!(
            answer.text().contains("\"status\":"),
            version == "1.51",
            "{version}"
        );
    }
}

/// Ours keeps a bounded number of events for a reader that does not read, and ends its stream in a way that cannot be
/// taken for the end of what was asked for.
#[test]
fn a_reader_that_does_not_read_is_cut_off_visibly() {
    let mut e = Engine::start();
    if e.host().is_none() {
        return;
    }
    let mut slow = UnixStream::connect(e.socket()).expect("the socket");
    slow.set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    write!(slow, "GET /v1.44/events HTTP/1.1\r\nHost: d\r\n\r\n").expect("a request");
    let mut head = [0; 15];
    slow.read_exact(&mut head).expect("a head");
    let name = e.name("busy");
    let label = format!("text={}", "x".repeat(30_000));
    e.ok(&[
        "run", "-d", "--name", &name, "--label", &label, IMAGE, "sleep", "100",
    ]);
    // 1500 of 30 KB each: more than the socket and the bound hold.
    let mut busy = UnixStream::connect(e.socket()).expect("the socket");
    let mut piece = [0; 65536];
    for _ in 0..1500 {
        write!(
            busy,
            "POST /v1.44/containers/{name}/kill?signal=WINCH HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"
        )
        .expect("a request");
        let count = busy.read(&mut piece).expect("an answer");
        assert!(
            piece[..count].starts_with(b"HTTP/1.1 204"),
            "{}",
            String::from_utf8_lossy(&piece[..count])
        );
    }
    let mut all = Vec::new();
    let _ = slow.read_to_end(&mut all);
    assert!(
        !all.ends_with(b"0\r\n\r\n"),
        "the stream ended as if it were whole"
    );
    let log = e.host().expect("ours").log();
    assert!(log.contains("a reader of events is cut off"), "{log}");
    e.ok(&["rm", "-f", &name]);
}
