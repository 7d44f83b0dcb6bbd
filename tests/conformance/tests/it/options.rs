//! The options of `docker run` that this engine promises, seen from inside the container.

use shoal_tests_conformance::{Engine, IMAGE};

#[test]
fn environment_directory_hostname_entrypoint_labels() {
    let e = Engine::start();
    let env = e.sh(
        &["-e", "A=b c", "-e", "FROM_IMAGE=no", "--hostname", "box"],
        "env | sort; hostname; cat /etc/hosts",
    );
    for line in ["A=b c", "FROM_IMAGE=no", "HOSTNAME=box", "HOME=/root", "box"] {
        assert!(env.lines().any(|l| l == line), "{line} in {env}");
    }
    assert!(
        env.contains("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        "{env}"
    );
    assert!(
        env.lines()
            .any(|l| l.split_whitespace().eq(["127.0.0.1", "localhost"])),
        "{env}"
    );
    assert_eq!(e.sh(&["-w", "/made/here"], "pwd"), "/made/here");
    assert_eq!(
        e.ok(&["run", "--rm", "--entrypoint", "echo", IMAGE, "a", "b"]),
        "a b"
    );
    let name = e.name("lab");
    e.ok(&["create", "--name", &name, "--label", "x=1", "--label", "y", IMAGE]);
    assert_eq!(
        e.ok(&["inspect", "-f", "{{json .Config.Labels}}", &name]),
        r#"{"x":"1","y":""}"#
    );
    e.ok(&["rm", &name]);
}

#[test]
fn users_and_groups() {
    let e = Engine::start();
    assert_eq!(
        e.sh(&["-u", "app"], "id; echo $HOME"),
        "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n/home/app"
    );
    assert_eq!(
        e.sh(&["-u", "12345:54321"], "id"),
        "uid=12345 gid=54321 groups=54321"
    );
    assert_eq!(
        e.sh(
            &["-u", "app", "--group-add", "4000"],
            "id -G | tr ' ' '\\n' | sort -n | tr '\\n' ' '"
        ),
        "1000 2000 4000"
    );
    let (code, _, err) = e.code(&["run", "--rm", "-u", "nobody-here", IMAGE, "true"]);
    assert_ne!(code, 0);
    assert!(
        err.contains("unable to find user nobody-here: no matching entries in passwd file"),
        "{err}"
    );
}

#[test]
fn memory_cpu_and_pids_limits_are_the_kernels() {
    let e = Engine::start();
    let read = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | head -1; \
                cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | head -1; \
                cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max";
    assert_eq!(
        e.sh(&["-m", "64m", "--pids-limit", "77", "--cpus", "0.5"], read),
        "67108864\n77\n50000"
    );
}

#[test]
fn out_of_memory_is_seen() {
    let e = Engine::start();
    let name = e.name("oom");
    let (code, ..) = e.code(&[
        "run",
        "--name",
        &name,
        "-m",
        "16m",
        IMAGE,
        "sh",
        "-c",
        "x=a; while :; do x=$x$x; done",
    ]);
    assert_ne!(code, 0);
    assert_eq!(e.ok(&["inspect", "-f", "{{.State.OOMKilled}}", &name]), "true");
    e.ok(&["rm", &name]);
}

#[test]
fn read_only_root_and_tmpfs() {
    let e = Engine::start();
    let out = e.sh(
        &["--read-only", "--tmpfs", "/scratch:size=1m"],
        "touch /x 2>&1; touch /scratch/y && echo wrote; grep ' /scratch ' /proc/mounts",
    );
    assert!(
        out.contains("Read-only file system") && out.contains("wrote") && out.contains("size=1024k"),
        "{out}"
    );
}

#[test]
fn capabilities_and_privileged() {
    let e = Engine::start();
    let caps = |options: &[&str]| e.sh(options, "grep CapEff /proc/self/status | cut -f2");
    assert_eq!(caps(&[]), "00000000a80425fb");
    assert_eq!(caps(&["--cap-drop", "ALL"]), "0000000000000000");
    assert_eq!(
        caps(&["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"]),
        "0000000000001000"
    );
    assert_eq!(caps(&["--cap-add", "SYS_ADMIN"]), "00000000a82425fb");
    let all = caps(&["--privileged"]);
    assert!(u64::from_str_radix(&all, 16).unwrap().count_ones() >= 40, "{all}");
    let (code, _, err) = e.code(&["run", "--rm", "--cap-add", "NOT_A_CAP", IMAGE, "true"]);
    assert_eq!(code, 125);
    assert!(err.contains("NOT_A_CAP"), "{err}");
    assert_eq!(
        e.sh(
            &["--privileged"],
            "ls /dev/kmsg /dev/mem 2>/dev/null | head -1; mount -t tmpfs t /tmp && echo mounted"
        )
        .lines()
        .last(),
        Some("mounted")
    );
}

#[test]
fn an_init_reaps_and_is_process_one() {
    let e = Engine::start();
    let out = e.sh(
        &["--init"],
        "cat /proc/1/comm; (sleep 0.1 &) ; sleep 0.3; ps | grep -c '\\[sleep\\]' || true",
    );
    let mut lines = out.lines();
    assert!(lines.next().unwrap().contains("init"), "{out}");
    assert_eq!(lines.next_back(), Some("0"), "{out}");
}

#[test]
fn shm_ulimits_sysctls_devices() {
    let mut e = Engine::start();
    assert!(e.sh(&[], "df -k /dev/shm | tail -1").contains("65536"));
    assert!(
        e.sh(&["--shm-size", "16m"], "df -k /dev/shm | tail -1")
            .contains("16384")
    );
    assert_eq!(
        e.sh(&["--ulimit", "nofile=123:456"], "ulimit -Sn; ulimit -Hn"),
        "123\n456"
    );
    // The daemon has raised its own limit; a container gets the one that the daemon was started with.
    if let Some(pid) = e.host().and_then(|host| host.daemon_pid()) {
        assert_eq!(e.sh(&[], "ulimit -Sn"), "1024");
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("the daemon lives");
        let line = limits
            .lines()
            .find(|l| l.starts_with("Max open files"))
            .expect("a limit");
        let own: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(own[0], own[1], "{line}");
    }
    assert_eq!(
        e.sh(
            &["--sysctl", "net.ipv4.ip_unprivileged_port_start=77"],
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
        ),
        "77"
    );
    assert_eq!(
        e.sh(
            &["--device", "/dev/null:/dev/mine"],
            "echo x > /dev/mine && echo ok"
        ),
        "ok"
    );
}

#[test]
fn shared_namespaces() {
    let e = Engine::start();
    let name = e.name("ns");
    e.ok(&["run", "-d", "--name", &name, IMAGE, "sleep", "1000"]);
    let with = format!("container:{name}");
    let read = |options: &[&str], ns: &str| e.sh(options, &format!("readlink /proc/self/ns/{ns}"));
    let theirs = |ns: &str| e.ok(&["exec", &name, "readlink", &format!("/proc/self/ns/{ns}")]);
    assert_eq!(read(&["--network", &with], "net"), theirs("net"));
    assert_ne!(read(&[], "net"), theirs("net"));
    assert_eq!(read(&["--pid", &with], "pid"), theirs("pid"));
    e.ok(&["rm", "-f", &name]);
}
