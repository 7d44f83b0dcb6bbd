//! What comes out goes in again.

use crate::open;
use shoal_node_drivers_archive::{ClientPath, Options, Shift, pack, unpack};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

fn described(top: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![top.to_owned()];
    while let Some(path) = todo.pop() {
        let m = fs::symlink_metadata(&path).expect("there");
        let link = fs::read_link(&path)
            .map(|l| l.display().to_string())
            .unwrap_or_default();
        let data = if m.is_file() {
            fs::read(&path).expect("read").len()
        } else {
            0
        };
        let xattr = xattr::get(&path, "user.k").ok().flatten();
        let nlink = if m.is_dir() { 0 } else { m.nlink() };
        let mtime = if m.is_symlink() { 0 } else { m.mtime() };
        out.push(format!(
            "{} {:o} {}:{} {} {} {data} {nlink} {link} {xattr:?}",
            path.strip_prefix(top).expect("below").display(),
            m.mode(),
            m.uid(),
            m.gid(),
            m.rdev(),
            mtime
        ));
        if m.is_dir() {
            todo.extend(
                fs::read_dir(&path)
                    .expect("listed")
                    .map(|e| e.expect("an entry").path()),
            );
        }
    }
    out.sort();
    out
}

#[test]
fn a_tree_is_the_same_after_the_way_out_and_in() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let top = from.join("t");
    fs::create_dir_all(top.join("a/b")).expect("made");
    fs::create_dir_all(&to).expect("made");
    fs::write(top.join("a/f"), vec![b'x'; 300_000]).expect("written");
    fs::hard_link(top.join("a/f"), top.join("a/b/again")).expect("linked");
    fs::write(top.join("empty"), "").expect("written");
    let long = top.join("n".repeat(200)).join("m".repeat(200));
    fs::create_dir_all(&long).expect("made");
    fs::write(long.join("ünicode \n name"), "1").expect("written");
    symlink("a/../nowhere/".repeat(20), top.join("l")).expect("linked");
    xattr::set(top.join("a/f"), "user.k", b"v\0w").expect("set");
    fs::set_permissions(top.join("a/f"), fs::Permissions::from_mode(0o6750)).expect("set");
    std::os::unix::fs::chown(top.join("a/b"), Some(70_000), Some(3_000_000)).expect("set");
    let mknod = |name: &str, kind, device| {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            top.join(name),
            kind,
            rustix::fs::Mode::from_raw_mode(0o640),
            device,
        )
        .expect("made");
    };
    mknod("pipe", rustix::fs::FileType::Fifo, 0);
    mknod(
        "null",
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    let source = open(&from);
    let bytes = pack(
        source.as_fd(),
        &ClientPath::new("/t"),
        &Shift::default(),
        Vec::new(),
    )
    .expect("packed");
    let target = open(&to);
    unpack(
        target.as_fd(),
        &ClientPath::new("/"),
        &bytes[..],
        Options::default(),
    )
    .expect("unpacked");
    assert_eq!(described(&to.join("t")), described(&top));
    // A second time over what is there, and a socket in between, for which there is no word.
    let _socket = UnixListener::bind(top.join("socket")).expect("bound");
    let again = pack(
        source.as_fd(),
        &ClientPath::new("/t/."),
        &Shift::default(),
        Vec::new(),
    )
    .expect("packed");
    unpack(
        target.as_fd(),
        &ClientPath::new("/t"),
        &again[..],
        Options::default(),
    )
    .expect("unpacked");
    assert!(!to.join("t/socket").exists());
    assert_eq!(described(&to.join("t")).len() + 1, described(&top).len());
}

#[test]
fn a_file_that_changes_its_length_keeps_the_archive_whole() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("f");
    fs::write(&file, vec![b'x'; 100_000]).expect("written");
    let root = open(dir.path());
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::OpenOptions::new().write(true).open(&file).expect("opened");
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for length in [10, 200_000, 100_000] {
                    file.set_len(length).expect("set");
                }
            }
        });
        for _ in 0..300 {
            let bytes = pack(
                root.as_fd(),
                &ClientPath::new("/f"),
                &Shift::default(),
                Vec::new(),
            )
            .expect("packed");
            let mut archive = tar::Archive::new(&bytes[..]);
            let entries = archive.entries().expect("entries");
            let sound: Vec<u64> = entries.map(|e| e.expect("sound").size()).collect();
            assert_eq!(sound.len(), 1);
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
