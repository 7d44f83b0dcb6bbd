//! A layer compared with those below it, and written as an image's.

use crate::open;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use shoal_node_drivers_archive::{Kind, changes, layer, lower};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn whiteout(path: &Path) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).expect("made");
}

#[test]
fn whiteouts_opaque_directories_and_copies() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |path: &str| dir.path().join(path);
    for path in [
        "low/etc",
        "low/same",
        "low/gone/in",
        "low/redone",
        "low/typed",
        "top/etc",
        "up/etc",
        "up/same/deep",
        "up/redone",
        "up/new/deep",
    ] {
        fs::create_dir_all(at(path)).expect("made");
    }
    for path in [
        "low/etc/a",
        "low/etc/b",
        "low/etc/hidden",
        "low/same/f",
        "low/gone/in/f",
        "low/redone/x",
        "low/redone/y",
        "low/typed/in",
        "top/etc/c",
    ] {
        fs::write(at(path), path).expect("written");
    }
    // Hidden from the container already by a layer in between.
    whiteout(&at("top/etc/hidden"));
    fs::write(at("up/etc/a"), "longer than it was").expect("written");
    whiteout(&at("up/etc/b"));
    whiteout(&at("up/gone"));
    whiteout(&at("up/never"));
    fs::write(at("up/etc/hidden"), "anew").expect("written");
    fs::write(at("up/new/deep/f"), "x").expect("written");
    fs::write(at("up/redone/y"), "y").expect("written");
    fs::write(at("up/typed"), "a file now").expect("written");
    xattr::set(at("up/redone"), "trusted.overlay.opaque", b"y").expect("set");
    // Copied up and put back as it was: no change.
    let copy = at("up/etc/c");
    fs::copy(at("top/etc/c"), &copy).expect("copied");
    let time = fs::metadata(at("top/etc/c"))
        .expect("there")
        .modified()
        .expect("known");
    fs::File::options()
        .write(true)
        .open(&copy)
        .expect("opened")
        .set_modified(time)
        .expect("set");
    fs::set_permissions(at("up/same/deep"), fs::Permissions::from_mode(0o700)).expect("set");
    let below = lower(&[at("top"), at("low")]).expect("mounted");
    let upper = open(&at("up"));
    let found = changes(upper.as_fd(), below.as_fd()).expect("compared");
    let lines: Vec<String> = found
        .iter()
        .map(|c| {
            let kind = match c.kind {
                Kind::Modified => 'C',
                Kind::Added => 'A',
                Kind::Deleted => 'D',
            };
            format!("{kind} {}", c.path)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "C /etc",
            "C /etc/a",
            "D /etc/b",
            "A /etc/hidden",
            "D /gone",
            "A /new",
            "A /new/deep",
            "A /new/deep/f",
            "C /redone",
            "D /redone/x",
            "C /redone/y",
            "C /same",
            "A /same/deep",
            "C /typed",
            "D /typed/in",
        ]
    );
    let (bytes, any) = layer(upper.as_fd(), Vec::new()).expect("written");
    assert!(any);
    let mut archive = tar::Archive::new(&bytes[..]);
    let names: Vec<String> = archive
        .entries()
        .expect("entries")
        .map(|e| e.expect("sound").path().expect("a path").display().to_string())
        .collect();
    for name in [
        "etc/.wh.b",
        ".wh.gone",
        "redone/.wh..wh..opq",
        "new/deep/f",
        "same/deep/",
    ] {
        assert!(
            names.iter().any(|n| n == name || format!("{n}/") == name),
            "{name}: {names:?}"
        );
    }
    fs::create_dir(at("nothing")).expect("made");
    let (_, any) = layer(open(&at("nothing")).as_fd(), Vec::new()).expect("written");
    assert!(!any);
    fs::write(at("nothing/.wh.x"), "").expect("written");
    assert!(layer(open(&at("nothing")).as_fd(), Vec::new()).is_err());
}
