//! Bad input: a clear message in Docker's words, the right status, nothing left behind.

use serde_json::json;
use shoal_tests_conformance::{Engine, IMAGE};

#[test]
fn unknown_things_are_404_in_dockers_words() {
    let e = Engine::start();
    for (method, path, text) in [
        ("GET", "/v1.44/containers/nope/json", "No such container: nope"),
        ("POST", "/v1.44/containers/nope/start", "No such container: nope"),
        ("DELETE", "/v1.44/containers/nope", "No such container: nope"),
        ("GET", "/v1.44/images/nope/json", "No such image: nope:latest"),
        ("GET", "/v1.44/networks/nope", "network nope not found"),
        ("GET", "/v1.44/volumes/nope", "get nope: no such volume"),
        ("GET", "/v1.44/exec/nope/json", "No such exec instance: nope"),
        ("GET", "/v1.44/no/such/route", "page not found"),
    ] {
        let answer = e.api(method, path, None);
        assert_eq!(
            (answer.status, answer.message().as_str()),
            (404, text),
            "{method} {path}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
}

#[test]
fn invalid_json_and_parameters_are_400() {
    let e = Engine::start();
    let post = |body: &str| {
        shoal_tests_harness::request_raw(
            &e.socket(),
            "POST",
            "/v1.44/containers/create",
            "Content-Type: application/json\r\n",
            body.as_bytes(),
        )
        .unwrap()
    };
    for body in ["{", "[]", "\"x\"", r#"{"Image": 5}"#, r#"{"Image":"x"} trailing"#] {
        assert_eq!(post(body).status, 400, "{body}");
    }
    let name = "/v1.44/containers/create?name=b@d";
    let answer = e.api("POST", name, Some(&json!({"Image": IMAGE})));
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .message()
            .contains("Invalid container name (b@d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        "{}",
        answer.message()
    );
    let answer = e.api("GET", "/v1.44/containers/json?filters=nonsense", None);
    assert_eq!(answer.status, 400);
    let answer = e.api(
        "GET",
        "/v1.44/containers/json?filters=%7B%22no%22%3A%5B%22x%22%5D%7D",
        None,
    );
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (400, "invalid filter 'no'")
    );
}

#[test]
fn a_missing_image_is_404_and_leaves_no_container() {
    let e = Engine::start();
    let answer = e.api(
        "POST",
        "/v1.44/containers/create?name=ghost",
        Some(&json!({"Image": "no-such:thing"})),
    );
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (404, "No such image: no-such:thing")
    );
    assert_eq!(e.api("GET", "/v1.44/containers/ghost/json", None).status, 404);
}

#[test]
fn a_taken_port_says_so_and_the_container_can_be_removed() {
    let e = Engine::start();
    let (one, two) = (e.name("p1"), e.name("p2"));
    e.ok(&[
        "run", "-d", "--name", &one, "-p", "18099:80", IMAGE, "sleep", "1000",
    ]);
    let (code, _, err) = e.code(&[
        "run", "-d", "--name", &two, "-p", "18099:80", IMAGE, "sleep", "1000",
    ]);
    assert_eq!(code, 125);
    assert!(err.contains("port is already allocated"), "{err}");
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.Status}}", &two]), "created");
    e.ok(&["rm", "-f", &one]);
    e.ok(&["start", &two]);
    e.ok(&["rm", "-f", &two]);
}

#[test]
fn an_unreachable_registry_is_said_in_time() {
    let e = Engine::start();
    let start = std::time::Instant::now();
    let (code, _, err) = e.code(&["pull", "127.0.0.1:9/none:latest"]);
    assert_ne!(code, 0);
    assert!(err.contains("connection refused"), "{err}");
    assert!(start.elapsed() < std::time::Duration::from_secs(30));
    let (code, _, err) = e.code(&["pull", "Bad//Reference"]);
    assert_ne!(code, 0);
    assert!(err.contains("invalid reference format"), "{err}");
}

#[test]
fn broken_archives_are_refused_and_nothing_is_listed() {
    let e = Engine::start();
    let count = || e.ok(&["images", "-aq"]).lines().count();
    let before = count();
    let junk = std::env::temp_dir().join(format!("{}-junk", e.prefix));
    std::fs::write(&junk, vec![7u8; 5000]).unwrap();
    let (code, ..) = e.code(&["load", "-i", junk.to_str().unwrap()]);
    assert_ne!(code, 0);
    std::fs::remove_file(&junk).unwrap();
    assert_eq!(count(), before);
}
