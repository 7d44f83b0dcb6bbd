//! The same work over and over: a daemon that forgets nothing it should hold, and holds nothing it should forget.

use shoal_tests_conformance::{Engine, IMAGE};

/// What a daemon holds: open descriptors, threads, children, and memory of its own in KiB.
#[derive(Debug, Clone, Copy)]
struct Holding {
    descriptors: usize,
    threads: usize,
    private: u64,
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
    Holding {
        descriptors: count("fd"),
        threads: count("task"),
        private,
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
