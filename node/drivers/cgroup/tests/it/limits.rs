use std::fs::read_to_string;
use std::io::Read;

use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxMemoryBuilder, LinuxPidsBuilder,
    LinuxResources, LinuxResourcesBuilder,
};
use shoal_node_drivers_cgroup::{Cgroup, Controller, Version};

use crate::{Nest, go, wait_for};

const MIB: i64 = 1 << 20;

/// What `docker run -m 64m --cpus 0.5 --pids-limit 50` asks for, with the device list of every container.
pub fn usual() -> LinuxResources {
    let mut devices = vec![
        LinuxDeviceCgroupBuilder::default()
            .allow(false)
            .access("rwm")
            .build()
            .unwrap(),
    ];
    for (kind, major, minor, access) in [
        (LinuxDeviceType::C, None, None, "m"),
        (LinuxDeviceType::B, None, None, "m"),
        (LinuxDeviceType::C, Some(1), Some(3), "rwm"),
        (LinuxDeviceType::C, Some(1), Some(5), "rwm"),
        (LinuxDeviceType::C, Some(1), Some(7), "rwm"),
        (LinuxDeviceType::C, Some(1), Some(8), "rwm"),
        (LinuxDeviceType::C, Some(1), Some(9), "rwm"),
        (LinuxDeviceType::C, Some(5), Some(0), "rwm"),
        (LinuxDeviceType::C, Some(5), Some(1), "rwm"),
        (LinuxDeviceType::C, Some(5), Some(2), "rwm"),
        (LinuxDeviceType::C, Some(10), Some(200), "rwm"),
        (LinuxDeviceType::C, Some(136), None, "rwm"),
    ] {
        let mut rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(kind)
            .access(access)
            .build()
            .unwrap();
        rule.set_major(major);
        rule.set_minor(minor);
        devices.push(rule);
    }
    LinuxResourcesBuilder::default()
        .memory(
            LinuxMemoryBuilder::default()
                .limit(64 * MIB)
                .swap(128 * MIB)
                .reservation(32 * MIB)
                .build()
                .unwrap(),
        )
        .cpu(
            LinuxCpuBuilder::default()
                .shares(512u64)
                .quota(50_000)
                .period(100_000u64)
                .build()
                .unwrap(),
        )
        .pids(LinuxPidsBuilder::default().limit(50).build().unwrap())
        .devices(devices)
        .build()
        .unwrap()
}

/// A limit's file of the group, by its name in each version.
fn file(nest: &Nest, cgroup: &Cgroup, v1: (&str, &str), v2: &str) -> String {
    let path = match cgroup.version() {
        Version::V1 => format!("/sys/fs/cgroup/{}{}/c1/{}", v1.0, nest.parent, v1.1),
        Version::V2 => format!("{}/{v2}", cgroup.path().display()),
    };
    read_to_string(&path)
        .unwrap_or_else(|e| panic!("{path}: {e}"))
        .trim()
        .to_owned()
}

#[test]
fn limits_arrive_in_the_kernel() {
    let nest = Nest::new();
    let cgroup = nest.create(usual());
    let v2 = cgroup.version() == Version::V2;
    let f = |v1, v2| file(&nest, &cgroup, v1, v2);
    assert_eq!(
        f(("memory", "memory.limit_in_bytes"), "memory.max"),
        (64 * MIB).to_string()
    );
    assert_eq!(
        f(("memory", "memory.soft_limit_in_bytes"), "memory.low"),
        (32 * MIB).to_string()
    );
    let swap = if v2 { 64 * MIB } else { 128 * MIB };
    assert_eq!(
        f(("memory", "memory.memsw.limit_in_bytes"), "memory.swap.max"),
        swap.to_string()
    );
    assert_eq!(f(("pids", "pids.max"), "pids.max"), "50");
    assert_eq!(
        f(("cpu", "cpu.cfs_quota_us"), "cpu.max")
            .split_whitespace()
            .next(),
        Some("50000")
    );
    assert_eq!(
        f(("cpu", "cpu.shares"), "cpu.weight"),
        if v2 { "59" } else { "512" }
    );
    let stats = cgroup.stats().unwrap();
    assert_eq!(stats.memory.limit, Some(64 << 20));
    assert_eq!(stats.pids.limit, Some(50));
}

#[test]
fn update_changes_only_what_it_names() {
    let nest = Nest::new();
    let mut cgroup = nest.create(usual());
    let only = |memory| LinuxResourcesBuilder::default().memory(memory).build().unwrap();
    // Up past the old sum of memory and swap, then down again: both orders of writing are needed.
    for (limit, swap) in [(256 * MIB, 512 * MIB), (32 * MIB, 64 * MIB), (40 * MIB, -1)] {
        let memory = LinuxMemoryBuilder::default()
            .limit(limit)
            .swap(swap)
            .build()
            .unwrap();
        cgroup.update(&nest.hierarchy, &only(memory)).unwrap();
        let stats = cgroup.stats().unwrap();
        assert_eq!(stats.memory.limit, Some(limit as u64));
        assert_eq!(stats.pids.limit, Some(50));
    }
    let memory = LinuxMemoryBuilder::default().limit(-1).build().unwrap();
    cgroup.update(&nest.hierarchy, &only(memory)).unwrap();
    assert_eq!(cgroup.stats().unwrap().memory.limit, None);
    let bad = LinuxMemoryBuilder::default()
        .limit(64 * MIB)
        .swap(32 * MIB)
        .build()
        .unwrap();
    assert!(cgroup.update(&nest.hierarchy, &only(bad)).is_err());
}

#[test]
fn processors_can_be_pinned_at_the_start_and_later() {
    let mut nest = Nest::new();
    if !nest.hierarchy.has(Controller::Cpuset) {
        return;
    }
    let pinned = || {
        let cpu = LinuxCpuBuilder::default().cpus("0").build().unwrap();
        LinuxResourcesBuilder::default().cpu(cpu).build().unwrap()
    };
    let allowed = |pid: i32| {
        let text = read_to_string(format!("/proc/{pid}/status")).unwrap();
        text.lines()
            .find_map(|l| l.strip_prefix("Cpus_allowed_list:"))
            .unwrap()
            .trim()
            .to_owned()
    };
    let mut cgroup = nest.create_free();
    let pid = nest.shell(&cgroup, "true").id() as i32;
    let hierarchy = nest.hierarchy.clone();
    cgroup.update(&hierarchy, &pinned()).unwrap();
    assert_eq!(allowed(pid), "0");
    cgroup.kill().unwrap();
    nest.children[0].wait().unwrap();
    cgroup.delete().unwrap();

    let cgroup = nest.create(pinned());
    let pid = nest.shell(&cgroup, "true").id() as i32;
    assert_eq!(allowed(pid), "0");
}

#[test]
fn refused_limit_leaves_no_group() {
    let nest = Nest::new();
    let cpu = LinuxCpuBuilder::default().cpus("4000").build().unwrap();
    let plan = nest.plan(LinuxResourcesBuilder::default().cpu(cpu).build().unwrap());
    let error = Cgroup::create(&nest.hierarchy, &plan).unwrap_err().to_string();
    assert!(error.contains("cpuset.cpus") && error.contains("4000"), "{error}");
    assert!(nest.hierarchy.list(&nest.parent).unwrap().is_empty());
}

#[test]
fn statistics_count_what_was_done() {
    let mut nest = Nest::new();
    let cgroup = nest.create(usual());
    let path = format!("/var/tmp/shoal-test-cgroup-{}", std::process::id());
    let script = format!(
        "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; dd if=/dev/zero of={path} bs=1M count=4 oflag=sync; rm {path}; echo done; read again"
    );
    let child = nest.shell(&cgroup, &script);
    let mut out = child.stdout.take().unwrap();
    // `read again` sees the closed pipe, so keep the group's numbers before it is empty: they stay after the exit.
    go(child);
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "done\n");
    nest.children[0].wait().unwrap();
    let stats = cgroup.stats().unwrap();
    println!("{stats:?}");
    assert!(
        stats.cpu.total_ns > 1_000_000 && stats.cpu.user_ns > 0,
        "{stats:?}"
    );
    assert!(stats.cpu.periods > 0, "{stats:?}");
    assert!(stats.memory.detail.contains_key("pgfault"), "{stats:?}");
    assert!(
        stats.memory.usage_max.is_none_or(|max| max >= stats.memory.usage),
        "{stats:?}"
    );
    let written: u64 = stats
        .block_io
        .service_bytes
        .iter()
        .filter(|e| e.op.eq_ignore_ascii_case("write"))
        .map(|e| e.value)
        .sum();
    // Only where /var/tmp lies on a disk of its own does the kernel name one.
    assert!(
        stats.block_io.service_bytes.is_empty() || written >= 4 << 20,
        "{stats:?}"
    );
}

#[test]
fn a_process_too_many_is_refused() {
    let mut nest = Nest::new();
    let pids = LinuxPidsBuilder::default().limit(3).build().unwrap();
    let cgroup = nest.create(LinuxResourcesBuilder::default().pids(pids).build().unwrap());
    let child = nest.shell(&cgroup, "sleep 100 & sleep 100 & sleep 100 & wait");
    go(child);
    wait_for("the limit", || cgroup.stats().unwrap().pids.current >= 3);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(cgroup.pids().unwrap().len() <= 3);
}
