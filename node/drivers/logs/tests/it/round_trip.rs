use std::fs;
use std::io::Write;
use std::time::Instant;

use shoal_node_drivers_logs::{Format, ReadOptions, Rotation, Stream, read};

use crate::{all, at, text};

#[test]
fn writes_what_dockers_reader_expects() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    log.write(Stream::Stdout, b"hello\nwor", at(0)).expect("write");
    log.write(Stream::Stderr, b"oops\n", at(1)).expect("write");
    log.write(Stream::Stdout, b"ld\n\n$ ", at(2)).expect("write");
    log.finish(Stream::Stdout, at(3)).expect("finish");
    log.finish(Stream::Stderr, at(3)).expect("finish");
    let want = concat!(
        r#"{"log":"hello\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}"#,
        "\n",
        r#"{"log":"oops\n","stream":"stderr","time":"2023-11-14T22:13:21Z"}"#,
        "\n",
        r#"{"log":"world\n","stream":"stdout","time":"2023-11-14T22:13:22Z"}"#,
        "\n",
        r#"{"log":"\n","stream":"stdout","time":"2023-11-14T22:13:22Z"}"#,
        "\n",
        r#"{"log":"$ ","stream":"stdout","time":"2023-11-14T22:13:23Z"}"#,
        "\n",
    );
    assert_eq!(fs::read_to_string(&path).expect("log"), want);
    let entries = all(&path, ReadOptions::default());
    assert_eq!(entries.len(), 5);
    assert_eq!((entries[1].stream, entries[1].time), (Stream::Stderr, at(1)));
    assert!(entries[4].partial && !entries[2].partial);
}

#[test]
fn cuts_long_lines_at_16_kib() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    let long: Vec<u8> = (0..40_000)
        .map(|i| b'a' + (i % 26) as u8)
        .chain([b'\n'])
        .collect();
    for piece in long.chunks(1000) {
        log.write(Stream::Stdout, piece, at(0)).expect("write");
    }
    log.write(Stream::Stdout, &long, at(0)).expect("write");
    let entries = all(&path, ReadOptions::default());
    let lengths: Vec<_> = entries.iter().map(|e| (e.line.len(), e.partial)).collect();
    let once = [(16_384, true), (16_384, true), (7_233, false)];
    assert_eq!(lengths, [once, once].concat());
    assert_eq!(text(&entries).as_bytes(), [long.clone(), long].concat());
}

#[test]
fn tail_since_and_until() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    for i in 0..2000 {
        log.write(
            Stream::Stdout,
            format!("line {i} {}\n", "x".repeat(90)).as_bytes(),
            at(i),
        )
        .expect("write");
    }
    let first = |options: ReadOptions| {
        let entries = all(&path, options);
        (entries.len(), entries.first().map(|e| e.time))
    };
    assert_eq!(first(ReadOptions::default()), (2000, Some(at(0))));
    for n in [1, 2, 3, 700, 1999, 2000] {
        assert_eq!(
            first(ReadOptions {
                tail: Some(n),
                ..Default::default()
            }),
            (n as usize, Some(at(2000 - n)))
        );
    }
    assert_eq!(
        first(ReadOptions {
            tail: Some(5000),
            ..Default::default()
        })
        .0,
        2000
    );
    assert_eq!(
        first(ReadOptions {
            tail: Some(0),
            ..Default::default()
        })
        .0,
        0
    );
    let since = ReadOptions {
        since: Some(at(1990)),
        ..Default::default()
    };
    assert_eq!(first(since.clone()), (10, Some(at(1990))));
    assert_eq!(
        first(ReadOptions {
            until: Some(at(1992)),
            ..since.clone()
        }),
        (3, Some(at(1990)))
    );
    assert_eq!(
        first(ReadOptions {
            tail: Some(4),
            ..since
        }),
        (4, Some(at(1996)))
    );
}

#[test]
fn passes_over_damage_and_goes_on_after_a_torn_line() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    log.write(Stream::Stdout, b"one\n", at(0)).expect("write");
    drop(log);
    let mut file = fs::OpenOptions::new().append(true).open(&path).expect("log");
    file.write_all(b"garbage\n{\"log\":\"x\"}\n").expect("garbage");
    file.write_all(&vec![0; 3 << 20]).expect("hole");
    file.write_all(b"\n{\"log\":\"two\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b\"},\"time\":\"2023-11-14T22:13:21Z\"}\n").expect("record");
    file.write_all(b"{\"log\":\"to").expect("torn");
    drop(file);
    let mut log = crate::open(&path, Rotation::default()).expect("open");
    log.write(Stream::Stdout, b"three\n", at(2)).expect("write");
    assert_eq!(text(&all(&path, ReadOptions::default())), "one\ntwo\nthree\n");
    assert_eq!(
        text(&all(
            &path,
            ReadOptions {
                tail: Some(1),
                ..Default::default()
            }
        )),
        "three\n"
    );
}

#[test]
fn a_log_never_written_is_empty() {
    let dir = tempfile::tempdir().expect("dir");
    assert!(
        read(&dir.path().join("none"), Format::Json, ReadOptions::default())
            .expect("open")
            .next()
            .is_none()
    );
}

#[test]
fn hundred_byte_lines_cost_little() {
    // 20 MB in batches as the shim reads them from a pipe. Debug code here manages 100 MB/s and more; the
    // limit only catches work done per line that should be done per batch.
    let dir = tempfile::tempdir().expect("dir");
    let mut log = crate::open(&dir.path().join("c-json.log"), Rotation::default()).expect("open");
    let batch = format!("{}\n", "y".repeat(99)).repeat(655);
    let begin = Instant::now();
    for _ in 0..305 {
        log.write(Stream::Stdout, batch.as_bytes(), at(0)).expect("write");
    }
    assert!(begin.elapsed().as_secs() < 20, "20 MB took {:?}", begin.elapsed());
}
