//! From start to exit: codes, signals, refusals, memory, init.

use std::time::Duration;

use shoal_node_core_host::ocispec::{Mount, ReadOnly};
use shoal_node_drivers_shim::{Error, read_exit};

use crate::support::*;

#[tokio::test]
async fn output_is_framed_and_the_exit_is_recorded() {
    let world = World::new();
    let launch = world.launch(&world.input(&["sh", "-c", "echo out; echo err >&2; exit 7"]));
    let output = world.run_launch(&launch).await;
    assert_eq!((&*output.stdout, &*output.stderr), ("out\n", "err\n"));
    assert_eq!(output.exit.code, 7);
    assert!(!output.exit.oom_killed);
    let recorded = read_exit(&launch.exit_file).unwrap().unwrap();
    assert_eq!(recorded, output.exit);
    let log = std::fs::read_to_string(launch.exit_file.with_file_name("log")).unwrap();
    assert!(
        log.contains(r#"{"log":"out\n","stream":"stdout","time":""#),
        "{log}"
    );
    assert!(
        log.contains(r#"{"log":"err\n","stream":"stderr","time":""#),
        "{log}"
    );
    assert!(!launch.run_dir.join("shim.sock").exists());
    eventually("the shim's end", || {
        std::fs::read_to_string(launch.run_dir.join("shim.log"))
            .unwrap()
            .is_empty()
    })
    .await;
}

#[tokio::test]
async fn without_a_gate_the_launch_returns_after_the_exec() {
    let world = World::new();
    let mut launch = world.launch(&world.input(&["sh", "-c", "exit 3"]));
    launch.gate = false;
    let (shim, running) = world.launcher.launch(&launch, None).await.unwrap();
    assert_eq!(shim.pid(), running.pid);
    assert_eq!(within(shim.exited()).await.code, 3);
    assert!(matches!(shim.start().await, Err(Error::Gone | Error::Refused(_))));
}

#[tokio::test]
async fn signals_reach_the_first_process() {
    let world = World::new();
    let input = world.input(&[
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    let launch = world.launch(&input);
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    let mut stream = shim.attach(OUTPUT).await.unwrap();
    shim.start().await.unwrap();
    let mut first = [0; 14];
    within(tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first))
        .await
        .unwrap();
    shim.signal(libc::SIGTERM).await.unwrap();
    assert_eq!(within(shim.exited()).await.code, 9);

    let (shim, _) = world.idle(None).await;
    shim.signal(libc::SIGKILL).await.unwrap();
    assert_eq!(within(shim.exited()).await.code, 137);
}

#[tokio::test]
async fn a_container_at_its_gate_has_run_nothing_and_can_be_killed() {
    let world = World::new();
    let launch = world.launch(&world.input(&["sh", "-c", "echo ran"]));
    let (shim, running) = world.launcher.launch(&launch, None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let name = std::fs::read_to_string(format!("/proc/{}/comm", running.pid)).unwrap();
    assert_eq!(name, "shoal-shim\n");
    assert!(shim.status().await.unwrap().gated);
    shim.signal(libc::SIGKILL).await.unwrap();
    assert_eq!(within(shim.exited()).await.code, 137);
}

#[tokio::test]
async fn refusals_in_docker_s_words() {
    let world = World::new();
    let case = async |args: &[&str], cwd: &str| {
        let mut input = world.input(args);
        input.process.cwd = cwd.into();
        world.refused(&world.launch(&input)).await
    };
    let (code, text) = case(&["foo"], "/").await;
    assert_eq!(
        (code, &*text),
        (127, r#"exec: "foo": executable file not found in $PATH"#)
    );
    let (code, text) = case(&["/no/such"], "/").await;
    assert_eq!(
        (code, &*text),
        (
            127,
            r#"exec: "/no/such": stat /no/such: no such file or directory"#
        )
    );
    let (code, text) = case(&["/etc/passwd"], "/").await;
    assert_eq!((code, &*text), (126, r#"exec: "/etc/passwd": permission denied"#));
    let (code, text) = case(&["/etc"], "/").await;
    assert_eq!(
        (code, &*text),
        (126, r#"exec: "/etc": is a directory: permission denied"#)
    );
    let (code, text) = case(&["true"], "/etc/passwd").await;
    assert_eq!(code, 128);
    assert_eq!(
        text,
        r#"chdir to cwd ("/etc/passwd") set in config.json failed: not a directory"#
    );
    let mut input = world.input(&["true"]);
    input.mounts.push(Mount::Bind {
        source: "/no/such/source".into(),
        destination: "/data".into(),
        read_only: ReadOnly::No,
        recursive: true,
        propagation: String::new(),
        mapped: false,
    });
    let (_, text) = world.refused(&world.launch(&input)).await;
    assert_eq!(
        text,
        r#"error mounting "/no/such/source" to rootfs at "/data": no such file or directory"#
    );
}

#[tokio::test]
async fn a_program_that_the_kernel_cannot_run_ends_with_255_and_says_so() {
    let world = World::new();
    let path = world.dir.path().join("lower/bin/noise");
    std::fs::write(&path, [0x7f, b'N', b'O', 0, 1, 2, 3]).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = world.run(&world.input(&["noise"])).await;
    assert_eq!(
        (output.exit.code, &*output.stderr),
        (255, "exec /bin/noise: exec format error\n")
    );
}

#[tokio::test]
async fn memory_running_out_is_noticed() {
    let world = World::new();
    let mut input = world.input(&["sh", "-c", "x=a; while :; do x=$x$x$x$x; done"]);
    let mut memory = oci_spec::runtime::LinuxMemory::default();
    memory.set_limit(Some(16 << 20)).set_swap(Some(16 << 20));
    input.resources.set_memory(Some(memory));
    let launch = world.launch(&input);
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    let watcher = shim.clone();
    let noticed = tokio::spawn(async move { watcher.out_of_memory().await });
    shim.start().await.unwrap();
    let exit = within(shim.exited()).await;
    assert_eq!(exit.code, 137);
    assert!(exit.oom_killed);
    within(noticed).await.unwrap();
}

#[tokio::test]
async fn init_reaps_forwards_signals_and_passes_the_code_on() {
    let world = World::new();
    // An orphan that ends becomes a zombie unless somebody reaps it.
    let script =
        "(sleep 0.05 & exec true) ; sleep 0.3; ps -o stat,comm | grep -c '^Z'; cat /proc/1/comm; exit 5";
    let mut launch = world.launch(&world.input(&["sh", "-c", script]));
    launch.init = Some(world.launcher.path().to_owned());
    let output = world.run_launch(&launch).await;
    assert_eq!(output.stdout, "0\ndocker-init\n");
    assert_eq!(output.exit.code, 5);

    let mut launch =
        world.launch(&world.input(&["sh", "-c", "trap 'exit 4' INT; while :; do sleep 0.02; done"]));
    launch.init = Some(world.launcher.path().to_owned());
    launch.gate = false;
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    shim.signal(libc::SIGINT).await.unwrap();
    assert_eq!(within(shim.exited()).await.code, 4);

    let mut launch = world.launch(&world.input(&["nothing-of-this-name"]));
    launch.init = Some(world.launcher.path().to_owned());
    assert_eq!(world.run_launch(&launch).await.exit.code, 127);
}

#[tokio::test]
async fn one_container_after_another_in_the_same_place() {
    let world = World::new();
    let launch = world.launch(&world.input(&["sh", "-c", "echo $(cat /data/n) >> /data/n; wc -l < /data/n"]));
    for round in 1..=3 {
        let output = world.run_launch(&launch).await;
        assert_eq!(output.stdout.trim(), round.to_string());
    }
}

#[tokio::test]
async fn many_at_once() {
    let world = World::new();
    let launches: Vec<_> = (0..32)
        .map(|n| world.launch(&world.input(&["sh", "-c", &format!("echo {n}; exit {n}")])))
        .collect();
    let begin = std::time::Instant::now();
    let tasks: Vec<_> = launches
        .into_iter()
        .map(|launch| {
            let launcher = world.launcher.clone();
            tokio::spawn(async move {
                let (shim, _) = launcher.launch(&launch, None).await.unwrap();
                let stream = shim.attach(OUTPUT).await.unwrap();
                let exec = shim.start();
                exec.await.unwrap();
                collect(stream, false, shim.exited()).await
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        let output = task.await.unwrap();
        assert_eq!((output.stdout, output.exit.code), (format!("{n}\n"), n as i32));
    }
    println!("{:.0} containers a second", 32.0 / begin.elapsed().as_secs_f64());
}

#[tokio::test]
async fn mount_points_leave_no_trace_in_the_container_s_own_layer() {
    let world = World::new();
    let skeleton = world.dir.path().join("skeleton");
    shoal_node_drivers_runtime::skeleton::ensure(&skeleton).unwrap();
    let hosts = world.dir.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 here\n").unwrap();
    let mut input = world.input(&[
        "sh",
        "-c",
        "cat /etc/hosts; ls -A / | tr '\\n' ' '; stat -c '%a %U' /etc",
    ]);
    input.files = vec![(hosts, "/etc/hosts")];
    let mut launch = world.launch(&input);
    let shoal_node_drivers_shim::Rootfs::Overlay { lower, upper, .. } = &mut launch.rootfs else {
        unreachable!()
    };
    lower.push(skeleton);
    let upper = upper.clone();
    let output = world.run_launch(&launch).await;
    assert_eq!(
        output.stdout,
        "127.0.0.1 here\n.dockerenv bin data dev etc home proc root sys tmp 755 root\n"
    );
    let left: Vec<_> = std::fs::read_dir(upper)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
