//! Archives that were made to hurt.

use crate::{entry, open};
use shoal_node_drivers_archive::{ClientPath, Error, Options, unpack};
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

/// A root with a directory `t` to unpack into, and a neighbour that must stay as it is.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir_all(dir.path().join("root/t")).expect("made");
    fs::create_dir_all(dir.path().join("root/etc")).expect("made");
    fs::create_dir_all(dir.path().join("outside")).expect("made");
    fs::write(dir.path().join("outside/f"), "mine").expect("written");
    fs::write(dir.path().join("root/etc/passwd"), "mine").expect("written");
    dir
}

fn put(dir: &Path, tar: impl Read) -> Result<(), Error> {
    let root = open(&dir.join("root"));
    unpack(root.as_fd(), &ClientPath::new("/t"), tar, Options::default())
}

fn untouched(dir: &Path) {
    let names = |path: &str| fs::read_dir(dir.join(path)).expect("listed").count();
    assert_eq!(
        (names("outside"), names("root/etc"), names("root"), names("")),
        (1, 1, 2, 2)
    );
    for file in ["outside/f", "root/etc/passwd"] {
        assert_eq!(fs::read_to_string(dir.join(file)).expect("read"), "mine");
        assert_eq!(fs::metadata(dir.join(file)).expect("there").nlink(), 1);
    }
}

#[test]
fn no_name_and_no_link_leads_out_of_the_target() {
    let dir = place();
    let host = dir.path().join("outside").display().to_string();
    let cases: Vec<(Vec<Vec<u8>>, bool)> = vec![
        (vec![entry(b'0', "../up", "", b"x")], true),
        (vec![entry(b'0', "a/../../up", "", b"x")], true),
        (vec![entry(b'0', "/../../abs", "", b"x")], false),
        (vec![entry(b'5', "..", "", b"")], true),
        (vec![entry(b'0', ".", "", b"x")], true),
        (
            vec![entry(b'2', "l1", "../etc", b""), entry(b'0', "l1/x", "", b"x")],
            true,
        ),
        (
            vec![
                entry(b'2', "l2", "../../outside", b""),
                entry(b'0', "l2/x", "", b"x"),
            ],
            true,
        ),
        (
            vec![entry(b'2', "l3", &host, b""), entry(b'0', "l3/x", "", b"x")],
            false,
        ),
        (
            vec![
                entry(b'2', "l4", "/proc/self/root", b""),
                entry(b'0', "l4/x", "", b"x"),
            ],
            false,
        ),
        (
            vec![entry(b'2', "f", "../etc/passwd", b""), entry(b'0', "f", "", b"x")],
            false,
        ),
        (
            vec![entry(b'2', "d", "../etc", b""), entry(b'5', "d", "", b"")],
            false,
        ),
        (vec![entry(b'1', "h1", "../etc/passwd", b"")], true),
        (vec![entry(b'1', "h2", "/etc/passwd", b"")], true),
        (
            vec![
                entry(b'2', "l5", "../etc", b""),
                entry(b'1', "h3", "l5/passwd", b""),
            ],
            true,
        ),
        (
            vec![
                entry(b'2', "l6", "../etc/passwd", b""),
                entry(b'1', "h4", "l6", b""),
                entry(b'0', "h4", "", b"x"),
            ],
            false,
        ),
        (
            vec![
                entry(b'2', "a", "b", b""),
                entry(b'2', "b", "a", b""),
                entry(b'0', "a/x", "", b"x"),
            ],
            true,
        ),
        (
            vec![
                entry(b'2', "s", "t2", b""),
                entry(b'5', "s/deep", "", b""),
                entry(b'2', "s", "../..", b""),
                entry(b'0', "s/x", "", b"x"),
            ],
            true,
        ),
    ];
    for (entries, refused) in cases {
        let done = put(dir.path(), &entries.concat()[..]);
        let names: Vec<_> = entries
            .iter()
            .map(|e| String::from_utf8_lossy(&e[..8]).into_owned())
            .collect();
        assert_eq!(done.is_err(), refused, "{names:?}: {done:?}");
        untouched(dir.path());
    }
    assert_eq!(
        fs::read_to_string(dir.path().join("root/t/abs")).expect("below the target"),
        "x"
    );
}

#[test]
fn links_that_were_there_before_lead_no_further() {
    let dir = place();
    let target = dir.path().join("root/t");
    symlink("../../outside", target.join("old")).expect("linked");
    symlink("/etc", target.join("slash")).expect("linked");
    assert!(put(dir.path(), &entry(b'0', "old/x", "", b"x")[..]).is_err());
    put(dir.path(), &entry(b'0', "slash/x", "", b"x")[..]).expect("below the target");
    assert_eq!(fs::read_to_string(target.join("etc/x")).expect("read"), "x");
    // Replacing a directory removes what is in it, not what its links lead to.
    fs::create_dir(target.join("full")).expect("made");
    symlink(dir.path().join("outside"), target.join("full/away")).expect("linked");
    put(dir.path(), &entry(b'0', "full", "", b"now a file")[..]).expect("replaced");
    assert!(target.join("full").is_file());
    untouched(dir.path());
}

#[test]
fn sizes_that_lie_cost_neither_memory_nor_time() {
    let dir = place();
    // A name of 4 GB, of which the archive has none.
    let mut long = entry(b'L', "././@LongLink", "", b"");
    long[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    checksum(&mut long);
    assert!(matches!(put(dir.path(), &long[..]), Err(Error::Refused(_))));
    // The same as a PAX header, and one that says a file is larger than any.
    let mut pax = entry(b'x', "x", "", b"");
    pax[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    checksum(&mut pax);
    assert!(matches!(put(dir.path(), &pax[..]), Err(Error::Refused(_))));
    let size = [
        entry(b'x', "x", "", b"30 size=18446744073709551615\n"),
        entry(b'0', "f", "", b""),
    ]
    .concat();
    assert!(put(dir.path(), &size[..]).is_err());
    // A file that is all hole: nothing is written for it.
    let sparse = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n35 GNU.sparse.realsize=1099511627776\n26 GNU.sparse.name=sparse\n";
    let holes = [
        entry(b'x', "x", "", sparse),
        entry(b'0', "f", "", &{
            let mut map = b"1\n1099511627776\n0\n".to_vec();
            map.resize(512, 0);
            map
        }),
    ]
    .concat();
    if put(dir.path(), &holes[..]).is_ok() {
        let file = fs::metadata(dir.path().join("root/t/sparse")).expect("made");
        assert!(file.blocks() < 100, "{} blocks", file.blocks());
    }
    untouched(dir.path());
}

fn checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// As many entries as asked for, made as they are read.
struct Endless {
    left: u32,
    block: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.block.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.left -= 1;
            self.at = 0;
            let name = format!("d/{}/{:0>60}", self.left % 7, self.left % 50);
            self.block = entry(b'5', &name, "", b"");
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[test]
fn many_entries_are_no_memory() {
    let dir = place();
    let before = peak_kib();
    let tar = Endless {
        left: 140_000,
        block: Vec::new(),
        at: 0,
    };
    put(dir.path(), tar).expect("unpacked");
    let grown = peak_kib() - before;
    assert!(grown < 64 << 10, "{grown} KiB more");
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("read");
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

#[test]
fn damage_anywhere_is_an_error_or_harmless() {
    let dir = place();
    let whole = [
        entry(b'5', "d", "", b""),
        entry(b'x', "x", "", b"12 path=d/f\n"),
        entry(b'0', "f", "", &[b'y'; 700]),
        entry(b'2', "d/l", "f", b""),
        entry(b'1', "d/h", "d/f", b""),
        entry(b'6', "d/p", "", b""),
    ]
    .concat();
    put(dir.path(), &whole[..]).expect("sound");
    let mut seed = 12_345u64;
    let mut next = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..2000 {
        let mut bytes = whole.clone();
        match next(3) {
            0 => bytes.truncate(next(whole.len())),
            _ => {
                for _ in 0..1 + next(4) {
                    let at = next(whole.len());
                    bytes[at] = next(256) as u8;
                    // Half of them with a checksum that fits, so that the damage gets further in.
                    if next(2) == 0 {
                        checksum(&mut bytes[at / 512 * 512..][..512]);
                    }
                }
            }
        }
        let _ = put(dir.path(), &bytes[..]);
        untouched(dir.path());
    }
    for start in [&b"\x1f\x8b\x08"[..], b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"] {
        let mut bytes = start.to_vec();
        bytes.extend((0..3000).map(|_| next(256) as u8));
        assert!(put(dir.path(), &bytes[..]).is_err());
    }
    untouched(dir.path());
}
