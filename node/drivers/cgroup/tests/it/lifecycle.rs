use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use shoal_node_drivers_cgroup::{Cgroup, Version, system_cpu_ns};

use crate::{Nest, go, wait_for};

#[test]
fn group_holds_its_process_and_goes_after_it() {
    let mut nest = Nest::new();
    let cgroup = nest.create_free();
    assert_eq!(cgroup.dir_fd().is_some(), cgroup.version() == Version::V2);
    let pid = nest.shell(&cgroup, "true").id() as i32;
    assert_eq!(cgroup.pids().unwrap(), [pid]);
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(text.contains(&format!("{}/c1", nest.parent)), "{text}");

    let again = Cgroup::open(&nest.hierarchy, &nest.parent, "c1").unwrap();
    assert_eq!(again.pids().unwrap(), [pid]);
    assert_eq!(nest.hierarchy.list(&nest.parent).unwrap(), ["c1"]);

    again.kill().unwrap();
    let status = nest.children[0].wait().unwrap();
    assert_eq!(status.signal(), Some(9));
    cgroup.delete().unwrap();
    let gone = Cgroup::open(&nest.hierarchy, &nest.parent, "c1").unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
}

#[test]
fn kill_reaches_children_and_groups_below() {
    let mut nest = Nest::new();
    let cgroup = nest.create_free();
    let child = nest.shell(&cgroup, "for i in 1 2 3 4 5 6; do sleep 300 & done; wait");
    go(child);
    wait_for("six sleeps", || cgroup.pids().unwrap().len() == 7);
    let below = cgroup.path().join("below");
    std::fs::create_dir(&below).unwrap();
    cgroup.kill().unwrap();
    nest.children[0].wait().unwrap();
    wait_for("no process", || cgroup.pids().unwrap().is_empty());
    cgroup.delete().unwrap();
    assert!(!below.exists());
}

#[test]
fn kill_outruns_a_fork_bomb() {
    use oci_spec::runtime::{LinuxPidsBuilder, LinuxResourcesBuilder};
    let mut nest = Nest::new();
    let pids = LinuxPidsBuilder::default().limit(60).build().unwrap();
    let cgroup = nest.create(LinuxResourcesBuilder::default().pids(pids).build().unwrap());
    let child = nest.shell(&cgroup, "b() { (b) & (b) & sleep 0.01; b; }; b");
    go(child);
    wait_for("a crowd", || cgroup.stats().unwrap().pids.current > 20);
    cgroup.kill().unwrap();
    nest.children[0].wait().unwrap();
    wait_for("no process", || cgroup.pids().unwrap().is_empty());
}

#[test]
fn frozen_group_stands_still() {
    let mut nest = Nest::new();
    let cgroup = nest.create_free();
    let child = nest.shell(&cgroup, "while :; do :; done");
    go(child);
    let used = || cgroup.stats().unwrap().cpu.total_ns;
    wait_for("some work", || used() > 1_000_000);
    assert!(!cgroup.is_frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    let (before, host_before) = (used(), system_cpu_ns().unwrap());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(
        used() - before < 5_000_000,
        "a frozen loop used {} ns",
        used() - before
    );
    assert!(system_cpu_ns().unwrap() > host_before);
    cgroup.thaw().unwrap();
    let before = used();
    wait_for("work again", || used() > before + 1_000_000);
    // A paused container can be killed, too.
    cgroup.freeze().unwrap();
    cgroup.kill().unwrap();
    assert_eq!(nest.children[0].wait().unwrap().signal(), Some(9));
}

#[test]
fn names_cannot_leave_the_tree() {
    let nest = Nest::new();
    for (parent, name) in [
        ("/../x", "c"),
        (nest.parent.as_str(), "../c"),
        (nest.parent.as_str(), ""),
        (nest.parent.as_str(), ".."),
    ] {
        let plan = shoal_node_drivers_cgroup::Plan {
            parent: parent.into(),
            name: name.into(),
            ..Default::default()
        };
        let error = Cgroup::create(&nest.hierarchy, &plan).unwrap_err();
        assert!(error.to_string().contains("control group"), "{error}");
    }
}

/// A container's start pays for this. The bound is loose (busy and emulated machines); the figures are printed.
#[test]
fn creation_is_cheap() {
    let nest = Nest::new();
    let mut times = Vec::new();
    for _ in 0..50 {
        let begin = Instant::now();
        let cgroup = nest.create(crate::limits::usual());
        let made = begin.elapsed();
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let begin = Instant::now();
        cgroup.add_pid(child.id() as i32).unwrap();
        let joined = begin.elapsed();
        child.kill().unwrap();
        child.wait().unwrap();
        let begin = Instant::now();
        cgroup.delete().unwrap();
        times.push((made, joined, begin.elapsed()));
    }
    let median =
        |f: fn(&(std::time::Duration, std::time::Duration, std::time::Duration)) -> std::time::Duration| {
            let mut all: Vec<_> = times.iter().map(f).collect();
            all.sort();
            all[all.len() / 2]
        };
    let (made, joined, removed) = (median(|t| t.0), median(|t| t.1), median(|t| t.2));
    println!("create {made:?}, join {joined:?}, delete {removed:?}");
    assert!(made.as_millis() < 1000, "creating a group took {made:?}");
}
