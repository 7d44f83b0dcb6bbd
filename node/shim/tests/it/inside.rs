//! What a process finds inside: the security facts, one assertion a line, for the first process and for an exec alike.

use shoal_node_core_host::ocispec::{Input, Mount, ReadOnly};

use crate::support::*;

/// Run `script` as the first process and as an exec beside it; both must print the same, which is returned.
async fn both(world: &World, input: &Input, script: &str) -> String {
    let mut first = input.clone();
    first.process.args = vec!["sh".into(), "-c".into(), script.into()];
    let one = world.run(&first).await;
    let mut idle = input.clone();
    idle.process.args = vec!["sleep".into(), "1000".into()];
    let (shim, _) = world.idle(Some(idle.clone())).await;
    let two = world.exec_sh(&shim, "x", &idle, script).await;
    shim.signal(9).await.unwrap();
    within(shim.exited()).await;
    assert_eq!(
        one.stdout, two.stdout,
        "first process and exec differ; {} {}",
        one.stderr, two.stderr
    );
    one.stdout
}

const IDENTITY: &str =
    "grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups)' /proc/self/status | tr -s '\\t ' ' '";

#[tokio::test]
async fn docker_s_capabilities_and_a_filter() {
    let world = World::new();
    let text = both(&world, &world.input(&[]), IDENTITY).await;
    assert_eq!(
        text,
        "Uid: 0 0 0 0\nGid: 0 0 0 0\nGroups: \nCapInh: 0000000000000000\nCapPrm: 00000000a80425fb\nCapEff: \
         00000000a80425fb\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2\n"
    );
}

#[tokio::test]
async fn another_user_has_nothing_but_the_bounding_set() {
    let world = World::new();
    let mut input = world.input(&[]);
    input.process.rights.user.uid = 1000;
    input.process.rights.user.gid = 1000;
    input.process.rights.user.groups = vec![10, 20];
    let text = both(&world, &input, IDENTITY).await;
    assert_eq!(
        text,
        "Uid: 1000 1000 1000 1000\nGid: 1000 1000 1000 1000\nGroups: 10 20 \nCapInh: 0000000000000000\nCapPrm: \
         0000000000000000\nCapEff: 0000000000000000\nCapBnd: 00000000a80425fb\nCapAmb: 0000000000000000\nNoNewPrivs: \
         0\nSeccomp: 2\n"
    );
}

#[tokio::test]
async fn no_new_privileges_and_unconfined() {
    let world = World::new();
    let mut input = world.input(&[]);
    input.process.rights.no_new_privileges = true;
    let text = both(
        &world,
        &input,
        "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '",
    )
    .await;
    assert_eq!(text, "NoNewPrivs: 1\nSeccomp: 2\n");
    let mut launch = world.launch(&world.input(&["grep", "Seccomp:", "/proc/self/status"]));
    launch.seccomp = None;
    assert_eq!(world.run_launch(&launch).await.stdout, "Seccomp:\t0\n");
}

#[tokio::test]
async fn refused_system_calls_are_refused() {
    let world = World::new();
    // Each of these would work for a root that only lacks the filter or the capability.
    let script = "unshare -U true 2>&1; unshare -m true 2>&1; mount -t tmpfs x /tmp 2>&1; \
                  mknod /tmp/sda b 8 0 && echo node; cat /tmp/sda 2>&1; mknod /tmp/n c 1 3 && echo x > /tmp/n && echo null";
    let text = both(&world, &world.input(&[]), script).await;
    assert_eq!(
        text,
        "unshare: unshare(0x10000000): Operation not permitted\nunshare: unshare(0x20000): Operation not \
         permitted\nmount: permission denied (are you root?)\nnode\ncat: can't open '/tmp/sda': Operation not \
         permitted\nnull\n"
    );
}

#[tokio::test]
async fn masked_and_read_only_paths() {
    let world = World::new();
    let script = "for f in kcore keys timer_list interrupts sched_debug latency_stats timer_stats; do \
                  [ -e /proc/$f ] && [ \"$(stat -c %t:%T /proc/$f)\" != 1:3 ] && echo $f readable; done; \
                  for d in /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do \
                  [ -d $d ] && ls -A $d; touch $d/x 2>/dev/null && echo $d writable; done; \
                  for p in bus fs irq sys sysrq-trigger; do [ -e /proc/$p ] || continue; \
                  grep -q \" /proc/$p ro[, ]\" /proc/self/mountinfo || echo $p is not read-only; done; \
                  (echo b > /proc/sysrq-trigger) 2>/dev/null && echo rebooting; \
                  (echo 1 > /proc/sys/kernel/panic) 2>/dev/null && echo writable; \
                  (echo 1 > /sys/kernel/profiling) 2>/dev/null && echo writable; \
                  stat -c %t:%T /proc/timer_list; echo done";
    let text = both(&world, &world.input(&[]), script).await;
    assert_eq!(text, "1:3\ndone\n");
}

#[tokio::test]
async fn mounts_and_devices_are_docker_s() {
    let world = World::new();
    let script = "awk '{print $5, $6, $(NF-2)}' /proc/self/mountinfo | grep -vE '^/(proc|sys)/.'";
    let text = both(&world, &world.input(&[]), script).await;
    let expected = [
        "/ rw,relatime overlay",
        "/proc rw,nosuid,nodev,noexec,relatime proc",
        "/dev rw,nosuid tmpfs",
        "/dev/pts rw,nosuid,noexec,relatime devpts",
        "/sys ro,nosuid,nodev,noexec,relatime sysfs",
        "/dev/mqueue rw,nosuid,nodev,noexec,relatime mqueue",
        "/dev/shm rw,nosuid,nodev,noexec,relatime tmpfs",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    let script = "cd /dev; ls -1; stat -c '%n %t:%T %a %u:%g' null zero full random urandom tty; \
                  readlink fd; readlink ptmx; readlink stdout; stat -c %a shm .; stat -c '%a %g' pts/ptmx; df -k shm | tail -1 | awk '{print $2}'";
    let text = both(&world, &world.input(&[]), script).await;
    assert_eq!(
        text,
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nnull 1:3 666 \
         0:0\nzero 1:5 666 0:0\nfull 1:7 666 0:0\nrandom 1:8 666 0:0\nurandom 1:9 666 0:0\ntty 5:0 666 \
         0:0\n/proc/self/fd\npts/ptmx\n/proc/self/fd/1\n1777\n755\n666 0\n65536\n"
            .replace("fd\nfull", if text.starts_with("core") { "core\nfd\nfull" } else { "fd\nfull" })
    );
}

#[tokio::test]
async fn control_groups_are_shown_and_not_writable() {
    let world = World::new();
    let script = "f=$(find /sys/fs/cgroup -name cgroup.procs | head -1); [ -n \"$f\" ] && echo shown; \
                  (echo 1 > $f) 2>/dev/null && echo writable; mkdir /sys/fs/cgroup/x 2>/dev/null && echo makes; \
                  find /sys/fs/cgroup -name cgroup.procs | wc -l | grep -q '^[1-9]$\\|^1[0-9]$' && echo only its own";
    let text = both(&world, &world.input(&[]), script).await;
    assert_eq!(text, "shown\nonly its own\n");
}

#[tokio::test]
async fn nothing_of_the_host_is_left_open_or_visible() {
    let world = World::new();
    let text = both(
        &world,
        &world.input(&[]),
        "ls /proc/self/fd | tr '\\n' ' '; ls / | tr '\\n' ' '",
    )
    .await;
    assert_eq!(text, "0 1 2 3 bin data dev etc home proc root sys tmp ");
    let text = world.sh("echo $$; ps -o pid | wc -l; ulimit -c; umask; cat /proc/self/oom_score_adj; cat /proc/1/sessionid >/dev/null; hostname").await;
    let mut lines = text.stdout.lines();
    assert_eq!(lines.next(), Some("1"));
    assert!(lines.next().unwrap().trim().parse::<u32>().unwrap() <= 4);
    lines.next();
    assert_eq!(lines.collect::<Vec<_>>(), ["0022", "0", "boxed"]);
}

#[tokio::test]
async fn the_runtime_s_binary_cannot_be_written_through_proc() {
    let world = World::new();
    // A program whose interpreter is /proc/self/exe makes the kernel run the shim's binary inside the container.
    let path = world.dir.path().join("lower/bin/evil");
    std::fs::write(&path, "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let before = std::fs::metadata(world.launcher.path()).unwrap();
    let input = world.input(&["sleep", "1000"]);
    let (shim, _) = world.idle(Some(input.clone())).await;
    let script = "evil & p=$!; i=0; while [ $i -lt 200 ]; do (echo x > /proc/$p/exe) 2>/dev/null && echo written; \
                  (echo x > /proc/1/exe) 2>/dev/null; i=$((i+1)); done; echo tried";
    let output = world.exec_sh(&shim, "x", &input, script).await;
    assert_eq!(output.stdout, "tried\n");
    let mut evil = input.clone();
    evil.process.args = vec!["evil".into()];
    let _ = shim.exec(world.exec("y", &evil, &["evil"])).await;
    shim.signal(9).await.unwrap();
    within(shim.exited()).await;
    let after = std::fs::metadata(world.launcher.path()).unwrap();
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
}

#[tokio::test]
async fn binds_volumes_tmpfs_and_a_read_only_root() {
    let world = World::new();
    let source = world.dir.path().join("volume");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    std::fs::write(source.join("file"), "of the host\n").unwrap();
    let mut input = world.input(&[]);
    input.readonly_rootfs = true;
    let bind = |source: std::path::PathBuf, to: &str, read_only| Mount::Bind {
        source,
        destination: to.into(),
        read_only,
        recursive: true,
        propagation: String::new(),
        mapped: false,
    };
    input.mounts = vec![
        bind(source.clone(), "/data", ReadOnly::No),
        bind(source.clone(), "/made/here", ReadOnly::Recursive),
        bind(source.join("file"), "/etc/bound/file", ReadOnly::Top),
        Mount::Tmpfs {
            destination: "/tmp".into(),
            options: vec!["size=64k".into(), "mode=1777".into()],
        },
    ];
    let script = "cat /etc/bound/file; echo x > /data/new && echo volume; (echo x > /made/here/new2) 2>/dev/null && echo bad; \
                  (echo x > /etc/bound/file) 2>/dev/null && echo bad; (echo x > /new) 2>/dev/null && echo bad; \
                  echo x > /tmp/x && echo tmp; rm /data/new; (dd if=/dev/zero of=/tmp/big bs=1k count=100) 2>/dev/null || echo full; rm -f /tmp/big";
    let text = both(&world, &input, script).await;
    assert_eq!(text, "of the host\nvolume\ntmp\nfull\n");
}

#[tokio::test]
async fn limits_and_kernel_settings() {
    let world = World::new();
    let mut input = world.input(&[]);
    input.process.rights.rlimits = vec![("nofile".into(), 123, 456), ("core".into(), 0, 0)];
    input.process.rights.oom_score_adj = 100;
    input.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
    input.sysctls.insert("kernel.shmmni".into(), "111".into());
    let script = "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward \
                  /proc/sys/kernel/shmmni";
    assert_eq!(both(&world, &input, script).await, "123\n456\n0\n100\n1\n111\n");
}

#[tokio::test]
async fn hostile_links_in_the_image_lead_nowhere() {
    let world = World::new();
    let lower = world.dir.path().join("lower");
    let outside = world.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, lower.join("link")).unwrap();
    std::os::unix::fs::symlink("../../../../../..", lower.join("up")).unwrap();
    let mut input = world.input(&["sh", "-c", "ls -d /link/x /up/y"]);
    let source = world.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    for to in ["/link/x", "/up/y"] {
        input.mounts.push(Mount::Bind {
            source: source.clone(),
            destination: to.into(),
            read_only: ReadOnly::No,
            recursive: true,
            propagation: String::new(),
            mapped: false,
        });
    }
    input.process.cwd = "/link/work".into();
    let output = world.run(&input).await;
    assert_eq!(output.stdout, "/link/x\n/up/y\n", "{}", output.stderr);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!std::path::Path::new("/y").exists());
    // A bind mount over procfs is refused.
    let mut input = world.input(&["true"]);
    input.mounts.push(Mount::Bind {
        source,
        destination: "/proc/sys".into(),
        read_only: ReadOnly::No,
        recursive: true,
        propagation: String::new(),
        mapped: false,
    });
    let (_, text) = world.refused(&world.launch(&input)).await;
    assert!(text.ends_with("operation not permitted"), "{text}");
}

#[tokio::test]
async fn a_user_namespace_of_its_own() {
    use oci_spec::runtime::{LinuxIdMappingBuilder, LinuxNamespace, LinuxNamespaceType};
    let world = World::new();
    let input = world.input(&["sh", "-c", "id -u; cat /proc/self/uid_map; touch /new; stat -c %u /bin/busybox /tmp; chown 5 /new; chown 0 /new; ls -ln /new | cut -c1-10; echo x > /dev/null && mount -t tmpfs x /tmp; grep Seccomp: /proc/self/status"]);
    let mut launch = world.launch(&input);
    let mapping = LinuxIdMappingBuilder::default()
        .host_id(100_000u32)
        .container_id(0u32)
        .size(65536u32)
        .build()
        .unwrap();
    let linux = launch.spec.linux_mut().as_mut().unwrap();
    // The default for ping names a group that is not mapped.
    linux.set_sysctl(None);
    linux
        .set_uid_mappings(Some(vec![mapping]))
        .set_gid_mappings(Some(vec![mapping]));
    let mut user = LinuxNamespace::default();
    user.set_typ(LinuxNamespaceType::User);
    linux.namespaces_mut().as_mut().unwrap().push(user);
    let shoal_node_drivers_shim::Rootfs::Overlay { upper, .. } = &launch.rootfs else {
        unreachable!()
    };
    let new = upper.join("new");
    let output = world.run_launch(&launch).await;
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "0",
            "0",
            "100000",
            "65536",
            "0",
            "0",
            "-rw-r--r--",
            "Seccomp:",
            "2"
        ],
        "{}",
        output.stderr
    );
    // On the disk the container's root is root: layers are the same with every mapping and with none.
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(new).unwrap()),
        0
    );
}

#[tokio::test]
async fn namespaces_that_are_given_or_shared() {
    let world = World::new();
    // A network namespace made elsewhere.
    let netns = std::thread::spawn(|| {
        // SAFETY: takes a number, concerns this thread only.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        std::fs::File::open("/proc/thread-self/ns/net").unwrap()
    })
    .join()
    .unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&netns.metadata().unwrap());
    let mut launch = world.launch(&world.input(&["readlink", "/proc/self/ns/net"]));
    launch.netns = shoal_node_drivers_shim::Netns::Given;
    let (shim, _) = world.launcher.launch(&launch, Some(netns.into())).await.unwrap();
    let stream = shim.attach(OUTPUT).await.unwrap();
    shim.start().await.unwrap();
    let output = collect(stream, false, shim.exited()).await;
    assert_eq!(output.stdout, format!("net:[{inode}]\n"));
    // The host's network, and its processes.
    let mut input = world.input(&[
        "sh",
        "-c",
        "readlink /proc/self/ns/net; readlink /proc/self/ns/pid; sleep 1000 & echo $!",
    ]);
    input.namespaces.network = shoal_node_core_host::ocispec::Ns::Host;
    input.namespaces.pid = shoal_node_core_host::ocispec::Ns::Host;
    let mut launch = world.launch(&input);
    launch.netns = shoal_node_drivers_shim::Netns::Host;
    let output = world.run_launch(&launch).await;
    let mut lines = output.stdout.lines();
    for kind in ["net", "pid"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(lines.next().unwrap(), own.to_str().unwrap());
    }
    // Without a pid namespace nothing dies by itself: the shim has cleared the control group.
    let left: u32 = lines.next().unwrap().parse().unwrap();
    eventually("the end of what was left", || !alive(left)).await;
    // Another container's processes.
    let (shim, _) = world.idle(None).await;
    let mut input = world.input(&["cat", "/proc/1/comm"]);
    input.namespaces.pid =
        shoal_node_core_host::ocispec::Ns::Of(format!("/proc/{}/ns/pid", shim.pid()).into());
    assert_eq!(world.run(&input).await.stdout, "sleep\n");
    shim.signal(9).await.unwrap();
    within(shim.exited()).await;
}

#[tokio::test]
async fn a_privileged_container_is_not_confined() {
    let world = World::new();
    let mut input = world.input(&[
        "sh",
        "-c",
        "grep -E '^(CapBnd|Seccomp:)' /proc/self/status; mount -t tmpfs x /data && echo mounted; \
         (echo 1 > /proc/sys/net/ipv4/ip_forward) && echo set; grep ' /sys ' /proc/self/mountinfo | cut -d' ' -f6 | cut -c1-2",
    ]);
    input.privileged = true;
    input.process.rights.caps = shoal_node_core_host::caps::resolve(&[], &[], true, 40).unwrap();
    let mut launch = world.launch(&input);
    launch.seccomp = None;
    let output = world.run_launch(&launch).await;
    // All that this process could hand on.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find(|l| l.starts_with("CapBnd:")).unwrap();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(
        lines,
        [own, "Seccomp:\t0", "mounted", "set", "rw"],
        "{}",
        output.stderr
    );
}
