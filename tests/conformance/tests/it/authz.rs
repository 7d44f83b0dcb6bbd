//! Authorization plugins: Docker's protocol, its texts, and no way around them.
//!
//! The plugin is a small server of this file's own on a socket where Docker looks for plugins. Questions and texts are
//! those that the reference engine asked it (28.5.2).

use serde_json::{Value, json};
use shoal_tests_conformance::IMAGE;
use shoal_tests_harness::{Host, World, eventually, request_raw};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Decide = dyn Fn(&str, &Value) -> Value + Send + Sync;

/// Answers until dropped; keeps what it was asked.
struct Plugin {
    name: String,
    path: PathBuf,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Plugin {
    fn start(what: &str, decide: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Plugin {
        let name = format!("shoal-{what}-{}", std::process::id());
        std::fs::create_dir_all("/run/docker/plugins").expect("the plugins' folder");
        let path = PathBuf::from(format!("/run/docker/plugins/{name}.sock"));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, decide): (_, Arc<Decide>) = (asked.clone(), Arc::new(decide));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, decide) = (kept.clone(), decide.clone());
                std::thread::spawn(move || serve(stream, &kept, &*decide));
            }
        });
        Plugin { name, path, asked }
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().expect("no panic in the plugin").clone()
    }

    fn forget(&self) {
        self.asked.lock().expect("no panic in the plugin").clear();
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn serve(mut stream: UnixStream, asked: &Mutex<Vec<(String, Value)>>, decide: &Decide) {
    let mut bytes = Vec::new();
    let mut piece = [0; 65536];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head
                .lines()
                .find_map(|l| {
                    l.to_ascii_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse::<usize>()
                        .ok()
                })
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body: Value =
                    serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or(Value::Null);
                let method = head
                    .split(' ')
                    .nth(1)
                    .unwrap_or_default()
                    .trim_start_matches('/')
                    .to_owned();
                let answer = if method == "Plugin.Activate" {
                    json!({"Implements": ["authz"]})
                } else {
                    asked
                        .lock()
                        .expect("no panic")
                        .push((method.clone(), body.clone()));
                    decide(&method, &body)
                };
                let answer = answer.to_string();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                    answer.len()
                );
                bytes.drain(..end + 4 + length);
                continue;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn yes() -> Value {
    json!({"Allow": true})
}

fn host(world: &mut World, plugins: &[&Plugin]) -> Host {
    let mut host = world.host();
    for plugin in plugins {
        host.args.push(format!("--authorization-plugin={}", plugin.name));
    }
    host.start();
    host
}

fn decode(base64: &Value) -> Vec<u8> {
    let text = base64.as_str().unwrap_or_default();
    let digit = |c: u8| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
            .iter()
            .position(|d| *d == c)
    };
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for value in text.bytes().filter_map(digit) {
        bits = bits << 6 | u32::try_from(value).expect("six bits");
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    out
}

#[test]
fn a_plugin_sees_requests_and_answers_and_its_no_counts() {
    let mut world = World::new();
    let plugin = Plugin::start("authz", |method, asked| {
        let uri = asked["RequestUri"].as_str().unwrap_or_default();
        match method {
            "AuthZPlugin.AuthZReq" if uri.contains("/volumes/create") => {
                json!({"Allow": false, "Msg": "no volumes"})
            }
            "AuthZPlugin.AuthZRes" if uri.contains("/networks") => {
                json!({"Allow": false, "Msg": "not to be seen"})
            }
            "AuthZPlugin.AuthZReq" if uri.ends_with("/version") => json!({"Err": "broken"}),
            _ => yes(),
        }
    });
    let host = host(&mut world, &[&plugin]);
    plugin.forget();
    let body = json!({"Name": "x", "Labels": {"a": "b"}});
    let refused = host.api("POST", "/v1.44/volumes/create", Some(&body));
    let denied = format!("authorization denied by plugin {}: ", plugin.name);
    assert_eq!(
        (refused.status, refused.message()),
        (403, format!("{denied}no volumes"))
    );
    let (method, asked) = plugin.asked().pop().expect("a question");
    assert_eq!(method, "AuthZPlugin.AuthZReq");
    assert_eq!(asked["RequestMethod"], "POST");
    assert_eq!(asked["RequestUri"], "/v1.44/volumes/create");
    assert_eq!(decode(&asked["RequestBody"]), body.to_string().into_bytes());
    assert_eq!(asked["RequestHeaders"]["Content-Type"], "application/json");
    assert!(
        asked.get("User").is_none() && asked.get("ResponseStatusCode").is_none(),
        "{asked}"
    );
    assert_eq!(
        host.api("GET", "/v1.44/volumes", None).json()["Volumes"],
        json!([])
    );
    // The answer's turn.
    plugin.forget();
    let hidden = host.api("GET", "/v1.44/networks", None);
    assert_eq!(
        (hidden.status, hidden.message()),
        (403, format!("{denied}not to be seen"))
    );
    let methods: Vec<String> = plugin.asked().into_iter().map(|(method, _)| method).collect();
    assert_eq!(methods, ["AuthZPlugin.AuthZReq", "AuthZPlugin.AuthZRes"]);
    let (_, answer) = plugin.asked().pop().expect("a question");
    assert_eq!(answer["ResponseStatusCode"], 200);
    assert!(decode(&answer["ResponseBody"]).starts_with(b"["), "{answer}");
    assert_eq!(answer["ResponseHeaders"]["Content-Type"], "application/json");
    let failed = host.api("GET", "/version", None);
    let text = format!("plugin {} failed with error: broken", plugin.name);
    assert_eq!((failed.status, failed.message()), (500, text));
    // Everything else goes on, takeovers too.
    let tar = shoal_tests_harness::busybox_tar().display().to_string();
    host.docker_ok(&["import", &tar, IMAGE]);
    assert_eq!(
        host.docker_ok(&["run", "--rm", IMAGE, "echo", "hello"]).trim(),
        "hello"
    );
    assert_eq!(
        host.api("GET", "/v1.44/info", None).json()["Plugins"]["Authorization"],
        json!([plugin.name])
    );
}

/// What the handler would act on and the plugin would not see.
#[test]
fn no_body_goes_past_a_plugin() {
    let mut world = World::new();
    let plugin = Plugin::start("strict", |method, asked| {
        // Allows volumes only where it sees their name.
        let uri = asked["RequestUri"].as_str().unwrap_or_default();
        let seen = String::from_utf8_lossy(&decode(&asked["RequestBody"])).into_owned();
        if method.ends_with("Req") && uri.contains("/volumes/create") && !seen.contains("\"allowed\"") {
            return json!({"Allow": false, "Msg": "unseen"});
        }
        yes()
    });
    let host = host(&mut world, &[&plugin]);
    let send = |headers: &str, body: &[u8]| {
        request_raw(&host.socket(), "POST", "/v1.44/volumes/create", headers, body).expect("an answer")
    };
    // Without a content type it is JSON to the handler: the plugin sees it too.
    assert_eq!(send("", br#"{"Name":"other"}"#).status, 403);
    assert_eq!(
        send("Content-Type: text/plain\r\n", br#"{"Name":"other"}"#).status,
        403
    );
    assert_eq!(send("", br#"{"Name":"allowed"}"#).status, 201);
    assert_eq!(
        send(
            "Content-Type: application/json; charset=utf-8\r\n",
            br#"{"Name":"allowed"}"#
        )
        .status,
        201
    );
    // Chunked, and a length that says zero beside it.
    for headers in ["", "Content-Length: 0\r\n"] {
        let mut stream = UnixStream::connect(host.socket()).expect("the socket");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        write!(
            stream,
            "POST /v1.44/volumes/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {headers}Transfer-Encoding: chunked\r\n\r\n10\r\n{{\"Name\":\"other\"}}\r\n0\r\n\r\n"
        )
        .expect("a request");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.contains(" 403 ") || answer.contains(" 400 "), "{answer}");
    }
    // Too long to be shown is too long.
    let long = format!(
        "{{\"Name\":\"other\",\"Labels\":{{\"x\":\"{}\"}}}}",
        "x".repeat(1 << 20)
    );
    let refused = send("Content-Type: application/json\r\n", long.as_bytes());
    assert_eq!(refused.status, 403);
    assert!(
        refused
            .message()
            .starts_with("request body is larger than 1048576 bytes"),
        "{}",
        refused.message()
    );
    let names = host.api("GET", "/v1.44/volumes", None).json();
    let names: Vec<&str> = names["Volumes"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|v| v["Name"].as_str())
        .collect();
    assert_eq!(names, ["allowed"]);
    // Credentials are not shown to anybody.
    plugin.forget();
    host.api(
        "POST",
        "/v1.44/auth",
        Some(&json!({"username": "u", "password": "secret", "serveraddress": "127.0.0.1:1"})),
    );
    request_raw(
        &host.socket(),
        "GET",
        "/v1.44/images/json",
        "X-Registry-Auth: secret\r\nAuthorization: secret\r\n",
        b"",
    )
    .expect("an answer");
    for (_, asked) in plugin.asked() {
        assert!(
            decode(&asked["RequestBody"]).is_empty()
                && !asked["RequestHeaders"].to_string().contains("secret"),
            "{asked}"
        );
    }
    // A stream is asked about by its head.
    let events = host.api("GET", "/v1.44/events?since=0&until=0", None);
    assert_eq!(events.status, 200);
}

#[test]
fn plugins_are_asked_in_order_and_one_that_is_gone_closes_the_door() {
    let mut world = World::new();
    let first = Plugin::start("first", |method, asked| {
        let uri = asked["RequestUri"].as_str().unwrap_or_default();
        match method.ends_with("Req") && uri.contains("/containers/create") {
            true => json!({"Allow": false, "Msg": "the first says no"}),
            false => yes(),
        }
    });
    let second = Plugin::start("second", |_, _| yes());
    let mut host = host(&mut world, &[&first, &second]);
    second.forget();
    let refused = host.api("POST", "/v1.44/containers/create", Some(&json!({"Image": "x"})));
    assert_eq!(
        (refused.status, refused.message()),
        (
            403,
            format!("authorization denied by plugin {}: the first says no", first.name)
        )
    );
    assert!(second.asked().is_empty());
    let name = second.name.clone();
    drop(second);
    let failed = host.api("GET", "/v1.44/containers/json", None);
    assert_eq!(failed.status, 500);
    assert!(
        failed
            .message()
            .starts_with(&format!("plugin {name} failed with error: ")),
        "{}",
        failed.message()
    );
    // A daemon whose plugin is missing does not start; a reload takes one away.
    host.crash();
    host.spawn();
    eventually(
        "the daemon says why it does not start",
        Duration::from_secs(30),
        || {
            host.log()
                .contains("error validating authorization plugin")
                .then_some(())
        },
    );
    host.kill();
    host.args.clear();
    let file = host.dir().join("daemon.json");
    std::fs::write(&file, json!({"authorization-plugins": [first.name]}).to_string()).expect("a file");
    host.start();
    let create = |host: &Host| {
        host.api("POST", "/v1.44/containers/create", Some(&json!({"Image": "x"})))
            .status
    };
    assert_eq!(create(&host), 403);
    std::fs::write(&file, json!({"authorization-plugins": []}).to_string()).expect("a file");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(host.daemon_pid().expect("a daemon")).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("a signal");
    eventually("the reload takes it away", Duration::from_secs(10), || {
        (create(&host) == 404).then_some(())
    });
}
