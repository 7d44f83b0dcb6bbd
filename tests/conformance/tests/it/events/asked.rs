//! How it is asked for, and how the answer comes.

use super::*;

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
