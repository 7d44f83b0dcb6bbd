//! What a container may reach by default: the probe that runs inside, and the facts it must find.

/// The probe prints `name=value` lines from the inside.
pub const PROBE: &str = r#"
s() { grep "^$1:" /proc/self/status | cut -f2; }
echo "bnd=$(s CapBnd)"; echo "eff=$(s CapEff)"; echo "prm=$(s CapPrm)"; echo "inh=$(s CapInh)"; echo "amb=$(s CapAmb)"
echo "seccomp=$(s Seccomp)"; echo "nnp=$(s NoNewPrivs)"
m() { if [ ! -e "$1" ]; then echo absent; elif [ -d "$1" ]; then [ -z "$(ls -A "$1" 2>/dev/null)" ] && echo masked || echo open; elif [ -s "$1" ] || [ -n "$(head -c1 "$1" 2>/dev/null)" ]; then echo open; else echo masked; fi; }
for p in /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware; do echo "mask $p=$(m $p)"; done
for p in bus fs irq sys sysrq-trigger; do [ -e /proc/$p ] && echo "ro /proc/$p=$(grep " /proc/$p " /proc/self/mounts | tail -1 | cut -d' ' -f4 | cut -d, -f1)"; done
o() { grep " $1 " /proc/self/mounts | tail -1 | cut -d' ' -f3,4; }
echo "mount /proc=$(grep '^proc /proc ' /proc/self/mounts | cut -d' ' -f4)"; echo "mount /sys=$(o /sys)"; echo "mount /dev=$(o /dev)"; echo "mount /dev/shm=$(o /dev/shm)"; echo "mount /dev/pts=$(o /dev/pts)"; echo "mount /dev/mqueue=$(o /dev/mqueue)"; if [ -d /sys/fs/cgroup/memory ]; then c=/sys/fs/cgroup/memory; else c=/sys/fs/cgroup; fi; echo "mount /sys/fs/cgroup=$(o $c)"
echo "nodes=$(find /dev -maxdepth 1 -type c | sort | tr '\n' ' ')"
mknod /tmp/mem c 1 1 2>/dev/null; (head -c1 /tmp/mem >/dev/null 2>&1 && echo "devmem=open") || echo "devmem=refused"
mknod /tmp/fuse c 10 229 2>/dev/null; (head -c0 </tmp/fuse) 2>/dev/null && echo "devfuse=open" || echo "devfuse=refused"
mount -t tmpfs t /mnt 2>/dev/null && echo "domount=open" || echo "domount=refused"
unshare -m true 2>/dev/null && echo "unshare=open" || echo "unshare=refused"
(echo 1 > /proc/sys/kernel/core_uses_pid) 2>/dev/null && echo "sysctl=open" || echo "sysctl=refused"
for n in mnt net uts pid ipc; do echo "ns $n=$(readlink /proc/self/ns/$n)"; done
echo "oom=$(cat /proc/self/oom_score_adj)"
"#;

pub fn facts(out: &str) -> std::collections::BTreeMap<String, String> {
    out.lines()
        .filter_map(|l| l.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
        .collect()
}

/// The facts themselves; `whose` names the path that was probed.
pub fn check(out: &str, whose: &str) {
    let f = facts(out);
    let get = |k: &str| f.get(k).map(String::as_str).unwrap_or("<none>");
    let default = "00000000a80425fb";
    assert_eq!(get("bnd"), default, "{whose}: bounding set");
    assert_eq!(get("eff"), default, "{whose}: effective set");
    assert_eq!(get("prm"), default, "{whose}: permitted set");
    assert_eq!(
        get("inh"),
        "0000000000000000",
        "{whose}: inheritable set is empty"
    );
    assert_eq!(get("amb"), "0000000000000000", "{whose}: ambient set is empty");
    assert_eq!(get("seccomp"), "2", "{whose}: seccomp filters");
    assert_eq!(get("nnp"), "0", "{whose}: no_new_privs is an option");
    let masked: Vec<_> = f.iter().filter(|(k, _)| k.starts_with("mask ")).collect();
    assert_eq!(masked.len(), 12, "{whose}: twelve masked paths are looked at");
    for (path, state) in masked {
        assert_ne!(state, "open", "{whose}: {path}");
    }
    for (path, state) in f.iter().filter(|(k, _)| k.starts_with("ro ")) {
        assert_eq!(state, "ro", "{whose}: {path}");
    }
    let holds = |mount: &str, options: &[&str]| {
        let have = get(&format!("mount {mount}")).to_owned();
        for option in options {
            assert!(
                have.split([' ', ',']).any(|o| o == *option),
                "{whose}: {mount} has {option}: {have}"
            );
        }
    };
    holds("/proc", &["nosuid", "noexec", "nodev"]);
    holds("/sys", &["ro", "nosuid", "noexec", "nodev"]);
    holds("/dev", &["nosuid", "size=65536k", "mode=755"]);
    holds("/dev/pts", &["gid=5", "mode=620"]);
    holds("/dev/shm", &["nosuid", "noexec", "nodev", "size=65536k"]);
    holds("/dev/mqueue", &["nosuid", "noexec", "nodev"]);
    holds("/sys/fs/cgroup", &["ro"]);
    let nodes: Vec<&str> = get("nodes").split(' ').filter(|n| *n != "/dev/console").collect();
    let wanted = [
        "/dev/full",
        "/dev/null",
        "/dev/random",
        "/dev/tty",
        "/dev/urandom",
        "/dev/zero",
    ];
    assert_eq!(nodes, wanted, "{whose}: device nodes");
    for refused in ["devmem", "devfuse", "domount", "unshare", "sysctl"] {
        assert_eq!(get(refused), "refused", "{whose}: {refused}");
    }
    for ns in ["mnt", "net", "uts", "pid", "ipc"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{ns}"))
            .unwrap()
            .display()
            .to_string();
        assert_ne!(
            get(&format!("ns {ns}")),
            host,
            "{whose}: namespace {ns} is its own"
        );
    }
    assert_eq!(get("oom"), "0", "{whose}: OOM score");
}
