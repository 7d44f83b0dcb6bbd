//! Volumes with mount options, their users, filters and prune; what is refused.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};

fn create(e: &Engine, body: Value) -> (u16, Value) {
    let answer = e.api("POST", "/v1.44/volumes/create", Some(&body));
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

fn local(e: &Engine, name: &str, options: Value) -> (u16, Value) {
    create(e, json!({"Name": name, "Driver": "local", "DriverOpts": options}))
}

fn list(e: &Engine, filters: &str) -> Vec<String> {
    let answer = e.api(
        "GET",
        &format!("/v1.44/volumes?filters={}", escape(filters)),
        None,
    );
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, 200, "{json}");
    let volumes = json["Volumes"].as_array().cloned().unwrap_or_default();
    let mut names: Vec<_> = volumes
        .iter()
        .filter_map(|v| v["Name"].as_str().map(str::to_owned))
        .collect();
    names.retain(|name| name.starts_with(&e.prefix));
    names.sort();
    names
}

fn escape(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[test]
fn options_of_the_local_driver_are_checked() {
    let e = Engine::start();
    let name = e.name("opts");
    for (options, why) in [
        (json!({"x": "y"}), "invalid option: \"x\""),
        (json!({"type": "tmpfs"}), "missing required option: \"device\""),
        (json!({"device": "/x"}), "missing required option: \"type\""),
        (json!({"o": "ro"}), "missing required option: \"device\""),
        (
            json!({"size": "10m"}),
            "quota size requested but no quota support",
        ),
        (json!({"size": "zz"}), "invalid size: 'zz'"),
    ] {
        let (status, answer) = local(&e, &name, options.clone());
        let want = format!("create {name}: {why}");
        assert_eq!(
            (status, answer["message"].as_str()),
            (400, Some(&*want)),
            "{options}"
        );
    }
}

#[test]
fn a_tmpfs_volume_lives_as_long_as_somebody_uses_it() {
    let e = Engine::start();
    let name = e.name("tmpfs");
    let options = json!({"type": "tmpfs", "device": "tmpfs", "o": "size=1m,nosuid"});
    let (status, made) = local(&e, &name, options.clone());
    assert_eq!((status, &made["Options"]), (201, &options));
    let at = format!("{name}:/v");
    let first = e.ok(&["run", "-d", "-v", &at, IMAGE, "sleep", "300"]);
    e.ok(&["exec", &first, "sh", "-c", "echo kept > /v/f"]);
    assert_eq!(
        e.sh(
            &["-v", &at],
            "cat /v/f; grep -o '^tmpfs /v tmpfs rw,nosuid.*size=1024k' /proc/mounts | cut -c1-25"
        ),
        "kept\ntmpfs /v tmpfs rw,nosuid,"
    );
    let (_, _, err) = e.code(&["volume", "rm", &name]);
    assert!(
        err.contains(&format!("remove {name}: volume is in use - [{first}]")),
        "{err}"
    );
    e.ok(&["rm", "-f", &first]);
    // The last user is gone, and what was in memory with it.
    for _ in 0..50 {
        if e.sh(&["-v", &at], "ls /v").is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(e.sh(&["-v", &at], "ls /v"), "");
    e.ok(&["volume", "rm", &name]);
}

#[test]
fn a_mount_that_fails_is_said_at_the_start() {
    let e = Engine::start();
    for (what, options, why) in [
        (
            "bind",
            json!({"type": "none", "device": "/no/such", "o": "bind"}),
            ", flags: 0x1000: no such file or directory",
        ),
        ("foo", json!({"type": "foofs", "device": "x"}), ": no such device"),
        (
            "nfs",
            json!({"type": "nfs", "device": ":/x", "o": "addr=127.0.0.1,ro"}),
            ", flags: 0x1, data: addr=127.0.0.1: no such device",
        ),
    ] {
        let name = e.name(what);
        let (status, made) = local(&e, &name, options.clone());
        assert_eq!(status, 201, "{made}");
        let path = made["Mountpoint"].as_str().expect("a path");
        let id = e.ok(&["create", "-v", &format!("{name}:/v"), IMAGE, "true"]);
        let (_, _, err) = e.code(&["start", &id]);
        let device = options["device"].as_str().expect("a device");
        let want = format!(
            "error while mounting volume '{path}': failed to mount local volume: mount {device}:{path}{why}"
        );
        assert!(err.contains(&want), "{err}\n{want}");
        e.ok(&["rm", &id]);
        // The reference engine counts the failed start as a user for ever.
        if !e.is_reference() {
            e.ok(&["volume", "rm", &name]);
        }
    }
}

#[test]
fn a_bound_directory_stays_when_its_volume_goes() {
    let mut e = Engine::start();
    if e.host().is_none() {
        // The reference engine runs in a root of its own.
        return;
    }
    let dir = std::env::temp_dir().join(format!("{}-device", e.prefix));
    std::fs::create_dir_all(&dir).expect("made");
    std::fs::write(dir.join("precious"), "gold\n").expect("written");
    let name = e.name("bound");
    let (status, _) = local(&e, &name, json!({"type": "none", "device": dir, "o": "bind"}));
    assert_eq!(status, 201);
    let at = format!("{name}:/v");
    assert_eq!(e.sh(&["-v", &at], "cat /v/precious; echo more > /v/more"), "gold");
    let running = e.ok(&["run", "-d", "-v", &at, IMAGE, "sleep", "300"]);
    // A daemon that was killed finds its mounts and their users again.
    let host = e.host().expect("a host");
    host.kill();
    host.start();
    assert_eq!(e.ok(&["exec", &running, "cat", "/v/more"]), "more");
    let (_, _, err) = e.code(&["volume", "rm", &name]);
    assert!(err.contains("volume is in use"), "{err}");
    assert_eq!(e.sh(&["-v", &at], "cat /v/precious"), "gold");
    e.ok(&["rm", "-f", &running]);
    e.ok(&["volume", "rm", &name]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(&format!("/{name}/_data")), "a mount is left");
    assert_eq!(
        std::fs::read_to_string(dir.join("precious")).expect("still there"),
        "gold\n"
    );
    assert_eq!(
        std::fs::read_to_string(dir.join("more")).expect("written through"),
        "more\n"
    );
    std::fs::remove_dir_all(dir).expect("removed");
}

#[test]
fn made_again_it_is_the_same_and_another_driver_is_a_conflict() {
    let e = Engine::start();
    let name = e.name("twice");
    let (status, first) = create(&e, json!({"Name": name, "Labels": {"a": "b"}}));
    assert_eq!((status, first["Labels"]["a"].as_str()), (201, Some("b")));
    let (status, second) = create(&e, json!({"Name": name, "Labels": {"c": "d"}, "Driver": "local"}));
    assert_eq!(
        (status, &second["Labels"], &second["CreatedAt"]),
        (201, &first["Labels"], &first["CreatedAt"])
    );
    for method in ["GET", "DELETE"] {
        let missing = e.name("nosuch");
        let answer = e.api(method, &format!("/v1.44/volumes/{missing}"), None);
        let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer.status, 404);
        assert_eq!(json["message"], format!("get {missing}: no such volume"));
    }
    assert_eq!(e.api("DELETE", "/v1.44/volumes/nosuch?force=1", None).status, 204);
    e.ok(&["volume", "rm", &name]);
}

#[test]
fn filters_users_and_prune() {
    let e = Engine::start();
    let (used, free, bare) = (e.name("used"), e.name("free"), e.name("bare"));
    create(
        &e,
        json!({"Name": used, "Labels": {"group": &e.prefix, "x": "1"}}),
    );
    create(
        &e,
        json!({"Name": free, "Labels": {"group": &e.prefix, "x": "2"}}),
    );
    create(&e, json!({"Name": bare}));
    let at = format!("{used}:/v");
    let one = e.ok(&["create", "-v", &at, IMAGE]);
    let two = e.ok(&["create", "-v", &at, IMAGE]);
    let (_, _, err) = e.code(&["volume", "rm", "-f", &used]);
    let (forward, back) = (format!("[{one}, {two}]"), format!("[{two}, {one}]"));
    assert!(err.contains(&forward) || err.contains(&back), "{err}");
    assert_eq!(
        list(&e, &format!(r#"{{"label":["group={}"]}}"#, e.prefix)),
        [free.clone(), used.clone()]
    );
    let only = std::slice::from_ref;
    assert_eq!(list(&e, r#"{"label":["x=2"]}"#), only(&free));
    assert_eq!(list(&e, r#"{"dangling":["true"]}"#), [bare.clone(), free.clone()]);
    assert_eq!(list(&e, r#"{"dangling":["0"]}"#), only(&used));
    assert_eq!(
        list(
            &e,
            &format!(r#"{{"name":["{}"],"driver":["local"]}}"#, &free[3..])
        ),
        only(&free)
    );
    assert!(list(&e, r#"{"driver":["other"]}"#).is_empty());
    for (path, filters, why) in [
        ("volumes", r#"{"x":["y"]}"#, "invalid filter 'x'"),
        (
            "volumes",
            r#"{"dangling":["maybe"]}"#,
            "invalid filter 'dangling=[maybe]'",
        ),
        (
            "prune",
            r#"{"all":["maybe"]}"#,
            "invalid filter 'all': strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
    ] {
        let answer = match path {
            "prune" => e.api(
                "POST",
                &format!("/v1.44/volumes/prune?filters={}", escape(filters)),
                None,
            ),
            _ => e.api(
                "GET",
                &format!("/v1.44/volumes?filters={}", escape(filters)),
                None,
            ),
        };
        let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, json["message"].as_str()),
            (400, Some(why)),
            "{filters}"
        );
    }
    let prune = |version: &str, filters: String| {
        let answer = e.api(
            "POST",
            &format!("/{version}/volumes/prune?filters={}", escape(&filters)),
            None,
        );
        let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
        json["VolumesDeleted"].as_array().cloned().unwrap_or_default()
    };
    let group = format!(r#""label":["group={}"]"#, e.prefix);
    // Since 1.42 only those that nobody named, unless all are asked for; before, every unused one.
    assert!(prune("v1.44", format!("{{{group}}}")).is_empty());
    assert_eq!(
        prune("v1.44", format!(r#"{{{group},"all":["1"]}}"#)),
        [json!(free)]
    );
    create(&e, json!({"Name": free, "Labels": {"group": &e.prefix}}));
    assert_eq!(prune("v1.41", format!("{{{group}}}")), [json!(free)]);
    e.ok(&["rm", &one, &two]);
    e.ok(&["volume", "rm", &used, &bare]);
}
