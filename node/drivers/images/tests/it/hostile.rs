//! Layers made to break out, to fill memory, or simply odd. Nothing outside the layer may change, nothing may be
//! left behind, and every refusal is an error that says what is wrong.

use std::fs;
use std::io::{Cursor, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

use shoal_node_drivers_images::{Error, Images};
use tar::EntryType::{self, Block, Char, Fifo, GNUSparse, Regular};

use crate::{Entry, append, archive, directory, file, hard_link, header, open, symlink, try_import};

const END: [u8; 1024] = [0; 1024];

/// A store beside a directory that must not change.
struct Place {
    root: tempfile::TempDir,
    images: Images,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().expect("dir");
        fs::create_dir(root.path().join("canary")).expect("canary");
        fs::write(root.path().join("canary/file"), b"alive").expect("canary");
        let images = open(root.path());
        Place { root, images }
    }

    /// The layer's directory, or why there is none.
    async fn unpack(&self, tar: Vec<u8>) -> Result<PathBuf, Error> {
        let before = fs::metadata(self.root.path().join("canary/file")).expect("canary");
        let id = try_import(&self.images, Cursor::new(tar), None).await;
        let canary = self.root.path().join("canary");
        assert_eq!(
            fs::read_dir(&canary).expect("canary").count(),
            1,
            "something was written outside"
        );
        assert_eq!(
            fs::read(canary.join("file")).expect("canary"),
            b"alive",
            "a file outside was changed"
        );
        let after = fs::metadata(canary.join("file")).expect("canary");
        assert_eq!(
            (before.ino(), before.nlink(), before.mode()),
            (after.ino(), after.nlink(), after.mode())
        );
        let image = self.images.get(&id?)?;
        Ok(image.lower[0].clone())
    }

    fn canary(&self) -> String {
        self.root.path().join("canary").display().to_string()
    }
}

pub fn raw(entry: &Entry, change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = header(entry);
    change(&mut header);
    header.set_cksum();
    let mut out = Vec::new();
    append(&mut out, &header, entry.3);
    out
}

/// A PAX header with these records, to stand before an entry.
pub fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        body.extend_from_slice(format!("{length} {key}=").as_bytes());
        body.extend_from_slice(value);
        body.push(b'\n');
    }
    raw(&Entry(EntryType::XHeader, "pax", "", &body), |_| {})
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    [parts.concat(), END.to_vec()].concat()
}

#[tokio::test]
async fn nothing_leads_outside() {
    let place = Place::new();
    let canary = place.canary();
    let target = format!("{canary}/file");
    let up = "../../../../../canary";
    let refused: Vec<(&str, Vec<u8>)> = vec![
        ("dots", archive(&[file("../../../../canary/x", b"x")])),
        (
            "dots within",
            archive(&[directory("a"), file("a/../../../../../canary/x", b"x")]),
        ),
        (
            "absolute link as parent",
            archive(&[symlink("l", &canary), file("l/x", b"x")]),
        ),
        (
            "relative link as parent",
            archive(&[symlink("l", up), file("l/x", b"x")]),
        ),
        (
            "link through a link",
            archive(&[symlink("a", "b"), symlink("b", &canary), file("a/x", b"x")]),
        ),
        (
            "hard link by dots",
            archive(&[hard_link("h", "../../../../canary/file")]),
        ),
        ("absolute hard link", archive(&[hard_link("h", &target)])),
        (
            "hard link through a link",
            archive(&[symlink("l", &canary), hard_link("h", "l/file")]),
        ),
        (
            "directory swapped for a link",
            archive(&[
                directory("d"),
                file("d/1", b"1"),
                symlink("d", &canary),
                file("d/x", b"x"),
            ]),
        ),
        (
            "whiteout through a link",
            archive(&[symlink("l", &canary), file("l/.wh.file", b"")]),
        ),
        (
            "opaque through a link",
            archive(&[symlink("l", &canary), file("l/.wh..wh..opq", b"")]),
        ),
        (
            "device through a link",
            archive(&[symlink("l", &canary), Entry(Char, "l/x", "", b"")]),
        ),
        (
            "a loop of links",
            archive(&[symlink("a", "b"), symlink("b", "a"), file("a/x", b"x")]),
        ),
        ("whiteout of the directory", archive(&[file(".wh..", b"")])),
        ("whiteout of the one above", archive(&[file(".wh...", b"")])),
        ("whiteout of nothing", archive(&[file(".wh.", b"")])),
        ("root as a file", archive(&[file("./", b"x")])),
        ("root as a link", archive(&[symlink(".", &canary)])),
        ("hard link to itself", archive(&[hard_link("a", "a")])),
        (
            "hard link to a directory",
            archive(&[directory("d"), hard_link("h", "d")]),
        ),
        ("hard link to the root", archive(&[hard_link("h", "/")])),
        ("parent is a file", archive(&[file("f", b"1"), file("f/x", b"x")])),
    ];
    for (what, tar) in refused {
        match place.unpack(tar).await {
            Err(Error::Corrupt(_) | Error::Storage { .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
        assert!(place.images.list().is_empty(), "{what}");
    }
    // These stay inside.
    for (what, tar, inside) in [
        (
            "absolute name",
            archive(&[file(&target[..target.len().min(99)], b"x")]),
            target[1..].to_owned(),
        ),
        (
            "link replaced by a file",
            archive(&[symlink("f", &target), file("f", b"x")]),
            "f".to_owned(),
        ),
        (
            "hard link to a link, then a file of its name",
            archive(&[symlink("s", &target), hard_link("h", "s"), file("h", b"x")]),
            "h".to_owned(),
        ),
        (
            "link inside as parent",
            archive(&[directory("d"), symlink("l", "/d"), file("l/f", b"x")]),
            "d/f".to_owned(),
        ),
    ] {
        let layer = place.unpack(tar).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(fs::read(layer.join(inside)).expect(what), b"x");
    }
}

#[tokio::test]
async fn damage_is_named() {
    let place = Place::new();
    let long = "a/".repeat(3000);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "an extension header of",
            raw(&Entry(EntryType::GNULongName, "n", "", b""), |h| {
                h.set_size(4 << 30)
            }),
        ),
        (
            "an extension header of",
            raw(&Entry(EntryType::XHeader, "n", "", b""), |h| h.set_size(4 << 30)),
        ),
        (
            "unexpected EOF",
            raw(&Entry(Regular, "f", "", b"12345"), |h| h.set_size(5000)),
        ),
        ("unexpected EOF", vec![b'x'; 100]),
        ("invalid tar header", vec![b'x'; 1024]),
        (
            "unexpected EOF",
            raw(&Entry(Regular, "f", "", b""), |h| {
                h.as_old_mut().size = [0xff; 12]
            }),
        ),
        (
            "invalid owner",
            raw(&Entry(Regular, "f", "", b""), |h| h.set_uid(u32::MAX.into())),
        ),
        (
            "invalid PAX header",
            raw(&Entry(EntryType::XHeader, "p", "", b"99 a=b\n"), |_| {}),
        ),
        (
            "zero byte",
            join(&[&pax(&[("path", b"a\0b")]), &raw(&file("f", b""), |_| {})]),
        ),
        (
            "name too long",
            join(&[&pax(&[("path", long.as_bytes())]), &raw(&directory("f"), |_| {})]),
        ),
        (
            "name too long",
            join(&[&pax(&[("path", &[b'n'; 300])]), &raw(&file("f", b""), |_| {})]),
        ),
        ("invalid link target", archive(&[symlink("l", "")])),
        ("unsupported compression", b"BZh91AY&SY".repeat(60)),
        (
            "invalid number",
            join(&[&pax(&[("size", b"-1")]), &raw(&file("f", b""), |_| {})]),
        ),
        (
            "invalid sparse map",
            join(&[&raw(&Entry(GNUSparse, "s", "", b"1234"), |h| {
                let gnu = h.as_gnu_mut().expect("gnu");
                gnu.set_real_size(10);
                gnu.sparse[0].offset.copy_from_slice(b"000000000010");
                gnu.sparse[0].numbytes.copy_from_slice(b"000000000004");
            })]),
        ),
        (
            "unsupported sparse format",
            join(&[
                &pax(&[("GNU.sparse.map", b"0,1")]),
                &raw(&file("f", b"1"), |_| {}),
            ]),
        ),
    ];
    for (want, tar) in cases {
        let error = place.unpack(tar).await.expect_err(want);
        assert!(
            matches!(error, Error::Corrupt(_) | Error::InvalidParameter(_)),
            "{error:?}"
        );
        let text = error.to_string().to_lowercase();
        assert!(
            text.contains(&want.to_lowercase()),
            "{text:?} does not say {want:?}"
        );
    }
    // A broken compressed stream.
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&archive(&[file("f", &[7; 10_000])])).expect("gzip");
    let zipped = zip.finish().expect("gzip");
    assert!(place.unpack(zipped[..zipped.len() / 2].to_vec()).await.is_err());
    let mut flipped = zipped.clone();
    let middle = flipped.len() - 6;
    flipped[middle] ^= 0xff;
    assert!(place.unpack(flipped).await.is_err(), "a wrong checksum");
}

#[tokio::test]
async fn everything_that_layers_may_hold() {
    let place = Place::new();
    let device = |kind, path: &'static str, numbers: (u32, u32)| {
        raw(&Entry(kind, path, "", b""), |h| {
            h.set_device_major(numbers.0).expect("major");
            h.set_device_minor(numbers.1).expect("minor");
            h.set_mode(0o620);
        })
    };
    let capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut sparse_map = b"2\n0\n4\n1048576\n3\n".to_vec();
    sparse_map.resize(512, 0);
    sparse_map.extend_from_slice(b"headend");
    let tar = join(&[
        &device(Char, "null", (1, 3)),
        &device(Block, "disk", (8, 1)),
        &device(Fifo, "pipe", (0, 0)),
        &pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"hello"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("mtime", b"1700000000.123456789"),
            ("uid", b"70000"),
        ]),
        &raw(&file("owned", b"data"), |h| {
            h.set_gid(34);
            h.set_mode(0o6755);
        }),
        &pax(&[("path", long.as_bytes()), ("size", b"5")]),
        &raw(&file("short", b"12345"), |h| h.set_size(0)),
        &pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"holes"),
            ("GNU.sparse.realsize", b"2000000"),
        ]),
        &raw(&file("GNUSparseFile.0/holes", &sparse_map), |_| {}),
        &raw(&Entry(GNUSparse, "old-holes", "", b"tail"), |h| {
            let gnu = h.as_gnu_mut().expect("gnu");
            gnu.set_real_size(1_000_004);
            gnu.sparse[0].offset.copy_from_slice(b"000003641100");
            gnu.sparse[0].numbytes.copy_from_slice(b"000000000004");
        }),
        &raw(&file("twice", b"first"), |_| {}),
        &raw(&file("twice", b"second"), |_| {}),
        &raw(&directory("was-directory"), |_| {}),
        &raw(&file("was-directory/in", b""), |_| {}),
        &raw(&file("was-directory", b"file"), |_| {}),
        &raw(&file(".wh.gone", b""), |_| {}),
        &raw(&file(".wh.made-anew", b""), |_| {}),
        &raw(&directory("made-anew"), |_| {}),
        &raw(&file("made-anew/new", b"1"), |_| {}),
        &raw(&directory("opaque"), |_| {}),
        &raw(&file("opaque/.wh..wh..opq", b""), |_| {}),
        &raw(&file("opaque/stays", b"1"), |_| {}),
        &raw(&directory("timed"), |h| h.set_mtime(1_600_000_000)),
        &raw(&file("timed/in", b"1"), |_| {}),
        &raw(&file("no/parent/named", b"1"), |_| {}),
        &raw(&symlink("dangling", "/nowhere"), |h| h.set_uid(9)),
        &raw(&hard_link("same", "owned"), |_| {}),
        &raw(&file(".wh..wh.plnk", b""), |_| {}),
    ]);
    let layer = place.unpack(tar).await.expect("unpack");
    let at = |name: &str| layer.join(name);
    let meta = |name: &str| fs::symlink_metadata(at(name)).expect("metadata");
    assert!(meta("null").file_type().is_char_device() && meta("null").rdev() == 0x103);
    assert!(meta("disk").file_type().is_block_device() && meta("disk").rdev() == 0x801);
    assert!(meta("pipe").file_type().is_fifo() && meta("pipe").mode() & 0o7777 == 0o620);
    let owned = meta("owned");
    assert_eq!(
        (owned.uid(), owned.gid(), owned.mode() & 0o7777),
        (70_000, 34, 0o6755)
    );
    assert_eq!((owned.mtime(), owned.mtime_nsec()), (1_700_000_000, 123_456_789));
    assert_eq!(
        xattr::get(at("owned"), "security.capability").expect("xattr"),
        Some(capability.to_vec())
    );
    assert_eq!(
        xattr::get(at("owned"), "user.note").expect("xattr"),
        Some(b"hello".to_vec())
    );
    assert_eq!(
        xattr::get(at("owned"), "trusted.overlay.redirect").expect("xattr"),
        None
    );
    assert_eq!(fs::read(at(&long)).expect("long name"), b"12345");
    let holes = fs::read(at("holes")).expect("holes");
    assert_eq!(
        (holes.len(), &holes[..4], &holes[1_048_576..1_048_579]),
        (2_000_000, &b"head"[..], &b"end"[..])
    );
    assert!(meta("holes").blocks() < 100, "holes are stored");
    let old = fs::read(at("old-holes")).expect("old holes");
    assert_eq!((old.len(), &old[1_000_000..]), (1_000_004, &b"tail"[..]));
    assert_eq!(fs::read(at("twice")).expect("twice"), b"second");
    assert_eq!(fs::read(at("was-directory")).expect("file"), b"file");
    assert!(meta("gone").file_type().is_char_device() && meta("gone").rdev() == 0);
    let opaque = |name: &str| xattr::get(at(name), "trusted.overlay.opaque").expect("xattr");
    assert_eq!(
        (opaque("made-anew"), opaque("opaque")),
        (Some(b"y".to_vec()), Some(b"y".to_vec()))
    );
    assert!(at("opaque/stays").exists() && at("made-anew/new").exists());
    assert_eq!(meta("timed").mtime(), 1_600_000_000);
    assert_eq!(
        fs::metadata(at("no")).expect("made").permissions().mode() & 0o7777,
        0o755
    );
    assert_eq!((meta("dangling").uid(), meta("same").ino()), (9, owned.ino()));
    assert!(!at(".wh..wh.plnk").exists() && !at(".wh.gone").exists());
}

/// A good archive with bytes changed at random: whatever comes of it, it is an error or an image, never a panic.
#[tokio::test]
async fn damaged_at_random() {
    let place = Place::new();
    let good = join(&[
        &pax(&[("SCHILY.xattr.user.a", b"1"), ("mtime", b"1.5"), ("size", b"3")]),
        &raw(&file("a", b"abc"), |_| {}),
        &raw(
            &Entry(EntryType::GNULongName, "././@LongLink", "", b"long/name\0"),
            |_| {},
        ),
        &raw(&file("short", b"x"), |_| {}),
        &raw(&symlink("l", "a"), |_| {}),
        &raw(&hard_link("h", "a"), |_| {}),
        &raw(&file("long/.wh..wh..opq", b""), |_| {}),
    ]);
    // A fixed sequence: a failure can be run again.
    let mut seed = 0x5eed_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let (mut images, mut errors) = (0, 0);
    for _ in 0..300 {
        let mut tar = good.clone();
        for _ in 0..=random(3) {
            let at = random(tar.len());
            tar[at] = [0, 0xff, b'0', b'7', b'/', b'.', b'L', b'x'][random(8)];
        }
        // Checksums are made right again, so that the damage is not found there.
        for at in (0..tar.len()).step_by(512) {
            let block = &mut tar[at..at + 512];
            if &block[257..262] == b"ustar" {
                let mut fixed = tar::Header::from_byte_slice(block).clone();
                fixed.set_cksum();
                block.copy_from_slice(fixed.as_bytes());
            }
        }
        match place.unpack(tar).await {
            Ok(_) => images += 1,
            Err(error) => {
                assert!(!error.to_string().contains("panic"), "{error}");
                errors += 1;
            }
        }
    }
    assert!(images > 10 && errors > 10, "{images} images, {errors} errors");
}
