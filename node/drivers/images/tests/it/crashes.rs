//! Killed at every step, and the power cut at every step: what is listed afterwards is whole, and the same
//! operation again succeeds.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use shoal_node_drivers_images::{FaultHook, Images, RegistryConfig, Sink};

use crate::{archive, file, import, open};

const FIXTURE: &[u8] = include_bytes!("fixtures/docker-28.5-save.tar.gz");
const NAME: &str = "images-fixture:1";
/// Steps of a load, about in the order in which they come, and how often each does.
const STEPS: [(&str, u32); 10] = [
    ("blob-stored", 4),
    ("layer-unpacked", 2),
    ("layer-recorded", 2),
    ("layer-stored", 2),
    ("blobs-synced", 1),
    ("blob-named", 4),
    ("before-record", 1),
    ("record-written", 1),
    ("before-references", 1),
    ("references-written", 1),
];
/// Those of bringing the layers to the disk, afterwards.
const SETTLING: [(&str, u32); 2] = [("layers-synced", 1), ("layer-settled", 2)];

async fn load(images: &Images) -> Result<(), String> {
    images
        .load(
            crate::coming(Cursor::new(FIXTURE)),
            Default::default(),
            true,
            Vec::new(),
            &Sink::none(),
        )
        .await
        .map(drop)
        .map_err(|e| e.to_string())
}

/// Every listed image has its layers' files as they must be; returns which are there.
fn check(images: &Images) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for image in images.list() {
        assert_eq!(image.lower.len(), image.config.rootfs.diff_ids.len());
        let read = |layer: usize, name: &str| {
            fs::read(image.lower[layer].join(name)).expect("file of a listed image")
        };
        match image.lower.len() {
            1 => assert_eq!(read(0, "kept"), b"whole"),
            _ => assert_eq!(
                (read(1, "d/one"), read(0, "two")),
                (b"one\n".to_vec(), b"two\n".to_vec())
            ),
        }
        found.insert(image.id, image.repo_tags.join(" "));
    }
    found
}

/// Nothing half-made and nothing unowned, apart from what is on its way out.
fn check_clean(root: &Path, images: usize) {
    let count = |path: &str| fs::read_dir(root.join(path)).expect("directory").count();
    assert_eq!(count("images/tmp"), 0);
    assert_eq!(count("images/records"), images);
    assert_eq!(
        count("layers"),
        if images == 2 { 4 } else { 2 },
        "with the empty one"
    );
}

/// Run by the tests below in a process of its own, which kills itself on the way. On its own it has nothing to do.
#[tokio::test]
async fn victim() {
    let (Ok(root), Ok(step)) = (std::env::var("SHOAL_TEST_ROOT"), std::env::var("SHOAL_TEST_STEP")) else {
        return;
    };
    let at: u32 = std::env::var("SHOAL_TEST_AT")
        .expect("count")
        .parse()
        .expect("count");
    let seen = AtomicU32::new(0);
    let fault: FaultHook = Arc::new(move |name| {
        if name == step && seen.fetch_add(1, Ordering::Relaxed) + 1 == at {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        }
    });
    let images =
        Images::open_with_faults(root.as_ref(), RegistryConfig::default(), Some(fault)).expect("open");
    match std::env::var("SHOAL_TEST_VERB").expect("verb").as_str() {
        "load" => load(&images).await.expect("load"),
        "settle" => {
            load(&images).await.expect("load");
            images.settle().await.expect("settle");
        }
        _ => drop(images.remove(NAME, false, false, &[]).await.expect("remove")),
    }
}

fn killed(root: &Path, verb: &str, step: &str, at: u32) {
    let status = Command::new(std::env::current_exe().expect("own program"))
        .args(["--exact", "crashes::victim", "--nocapture"])
        .env("SHOAL_TEST_ROOT", root)
        .env("SHOAL_TEST_VERB", verb)
        .env("SHOAL_TEST_STEP", step)
        .env("SHOAL_TEST_AT", at.to_string())
        .output()
        .expect("victim runs");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(
        status.status.signal(),
        Some(9),
        "{step} {at} was not reached: {status:?}"
    );
}

#[tokio::test]
async fn killed_while_loading() {
    let root = tempfile::tempdir().expect("dir");
    let kept = import(&open(root.path()), archive(&[file("kept", b"whole")]), "kept").await;
    let loading = STEPS.map(|step| ("load", step));
    let settling = SETTLING.map(|step| ("settle", step));
    for (verb, (step, times)) in loading.into_iter().chain(settling) {
        for at in 1..=times {
            killed(root.path(), verb, step, at);
            let images = open(root.path());
            let found = check(&images);
            assert_eq!(
                found.get(&kept).map(String::as_str),
                Some("kept:latest"),
                "{step} {at}"
            );
            check_clean(root.path(), found.len());
            load(&images).await.expect("again");
            assert_eq!(check(&images).len(), 2);
            assert!(images.get(NAME).is_ok(), "{step} {at}");
            images.remove(NAME, false, false, &[]).await.expect("remove");
            check_clean(root.path(), 1);
        }
    }
}

#[tokio::test]
async fn killed_while_removing() {
    let root = tempfile::tempdir().expect("dir");
    import(&open(root.path()), archive(&[file("kept", b"whole")]), "kept").await;
    for step in [
        "before-references",
        "references-written",
        "record-removed",
        "collected",
    ] {
        let images = open(root.path());
        load(&images).await.expect("load");
        drop(images);
        killed(
            root.path(),
            "remove",
            step,
            if step == "collected" { 2 } else { 1 },
        );
        let images = open(root.path());
        let found = check(&images);
        check_clean(root.path(), found.len());
        assert_eq!(images.get(NAME).is_ok(), step == "before-references", "{step}");
        // Untagged but not gone yet: it can still be removed by its id.
        if let Some(untagged) = images.list().iter().find(|image| image.lower.len() == 2) {
            images
                .remove(&untagged.id, true, false, &[])
                .await
                .expect("remove");
        }
        check_clean(root.path(), 1);
    }
}

/// An ext4 of its own whose power can be cut: what was not synced is gone.
pub struct Disk {
    image: PathBuf,
    pub mount: PathBuf,
}

impl Disk {
    pub fn new(directory: &Path) -> Disk {
        Disk::of(directory, 64 << 20)
    }

    /// So many bytes large.
    pub fn of(directory: &Path, bytes: u64) -> Disk {
        let disk = Disk {
            image: directory.join("disk"),
            mount: directory.join("mount"),
        };
        fs::create_dir(&disk.mount).expect("mount point");
        let file = fs::File::create(&disk.image).expect("disk");
        file.set_len(bytes).expect("size");
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image));
        disk.mount();
        disk
    }

    /// The journal is committed only when asked to: what is not synced does not reach the disk by chance.
    fn mount(&self) {
        run(Command::new("mount")
            .args(["-o", "loop,commit=300"])
            .arg(&self.image)
            .arg(&self.mount));
    }

    /// EXT4_IOC_SHUTDOWN without flushing the log.
    pub fn cut(mount: &Path) {
        let script = r#"open(my $d, "<", $ARGV[0]) or die $!; my $f = pack("L", 2); ioctl($d, 0x8004587d, $f) // die $!;"#;
        run(Command::new("perl").args(["-e", script]).arg(mount));
    }

    pub fn power_on(&self) {
        run(Command::new("umount").arg("-l").arg(&self.mount));
        // The loop device lives until the last file on it is closed.
        for _ in 0..200 {
            let loops = Command::new("losetup")
                .arg("-j")
                .arg(&self.image)
                .output()
                .expect("losetup");
            if loops.stdout.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
    }
}

fn run(command: &mut Command) {
    let out = command.output().expect("command runs");
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[tokio::test]
async fn power_cut_at_every_step() {
    let directory = tempfile::tempdir().expect("dir");
    let disk = Disk::new(directory.path());
    let root = disk.mount.join("root");
    let kept = import(&open(&root), archive(&[file("kept", b"whole")]), "kept").await;
    let ends = STEPS.into_iter().chain([("acknowledged", 1)]).chain(SETTLING);
    for (step, at) in ends {
        let (seen, mount) = (AtomicU32::new(0), disk.mount.clone());
        let fault: FaultHook = Arc::new(move |name| {
            if name == step && seen.fetch_add(1, Ordering::Relaxed) + 1 == at {
                Disk::cut(&mount);
            }
        });
        let images = Images::open_with_faults(&root, RegistryConfig::default(), Some(fault)).expect("open");
        let done = load(&images).await;
        let settling = SETTLING.iter().any(|(other, _)| *other == step);
        let acknowledged = settling || step == "acknowledged";
        if acknowledged {
            done.expect("load");
        }
        if settling {
            // The cut is in it: whether it is told is the disk's affair.
            let _ = images.settle().await;
        } else if acknowledged {
            Disk::cut(&disk.mount);
        }
        drop(images);
        disk.power_on();
        let images = open(&root);
        let found = check(&images);
        assert_eq!(
            found.get(&kept).map(String::as_str),
            Some("kept:latest"),
            "{step}"
        );
        assert!(
            !acknowledged || images.get(NAME).is_ok(),
            "an acknowledged image is gone"
        );
        load(&images).await.expect("again");
        assert_eq!(check(&images).len(), 2, "{step}");
        let names = images
            .list()
            .into_iter()
            .map(|image| image.id)
            .collect::<Vec<_>>();
        let mut tar = crate::reading(images.save(&names, &[]).expect("save"));
        tokio::io::copy(&mut tar, &mut tokio::io::sink())
            .await
            .expect("every blob is whole");
        images.remove(NAME, false, false, &[]).await.expect("remove");
    }
}
