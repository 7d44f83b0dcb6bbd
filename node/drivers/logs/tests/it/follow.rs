use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use shoal_node_drivers_logs::{Format, ReadOptions, Rotation, Stream, read};

use crate::{at, keep};

const FOLLOW: ReadOptions = ReadOptions {
    since: None,
    until: None,
    tail: None,
    follow: true,
};

#[test]
fn gives_lines_as_they_come_and_the_rest_when_stopped() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let reader = read(&path, Format::Json, FOLLOW).expect("open");
    let stop = reader.stopper();
    let (send, lines) = mpsc::channel();
    let follower =
        thread::spawn(move || reader.for_each(|entry| send.send(entry.expect("entry").line).expect("send")));
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    for i in 0..20 {
        log.write(Stream::Stdout, format!("{i}\n").as_bytes(), at(i))
            .expect("write");
        let line = lines.recv_timeout(Duration::from_secs(5)).expect("line in time");
        assert_eq!(line, format!("{i}\n").as_bytes());
    }
    log.write(Stream::Stdout, b"last\n", at(30)).expect("write");
    stop.stop();
    follower.join().expect("follower");
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), [b"last\n"]);
}

#[test]
fn loses_nothing_over_many_rotations() {
    for max_file in [2, 4] {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("c-json.log");
        let mut log = crate::open(&path, keep(4000, max_file)).expect("open");
        let reader = read(&path, Format::Json, FOLLOW).expect("open");
        let stop = reader.stopper();
        let (send, lines) = mpsc::sync_channel(0);
        let follower =
            thread::spawn(move || reader.for_each(|e| send.send(e.expect("entry").line).expect("send")));
        for round in 0..300 {
            // The follower is never more than a batch behind, so that no file it needs is dropped.
            let batch: String = (0..10).map(|i| format!("round {round} line {i}\n")).collect();
            log.write(Stream::Stdout, batch.as_bytes(), at(round))
                .expect("write");
            for i in 0..10 {
                let line = lines.recv_timeout(Duration::from_secs(5)).expect("line in time");
                assert_eq!(
                    String::from_utf8_lossy(&line),
                    format!("round {round} line {i}\n")
                );
            }
        }
        stop.stop();
        follower.join().expect("follower");
    }
}

#[test]
fn a_tail_of_none_shows_only_what_is_new() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    log.write(Stream::Stdout, b"old\n", at(0)).expect("write");
    let reader = read(
        &path,
        Format::Json,
        ReadOptions {
            tail: Some(0),
            ..FOLLOW
        },
    )
    .expect("open");
    log.write(Stream::Stdout, b"new\n", at(1)).expect("write");
    reader.stopper().stop();
    let lines: Vec<_> = reader.map(|e| e.expect("entry").line).collect();
    assert_eq!(lines, [b"new\n"]);
}

#[test]
fn ends_when_until_has_passed_or_the_directory_goes() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    log.write(Stream::Stdout, b"line\n", SystemTime::now())
        .expect("write");
    let begin = Instant::now();
    let until = SystemTime::now() + Duration::from_millis(200);
    assert_eq!(
        read(
            &path,
            Format::Json,
            ReadOptions {
                until: Some(until),
                ..FOLLOW
            }
        )
        .expect("open")
        .count(),
        1
    );
    assert!(begin.elapsed() >= Duration::from_millis(200) && begin.elapsed() < Duration::from_secs(5));

    let reader = read(&path, Format::Json, FOLLOW).expect("open");
    let follower = thread::spawn(move || reader.count());
    thread::sleep(Duration::from_millis(50));
    fs::remove_dir_all(dir.path()).expect("remove");
    assert_eq!(follower.join().expect("follower"), 1);
}

#[test]
fn begins_again_when_the_file_is_emptied_in_place() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    log.write(Stream::Stdout, b"a long line that is emptied away\n", at(0))
        .expect("write");
    let mut reader = read(&path, Format::Json, FOLLOW).expect("open");
    assert!(reader.next().is_some());
    fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&path)
        .expect("truncate");
    log.write(Stream::Stdout, b"b\n", at(1)).expect("write");
    assert_eq!(reader.next().expect("entry").expect("read").line, b"b\n");
}
