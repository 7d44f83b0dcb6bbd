//! Log files made wrong: a reader gives what is whole, says what is damaged, and never panics nor goes round for ever.

use super::{at, keep};
use shoal_node_drivers_logs::{Format, ReadOptions, Stream, Writer, parse_rfc3339, read};
use shoal_tests_mutate::mutations;

fn written(format: Format) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("log");
    let mut writer = Writer::open(&path, format, keep(1 << 20, 1), "\"a\":\"b\"").expect("open");
    for n in 0..6 {
        let (stream, text) = if n % 2 == 0 {
            (Stream::Stdout, "plain\n")
        } else {
            (Stream::Stderr, "\"ü\\\x01\n")
        };
        writer.write(stream, text.as_bytes(), at(n)).expect("written");
    }
    writer
        .write(Stream::Stdout, &[b'x'; 20_000], at(9))
        .expect("written");
    writer.finish(Stream::Stdout, at(10)).expect("finished");
    drop(writer);
    std::fs::read(path).expect("the file")
}

#[test]
fn files() {
    let dir = tempfile::tempdir().expect("a folder");
    for format in [Format::Json, Format::Local] {
        let seed = written(format);
        let path = dir.path().join(format!("{format:?}"));
        mutations(&[seed], 1500, |input| {
            std::fs::write(&path, input).expect("written");
            for tail in [None, Some(0), Some(3)] {
                let options = ReadOptions {
                    tail,
                    since: Some(at(2)),
                    ..ReadOptions::default()
                };
                let Ok(reader) = read(&path, format, options) else {
                    continue;
                };
                let entries = reader.take_while(Result::is_ok).count();
                assert!(entries <= input.len(), "more records than bytes");
            }
        });
        // As a rotated file that was packed.
        let packed = path.with_file_name(format!("{format:?}.1.gz"));
        mutations(
            &[&b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0"[..]],
            500,
            |input| {
                std::fs::write(&packed, input).expect("written");
                if let Ok(reader) = read(&path, format, ReadOptions::default()) {
                    reader.take_while(Result::is_ok).count();
                }
            },
        );
        std::fs::remove_file(&packed).expect("removed");
    }
}

#[test]
fn times() {
    mutations(
        &["2024-02-29T12:34:56.123456789Z", "1970-01-01T00:00:00+14:00"],
        3000,
        |input| {
            let _ = parse_rfc3339(&String::from_utf8_lossy(input));
        },
    );
}
