//! What every client checks before anything else, byte for byte where it matters.

use serde_json::json;
use shoal_tests_conformance::{Engine, IMAGE};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// People write filters as they think of them, and Go's server takes them so.
#[test]
fn a_target_may_hold_json_as_it_stands() {
    let e = Engine::start();
    let ask = |target: &str| e.api("GET", target, None);
    let images = ask(r#"/v1.44/images/json?filters={"reference":["no-such-image*"]}"#);
    assert_eq!((images.status, images.text().trim()), (200, "[]"));
    let refused = ask(r#"/v1.44/networks?filters={"driver":["<bridge>"],"nosuch":["`|^"]}"#);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(refused.message(), "invalid filter 'nosuch'");
    let unknown = ask("/v1.44/containers/\u{e4}\u{20ac}/json");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.message(), "No such container: \u{e4}\u{20ac}");
}

#[test]
fn ping_headers_and_versions() {
    let e = Engine::start();
    for method in ["GET", "HEAD"] {
        let answer = e.api(method, "/_ping", None);
        assert_eq!(answer.status, 200);
        for header in [
            "api-version",
            "docker-experimental",
            "ostype",
            "server",
            "cache-control",
            "pragma",
        ] {
            assert!(
                answer.header(header).is_some(),
                "{method} lacks {header}: {:?}",
                answer.headers
            );
        }
        assert_eq!(answer.header("ostype"), Some("linux"));
    }
    assert_eq!(e.api("GET", "/_ping", None).text(), "OK");
    let error = e.api("GET", "/v1.44/containers/nope/json", None);
    assert!(
        error.header("api-version").is_some() && error.header("server").is_some(),
        "{:?}",
        error.headers
    );
    let answer = e.api("GET", "/v1.99/version", None);
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .message()
            .starts_with("client version 1.99 is too new. Maximum supported API version is "),
        "{}",
        answer.message()
    );
    let answer = e.api("GET", "/v1.12/version", None);
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .text()
            .contains("client version 1.12 is too old. Minimum supported API version is "),
        "{}",
        answer.text()
    );
}

#[test]
fn version_and_info_name_what_clients_decide_by() {
    let e = Engine::start();
    let version = e.api("GET", "/version", None).json();
    for key in [
        "Version",
        "ApiVersion",
        "MinAPIVersion",
        "Os",
        "Arch",
        "KernelVersion",
        "GitCommit",
        "GoVersion",
        "Components",
        "Platform",
    ] {
        assert!(!version[key].is_null(), "{key}: {version}");
    }
    let info = e.api("GET", "/info", None).json();
    for key in [
        "ID",
        "Containers",
        "ContainersRunning",
        "Images",
        "Driver",
        "DriverStatus",
        "Plugins",
        "MemoryLimit",
        "SwapLimit",
        "CpuCfsQuota",
        "PidsLimit",
        "IPv4Forwarding",
        "NGoroutines",
        "SystemTime",
        "LoggingDriver",
        "CgroupDriver",
        "CgroupVersion",
        "KernelVersion",
        "OperatingSystem",
        "OSType",
        "Architecture",
        "IndexServerAddress",
        "RegistryConfig",
        "NCPU",
        "MemTotal",
        "DockerRootDir",
        "Name",
        "Labels",
        "ServerVersion",
        "Runtimes",
        "DefaultRuntime",
        "Swarm",
        "LiveRestoreEnabled",
        "SecurityOptions",
    ] {
        assert!(!info[key].is_null() || key == "Labels", "{key}: {info}");
    }
    assert_eq!(info["OSType"], "linux");
    assert_eq!(info["Architecture"], "x86_64");
    e.ok(&["version"]);
    e.ok(&["info"]);
}

#[test]
fn repeated_start_and_stop_are_304_without_a_body() {
    let e = Engine::start();
    let created = e.api(
        "POST",
        "/v1.44/containers/create",
        Some(&json!({"Image": IMAGE, "Cmd": ["sleep", "100"]})),
    );
    assert_eq!(created.status, 201);
    let id = created.json()["Id"].as_str().unwrap().to_owned();
    let post = |what: &str| e.api("POST", &format!("/v1.44/containers/{id}/{what}"), None);
    assert_eq!(post("start").status, 204);
    let again = post("start");
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(post("stop?t=0").status, 204);
    assert_eq!(post("stop").status, 304);
    assert_eq!(
        e.api("DELETE", &format!("/v1.44/containers/{id}"), None).status,
        204
    );
}

/// Sends `head` and returns what the daemon says up to the end of its headers, and the open stream.
fn hijack(e: &Engine, path: &str, headers: &str, body: &str) -> (String, UnixStream) {
    let mut stream = UnixStream::connect(e.socket()).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: d\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "closed after {}",
            String::from_utf8_lossy(&head)
        );
        head.push(byte[0]);
    }
    (String::from_utf8(head).unwrap(), stream)
}

#[test]
fn attach_hijacks_with_and_without_upgrade_and_frames_output() {
    let e = Engine::start();
    for (headers, status, close_stdin) in [
        (
            "Connection: Upgrade\r\nUpgrade: tcp\r\n",
            "HTTP/1.1 101 UPGRADED",
            true,
        ),
        ("", "HTTP/1.1 200 OK", true),
    ] {
        let body = json!({"Image": IMAGE, "Cmd": ["sh", "-c", "cat; sleep 0.2; echo err >&2"], "OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true});
        let id = e.api("POST", "/v1.44/containers/create", Some(&body)).json()["Id"]
            .as_str()
            .unwrap()
            .to_owned();
        let (head, mut stream) = hijack(
            &e,
            &format!("/v1.44/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1"),
            headers,
            "",
        );
        assert!(head.starts_with(status), "{head}");
        let kind = if headers.is_empty() {
            "raw-stream"
        } else {
            "multiplexed-stream"
        };
        assert!(head.contains(&format!("application/vnd.docker.{kind}")), "{head}");
        assert_eq!(
            e.api("POST", &format!("/v1.44/containers/{id}/start"), None)
                .status,
            204
        );
        stream.write_all(b"over\n").unwrap();
        if close_stdin {
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut out = Vec::new();
        stream.read_to_end(&mut out).unwrap();
        let expected: &[u8] = b"\x01\0\0\0\0\0\0\x05over\n\x02\0\0\0\0\0\0\x04err\n";
        assert_eq!(out, expected, "{:?}", String::from_utf8_lossy(&out));
        let wait = e
            .api("POST", &format!("/v1.44/containers/{id}/wait"), None)
            .json();
        assert_eq!(wait["StatusCode"], 0);
        e.api("DELETE", &format!("/v1.44/containers/{id}"), None);
    }
}

#[test]
fn malformed_requests_never_kill_the_daemon() {
    let e = Engine::start();
    let huge = format!(
        "GET /_ping HTTP/1.1\r\nHost: d\r\nX: {}\r\n\r\n",
        "a".repeat(2 << 20)
    );
    let many = format!(
        "GET /_ping HTTP/1.1\r\nHost: d\r\n{}\r\n",
        "X: y\r\n".repeat(10_000)
    );
    let deep = "[".repeat(100_000);
    let deep = format!(
        "POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{deep}",
        deep.len()
    );
    for bytes in [
        huge.as_str(),
        many.as_str(),
        deep.as_str(),
        "GET /\0 HTTP/1.1\r\nHost: d\r\n\r\n",
        "POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /v1.44/containers/%2e%2e/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(e.socket()).unwrap();
        stream
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let line = String::from_utf8_lossy(&answer)
            .lines()
            .next()
            .unwrap_or("")
            .to_owned();
        assert!(
            answer.is_empty() || line.contains(" 4") || line.contains(" 301 "),
            "{line} to {:?}",
            &bytes[..bytes.len().min(60)]
        );
    }
    assert_eq!(e.api("GET", "/_ping", None).status, 200);
}

/// Ten thousand connections that say nothing: the daemon stays small, has descriptors left, and answers.
#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    let mut e = Engine::start();
    let Some(pid) = e.host().and_then(|host| host.daemon_pid()) else {
        return;
    };
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    if soft < 11_000 {
        let hard = hard.max(11_000);
        setrlimit(Resource::RLIMIT_NOFILE, 11_000, hard).expect("more descriptors");
    }
    let resident = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon lives");
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .expect("a size");
        line.split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .expect("KiB")
    };
    let before = resident();
    let begun = std::time::Instant::now();
    let mut silent = Vec::new();
    for n in 0..10_000 {
        let mut stream = UnixStream::connect(e.socket()).expect("a connection");
        if n % 4 == 0 {
            let _ = stream.write_all(b"POST /v1.44/containers/create HTTP/1.1\r\nHost: d\r\nX-Slow: ");
        }
        silent.push(stream);
        if n % 1000 == 999 {
            let asked = std::time::Instant::now();
            assert_eq!(e.api("GET", "/v1.44/containers/json", None).status, 200);
            assert!(
                asked.elapsed() < std::time::Duration::from_secs(5),
                "{n}: {:?}",
                asked.elapsed()
            );
        }
    }
    let after = resident();
    println!(
        "10,000 connections in {:.1?}: {before} -> {after} KiB",
        begun.elapsed()
    );
    assert!(after < before + (256 << 10), "{before} -> {after} KiB");
    e.sh(&[], "true");
    drop(silent);
    assert!(!e.host().expect("ours").log().contains("panicked"));
}
