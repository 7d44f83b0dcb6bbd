//! The daemon is killed at some moment of each stage of a container's life and started again: within five seconds it
//! answers, what it says is true, and once everything was removed nothing is left of it.
//!
//! `SHOAL_KILLS=TURNS` makes it long, `SHOAL_SEED` repeats one run.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_tests_conformance::{Engine, IMAGE};
use shoal_tests_harness::run_ok;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const STAGES: [&str; 16] = [
    "create",
    "start",
    "run",
    "stop",
    "rm",
    "exec",
    "restart",
    "commit",
    "volume create",
    "volume rm",
    "pause",
    "unpause",
    "rename",
    "update",
    "cp",
    "kill",
];

#[test]
fn a_daemon_killed_at_any_moment_comes_back_consistent_and_leaves_nothing() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let turns = number("SHOAL_KILLS", 16);
    let seed = number("SHOAL_SEED", u64::from(std::process::id()));
    println!("SHOAL_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Once around, so that what a daemon makes once is there.
    e.ok(&["run", "--rm", "-p", "80", IMAGE, "true"]);
    let before = Kept::settled(&mut e);
    for turn in 0..turns {
        let stage = STAGES[turn as usize % STAGES.len()];
        let delay = Duration::from_micros(random.random_range(0..60_000));
        one(&mut e, stage, turn, delay);
    }
    let sid = e.host().unwrap().short_id().unwrap();
    let root = e.host().unwrap().data_root();
    nothing_left(&mut e, &sid, &root);
    let begun = Instant::now();
    while Kept::now(&mut e) != before {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "before {before:?}, after {:?}",
            Kept::now(&mut e)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A commit freezes what it reads, and nobody but the daemon would ever thaw it.
#[test]
fn a_daemon_killed_while_a_commit_holds_a_container_lets_it_run_again() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let script = "head -c 100000000 /dev/urandom >/large; echo ready; exec sleep 1000";
    e.ok(&[
        "run",
        "-d",
        "--name",
        "held",
        "--stop-signal",
        "KILL",
        IMAGE,
        "sh",
        "-c",
        script,
    ]);
    e.ok(&[
        "run",
        "-d",
        "--name",
        "paused",
        "--stop-signal",
        "KILL",
        IMAGE,
        "sleep",
        "1000",
    ]);
    e.ok(&["pause", "paused"]);
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    until("the file", &|| e.ok(&["logs", "held"]) == "ready");
    let paused = |e: &Engine, name: &str| {
        let state = e.api("GET", &format!("/v1.51/containers/{name}/json"), None);
        state.json()["State"]["Paused"] == true
    };
    for turn in 0..4 {
        let mut client = e.command(&["commit", "held", "held:image"]).spawn().unwrap();
        until("the pause", &|| paused(&e, "held"));
        std::thread::sleep(Duration::from_millis(20 * turn));
        e.host().unwrap().kill();
        assert!(
            !client.wait().unwrap().success(),
            "turn {turn}: the commit was over already"
        );
        e.host().unwrap().start();
        assert!(!paused(&e, "held"), "turn {turn}: nobody asked for that pause");
        let mut exec = e.command(&["exec", "held", "echo", "alive"]);
        let mut exec = exec.stdout(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while exec.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = exec.kill();
                panic!("turn {turn}: still frozen");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(exec.wait_with_output().unwrap().stdout, b"alive\n", "turn {turn}");
        assert!(paused(&e, "paused"), "turn {turn}: a user asked for that pause");
    }
    e.ok(&["commit", "held", "held:image"]);
    e.ok(&["rmi", "held:image"]);
    e.ok(&["unpause", "paused"]);
    assert_eq!(e.ok(&["exec", "paused", "echo", "alive"]), "alive");
    e.ok(&["rm", "-f", "held", "paused"]);
}

/// What containers and images leave on the disk and in the network of a host when they go: nothing.
#[derive(Debug, PartialEq)]
struct Kept {
    layers: usize,
    blobs: usize,
    /// Folders of running containers.
    running: usize,
    links: usize,
    /// Descriptors of network namespaces in the daemon. (Mounts of such files say nothing: any program on the machine may
    /// have some.)
    namespaces: usize,
}

impl Kept {
    /// Once nothing has changed for half a second: interfaces go, and namespaces are made ahead, in the background.
    fn settled(e: &mut Engine) -> Kept {
        let begun = Instant::now();
        let mut last = Kept::now(e);
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = Kept::now(e);
            if now == last {
                return now;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "it does not settle: {now:?}"
            );
            last = now;
        }
    }

    fn now(e: &mut Engine) -> Kept {
        let host = e.host().expect("ours");
        let (root, run) = (host.data_root(), host.dir().join("run"));
        let count = |dir: &Path| files(dir).count();
        let links = run_ok(host.command("ip").args(["-o", "link"]));
        let daemon = host.daemon_pid().expect("a daemon");
        let descriptors = std::fs::read_dir(format!("/proc/{daemon}/fd")).expect("descriptors");
        let targets = descriptors
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok());
        Kept {
            layers: std::fs::read_dir(root.join("layers")).map_or(0, Iterator::count),
            blobs: count(&root.join("images")),
            running: std::fs::read_dir(run.join("c")).map_or(0, Iterator::count),
            links: links.lines().count(),
            namespaces: targets
                .filter(|t| t.to_string_lossy().starts_with("net:["))
                .count(),
        }
    }
}

/// All files below a folder.
fn files(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut todo = vec![dir.to_owned()];
    let mut found = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type().is_ok_and(|t| t.is_dir()) {
                true => todo.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.into_iter()
}

fn one(e: &mut Engine, stage: &str, turn: u64, delay: Duration) {
    let name = format!("k{turn}");
    let tag = format!("kill-matrix:{turn}");
    let why = format!("turn {turn}: {stage}, killed after {delay:?}");
    let service = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"];
    let tail = |first: &[&str]| -> Vec<String> {
        let named = ["--name", name.as_str(), IMAGE];
        let all = first.iter().chain(&named).chain(&service);
        all.map(|s| s.to_string()).collect()
    };
    let ok = |words: Vec<String>| e.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
    match stage {
        "create" | "run" | "volume create" => {}
        "volume rm" => drop(e.ok(&["volume", "create", &name])),
        "start" => drop(ok(tail(&["create", "-v", "/data"]))),
        "unpause" => {
            ok(tail(&["run", "-d", "-v", "/data"]));
            e.ok(&["pause", &name]);
        }
        _ => drop(ok(tail(&["run", "-d", "-v", "/data"]))),
    }
    let words: Vec<String> = match stage {
        "create" => tail(&["create"]),
        "run" => tail(&["run", "-d", "-p", "80"]),
        "exec" => ["exec", &name, "sh", "-c", "sleep 0.02; echo x"]
            .map(String::from)
            .to_vec(),
        "rm" => ["rm", "-fv", &name].map(String::from).to_vec(),
        "commit" => ["commit", "-c", "ENV A=b", &name, &tag]
            .map(String::from)
            .to_vec(),
        "rename" => ["rename", &name, &format!("{name}x")].map(String::from).to_vec(),
        "update" => [
            "update",
            "--memory",
            "64m",
            "--memory-swap",
            "64m",
            "--restart",
            "on-failure",
            &name,
        ]
        .map(String::from)
        .to_vec(),
        "cp" => ["cp", "/bin/busybox", &format!("{name}:/data/busybox")]
            .map(String::from)
            .to_vec(),
        "volume create" | "volume rm" => stage.split(' ').chain([&*name]).map(String::from).collect(),
        "stop" | "restart" => [stage, "-t", "1", &name].map(String::from).to_vec(),
        stage => [stage, &name].map(String::from).to_vec(),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = e.command(&words);
    let mut client = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The client itself takes some time to get there.
    std::thread::sleep(Duration::from_millis(15) + delay);
    e.host().unwrap().kill();
    let done = client.wait().unwrap().success();
    let begun = Instant::now();
    e.host().unwrap().start();
    let list = e.api("GET", "/v1.51/containers/json?all=1", None).json();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{why}: {took:?}");
    let there = list.as_array().unwrap();
    // What was answered has happened; what was not has happened whole or not at all.
    let has = |name: &str| there.iter().any(|c| c["Names"][0] == format!("/{name}"));
    let exists = has(&name);
    match stage {
        "create" | "run" if done => assert!(exists, "{why}"),
        "create" | "run" => {}
        "rm" if done => assert!(!exists, "{why}"),
        "rm" => {}
        "rename" if done => assert!(has(&format!("{name}x")) && !exists, "{why}"),
        "rename" => assert!(has(&format!("{name}x")) != exists, "{why}: one name"),
        "volume create" | "volume rm" => {
            let volume = e.docker(&["volume", "inspect", &name]).status.success();
            assert!(!done || volume == (stage == "volume create"), "{why}");
            e.docker(&["volume", "rm", "-f", &name]);
        }
        _ => assert!(exists, "{why}"),
    }
    match stage {
        "commit" => {
            let image = e.docker(&["image", "inspect", &tag]).status.success();
            assert!(image || !done, "{why}");
            if image {
                assert_eq!(e.sh(&[], "true"), "", "{why}");
                assert_eq!(e.ok(&["run", "--rm", &tag, "sh", "-c", "echo $A"]), "b", "{why}");
                e.ok(&["rmi", &tag]);
            } else {
                // Whole, but killed before it had its name: an image like any other without one.
                e.ok(&["image", "prune", "-f"]);
            }
        }
        "pause" | "unpause" if done => {
            let state = e.ok(&["inspect", "-f", "{{.State.Paused}}", &name]);
            assert_eq!(state == "true", stage == "pause", "{why}");
        }
        "update" => {
            let limit = e.ok(&[
                "inspect",
                "-f",
                "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}",
                &name,
            ]);
            let all = [Some("67108864 on-failure"), (!done).then_some("0 no")];
            assert!(all.contains(&Some(&*limit)), "{why}: {limit}");
        }
        "cp" if done => {
            let size = std::fs::metadata("/bin/busybox")
                .expect("busybox")
                .len()
                .to_string();
            assert_eq!(
                e.ok(&["exec", &name, "stat", "-c", "%s", "/data/busybox"]),
                size,
                "{why}"
            );
        }
        _ => {}
    }
    for container in there {
        let id = container["Id"].as_str().unwrap();
        let state = e.api("GET", &format!("/v1.51/containers/{id}/json"), None).json()["State"].clone();
        let pid = state["Pid"].as_u64().unwrap();
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let runs = pid > 0 && groups.contains(id);
        assert_eq!(state["Running"] == true, runs, "{why}: {state}");
        if state["Status"] == "running" {
            assert_eq!(
                e.code(&["exec", id, "echo", "alive"]).1,
                "alive",
                "{why}: {state}"
            );
        }
        e.ok(&["rm", "-fv", id]);
    }
}

fn nothing_left(e: &mut Engine, sid: &str, root: &std::path::Path) {
    let daemon = e.host().unwrap().daemon_pid().unwrap();
    let begun = Instant::now();
    loop {
        let mine = format!("shoal-{sid}");
        let shims: Vec<u32> = processes()
            .filter(|(pid, line)| {
                *pid != daemon && line.contains("shoal-shim") && line.contains(&*root_of(root))
            })
            .map(|(pid, _)| pid)
            .collect();
        let mounts = std::fs::read_to_string(format!("/proc/{daemon}/mountinfo")).unwrap();
        let mounts: Vec<&str> = mounts
            .lines()
            .filter(|l| l.contains(&*root.to_string_lossy()))
            .collect();
        let left = |dir: &str| {
            let entries = std::fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
            entries.filter(|f| f.file_name().len() >= 32).count()
        };
        let counts = [
            groups(&mine),
            left("containers"),
            left("snapshots"),
            left("volumes"),
        ];
        if shims.is_empty() && mounts.is_empty() && counts == [0; 4] {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "left are shims {shims:?}, mounts {mounts:?}, control groups, containers, layers and volumes {counts:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn root_of(root: &std::path::Path) -> String {
    root.parent().unwrap_or(root).to_string_lossy().into_owned()
}

fn processes() -> impl Iterator<Item = (u32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|f| {
        let pid = f.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(f.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
    })
}

/// How many groups of containers there are below the daemon's own, in all trees.
fn groups(mine: &str) -> usize {
    let mut count = 0;
    let mut tops = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    let trees = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    tops.extend(trees.map(|f| f.path()).filter(|p| p.is_dir()));
    for top in tops {
        let entries = std::fs::read_dir(top.join(mine)).into_iter().flatten().flatten();
        count += entries
            .filter(|f| f.path().is_dir() && f.file_name().len() == 64)
            .count();
    }
    count
}
