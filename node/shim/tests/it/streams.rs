//! Attach: several at once, slow and dead ones, input, terminals.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn input_is_closed_once_with_its_first_client() {
    let world = World::new();
    let mut launch = world.launch(&world.input(&["sh", "-c", "cat; echo end"]));
    launch.open_stdin = true;
    launch.stdin_once = true;
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    let big = vec![b'x'; 1 << 20];
    let (mut reader, mut writer) = stream.split();
    let write = async {
        writer.write_all(&big).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut bytes = Vec::new();
    let read = reader.read_to_end(&mut bytes);
    let (_, read) = within(async { tokio::join!(write, read) }).await;
    read.unwrap();
    let (stdout, _) = split(&bytes);
    assert_eq!(stdout.len(), big.len() + 4);
    assert!(stdout.ends_with(b"xend\n"));
    assert_eq!(within(shim.exited()).await.code, 0);
}

#[tokio::test]
async fn without_stdin_once_a_client_that_ends_its_input_is_detached_and_the_next_goes_on() {
    let world = World::new();
    let mut launch = world.launch(&world.input(&["cat"]));
    launch.open_stdin = true;
    launch.gate = false;
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    for word in [b"one\n", b"two\n"] {
        let mut stream = shim.attach(ALL).await.unwrap();
        stream.write_all(word).await.unwrap();
        let mut frame = [0; 12];
        within(stream.read_exact(&mut frame)).await.unwrap();
        assert_eq!(&frame[8..], word);
        stream.shutdown().await.unwrap();
        assert_eq!(within(stream.read(&mut frame)).await.unwrap(), 0);
    }
    shim.signal(libc::SIGKILL).await.unwrap();
    within(shim.exited()).await;
}

#[tokio::test]
async fn a_slow_client_holds_the_output_back_and_a_dead_one_does_not() {
    let world = World::new();
    let mut launch = world.launch(&world.input(&["sh", "-c", "i=0; while [ $i -lt 40 ]; do dd if=/dev/zero bs=65536 count=1 2>/dev/null; echo $i >&2; i=$((i+1)); done"]));
    launch.log = shoal_node_drivers_shim::LogTarget::None;
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    let mut slow = shim.attach(OUTPUT).await.unwrap();
    let fast = shim.attach(OUTPUT).await.unwrap();
    shim.start().await.unwrap();
    let fast = tokio::spawn(collect(fast, false, {
        let shim = shim.clone();
        async move { shim.exited().await }
    }));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(
        !fast.is_finished(),
        "2.6 MB do not fit into the buffers on the way"
    );
    // What the slow one gets in the end is whole.
    let mut some = vec![0; 300_000];
    within(slow.read_exact(&mut some)).await.unwrap();
    drop(slow);
    let output = within(fast).await.unwrap();
    assert_eq!(output.stdout.len(), 40 * 65536);
    assert_eq!(output.stderr.lines().count(), 40);
    assert_eq!(output.exit.code, 0);
}

#[tokio::test]
async fn a_terminal_has_a_size_and_one_raw_stream() {
    let world = World::new();
    let mut input = world.input(&[
        "sh",
        "-c",
        "tty; stty size; ls -l /dev/console; read x; stty size; echo got $x",
    ]);
    input.process.tty = true;
    let mut launch = world.launch(&input);
    launch.open_stdin = true;
    let (shim, _) = world.launcher.launch(&launch, None).await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.resize(80, 24).await.unwrap();
    shim.start().await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    while !seen.contains("/dev/console") || !seen.ends_with('\n') {
        let n = within(stream.read(&mut buffer)).await.unwrap();
        assert_ne!(n, 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    assert!(seen.starts_with("/dev/pts/0\r\n24 80\r\ncrw"), "{seen}");
    shim.resize(100, 50).await.unwrap();
    stream.write_all(b"word\n").await.unwrap();
    let output = collect(stream, true, shim.exited()).await;
    assert!(output.stdout.contains("50 100\r\n"), "{}", output.stdout);
    assert!(output.stdout.ends_with("got word\r\n"), "{}", output.stdout);
    assert_eq!(output.exit.code, 0);
}

#[tokio::test]
async fn the_user_may_open_standard_output_again() {
    let world = World::new();
    let mut input = world.input(&["sh", "-c", "echo again > /dev/stdout; echo worse > /dev/stderr"]);
    input.process.rights.user.uid = 1000;
    let output = world.run(&input).await;
    assert_eq!((&*output.stdout, &*output.stderr), ("again\n", "worse\n"));
}
