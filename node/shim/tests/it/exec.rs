//! Further processes in a running container.

use shoal_node_drivers_shim::{Attach, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn an_exec_sees_what_the_container_sees() {
    let world = World::new();
    let input = world.input(&["sleep", "1000"]);
    let (shim, _) = world.idle(Some(input.clone())).await;
    let script = "hostname; cat /proc/1/comm; echo $TEST $HOME $PWD; echo no >&2; exit 4";
    let output = world.exec_sh(&shim, "a", &input, script).await;
    assert_eq!(output.stdout, "boxed\nsleep\n1 /root /\n");
    assert_eq!((&*output.stderr, output.exit.code), ("no\n", 4));
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"] {
        let inside = world
            .exec_sh(&shim, kind, &input, &format!("readlink /proc/self/ns/{kind}"))
            .await;
        let outside = std::fs::read_link(format!("/proc/{}/ns/{kind}", shim.pid())).unwrap();
        assert_eq!(inside.stdout.trim(), outside.to_str().unwrap());
    }
    let groups = world.exec_sh(&shim, "g", &input, "cat /proc/self/cgroup").await;
    let first = world.exec_sh(&shim, "h", &input, "cat /proc/1/cgroup").await;
    assert_eq!(groups.stdout, first.stdout);
    shim.signal(9).await.unwrap();
    within(shim.exited()).await;
}

#[tokio::test]
async fn input_user_and_directory_of_an_exec() {
    let world = World::new();
    let input = world.input(&["sleep", "1000"]);
    let (shim, _) = world.idle(Some(input.clone())).await;
    let mut process = input.clone();
    process.process.rights.user.uid = 1000;
    process.process.rights.user.gid = 1000;
    process.process.rights.user.groups = vec![7, 8];
    process.process.cwd = "/home/other".into();
    let mut exec = world.exec("a", &process, &["sh", "-c", "cat; id -u; id -G; pwd; echo $HOME"]);
    exec.attach = ALL;
    let mut handle = shim.exec(exec).await.unwrap();
    let mut stream = handle.stream.take().unwrap();
    stream.write_all(b"typed\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let output = collect(stream, false, handle.exited()).await;
    assert_eq!(output.stdout, "typed\n1000\n1000 7 8\n/home/other\n/home/other\n");
    shim.signal(9).await.unwrap();
    within(shim.exited()).await;
}

#[tokio::test]
async fn a_terminal_of_its_own_with_size_and_signals() {
    let world = World::new();
    let input = world.input(&["sleep", "1000"]);
    let (shim, _) = world.idle(Some(input.clone())).await;
    let mut exec = world.exec(
        "t",
        &input,
        &["sh", "-c", "stty size; read x; stty size; sleep 1000"],
    );
    exec.tty = true;
    exec.size = Some((90, 30));
    exec.attach = ALL;
    let mut handle = shim.exec(exec).await.unwrap();
    let mut stream = handle.stream.take().unwrap();
    let mut seen = [0; 7];
    within(stream.read_exact(&mut seen)).await.unwrap();
    assert_eq!(&seen, b"30 90\r\n");
    handle.resize(40, 20).await.unwrap();
    stream.write_all(b"\n").await.unwrap();
    let mut seen = [0; 9];
    within(stream.read_exact(&mut seen)).await.unwrap();
    assert_eq!(&seen, b"\r\n20 40\r\n");
    handle.signal(libc::SIGKILL).await.unwrap();
    let output = collect(stream, true, handle.exited()).await;
    assert_eq!(output.exit.code, 137);
    shim.signal(9).await.unwrap();
    within(shim.exited()).await;
}

#[tokio::test]
async fn refusals_and_detached_execs() {
    let world = World::new();
    let input = world.input(&["sleep", "1000"]);
    let (shim, launch) = world.idle(Some(input.clone())).await;
    let Err(Error::NotStarted(error)) = shim.exec(world.exec("a", &input, &["foo"])).await else {
        panic!("it started");
    };
    assert_eq!(
        (error.code, &*error.message),
        (127, r#"exec: "foo": executable file not found in $PATH"#)
    );
    let mut elsewhere = input.clone();
    elsewhere.process.cwd = "/not/there".into();
    let Err(Error::NotStarted(error)) = shim.exec(world.exec("a", &elsewhere, &["true"])).await else {
        panic!("it started");
    };
    assert_eq!(
        error.message,
        r#"chdir to cwd ("/not/there") set in config.json failed: no such file or directory"#
    );
    assert!(!launch.run_dir.join("not").exists(), "an exec makes no directory");
    let mut exec = world.exec("d", &input, &["sh", "-c", "exit 6"]);
    exec.attach = Attach::default();
    let handle = shim.exec(exec).await.unwrap();
    assert!(handle.stream.is_none());
    assert_eq!(within(handle.exited()).await.code, 6);
    assert_eq!(shim.status().await.unwrap().ended.len(), 1);
    // An exec that still runs when the container ends, ends with it.
    let handle = shim
        .exec(world.exec("e", &input, &["sleep", "1000"]))
        .await
        .unwrap();
    shim.signal(9).await.unwrap();
    assert_eq!(within(handle.exited()).await.code, 137);
    within(shim.exited()).await;
    assert!(shim.exec(world.exec("f", &input, &["true"])).await.is_err());
}
