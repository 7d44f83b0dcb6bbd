use crate::wire::Daemon;

#[tokio::test]
async fn the_prefix_is_optional_and_bounded() {
    let daemon = Daemon::start().await;
    for path in ["/version", "/v1.24/version", "/v1.40/version", "/v1.55/version"] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}");
    }
    let old = daemon.get("/v1.23/version").await;
    assert_eq!(old.status, 400);
    assert_eq!(
        old.message(),
        "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
    );
    let new = daemon.get("/v1.99/version").await;
    assert_eq!(
        (new.status, new.message().as_str()),
        (
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.55"
        )
    );
    for path in [
        "/vx/version",
        "/v1/version",
        "/v1.41",
        "/v1.41/",
        "/v1.41/nope",
        "/",
        "/v1.4.1/version",
    ] {
        let reply = daemon.get(path).await;
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (404, "page not found"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_reply_says_who_answers() {
    let daemon = Daemon::start().await;
    for (method, path) in [
        ("GET", "/version"),
        ("GET", "/nope"),
        ("GET", "/v1.23/version"),
        ("GET", "/containers/nope/json"),
        ("HEAD", "/_ping"),
        ("OPTIONS", "/anything"),
        ("POST", "/containers/forever/start"),
    ] {
        let reply = daemon.call(method, path, "", "").await;
        assert_eq!(reply.header("Api-Version"), Some("1.55"), "{method} {path}");
        assert_eq!(reply.header("Ostype"), Some("linux"));
        assert_eq!(reply.header("Server"), Some("Docker/0.1.0 (linux)"));
        assert_eq!(reply.header("Docker-Experimental"), Some("false"));
    }
}

#[tokio::test]
async fn ping_has_headers_of_its_own() {
    let daemon = Daemon::start().await;
    for method in ["GET", "HEAD"] {
        let reply = daemon.call(method, "/_ping", "", "").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("Builder-Version"), Some("1"));
        assert_eq!(reply.header("Swarm"), Some("active/worker"));
        assert_eq!(
            reply.header("Cache-Control"),
            Some("no-cache, no-store, must-revalidate")
        );
        assert_eq!(reply.header("Pragma"), Some("no-cache"));
        assert_eq!(reply.header("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.text(), if method == "GET" { "OK" } else { "" });
    }
}

#[tokio::test]
async fn methods_and_paths_are_as_strict_as_the_reference() {
    let daemon = Daemon::start().await;
    for (method, path) in [
        ("HEAD", "/containers/json"),
        ("POST", "/containers/json"),
        ("PUT", "/info"),
        ("GET", "/containers/json/"),
        ("DELETE", "/containers/echo/json"),
    ] {
        assert_eq!(
            daemon.call(method, path, "", "").await.status,
            404,
            "{method} {path}"
        );
    }
    let moved = daemon.get("//containers/json?all=1").await;
    assert_eq!(
        (moved.status, moved.header("Location")),
        (301, Some("/containers/json?all=1"))
    );
    let options = daemon.call("OPTIONS", "/containers/json", "", "").await;
    assert_eq!((options.status, options.text().as_str()), (200, ""));
    // Names of images hold slashes, plain or escaped.
    for path in ["/images/reg:5000/a/b/json", "/images/reg:5000%2Fa%2Fb/json"] {
        assert_eq!(daemon.get(path).await.json()["Id"], "reg:5000/a/b", "{path}");
    }
    assert_eq!(daemon.get("/networks/").await.text(), "[]\n");
    assert_eq!(daemon.get("/plugins").await.text(), "[]\n");
}

#[tokio::test]
async fn http_1_0_is_answered_and_closed() {
    let daemon = Daemon::start().await;
    let reply = daemon.raw(b"GET /_ping HTTP/1.0\r\n\r\n").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "OK"));
}
