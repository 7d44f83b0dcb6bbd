//! `userns-remap`: the container's root is nobody on the host, and everything about the container works as ever.

use serde_json::json;
use shoal_tests_conformance::{Engine, IMAGE};

/// An engine that remaps; a reference engine has to be started so.
fn remapping() -> Option<Engine> {
    let mut e = Engine::start();
    if let Some(host) = e.host() {
        host.stop();
        host.args.push("--userns-remap=default".into());
        host.start();
    }
    if e.ok(&["info", "-f", "{{.SecurityOptions}}"])
        .contains("name=userns")
    {
        return Some(e);
    }
    println!("this engine does not remap: nothing is shown");
    None
}

#[test]
fn root_inside_is_nobody_outside() {
    let Some(e) = remapping() else { return };
    let script = "cat /proc/self/uid_map; id -u; stat -c %u /bin/busybox /etc/passwd /tmp; touch /x; stat -c %u /x; \
                  chown 33:44 /x; stat -c %u:%g /x; echo 127.0.0.9 me >> /etc/hosts; stat -c %u /etc/hosts; \
                  echo through > /dev/stdout; stat -c %u /dev/null; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; \
                  ping -c1 -w2 127.0.0.1 >/dev/null && echo pings; mount -t tmpfs x /tmp 2>/dev/null || echo no mounts";
    let out = e.sh(&["--cap-add", "NET_RAW"], script);
    let mut lines: Vec<&str> = out.lines().collect();
    let map: Vec<u32> = lines
        .remove(0)
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    assert!(map[0] == 0 && map[1] >= 100_000 && map[2] == 65536, "{map:?}");
    assert_eq!(
        lines,
        [
            "0",
            "0",
            "0",
            "0",
            "0",
            "33:44",
            "0",
            "through",
            "65534",
            "0",
            "pings",
            "no mounts"
        ]
    );
    let name = e.name("outside");
    e.ok(&["run", "-d", "--name", &name, "-u", "7", IMAGE, "sleep", "100"]);
    let pid = e.ok(&["inspect", "-f", "{{.State.Pid}}", &name]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let uid = status.lines().find(|l| l.starts_with("Uid:")).unwrap();
    assert!(uid.contains(&(map[1] + 7).to_string()), "{uid}");
    assert_eq!(e.ok(&["exec", &name, "id", "-u"]), "7");
    assert_eq!(
        e.ok(&[
            "exec",
            "-u",
            "0",
            &name,
            "sh",
            "-c",
            "id -u; touch /y; stat -c %u /y"
        ]),
        "0\n0"
    );
    assert_eq!(e.ok(&["exec", "-t", "-u", "0", &name, "tty"]), "/dev/pts/0");
    e.ok(&["rm", "-f", &name]);
    // One that opts out is the host's root.
    let out = e.sh(&["--userns", "host"], "cat /proc/self/uid_map");
    let map: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(map, ["0", "0", "4294967295"]);
    assert_eq!(e.sh(&["--userns", "host", "--privileged"], "id -u"), "0");
}

#[test]
fn what_excludes_a_user_namespace_is_refused() {
    let Some(e) = remapping() else { return };
    for (host, text) in [
        (
            json!({"Privileged": true}),
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
        ),
        (
            json!({"NetworkMode": "host"}),
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (
            json!({"PidMode": "host"}),
            "cannot share the host PID namespace when user namespaces are enabled",
        ),
    ] {
        let body = json!({"Image": IMAGE, "Cmd": ["true"], "HostConfig": host});
        let answer = e.api("POST", "/v1.51/containers/create", Some(&body));
        assert_eq!((answer.status, answer.message()), (400, text.to_owned()));
    }
}

#[test]
fn volumes_copies_commits_and_networks_know_nothing_of_it() {
    let Some(e) = remapping() else { return };
    let (name, volume, image) = (e.name("ids"), e.name("ids"), e.name("ids-image"));
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "-v",
        &format!("{volume}:/data"),
        IMAGE,
        "sh",
        "-c",
        "touch /data/r /r; chown 5:6 /data/r /r; sleep 1000",
    ]);
    let owners = "stat -c %u:%g /data /data/r /r";
    assert_eq!(e.ok(&["exec", &name, "sh", "-c", owners]), "0:0\n5:6\n5:6");
    assert_eq!(
        e.sh(
            &["-v", &format!("{volume}:/data")],
            "touch /data/s; stat -c %u:%g /data/r /data/s"
        ),
        "5:6\n0:0"
    );
    assert_eq!(
        e.sh(
            &["--read-only", "-v", &format!("{volume}:/data:ro")],
            "touch /data/t 2>&1 | grep -c 'Read-only'"
        ),
        "1"
    );
    // Copies keep the ids that the container sees, running or not. Docker's show the host's on the way out.
    let ours = !e.is_reference();
    let dir = tempfile::tempdir().unwrap();
    let tar = |what: &str| {
        let out = shoal_tests_harness::run(&mut e.command(&["cp", &format!("{name}:{what}"), "-"]));
        let path = dir.path().join("tar");
        std::fs::write(&path, out.stdout).unwrap();
        let list = std::process::Command::new("tar")
            .args(["--numeric-owner", "-tvf"])
            .arg(&path)
            .output()
            .unwrap();
        String::from_utf8_lossy(&list.stdout)
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    if ours {
        assert_eq!(tar("/r"), "5/6");
    }
    let file = dir.path().join("put");
    std::fs::write(&file, "put").unwrap();
    std::os::unix::fs::chown(&file, Some(9), Some(9)).unwrap();
    for at in ["/put", "/data/put"] {
        e.ok(&["cp", "-a", file.to_str().unwrap(), &format!("{name}:{at}")]);
    }
    e.ok(&["cp", file.to_str().unwrap(), &format!("{name}:/plain")]);
    assert_eq!(
        e.ok(&[
            "exec",
            &name,
            "stat",
            "-c",
            "%u:%g",
            "/put",
            "/data/put",
            "/plain"
        ]),
        "9:9\n9:9\n9:9"
    );
    e.ok(&["commit", &name, &image]);
    let committed = e.ok(&["run", "--rm", &image, "stat", "-c", "%u:%g", "/r", "/put"]);
    assert_eq!(committed, "5:6\n9:9");
    e.ok(&["stop", "-t", "0", &name]);
    if ours {
        assert_eq!(tar("/r"), "5/6");
    }
    e.ok(&["start", &name]);
    assert_eq!(
        e.ok(&[
            "exec",
            &name,
            "sh",
            "-c",
            "stat -c %u:%g /r; ip -4 -o addr show eth0 | wc -l"
        ]),
        "5:6\n1"
    );
    assert_eq!(e.sh(&["--network", "none"], "ip -o link | wc -l"), "1");
    e.ok(&["rm", "-f", &name]);
    e.ok(&["rmi", &image]);
    e.ok(&["volume", "rm", &volume]);
}

#[test]
fn a_container_may_ask_for_a_user_namespace_itself() {
    let e = Engine::start();
    if e.is_reference() {
        return; // Docker knows the daemon's mapping only.
    }
    let body = json!({"Image": IMAGE, "Cmd": ["sh", "-c", "cat /proc/self/uid_map"], "HostConfig": {"UsernsMode": "private"}});
    let answer = e.api("POST", "/v1.51/containers/create", Some(&body));
    let id = answer.json()["Id"].as_str().unwrap().to_owned();
    let out = e.ok(&["start", "-a", &id]);
    let map: Vec<&str> = out.split_whitespace().collect();
    assert!(map[0] == "0" && map[1] != "0", "{out}");
    e.ok(&["rm", &id]);
}

#[test]
fn namespaces_of_another_are_joined_with_its_users() {
    let Some(e) = remapping() else { return };
    let (name, other) = (e.name("first"), e.name("second"));
    let sleep = ["sleep", "1000"];
    let mut first = vec![
        "run",
        "-d",
        "--name",
        &*name,
        "--ipc",
        "shareable",
        "--stop-signal",
        "KILL",
        IMAGE,
    ];
    first.extend(sleep);
    e.ok(&first);
    e.ok(&[
        "exec",
        &name,
        "sh",
        "-c",
        "echo shared >/dev/shm/file; chown 5:6 /dev/shm/file",
    ]);
    let user = |name: &str| {
        let pid = e.ok(&["inspect", "-f", "{{.State.Pid}}", name]);
        std::fs::read_link(format!("/proc/{pid}/ns/user")).expect("a namespace")
    };
    let of = format!("container:{name}");
    for kind in ["--pid", "--ipc", "--network"] {
        let script = "cat /proc/self/uid_map; id -u; touch /x; stat -c %u:%g /x /bin/busybox; mount | grep -c ' /proc '";
        let out = e.sh(&[kind, &of], script);
        let (map, rest) = out.split_once('\n').expect("lines");
        let map: Vec<u32> = map
            .split_whitespace()
            .map(|n| n.parse().expect("a number"))
            .collect();
        assert!(map[0] == 0 && map[1] >= 100_000, "{kind}: {map:?}");
        assert!(rest.starts_with("0\n0:0\n0:0\n"), "{kind}: {rest}");
    }
    let network = e.ok(&["exec", &name, "ip", "-4", "-o", "addr", "show", "eth0"]);
    assert_eq!(e.sh(&["--network", &of], "ip -4 -o addr show eth0"), network);
    assert_eq!(
        e.sh(&["--pid", &of], "tr '\\0' ' ' </proc/1/cmdline"),
        "sleep 1000"
    );
    assert_eq!(
        e.sh(&["--ipc", &of], "cat /dev/shm/file; stat -c %u:%g /dev/shm/file"),
        "shared\n5:6"
    );
    let mut second = vec!["run", "-d", "--name", &*other, "--stop-signal", "KILL"];
    second.extend(["--pid", &of, "--ipc", &of, "--network", &of, IMAGE]);
    second.extend(sleep);
    e.ok(&second);
    assert_eq!(user(&name), user(&other));
    assert_eq!(
        e.ok(&[
            "exec",
            &other,
            "sh",
            "-c",
            "id -u; kill -0 1 && echo reaches; pidof sleep | wc -w"
        ]),
        "0\nreaches\n2"
    );
    e.ok(&["restart", "-t", "0", &other]);
    assert_eq!(user(&name), user(&other));
    // Of one without such a namespace nothing can be had.
    let host = e.name("host");
    let mut plain = vec![
        "run",
        "-d",
        "--name",
        &*host,
        "--userns",
        "host",
        "--ipc",
        "shareable",
    ];
    plain.extend(["--stop-signal", "KILL", IMAGE]);
    plain.extend(sleep);
    e.ok(&plain);
    let (code, _, err) = e.code(&[
        "run",
        "--rm",
        "--ipc",
        &format!("container:{host}"),
        IMAGE,
        "true",
    ]);
    assert!(code != 0, "{err}");
    e.ok(&["rm", "-f", &other, &name, &host]);
}
