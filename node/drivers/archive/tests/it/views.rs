//! Views: what is in them, and that nobody else sees them.

use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use shoal_node_drivers_archive::{Base, ClientPath, Options, Shift, Tree, View, export, pack, stat, unpack};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn overlay(dir: &Path) -> OwnedFd {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).expect("opened");
    for (key, name) in [("lowerdir", "low"), ("upperdir", "up"), ("workdir", "work")] {
        let path = dir.join(name);
        fs::create_dir_all(&path).expect("made");
        rustix::mount::fsconfig_set_string(&context, key, path).expect("set");
    }
    rustix::mount::fsconfig_create(&context).expect("made");
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    rustix::mount::fsmount(&context, flags, MountAttrFlags::empty()).expect("mounted")
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("entries");
    entries
        .map(|e| e.expect("sound").path().expect("a path").display().to_string())
        .collect()
}

fn archive(name: &str) -> Vec<u8> {
    crate::entry(b'0', name, "", b"x")
}

fn seen_by_the_host(dir: &Path) -> bool {
    let text = dir.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("read");
    mounts.contains(&text)
}

#[test]
fn volumes_are_seen_and_the_host_sees_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |path: &str| dir.path().join(path);
    for path in ["low/etc", "vol/sub", "vol2", "ro"] {
        fs::create_dir_all(at(path)).expect("made");
    }
    fs::write(at("vol/v"), "v").expect("written");
    fs::write(at("one"), "one").expect("written");
    // The place of a volume is a link of the container's.
    symlink("/data/real", at("low/vol")).expect("linked");
    fs::create_dir_all(at("low/data/real")).expect("made");
    let tree = |source: &str, target: &str, read_only| {
        Tree::open(&at(source), Path::new(target), true, read_only).expect("opened")
    };
    let trees = vec![
        tree("vol", "/vol", false),
        tree("ro", "/made/on/the/way", true),
        tree("vol2", "/vol/sub", false),
        tree("one", "/etc/one", false),
    ];
    let view = Arc::new(View::open(Base::Detached(overlay(dir.path())), false, trees).expect("made"));
    let put = |view: &View, path: &str, name: &str| {
        unpack(
            view.root(),
            &ClientPath::new(path),
            &archive(name)[..],
            Options::default(),
        )
    };
    assert!(!seen_by_the_host(dir.path()));
    assert_eq!(
        stat(view.root(), &ClientPath::new("/data/real/v"))
            .expect("there")
            .size,
        1
    );
    assert_eq!(
        stat(view.root(), &ClientPath::new("/etc/one"))
            .expect("there")
            .size,
        3
    );
    put(&view, "/vol/sub", "deep").expect("written");
    put(&view, "/etc", "new").expect("written");
    assert!(at("vol2/deep").exists() && at("up/etc/new").exists());
    assert!(put(&view, "/made/on/the/way", "x").is_err(), "read-only");
    let inside = names(
        &pack(
            view.root(),
            &ClientPath::new("/vol/"),
            &Shift::default(),
            Vec::new(),
        )
        .expect("packed"),
    );
    assert_eq!(inside, ["vol/", "vol/sub/", "vol/sub/deep", "vol/v"]);
    let bare = View::open(Base::Bare(view.clone()), true, Vec::new()).expect("made");
    let exported = names(&export(bare.root(), &Shift::default(), Vec::new()).expect("exported"));
    assert!(
        exported.contains(&"data/real/".into()) && exported.contains(&"etc/new".into()),
        "{exported:?}"
    );
    assert!(
        !exported.iter().any(|n| n.ends_with("/v") || n.ends_with("deep")),
        "{exported:?}"
    );
    assert!(put(&bare, "/etc", "x").is_err(), "read-only");
    drop(view);
    put(&bare, "/", "x").expect_err("still there, still read-only");
    drop(bare);
    assert!(!seen_by_the_host(dir.path()));
    // Nobody holds the layers: the same upper directory can be mounted again at once.
    drop(overlay(dir.path()));
}

#[test]
fn of_a_process_it_is_the_root_without_its_mounts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (place, volume) = (dir.path().join("place"), dir.path().join("volume"));
    fs::create_dir(&place).expect("made");
    fs::create_dir(&volume).expect("made");
    fs::write(place.join("below"), "").expect("written");
    let script = format!(
        "mount -t tmpfs none {0} && touch {0}/above && echo ready && exec sleep 100",
        place.display()
    );
    let mut child = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("read");
    assert_eq!(line, "ready\n");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("small")).expect("a pid");
    let open = || pidfd_open(pid, PidfdFlags::empty()).expect("alive");
    let tree = Tree::open(&volume, &place, false, false).expect("opened");
    let plain = View::open(Base::Process(open()), false, Vec::new()).expect("made");
    let with = View::open(Base::Process(open()), false, vec![tree]).expect("made");
    let process = open();
    child.kill().expect("killed");
    child.wait().expect("ended");
    // What the process itself mounted is not there, what is below it is; both views outlive it.
    let there = |view: &View, name: &str| {
        let path = place.join(name).display().to_string();
        stat(view.root(), &ClientPath::new(&path)).is_ok()
    };
    if same_mount(dir.path(), Path::new("/")) {
        assert!(there(&plain, "below") && !there(&plain, "above"));
        unpack(
            with.root(),
            &ClientPath::new(&place.display().to_string()),
            &archive("in")[..],
            Options::default(),
        )
        .expect("written");
        assert!(volume.join("in").exists() && !place.join("in").exists());
        assert!(!there(&with, "below") && there(&with, "in"));
    }
    assert!(!seen_by_the_host(dir.path()));
    assert!(
        View::open(Base::Process(process), false, Vec::new()).is_err(),
        "it has ended"
    );
}

/// A root is shown without other mounts: where /tmp is one, there is nothing of ours in it.
fn same_mount(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = rustix::fs::open(path, flags, Mode::empty()).expect("opened");
        rustix::fs::fstat(&fd).expect("known").st_dev
    };
    device(one) == device(other)
}
