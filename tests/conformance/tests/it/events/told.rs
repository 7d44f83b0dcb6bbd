//! What is told.

use super::*;

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
    // Who waits for the end may hear of it before it is told.
    let events = eventually("both are told", Duration::from_secs(10), || {
        let events = told(&e, &since, &json!({"container": [name], "event": ["oom", "die"]}));
        (events.len() >= 2).then_some(events)
    });
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
