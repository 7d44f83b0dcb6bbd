//! Volume plugins on a socket, Docker's protocol.

use serde_json::{Value, json};
use shoal_tests_conformance::{Engine, IMAGE};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A plugin whose volumes are directories; what it was asked is in its log.
const PLUGIN: &str = include_str!("volume_plugin.py");

struct Plugin {
    process: Child,
    name: String,
    root: PathBuf,
    /// The engine is the one that all cases share: it asks every plugin that it ever met when it lists volumes, and waits
    /// 15 s for each that has gone.
    stays: bool,
}

impl Plugin {
    /// Started where the engine under test looks for plugins.
    fn start(e: &Engine, what: &str) -> Plugin {
        let name = format!("{}-{what}", e.prefix);
        // The reference engine has a root of its own, which is a directory here.
        let outside = if e.is_reference() {
            let socket = e.socket();
            let run = socket
                .ancestors()
                .find(|dir| dir.ends_with("run"))
                .expect("a run directory");
            run.parent().expect("a root").to_owned()
        } else {
            PathBuf::from("/")
        };
        let sockets = outside.join("run/docker/plugins");
        std::fs::create_dir_all(&sockets).expect("a directory for sockets");
        let (socket, root) = (
            sockets.join(format!("{name}.sock")),
            outside.join("tmp").join(&name),
        );
        let process = Command::new("python3")
            .args(["-c", PLUGIN])
            .args([&socket, &root, &PathBuf::from("/tmp").join(&name)])
            .stdin(Stdio::piped())
            .spawn()
            .expect("python3");
        for _ in 0..100 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Plugin {
            process,
            name,
            root,
            stays: e.is_reference(),
        }
    }

    fn asked(&self, method: &str) -> usize {
        let log = std::fs::read_to_string(self.root.with_extension("log")).unwrap_or_default();
        log.lines()
            .filter(|l| l.starts_with(&format!("VolumeDriver.{method} ")))
            .count()
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let input = self.process.stdin.take();
        if self.stays {
            // Closed when this process ends.
            std::mem::forget(input);
            return;
        }
        drop(input);
        let _ = self.process.wait();
    }
}

fn create(e: &Engine, name: &str, driver: &str, options: Value) -> (u16, Value) {
    let body = json!({"Name": name, "Driver": driver, "DriverOpts": options, "Labels": {"l": "m"}});
    let answer = e.api("POST", "/v1.44/volumes/create", Some(&body));
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

#[test]
fn a_volume_of_a_plugin_from_create_to_remove() {
    let e = Engine::start();
    let plugin = Plugin::start(&e, "whole");
    let driver = plugin.name.as_str();
    let name = e.name("vol");
    let (status, made) = create(&e, &name, driver, json!({"a": "b"}));
    assert_eq!(
        (status, &made),
        (
            201,
            &json!({
                "CreatedAt": "0001-01-01T00:00:00Z", "Driver": driver, "Labels": {"l": "m"}, "Mountpoint": "",
                "Name": name, "Options": {"a": "b"}, "Scope": "global",
            })
        )
    );
    assert_eq!(create(&e, &name, "", json!({})).0, 201);
    let (status, clash) = create(&e, &name, "local", json!({}));
    let want =
        format!("create {name}: driver '{driver}' already has volume '{name}': volume name must be unique");
    assert_eq!((status, clash["message"].as_str()), (409, Some(&*want)));
    let answer = e.api("GET", &format!("/v1.44/volumes/{name}"), None);
    let shown: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(shown["Status"], json!({"hello": "world"}));
    assert_eq!(shown["Mountpoint"], format!("/tmp/{driver}/{name}"));
    assert_eq!(shown["CreatedAt"], "2020-01-02T03:04:05Z");
    let filter = format!("driver={driver}");
    assert_eq!(e.ok(&["volume", "ls", "-q", "--filter", &filter]), name);

    let at = format!("{name}:/v");
    assert_eq!(e.sh(&["-v", &at], "echo hi > /v/f; cat /v/f"), "hi");
    assert_eq!(
        std::fs::read_to_string(plugin.root.join(&name).join("f")).expect("written"),
        "hi\n"
    );
    for _ in 0..50 {
        if plugin.asked("Unmount") == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(
        (
            plugin.asked("Mount"),
            plugin.asked("Unmount"),
            plugin.asked("Create")
        ),
        (1, 1, 1)
    );
    let holder = e.ok(&["create", "-v", &at, IMAGE]);
    let driver_shown = e.ok(&["inspect", "-f", "{{(index .Mounts 0).Driver}}", &holder]);
    assert_eq!(driver_shown, driver);
    let (_, _, err) = e.code(&["volume", "rm", &name]);
    assert!(err.contains("volume is in use"), "{err}");
    e.ok(&["rm", &holder]);
    e.ok(&["volume", "rm", &name]);
    assert_eq!(plugin.asked("Remove"), 1);
}

#[test]
fn a_container_may_make_one_by_its_mount() {
    let e = Engine::start();
    let plugin = Plugin::start(&e, "mount");
    let (one, two) = (e.name("bymount"), e.name("bydriver"));
    let mount = format!(
        "type=volume,src={one},dst=/v,volume-driver={},volume-opt=q=r",
        plugin.name
    );
    assert_eq!(e.sh(&["--mount", &mount], "touch /v/x; ls /v"), "x");
    let at = format!("{two}:/v");
    assert_eq!(
        e.sh(&["--volume-driver", &plugin.name, "-v", &at], "touch /v/y; ls /v"),
        "y"
    );
    assert!(plugin.root.join(&one).join("x").exists() && plugin.root.join(&two).join("y").exists());
    let options = e.ok(&["volume", "inspect", "-f", "{{json .Options}}", &one]);
    assert_eq!(options, r#"{"q":"r"}"#);
    e.ok(&["volume", "rm", &one, &two]);
}

#[test]
fn what_a_plugin_refuses_is_said_in_its_words() {
    let e = Engine::start();
    let plugin = Plugin::start(&e, "refuse");
    let driver = plugin.name.as_str();
    let (bad, sticky, stuck) = (e.name("bad"), e.name("sticky"), e.name("stuck"));
    let (status, answer) = create(&e, &bad, driver, json!({"fail": "1"}));
    assert_eq!(
        (status, answer["message"].as_str()),
        (500, Some(&*format!("create {bad}: told to fail")))
    );
    assert_eq!(create(&e, &stuck, driver, json!({"nomount": "1"})).0, 201);
    let id = e.ok(&["create", "-v", &format!("{stuck}:/v"), IMAGE, "true"]);
    let (_, _, err) = e.code(&["start", &id]);
    assert!(
        err.contains("error while mounting volume '': will not mount"),
        "{err}"
    );
    e.ok(&["rm", &id]);
    assert_eq!(create(&e, &sticky, driver, json!({"sticky": "1"})).0, 201);
    let (_, _, err) = e.code(&["volume", "rm", &sticky]);
    assert!(err.contains(&format!("remove {sticky}: cannot let go")), "{err}");
    // It refuses that only once.
    e.ok(&["volume", "rm", &sticky, &stuck]);
}

#[test]
fn a_plugin_that_is_not_there() {
    let e = Engine::start();
    let driver = format!("{}-none", e.prefix);
    let name = e.name("lost");
    let (status, answer) = create(&e, &name, &driver, json!({}));
    let want =
        format!("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found");
    assert_eq!((status, answer["message"].as_str()), (404, Some(&*want)));
    let config = json!({"DriverConfig": {"Name": driver}});
    let mount = json!({"Type": "volume", "Source": name, "Target": "/v", "VolumeOptions": config});
    let body = json!({"Image": IMAGE, "HostConfig": {"Mounts": [mount]}});
    let answer = e.api("POST", "/v1.44/containers/create", Some(&body));
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, json["message"].as_str()), (404, Some(&*want)));
}

#[test]
fn a_daemon_that_was_killed_knows_its_plugins_volumes_again() {
    let mut e = Engine::start();
    if e.host().is_none() {
        return;
    }
    let plugin = Plugin::start(&e, "again");
    let name = e.name("kept");
    assert_eq!(create(&e, &name, &plugin.name, json!({})).0, 201);
    let at = format!("{name}:/v");
    let id = e.ok(&["run", "-d", "-v", &at, IMAGE, "sleep", "300"]);
    let host = e.host().expect("a host");
    host.kill();
    host.start();
    assert_eq!(
        e.ok(&["volume", "inspect", "-f", "{{.Driver}}", &name]),
        plugin.name
    );
    e.ok(&["exec", &id, "touch", "/v/still"]);
    assert!(plugin.root.join(&name).join("still").exists());
    e.ok(&["rm", "-f", &id]);
    for _ in 0..50 {
        if plugin.asked("Unmount") == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!((plugin.asked("Mount"), plugin.asked("Unmount")), (1, 1));
    e.ok(&["volume", "rm", &name]);
}
