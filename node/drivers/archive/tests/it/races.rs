//! A container that changes links while its files are copied.

use crate::{entry, open};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use shoal_node_drivers_archive::{ClientPath, Options, Shift, pack, stat, unpack};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_secs(2);

/// Runs `work` over and over while two names are exchanged as fast as the kernel can.
fn racing(one: &Path, other: &Path, mut work: impl FnMut()) {
    let over = AtomicBool::new(false);
    /// Also when the work panics: else the scope waits for ever.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
            }
        });
        let end = Instant::now() + TIME;
        let mut rounds = 0;
        while Instant::now() < end {
            work();
            rounds += 1;
        }
        assert!(rounds > 3, "{rounds} rounds");
    });
}

#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    fs::create_dir_all(root.join("t/d/sub")).expect("made");
    fs::create_dir_all(outside.join("sub")).expect("made");
    fs::write(outside.join("secret"), "hush").expect("written");
    fs::write(outside.join("sub/secret"), "hush").expect("written");
    symlink("../../outside", root.join("t/away")).expect("linked");
    let top = open(&root);
    let mut tar = Vec::new();
    for n in 0..40 {
        tar.extend(entry(b'0', &format!("d/f{n}"), "", b"in"));
        tar.extend(entry(b'0', &format!("d/sub/f{n}"), "", b"in"));
        tar.extend(entry(b'6', &format!("d/p{n}"), "", b""));
        tar.extend(entry(b'5', "d/sub", "", b""));
    }
    // And the directory itself replaced: what is removed must be what is there, not what a link leads to.
    tar.extend(entry(b'0', "d/sub", "", b"a file"));
    let options = Options::default();
    racing(&root.join("t/d"), &root.join("t/away"), || {
        let _ = unpack(top.as_fd(), &ClientPath::new("/t"), &tar[..], options.clone());
        let _ = unpack(
            top.as_fd(),
            &ClientPath::new("/t/d"),
            &entry(b'0', "secret", "", b"in")[..],
            options.clone(),
        );
        let _ = stat(top.as_fd(), &ClientPath::new("/t/d/secret"));
        for path in ["/t", "/t/d", "/t/d/", "/t/d/sub/."] {
            if let Ok(bytes) = pack(top.as_fd(), &ClientPath::new(path), &Shift::default(), Vec::new()) {
                assert!(!bytes.windows(4).any(|w| w == b"hush"), "{path}");
            }
        }
    });
    let listed = |path: &str| fs::read_dir(outside.join(path)).expect("listed").count();
    assert_eq!((listed(""), listed("sub")), (2, 1));
    assert_eq!(
        fs::read_to_string(outside.join("sub/secret")).expect("there"),
        "hush"
    );
}

#[test]
fn a_file_swapped_for_a_link_changes_nothing_elsewhere() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    fs::create_dir_all(root.join("t")).expect("made");
    fs::write(&outside, "mine").expect("written");
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).expect("set");
    fs::write(root.join("t/p"), "x").expect("written");
    symlink(&outside, root.join("t/away")).expect("linked");
    let top = open(&root);
    let before = fs::metadata(&outside).expect("there");
    let mut tar = Vec::new();
    for _ in 0..30 {
        tar.extend(entry(b'6', "p", "", b""));
        tar.extend(entry(b'0', "p", "", b"in"));
        tar.extend(entry(b'5', "p", "", b""));
        tar.extend(entry(b'1', "away", "p", b""));
    }
    let options = Options {
        owner: Some((7, 7)),
        ..Options::default()
    };
    racing(&root.join("t/p"), &root.join("t/away"), || {
        let _ = unpack(top.as_fd(), &ClientPath::new("/t"), &tar[..], options.clone());
        let _ = fs::remove_file(root.join("t/away"));
        let _ = symlink(&outside, root.join("t/away"));
        if let Ok(bytes) = pack(
            top.as_fd(),
            &ClientPath::new("/t/p"),
            &Shift::default(),
            Vec::new(),
        ) {
            assert!(!bytes.windows(4).any(|w| w == b"mine"));
        }
    });
    let after = fs::metadata(&outside).expect("there");
    let facts = |m: &fs::Metadata| (m.mode(), m.uid(), m.nlink(), m.mtime(), m.ctime(), m.len());
    assert_eq!(facts(&before), facts(&after));
}
