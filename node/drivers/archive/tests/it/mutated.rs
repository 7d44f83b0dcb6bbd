//! Archives made wrong, unpacked for real: whatever comes of it, it comes of it inside the target.

use crate::{entry, open};
use shoal_node_drivers_archive::{ClientPath, Options, unpack};
use shoal_tests_mutate::mutations;
use std::fs;
use std::os::fd::AsFd;

/// As far as the sum of each header tells, nothing is wrong.
fn summed(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|b| &b[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

#[test]
fn whatever_is_in_it_stays_in_the_target() {
    let dir = tempfile::tempdir().expect("a folder");
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("f"), "mine").expect("written");
    let link = outside.display().to_string();
    let seed = [
        entry(b'5', "d", "", b""),
        entry(b'0', "d/f", "", b"hello"),
        entry(b'2', "d/l", &link, b""),
        entry(b'0', "d/l/f", "", b"evil"),
        entry(b'1', "d/h", "d/f", b""),
        entry(b'2', "up", "../../outside", b""),
        entry(b'0', "up/f", "", b"evil"),
        entry(b'6', "fifo", "", b""),
        entry(b'x', "pax", "", b"18 path=d/../../x\n20 mtime=99999999.5\n"),
        entry(b'0', "y", "", b"z"),
        vec![0; 1024],
    ]
    .concat();
    let mut round = 0;
    mutations(&[seed], 1200, |input| {
        let mut bytes = input.to_vec();
        if !input.len().is_multiple_of(3) {
            summed(&mut bytes);
        }
        round += 1;
        let root = dir.path().join(format!("root{round}"));
        fs::create_dir_all(root.join("t")).expect("made");
        let descriptor = open(&root);
        let _ = unpack(
            descriptor.as_fd(),
            &ClientPath::new("/t"),
            &bytes[..],
            Options::default(),
        );
        assert_eq!(
            fs::read_dir(&root).expect("listed").count(),
            1,
            "beside the target"
        );
        assert_eq!(fs::read_dir(&outside).expect("listed").count(), 1, "outside");
        assert_eq!(fs::read_to_string(outside.join("f")).expect("read"), "mine");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2, "above");
        fs::remove_dir_all(&root).expect("removed");
    });
}
