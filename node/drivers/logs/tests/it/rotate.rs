use std::fs;

use shoal_node_drivers_logs::{ReadOptions, Stream};

use crate::{all, at, keep, text};

#[test]
fn keeps_the_files_that_were_asked_for() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, keep(1000, 3)).expect("open");
    for i in 0..200 {
        log.write(Stream::Stdout, format!("line {i:03}\n").as_bytes(), at(i))
            .expect("write");
    }
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .expect("dir")
        .map(|e| e.expect("entry").file_name().into_string().expect("name"))
        .collect();
    names.sort();
    assert_eq!(names, ["c-json.log", "c-json.log.1", "c-json.log.2"]);
    for name in &names[1..] {
        let size = fs::metadata(dir.path().join(name)).expect("file").len();
        assert!((1000..1100).contains(&size), "{name} has {size} bytes");
    }
    let entries = all(&path, ReadOptions::default());
    let want: String = (200 - entries.len()..200)
        .map(|i| format!("line {i:03}\n"))
        .collect();
    assert_eq!(text(&entries), want);
    assert_eq!(
        all(
            &path,
            ReadOptions {
                tail: Some(25),
                ..Default::default()
            }
        )
        .len(),
        25
    );
}

#[test]
fn one_file_starts_over() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, keep(500, 1)).expect("open");
    for i in 0..100 {
        log.write(Stream::Stdout, format!("line {i:03}\n").as_bytes(), at(i))
            .expect("write");
    }
    assert_eq!(fs::read_dir(dir.path()).expect("dir").count(), 1);
    assert!(text(&all(&path, ReadOptions::default())).ends_with("line 099\n"));
}

#[test]
fn one_batch_may_fill_several_files() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, keep(300, 50)).expect("open");
    let batch: String = (0..50).map(|i| format!("line {i:03}\n")).collect();
    log.write(Stream::Stderr, batch.as_bytes(), at(0)).expect("write");
    assert_eq!(text(&all(&path, ReadOptions::default())), batch);
    assert!(fs::read_dir(dir.path()).expect("dir").count() >= 10);
}

#[test]
fn a_rotation_cut_short_by_a_crash_is_read_and_carried_on() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("c-json.log");
    let mut log = crate::open(&path, keep(100_000, 3)).expect("open");
    log.write(Stream::Stdout, b"before\n", at(0)).expect("write");
    drop(log);
    fs::rename(&path, dir.path().join("c-json.log.1")).expect("rename");
    assert_eq!(text(&all(&path, ReadOptions::default())), "before\n");
    let mut log = crate::open(&path, keep(100_000, 3)).expect("open");
    log.write(Stream::Stdout, b"after\n", at(1)).expect("write");
    assert_eq!(text(&all(&path, ReadOptions::default())), "before\nafter\n");
}
