use crate::fake::Fake;
use crate::wire::Daemon;
use shoal_api_http::router;

#[tokio::test]
async fn errors_carry_their_status_and_words() {
    let daemon = Daemon::start().await;
    for (method, path, status, message) in [
        ("GET", "/containers/nope/json", 404, "No such container: nope"),
        (
            "GET",
            "/containers/nope/db/json",
            404,
            "No such container: nope/db",
        ),
        (
            "DELETE",
            "/containers/nope/db?link=1",
            404,
            "No such container: nope/db",
        ),
        ("GET", "/images/nope/json", 404, "No such image: nope:latest"),
        ("GET", "/networks/nope", 404, "network nope not found"),
        ("GET", "/volumes/nope", 404, "get nope: no such volume"),
        ("GET", "/exec/nope/json", 404, "No such exec instance: nope"),
        (
            "POST",
            "/containers/echo/kill?signal=9",
            409,
            "cannot kill container: echo: container echo is not running (9)",
        ),
        (
            "DELETE",
            "/networks/bridge",
            403,
            "bridge is a pre-defined network and cannot be removed",
        ),
        (
            "GET",
            "/containers/echo/logs",
            400,
            "Bad parameters: you must choose at least one stream",
        ),
        (
            "POST",
            "/containers/echo/resize",
            400,
            "invalid resize height \"\": invalid syntax",
        ),
        (
            "POST",
            "/containers/echo/resize?h=1&w=x",
            400,
            "invalid resize width \"x\": invalid syntax",
        ),
        ("GET", "/containers/json?filters=x", 400, "invalid filter"),
        (
            "GET",
            "/containers/json?filters={%22foo%22:[%22x%22]}",
            400,
            "invalid filter 'foo'",
        ),
        (
            "GET",
            "/containers/json?filters={%22foo%22:{%22x%22:true}}",
            400,
            "invalid filter 'foo'",
        ),
        (
            "POST",
            "/containers/prune?filters={%22zz%22:[%22a%22]}",
            400,
            "invalid filter 'zz'",
        ),
        (
            "GET",
            "/containers/json?limit=x",
            400,
            "strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        ("GET", "/system/df?type=zz", 400, "unknown object type: zz"),
        (
            "POST",
            "/images/create?fromImage=:::",
            400,
            "invalid reference format",
        ),
        (
            "POST",
            "/containers/echo/wait?condition=x",
            400,
            "invalid condition: \"x\"",
        ),
        ("POST", "/build", 501, "building images is not implemented"),
        (
            "GET",
            "/containers/echo/export",
            501,
            "exporting a container is not implemented",
        ),
        (
            "POST",
            "/services/x/update?version=1",
            500,
            "rpc error: code = Unknown desc = update out of sequence",
        ),
    ] {
        let body = if path.starts_with("/services") { "{}" } else { "" };
        let reply = daemon.call(method, path, "", body).await;
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (status, message),
            "{method} {path}"
        );
        assert_eq!(reply.header("Content-Type"), Some("application/json"));
    }
    let refused = daemon.get("/swarm").await;
    assert_eq!(refused.status, 503);
    assert!(refused.message().starts_with("This node is not a swarm manager."));
    let denied = daemon
        .post("/auth", r#"{"username":"u","password":"wrong"}"#)
        .await;
    assert_eq!(denied.status, 401);
}

#[tokio::test]
async fn nothing_to_do_has_no_body() {
    let daemon = Daemon::start().await;
    let reply = daemon.call("POST", "/containers/forever/start", "", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (304, ""));
    let reply = daemon.call("POST", "/containers/echo/start", "", "").await;
    assert_eq!((reply.status, reply.text().as_str()), (204, ""));
}

#[tokio::test]
async fn bodies_are_read_as_go_reads_them() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    for (kind, body, message) in [
        (
            "application/json",
            "",
            "invalid JSON: got EOF while reading request body",
        ),
        ("application/json", "{", "invalid JSON: unexpected EOF"),
        (
            "application/json",
            "[]",
            "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest",
        ),
        (
            "application/json",
            r#"{"Image":5}"#,
            "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string",
        ),
        (
            "application/json",
            r#"{"Image":"x"} {}"#,
            "unexpected content after JSON",
        ),
        (
            "application/json",
            "xyz",
            "invalid JSON: invalid character 'x' looking for beginning of value",
        ),
        (
            "text/plain",
            "{}",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (
            "application/json",
            "{}",
            "config cannot be empty in order to create a container",
        ),
        (
            "application/json",
            "null",
            "config cannot be empty in order to create a container",
        ),
    ] {
        let reply = daemon
            .call(
                "POST",
                "/containers/create",
                &format!("Content-Type: {kind}\r\n"),
                body,
            )
            .await;
        assert_eq!((reply.status, reply.message().as_str()), (400, message), "{body}");
    }
    let body = r#"{"Image":"i","Cmd":null,"Env":null,"HostConfig":{"Memory":null,"Binds":null},"Unknown":{"a":null}}"#;
    for headers in ["", "Content-Type: application/json; charset=utf-8\r\n"] {
        let reply = daemon
            .call("POST", "/containers/create?name=n", headers, body)
            .await;
        assert_eq!(reply.status, 201);
        assert_eq!(
            reply.text(),
            format!("{{\"Id\":\"{}\",\"Warnings\":[]}}\n", "c".repeat(64))
        );
    }
    let created = fake.0.created.lock().unwrap();
    assert_eq!(
        (created[0].name.as_str(), created[0].request.config.image.as_str()),
        ("n", "i")
    );
}

#[tokio::test]
async fn registry_credentials_come_in_a_header() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    let header = "X-Registry-Auth: eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ==\r\n";
    daemon
        .call(
            "POST",
            "/images/create?fromImage=a&tag=b&platform=linux/arm64",
            header,
            "",
        )
        .await;
    daemon.call("POST", "/images/create?fromImage=a", "", "").await;
    let reply = daemon
        .call(
            "POST",
            "/images/create?fromImage=a",
            "X-Registry-Auth: !!\r\n",
            "",
        )
        .await;
    assert_eq!(reply.status, 400);
    let pulled = fake.0.pulled.lock().unwrap();
    assert_eq!(pulled[0].auth.as_ref().unwrap().username, "u");
    assert_eq!(
        (
            pulled[0].tag.as_str(),
            pulled[0].platform.as_ref().unwrap().architecture.as_str()
        ),
        ("b", "arm64")
    );
    assert!(pulled[1].auth.is_none());
}
