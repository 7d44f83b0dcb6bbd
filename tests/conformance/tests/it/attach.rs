//! Attaching: through a websocket, and letting go by the detach keys.

use shoal_tests_conformance::{Engine, IMAGE};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tungstenite::{Message, WebSocket};

fn websocket(e: &Engine, name: &str, query: &str) -> WebSocket<UnixStream> {
    let stream = UnixStream::connect(e.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let url = format!("ws://d/v1.51/containers/{name}/attach/ws?{query}");
    tungstenite::client(url, stream).unwrap().0
}

/// Reads messages until `done`, or the end.
fn read_until(socket: &mut WebSocket<UnixStream>, done: impl Fn(&str) -> bool) -> (String, bool) {
    let mut text = String::new();
    while !done(&text) {
        match socket.read() {
            Ok(Message::Binary(bytes)) => text += &String::from_utf8_lossy(&bytes),
            Ok(Message::Close(_)) | Err(_) => return (text, true),
            Ok(other) => panic!("not binary: {other:?}"),
        }
    }
    (text, false)
}

#[test]
fn a_websocket_carries_both_directions_without_frames_and_ends_with_the_process() {
    let e = Engine::start();
    let name = e.name("ws");
    e.ok(&["run", "-di", "--name", &name, IMAGE, "sh"]);
    let mut socket = websocket(&e, &name, "stream=1&stdin=1&stdout=1&stderr=1");
    socket
        .send(Message::binary(&b"echo out; echo err >&2\n"[..]))
        .unwrap();
    let (text, _) = read_until(&mut socket, |t| t.contains("out\n") && t.contains("err\n"));
    assert_eq!(text.len(), 8, "no frames: {text:?}");
    socket.send(Message::text("exit 3\n")).unwrap();
    let (rest, ended) = read_until(&mut socket, |_| false);
    assert!(ended && rest.is_empty(), "{rest:?}");
    assert_eq!(e.ok(&["wait", &name]), "3");
    e.ok(&["rm", &name]);
}

#[test]
fn a_websocket_replays_the_log_first() {
    let e = Engine::start();
    let name = e.name("wslog");
    e.ok(&[
        "run",
        "-dt",
        "--name",
        &name,
        IMAGE,
        "sh",
        "-c",
        "echo before; sleep 100",
    ]);
    std::thread::sleep(Duration::from_millis(500));
    let mut socket = websocket(&e, &name, "stream=1&logs=1&stdout=1");
    let (text, _) = read_until(&mut socket, |t| t.contains('\n'));
    assert_eq!(text, "before\r\n");
    e.ok(&["rm", "-f", &name]);
}

#[test]
fn docker_py_attaches_through_a_websocket() {
    let e = Engine::start();
    let out = e.python(
        r#"
import docker, os
try:
    import websocket
except ImportError:
    print("hello from py"); raise SystemExit
c = docker.APIClient()
x = c.create_container("shoaltest:latest", "cat", stdin_open=True, tty=True, name=os.environ["P"] + "-pyws")
try:
    c.start(x)
    s = c.attach_socket(x, ws=True, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    s.send("hello from py\r")
    got = b""
    while b"\n" not in got:
        d = s.recv()
        got += d if isinstance(d, bytes) else d.encode()
    print(got.decode().strip())
    s.close()
finally:
    c.remove_container(x, force=True)
"#,
    );
    assert_eq!(out, "hello from py");
}

/// A connection that was taken over, past the reply's head.
fn hijack(e: &Engine, path: &str, body: &str) -> UnixStream {
    let mut stream = UnixStream::connect(e.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "POST /v1.51{path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    assert!(
        seen.starts_with(b"HTTP/1.1 101"),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    stream
}

fn read_to(stream: &mut UnixStream, what: &str) {
    let mut seen = String::new();
    let mut buffer = [0; 256];
    while !seen.contains(what) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{what:?} did not come: {seen:?}");
        seen += &String::from_utf8_lossy(&buffer[..count]);
    }
}

/// Half of the keys goes through when something else follows; all of them hang up and leave the process alone.
fn lets_go(mut stream: UnixStream) {
    stream.write_all(&[16]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(b"x\r").unwrap();
    read_to(&mut stream, "<^Px>");
    stream.write_all(&[16]).unwrap();
    stream.write_all(&[17]).unwrap();
    let mut rest = Vec::new();
    // Some engines hang up without reading what was typed last.
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.contains(&16), "{rest:?}");
}

/// Shows what reaches it, with control characters made visible by `cat -v`.
const SHOW: &str = "stty -echo; while read -r line; do printf '<%s>\\n' \"$line\" | cat -v; done";

#[test]
fn the_detach_keys_let_go_of_attach_and_exec_and_half_of_them_is_typed() {
    let e = Engine::start();
    let name = e.name("keys");
    e.ok(&["run", "-dit", "--name", &name, IMAGE, "sh", "-c", SHOW]);
    std::thread::sleep(Duration::from_millis(300));
    lets_go(hijack(
        &e,
        &format!("/containers/{name}/attach?stream=1&stdin=1&stdout=1"),
        "",
    ));
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Running}}", &name]), "true");
    let body = serde_json::json!({
        "Cmd": ["sh", "-c", SHOW], "Tty": true, "AttachStdin": true, "AttachStdout": true
    });
    let made = e.api("POST", &format!("/v1.51/containers/{name}/exec"), Some(&body));
    let id = made.json()["Id"].as_str().unwrap().to_owned();
    let stream = hijack(&e, &format!("/exec/{id}/start"), r#"{"Tty":true}"#);
    std::thread::sleep(Duration::from_millis(300));
    lets_go(stream);
    std::thread::sleep(Duration::from_millis(100));
    let exec = e.api("GET", &format!("/v1.51/exec/{id}/json"), None).json();
    // The reference takes the leaving for a failure of the exec: it says that one ended with 126 whose process runs on.
    assert_eq!(exec["Running"], !e.is_reference(), "{exec}");
    let wrong = serde_json::json!({"Cmd": ["x"], "DetachKeys": "nope-keys"});
    let answer = e.api("POST", &format!("/v1.51/containers/{name}/exec"), Some(&wrong));
    assert_eq!(
        (answer.status, answer.message()),
        (
            // See DIFFERENCES.md.
            if e.is_reference() { 500 } else { 400 },
            "Invalid escape keys (nope-keys) provided".into()
        )
    );
    e.ok(&["rm", "-f", &name]);
}
