//! A small image made on the spot, from the machine's static busybox: no registry, no network.

use crate::process::{run, run_ok};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A root file system with busybox and its applets, `/etc/passwd` with root, a user `app` (1000, also in group
/// `extra` 2000) and `/www/index.html`. Made once per machine.
pub fn busybox_tar() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(make_busybox_tar).clone()
}

fn make_busybox_tar() -> PathBuf {
    let path = std::env::temp_dir().join("shoal-test-busybox-1.tar");
    if path.exists() {
        return path;
    }
    let dir = std::env::temp_dir().join(format!("shoal-test-busybox-{}", std::process::id()));
    for sub in ["bin", "etc", "tmp", "root", "www", "home/app"] {
        std::fs::create_dir_all(dir.join(sub)).expect("a folder");
    }
    std::fs::copy("/bin/busybox", dir.join("bin/busybox")).expect("busybox-static is installed");
    for applet in run_ok(Command::new("/bin/busybox").arg("--list"))
        .lines()
        .filter(|a| *a != "busybox")
    {
        let _ = std::os::unix::fs::symlink("busybox", dir.join("bin").join(applet));
    }
    let files = [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
        ),
        ("etc/group", "root:x:0:\napp:x:1000:\nextra:x:2000:app\n"),
        ("www/index.html", "hello\n"),
    ];
    for (name, text) in files {
        std::fs::write(dir.join(name), text).expect("a file");
    }
    run_ok(
        Command::new("chown")
            .args(["-R", "1000:1000"])
            .arg(dir.join("home/app")),
    );
    tar_of(&dir, &path);
    run(Command::new("rm").arg("-rf").arg(&dir));
    path
}

/// The folder as a tar, moved into place whole.
pub fn tar_of(dir: &Path, to: &Path) {
    let fresh = to.with_extension(format!("{}", std::process::id()));
    run_ok(
        Command::new("tar")
            .arg("-C")
            .arg(dir)
            .args(["--sort=name", "--mtime=@0", "-cf"])
            .arg(&fresh)
            .arg("."),
    );
    std::fs::rename(&fresh, to).expect("the tar is put into place");
}
