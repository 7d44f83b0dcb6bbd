//! Layers made to fill memory or disk: each is refused or costs what it is worth, and the process stays small.
//! `SHOAL_BOMBS=long` has them in their full size.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use futures_util::Stream;
use shoal_node_drivers_images::{Error, Sink};
use tar::EntryType::{self, GNUSparse, Regular};

use crate::hostile::{pax, raw};
use crate::{Entry, archive, directory, file, header, import, open, try_import};

/// KiB that a layer may cost above what the idle process has.
const GROWTH_MAX: u64 = 100 * 1024;

/// A file system of its own, small enough to fill.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Small {
        fs::create_dir_all(at).expect("mount point");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status();
        assert!(done.expect("mount runs").success());
        Small(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A gzip of `start` and then so many zeros, in members of 16 MiB that are packed only once.
fn bomb(start: Vec<u8>, zeros: u64) -> Vec<u8> {
    let pack = |bytes: &[u8]| {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(bytes).expect("gzip");
        zip.finish().expect("gzip")
    };
    let member = pack(&vec![0; 16 << 20]);
    [pack(&start), member.repeat((zeros >> 24) as usize)].concat()
}

#[tokio::test]
async fn bombs_fill_no_disk() {
    let root = tempfile::tempdir().expect("dir");
    let small = Small::mount(&root.path().join("small"), "64m");
    let size = 256 << 20;
    let huge = raw(&Entry(Regular, "zeros", "", b""), |h| h.set_size(size));
    let padding = archive(&[file("f", b"1")]);
    let bombs = [bomb(huge, size), bomb(padding, size)];
    for (n, bomb) in bombs.into_iter().enumerate() {
        let images = open(&small.0);
        // What the last bomb left is deleted in the background.
        let free = || {
            rustix::fs::statvfs(&small.0)
                .map(|fs| fs.f_bavail * fs.f_bsize)
                .expect("statvfs")
        };
        while free() < 60 << 20 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let done = try_import(&images, Cursor::new(bomb), None).await;
        match (n, done) {
            (0, Err(Error::Storage { source, .. })) => {
                assert_eq!(source.kind(), std::io::ErrorKind::StorageFull)
            }
            // What follows the end costs time only.
            (1, Ok(_)) => {}
            (_, other) => panic!("bomb {n}: {other:?}"),
        }
        drop(images);
        let left = open(&small.0).list();
        assert_eq!(left.len(), n);
        assert_eq!(fs::read_dir(small.0.join("images/tmp")).expect("tmp").count(), 0);
    }
}

/// What a process in which nothing else happens says of itself, in KiB.
fn memory(what: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(what))
        .expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("number")
}

fn long() -> bool {
    std::env::var("SHOAL_BOMBS").is_ok_and(|set| set == "long")
}

/// A layer that is made while it is read, so that it is nowhere in memory.
type Layer = Box<dyn Iterator<Item = Vec<u8>> + Send>;

fn zeros(count: u64) -> impl Iterator<Item = Vec<u8>> + Send {
    let piece = 1 << 20;
    (0..count.div_ceil(piece)).map(move |_| vec![0; piece as usize])
}

/// By name; with what its refusal says, or nothing if it is a layer like others.
fn layers() -> Vec<(&'static str, Option<&'static str>, Layer)> {
    let sized = |kind, size| raw(&Entry(kind, "n", "", b""), |h| h.set_size(size));
    let after = |start: Vec<u8>, rest: u64| -> Layer { Box::new(std::iter::once(start).chain(zeros(rest))) };
    let gib = 1u64 << 30;
    let entries = if long() { 1_000_000 } else { 100_000 };
    let zero_bytes = if long() { 10 * gib } else { gib / 2 };
    let packed = |start| -> Layer { Box::new(std::iter::once(bomb(start, zero_bytes))) };
    let name = |n: u64| format!("{:0>200}", n % 1000);
    // Names are taken in turns: it is not the disk that is to be tried.
    let many = (0..entries).map(move |n| {
        let path = name(n);
        let entry = match n % 2 {
            0 => raw(&directory("d"), |_| {}),
            _ => raw(&file("f", b""), |_| {}),
        };
        [pax(&[("path", path.as_bytes())]), entry].concat()
    });
    // Every header is of the largest size that is read at all.
    let largest = vec![b'v'; (1 << 20) - 4096];
    let attributes = (0..200).map(move |n| {
        let path = format!("file{n}");
        [
            pax(&[("path", path.as_bytes()), ("comment", &largest)]),
            raw(&file("f", b"1"), |_| {}),
        ]
        .concat()
    });
    let holes = |pieces: u64| {
        let mut map = format!("{pieces}\n").into_bytes();
        (0..pieces).for_each(|n| map.extend_from_slice(format!("{}\n0\n", n * 4096).as_bytes()));
        map.resize(map.len().next_multiple_of(512), 0);
        let says = pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"holes"),
            ("GNU.sparse.realsize", b"1099511627776"),
        ]);
        let mut header = header(&file("holes", b""));
        header.set_size(map.len() as u64);
        header.set_cksum();
        [says, header.as_bytes().to_vec(), map].concat()
    };
    let real = raw(&Entry(GNUSparse, "s", "", b""), |h| {
        let gnu = h.as_gnu_mut().expect("gnu");
        gnu.set_real_size((8 << 30) - 1);
    });
    let good = archive(&[file("f", b"1")]);
    vec![
        (
            "a name of 4 GB",
            Some("an extension header of"),
            after(sized(EntryType::GNULongName, 4 * gib), gib),
        ),
        (
            "a header of 4 GB",
            Some("an extension header of"),
            after(sized(EntryType::XHeader, 4 * gib), gib),
        ),
        (
            "a link of 4 GB",
            Some("an extension header of"),
            after(sized(EntryType::GNULongLink, 4 * gib), gib),
        ),
        ("many entries", None, Box::new(many)),
        ("large headers", None, Box::new(attributes)),
        ("zeros", None, packed(sized(Regular, zero_bytes))),
        ("zeros after the end", None, packed(good)),
        ("a sparse file of 1 TB", None, after(holes(60_000), 1 << 20)),
        (
            "a million holes",
            Some("too many holes"),
            after(holes(1_000_000), 1 << 20),
        ),
        ("an old sparse file of 8 GB", None, after(real, 1 << 20)),
    ]
}

fn stream(layer: Layer) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    let pieces = layer.flat_map(|piece| {
        let piece = Bytes::from(piece);
        let starts = (0..piece.len()).step_by(32 << 10);
        let cut: Vec<_> = starts
            .map(|at| piece.slice(at..piece.len().min(at + (32 << 10))))
            .collect();
        cut
    });
    futures_util::stream::iter(pieces.map(|piece| Ok::<_, Infallible>(piece).map_err(|never| match never {})))
}

/// Run by the test below in a process of its own; prints by how many KiB it grew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let (Ok(root), Ok(which)) = (std::env::var("SHOAL_TEST_ROOT"), std::env::var("SHOAL_TEST_BOMB")) else {
        return;
    };
    let images = open(root.as_ref());
    import(&images, archive(&[file("f", b"1")]), "idle:1").await;
    let mut layers = layers().into_iter();
    let (_, refusal, layer) = layers.find(|(name, _, _)| *name == which).expect("a layer");
    // Making the layer is not what is measured: 5 makes the highest size the present one (proc_pid_clear_refs(5)).
    fs::write("/proc/self/clear_refs", "5").expect("the peak begins anew");
    let idle = memory("VmRSS:");
    let done = images
        .import(stream(layer), None, |_| Ok(()), "", None, &Sink::none())
        .await;
    match (refusal, done) {
        (None, Ok(id)) => drop(images.remove(&id, true, true, &[]).await.expect("remove")),
        (Some(says), Err(error)) => assert!(error.to_string().contains(says), "{error}"),
        (_, other) => panic!("{which}: {other:?}"),
    }
    println!("grown {}", memory("VmHWM:").saturating_sub(idle));
}

#[test]
fn no_layer_costs_memory() {
    for (name, _, _) in layers() {
        let root = tempfile::tempdir().expect("dir");
        let out = Command::new(std::env::current_exe().expect("own program"))
            .args(["--exact", "bombs::victim", "--nocapture"])
            .env("SHOAL_TEST_ROOT", root.path())
            .env("SHOAL_TEST_BOMB", name)
            .output()
            .expect("victim runs");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success(),
            "{name}: {said}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let grown = said.lines().find_map(|line| line.split("grown ").nth(1));
        let grown: u64 = grown.and_then(|n| n.trim().parse().ok()).expect("a number");
        eprintln!("{name}: {} MiB", grown / 1024);
        assert!(grown < GROWTH_MAX, "{name}: memory grew by {grown} KiB");
        // Nothing is left of it: what is deleted is gone with the next start at the latest.
        let images = open(root.path());
        assert_eq!(images.list().len(), 1, "{name}");
        let count = |path: &str| fs::read_dir(root.path().join(path)).expect("directory").count();
        assert_eq!(
            (count("images/tmp"), count("images/blobs/sha256"), count("layers")),
            (0, 3, 2),
            "{name}"
        );
    }
}
