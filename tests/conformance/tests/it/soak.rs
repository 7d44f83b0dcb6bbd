//! The same work over and over: a daemon that forgets nothing it should hold, and holds nothing it should forget.

use shoal_tests_conformance::{Engine, IMAGE};

/// What a daemon holds: open descriptors, threads, children, and memory of its own in KiB.
#[derive(Debug, Clone, Copy)]
struct Holding {
    descriptors: usize,
    threads: usize,
    private: u64,
    /// All that is in memory, program and all.
    resident: u64,
}

fn holding(pid: u32) -> Holding {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/{pid}/{what}"))
            .expect("the daemon lives")
            .count()
    };
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the daemon lives");
    let private = rollup
        .lines()
        // Pages of the binary are private or shared by whether another daemon happens to run it.
        .filter(|l| l.starts_with("Private_Dirty:"))
        .filter_map(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    let resident = rollup
        .lines()
        .find_map(|l| l.strip_prefix("Rss:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    Holding {
        descriptors: count("fd"),
        threads: count("task"),
        private,
        resident,
    }
}

/// One of everything: an attached run, a detached one with exec, logs, a failed start, a volume, a tag, and no trace.
fn turn(e: &Engine, n: usize) {
    let (name, tag) = (e.name("soak"), format!("soak:{n}"));
    assert_eq!(e.ok(&["run", "--rm", IMAGE, "echo", "hi"]), "hi");
    e.ok(&[
        "run",
        "-d",
        "--name",
        &name,
        "-v",
        "soakv:/v",
        "-p",
        "127.0.0.1::80",
        IMAGE,
        "sleep",
        "1000",
    ]);
    assert_eq!(e.ok(&["exec", &name, "echo", "in"]), "in");
    e.ok(&["logs", &name]);
    e.ok(&["restart", "-t", "0", &name]);
    e.ok(&["rm", "-f", &name]);
    e.ok(&["volume", "rm", "soakv"]);
    assert_eq!(e.code(&["run", "--rm", IMAGE, "no-such-program"]).0, 127);
    e.ok(&["tag", IMAGE, &tag]);
    e.ok(&["rmi", &tag]);
}

/// `SHOAL_SOAK=TURNS` makes it long. Memory may grow by 4 MiB in all (caches fill), however many the turns are.
#[test]
fn a_daemon_under_work_does_not_grow() {
    let mut e = Engine::start();
    let Some(pid) = e.host().and_then(|h| h.daemon_pid()) else {
        return;
    };
    let turns = std::env::var("SHOAL_SOAK")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(25);
    for n in 0..10 {
        turn(&e, n);
    }
    let before = holding(pid);
    for n in 0..turns {
        turn(&e, n);
    }
    let mut after = holding(pid);
    for _ in 0..50 {
        if after.descriptors <= before.descriptors && after.threads <= before.threads + 4 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        after = holding(pid);
    }
    println!("{turns} turns: {before:?} -> {after:?}");
    assert!(
        after.descriptors <= before.descriptors,
        "descriptors: {before:?} -> {after:?}"
    );
    assert!(
        after.threads <= before.threads + 4,
        "threads: {before:?} -> {after:?}"
    );
    assert!(
        after.private <= before.private + 4096,
        "memory: {before:?} -> {after:?}"
    );
    let root = e.host().expect("ours").data_root();
    for dir in ["containers", "snapshots", "volumes"] {
        let left: Vec<_> = std::fs::read_dir(root.join(dir))
            .expect("the folder")
            .flatten()
            .map(|f| f.file_name())
            .collect();
        assert!(
            left.iter().all(|f| f.len() < 32 && f != "soakv"),
            "{dir}: {left:?}"
        );
    }
}

/// Create, start, exec, stop and remove, by the API alone. `SHOAL_LIVES=2000` is the long form: a quarter of the rounds
/// warms up, after that no more than 5 descriptors and 20 MiB may be added.
#[test]
fn lives_leave_nothing_in_the_daemon() {
    let mut e = Engine::start();
    let Some(pid) = e.host().and_then(|h| h.daemon_pid()) else {
        return;
    };
    let rounds = std::env::var("SHOAL_LIVES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(80);
    let post = |path: &str, body: serde_json::Value, status: u16| {
        let answer = e.api("POST", &format!("/v1.51{path}"), Some(&body));
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default()["Id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let nothing = serde_json::Value::Null;
    let begun = std::time::Instant::now();
    let mut warm = None;
    for round in 0..rounds {
        if round == rounds / 4 {
            warm = Some(holding(pid));
        }
        let script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";
        let id = post(
            "/containers/create",
            serde_json::json!({"Image": IMAGE, "Cmd": ["sh", "-c", script], "Volumes": {"/v": {}}}),
            201,
        );
        post(&format!("/containers/{id}/start"), nothing.clone(), 204);
        let exec = post(
            &format!("/containers/{id}/exec"),
            serde_json::json!({"Cmd": ["echo", "in"], "AttachStdout": true}),
            201,
        );
        let answer = e.api(
            "POST",
            &format!("/v1.51/exec/{exec}/start"),
            Some(&serde_json::json!({})),
        );
        assert!(
            answer.text().ends_with("in\n"),
            "round {round}: {}",
            answer.text()
        );
        post(&format!("/containers/{id}/stop"), nothing.clone(), 204);
        let gone = e.api("DELETE", &format!("/v1.51/containers/{id}?v=1"), None);
        assert_eq!(gone.status, 204, "{}", gone.text());
    }
    let warm = warm.expect("rounds");
    let mut after = holding(pid);
    for _ in 0..50 {
        if after.descriptors <= warm.descriptors + 5 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        after = holding(pid);
    }
    println!(
        "{rounds} lives in {:.0?}, from round {} on: {warm:?} -> {after:?}",
        begun.elapsed(),
        rounds / 4
    );
    assert!(
        after.descriptors <= warm.descriptors + 5,
        "descriptors: {warm:?} -> {after:?}"
    );
    assert!(
        after.resident <= warm.resident + (20 << 10),
        "memory: {warm:?} -> {after:?}"
    );
}
