//! A large image costs the daemon little memory, whichever way it comes and goes. `SHOAL_BIG` is its size in MiB (64).

use crate::round_trips::{Folder, identity};
use shoal_tests_conformance::Engine;
use shoal_tests_harness::{Guests, busybox_tar};

/// KiB above what the idle daemon has.
const GROWTH_MAX: u64 = 100 * 1024;
const LAYERS: usize = 4;

/// From the kernel, in KiB.
fn memory(pid: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let text = line.expect("a line").trim().trim_end_matches(" kB");
    text.parse().expect("a number")
}

/// By how many KiB a daemon that has just been started grows at most while it does something.
fn growth(e: &mut Engine, work: impl FnOnce(&Engine)) -> u64 {
    let host = e.host().expect("our own");
    host.stop();
    host.start();
    let pid = host.daemon_pid().expect("a daemon");
    e.ok(&["images"]);
    let idle = memory(pid, "VmRSS:");
    work(e);
    memory(pid, "VmHWM:").saturating_sub(idle)
}

#[test]
fn a_large_image_costs_little_memory() {
    let mut e = Engine::start();
    if e.is_reference() {
        return;
    }
    let Some(r) = e.registry(Guests::Everybody) else {
        return;
    };
    let size = std::env::var("SHOAL_BIG")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(64);
    let folder = Folder::new(&e, "large");
    let (name, file) = (r.name("large:v1"), folder.at("large.tar"));
    let tar = busybox_tar();
    e.ok(&["import", tar.to_str().expect("a path"), &name]);
    for n in 0..LAYERS {
        let count = size / LAYERS;
        let script = format!(
            "mkdir /l{n}; for f in $(seq {count}); do dd if=/dev/urandom of=/l{n}/$f bs=1M count=1; done"
        );
        e.ok(&["run", "--name", "maker", &name, "sh", "-c", &script]);
        e.ok(&["commit", "maker", &name]);
        e.ok(&["rm", "maker"]);
    }
    let was = identity(&e, &name);
    let (image, save) = (name.clone(), file.clone());
    let mut seen = vec![
        ("push", growth(&mut e, |e| drop(e.ok(&["push", "-q", &image])))),
        (
            "save",
            growth(&mut e, |e| drop(e.ok(&["save", "-o", &save, &image]))),
        ),
    ];
    e.ok(&["rmi", &name]);
    e.ok(&["image", "prune", "-af"]);
    seen.push(("pull", growth(&mut e, |e| drop(e.ok(&["pull", "-q", &image])))));
    assert_eq!(identity(&e, &name), was);
    e.ok(&["rmi", &name]);
    seen.push(("load", growth(&mut e, |e| drop(e.ok(&["load", "-i", &save])))));
    assert_eq!(identity(&e, &name), was);
    for (what, grown) in seen {
        eprintln!("{what} of {size} MiB: {} MiB above idle", grown / 1024);
        assert!(grown < GROWTH_MAX, "{what}: {grown} KiB above idle");
    }
}
