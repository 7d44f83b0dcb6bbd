//! Push, pull, login, search and what registries are asked, with a real registry and the stock CLI.

use base64::Engine as _;
use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::{Guests, busybox_tar, run};

fn import(e: &Engine, name: &str, message: &str) -> String {
    let tar = busybox_tar();
    e.ok(&["import", "--message", message, tar.to_str().unwrap(), name])
}

fn digest_of(push: &str) -> String {
    let line = push
        .lines()
        .find(|line| line.contains("digest: "))
        .expect("a digest");
    let digest = line
        .split("digest: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    digest.expect("a digest").to_owned()
}

#[test]
fn what_is_pushed_comes_back() {
    let e = Engine::start();
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let (name, other) = (r.name("a/bb:v1"), r.name("c/dd:latest"));
    let id = import(&e, &name, &e.prefix);
    let out = e.ok(&["push", &name]);
    assert!(
        out.starts_with(&format!("The push refers to repository [{}]", r.name("a/bb"))),
        "{out}"
    );
    assert!(out.contains(": Preparing") && out.contains(": Pushed"), "{out}");
    assert!(
        out.contains("v1: digest: sha256:") && out.contains(" size: "),
        "{out}"
    );
    let digest = digest_of(&out);
    let pinned = format!("{}@{digest}", r.name("a/bb"));
    assert_eq!(
        e.ok(&["inspect", "-f", "{{json .RepoDigests}}", &name]),
        json!([pinned]).to_string()
    );

    let again = e.ok(&["push", &name]);
    assert!(again.contains(": Layer already exists"), "{again}");
    assert_eq!(digest_of(&again), digest);
    e.ok(&["tag", &name, &other]);
    let mounted = e.ok(&["push", &other]);
    assert!(mounted.contains(": Mounted from a/bb"), "{mounted}");
    assert_eq!(digest_of(&mounted), digest);

    e.ok(&["rmi", &name, &other]);
    let pulled = e.ok(&["pull", &name]);
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    assert!(
        pulled.contains(&format!("Status: Downloaded newer image for {name}")),
        "{pulled}"
    );
    assert_eq!(e.ok(&["inspect", "-f", "{{.Id}}", &name]), id);
    assert_eq!(e.ok(&["run", "--rm", &name, "cat", "/www/index.html"]), "hello");
    // What came packed goes as it came.
    assert_eq!(digest_of(&e.ok(&["push", &name])), digest);
    e.ok(&["rmi", &name]);
    let pulled = e.ok(&["pull", &pinned]);
    assert!(
        pulled.contains(&format!("Status: Downloaded newer image for {pinned}")),
        "{pulled}"
    );
    assert_eq!(e.ok(&["inspect", "-f", "{{.Id}}", &pinned]), id);
    e.ok(&["rmi", &pinned]);
}

#[test]
fn pushing_what_is_not_there() {
    let e = Engine::start();
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let name = r.name("a/bb:v1");
    import(&e, &name, &e.prefix);
    let (code, _, err) = e.code(&["push", &r.name("a/none")]);
    assert_eq!(
        (code, err),
        (
            1,
            format!(
                "An image does not exist locally with the tag: {}",
                r.name("a/none")
            )
        )
    );
    let (code, _, err) = e.code(&["push", &r.name("a/bb:nope")]);
    assert_eq!(
        (code, err),
        (1, format!("tag does not exist: {}", r.name("a/bb:nope")))
    );
    e.ok(&["rmi", &name]);
}

#[test]
fn all_tags_are_pushed_and_pulled() {
    let e = Engine::start();
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let tags = ["one", "two", "three"].map(|tag| r.name(&format!("all:{tag}")));
    for tag in &tags {
        import(&e, tag, tag);
    }
    let out = e.ok(&["push", "-a", &r.name("all")]);
    for tag in ["one", "two", "three"] {
        assert!(out.contains(&format!("{tag}: digest: sha256:")), "{out}");
    }
    for tag in &tags {
        e.ok(&["rmi", tag]);
    }
    let out = e.ok(&["pull", "-a", &r.name("all")]);
    assert!(
        out.contains(&format!("Status: Downloaded newer image for {}", r.name("all"))),
        "{out}"
    );
    for tag in &tags {
        e.ok(&["rmi", tag]);
    }
}

#[test]
fn credentials_open_a_closed_registry() {
    let e = Engine::start();
    let Some(r) = e.registry(Guests::User) else { return };
    let name = r.name("closed/x:v1");
    import(&e, &name, &e.prefix);
    let config = std::env::temp_dir().join(format!("{}-config", e.prefix));
    let own = |args: &[&str]| {
        let out = run(e.command(args).env("DOCKER_CONFIG", &config));
        let text = |b: &[u8]| String::from_utf8_lossy(b).trim_end().to_owned();
        (
            out.status.code().unwrap_or(-1),
            text(&out.stdout),
            text(&out.stderr),
        )
    };
    let (code, _, err) = own(&["push", &name]);
    assert_eq!((code, err.as_str()), (1, "no basic auth credentials"));
    let (code, _, err) = own(&["login", "-u", "user", "-p", "wrong", &r.host]);
    assert!(code == 1 && err.contains("401 Unauthorized"), "{err}");
    let (code, out, err) = own(&["login", "-u", "user", "-p", "secret", &r.host]);
    assert!(code == 0 && out.ends_with("Login Succeeded"), "{out}{err}");
    let (code, out, err) = own(&["push", &name]);
    assert_eq!(code, 0, "{out}{err}");
    let digest = digest_of(&out);
    e.ok(&["rmi", &name]);
    let (code, _, err) = e.code(&["pull", &name]);
    assert!(code == 1 && err.contains("no basic auth credentials"), "{err}");
    let (code, out, err) = own(&["pull", &name]);
    assert!(code == 0 && out.contains(&digest), "{out}{err}");
    e.ok(&["rmi", &name]);
    let _ = std::fs::remove_dir_all(config);
}

#[test]
fn a_registry_is_asked_without_pulling() {
    let e = Engine::start();
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let name = r.name("asked:v1");
    import(&e, &name, &e.prefix);
    let digest = digest_of(&e.ok(&["push", &name]));
    e.ok(&["rmi", &name]);
    let answer = e.api("GET", &format!("/v1.50/distribution/{name}/json"), None);
    assert_eq!(answer.status, 200);
    let body: Value = answer.json();
    assert_eq!(body["Descriptor"]["digest"], digest);
    assert!(body["Descriptor"]["size"].as_u64().is_some_and(|size| size > 0));
    assert_eq!(
        body["Platforms"],
        json!([{"architecture": "amd64", "os": "linux"}])
    );
    let missing = e.api(
        "GET",
        &format!("/v1.50/distribution/{}/json", r.name("nope:v1")),
        None,
    );
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["message"], "manifest unknown: manifest unknown");
    let bad = e.api("GET", "/v1.50/distribution/UPPER/json", None);
    assert_eq!(bad.status, 400);
    // The CLI asks the registry itself, and puts many of ours under one name.
    let manifest = e.ok(&["manifest", "inspect", "--insecure", &name]);
    assert!(manifest.contains("\"schemaVersion\": 2"), "{manifest}");
}

#[test]
fn searching_with_limits_and_filters() {
    let e = Engine::start();
    let hits: Vec<Value> = (0..3)
        .map(|n| json!({"name": format!("hit{n}"), "description": "d", "star_count": n * 10, "is_official": n == 2, "is_automated": false}))
        .collect();
    let body = json!({"num_results": 3, "query": "x", "results": hits}).to_string();
    let web = e.web(&body);
    let term = format!("127.0.0.1:{}/x", web.port);
    let out = e.ok(&[
        "search",
        "--format",
        "{{.Name}} {{.StarCount}} {{.IsOfficial}}",
        &term,
    ]);
    assert_eq!(out, "hit0 0 \nhit1 10 \nhit2 20 [OK]");
    let few = e.ok(&[
        "search",
        "--filter",
        "stars=10",
        "--filter",
        "is-official=false",
        "--format",
        "{{.Name}}",
        &term,
    ]);
    assert_eq!(few, "hit1");
    let (_, _, err) = e.code(&["search", "--limit", "101", &term]);
    assert!(err.contains("outside the range of [1, 100]"), "{err}");
    let (_, _, err) = e.code(&["search", "--filter", "nope=1", &term]);
    assert!(err.contains("invalid filter 'nope'"), "{err}");
}

#[test]
fn the_header_with_credentials_is_read_in_every_form() {
    let e = Engine::start();
    let Some(r) = e.registry(Guests::User) else { return };
    let name = r.name("forms:v1");
    e.ok(&["tag", IMAGE, &name]);
    let auth = json!({"username": "user", "password": "secret", "serveraddress": r.host}).to_string();
    let padded = base64::engine::general_purpose::URL_SAFE.encode(&auth);
    let bare = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&auth);
    // The reference takes what it cannot read for nothing.
    let forms = if e.is_reference() {
        vec![padded]
    } else {
        vec![padded, bare]
    };
    for header in forms {
        let out = run(e
            .command_of("curl")
            .args(["-s", "-X", "POST", "--unix-socket"])
            .arg(e.socket())
            .args([
                "-H",
                &format!("X-Registry-Auth: {header}"),
                &format!("http://d/v1.50/images/{}/push?tag=v1", r.name("forms")),
            ]));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(text.contains("v1: digest: sha256:"), "{text}");
    }
    e.ok(&["rmi", &name]);
}
