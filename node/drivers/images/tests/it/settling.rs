//! Unpacked layers that are not on the disk yet: what becomes of them by and by, and of those that a power cut took.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use shoal_node_drivers_images::{Images, RegistryConfig};

use crate::crashes::Disk;
use crate::{archive, directory, file, import, open};

fn layers(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("layers")).expect("layers");
    let paths = entries.map(|entry| entry.expect("entry").path());
    paths.filter(|path| !path.ends_with("empty")).collect()
}

/// How many of the layers are on the disk, and how many may not be.
fn counts(root: &Path) -> (usize, usize) {
    let with = |name: &str| {
        layers(root)
            .iter()
            .filter(|path| path.join(name).exists())
            .count()
    };
    (with("layer.json"), with("unsettled.json"))
}

/// What a start after a power cut finds: layers that another boot unpacked, of which any part may be missing.
fn another_boot(root: &Path) {
    for layer in layers(root) {
        let path = layer.join("unsettled.json");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let mut record: serde_json::Value = serde_json::from_str(&text).expect("record");
        record["made_in"]["boot"] = "another".into();
        fs::write(&path, record.to_string()).expect("write");
        fs::write(layer.join("diff/a"), b"").expect("damage");
    }
}

fn mount(args: &[&str], from: &str, to: &Path) {
    let done = Command::new("mount").args(args).arg(from).arg(to).status();
    assert!(done.expect("mount").success());
}

fn unmount(path: &Path) {
    let done = Command::new("umount").arg("-l").arg(path).status();
    assert!(done.expect("umount").success());
}

fn read_a(images: &Images, name: &str) -> Vec<u8> {
    let image = images.get(name).expect("image");
    fs::read(image.lower[0].join("a")).expect("file")
}

#[tokio::test]
async fn they_come_to_the_disk_by_themselves_and_when_asked() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    import(&images, archive(&[file("a", b"1")]), "one").await;
    assert_eq!(counts(root.path()), (0, 1));
    images.settle().await.expect("settle");
    assert_eq!(counts(root.path()), (1, 0));
    import(&images, archive(&[file("a", b"2")]), "two").await;
    assert_eq!(counts(root.path()), (1, 1));
    let began = Instant::now();
    while counts(root.path()) != (2, 0) {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            counts(root.path())
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Those that are gone by then are nobody's trouble.
    import(&images, archive(&[file("a", b"3")]), "three").await;
    images.remove("three", false, false, &[]).await.expect("remove");
    images.settle().await.expect("settle");
    assert_eq!(counts(root.path()), (2, 0));
}

#[tokio::test]
async fn a_start_in_the_same_mount_trusts_them_and_brings_them_to_the_disk() {
    let root = tempfile::tempdir().expect("dir");
    import(&open(root.path()), archive(&[file("a", b"1")]), "one").await;
    let inode = || {
        fs::metadata(layers(root.path())[0].join("diff/a"))
            .expect("file")
            .ino()
    };
    let before = inode();
    let images = open(root.path());
    assert_eq!(
        (read_a(&images, "one"), inode(), counts(root.path())),
        (b"1".to_vec(), before, (0, 1))
    );
    let began = Instant::now();
    while counts(root.path()) != (1, 0) {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn after_a_power_cut_they_are_unpacked_again() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    for (name, content) in [("one", b"1"), ("two", b"2"), ("bad", b"3")] {
        import(
            &images,
            archive(&[directory("d/"), file("a", content), file("d/b", b"b")]),
            name,
        )
        .await;
    }
    let bad = images.get("bad").expect("image");
    let blob = root
        .path()
        .join("images/blobs")
        .join(bad.layers[0].as_str().replace(':', "/"));
    drop(images);
    another_boot(root.path());
    let mut bytes = fs::read(&blob).expect("blob");
    bytes[600] ^= 1;
    fs::write(&blob, bytes).expect("damage");
    let images = open(root.path());
    for (name, content) in [("one", b"1"), ("two", b"2")] {
        assert_eq!(read_a(&images, name), content, "{name}");
        let image = images.get(name).expect("image");
        assert_eq!(fs::read(image.lower[0].join("d/b")).expect("file"), b"b");
        assert!(image.size > 0);
    }
    assert!(images.get("bad").is_err(), "its blob is not what it should be");
    assert_eq!(counts(root.path()), (0, 2));
}

/// The same kernel through another mount: containers may run on them.
#[tokio::test]
async fn those_that_lie_there_whole_stay_and_others_are_unpacked_again() {
    let root = tempfile::tempdir().expect("dir");
    let elsewhere = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    for (name, content) in [("whole", b"1"), ("damaged", b"2")] {
        import(&images, archive(&[file("a", content)]), name).await;
    }
    let path = |name: &str| images.get(name).expect("image").lower[0].join("a");
    let (whole, damaged) = (path("whole"), path("damaged"));
    let inode = |path: &Path| fs::metadata(path).expect("file").ino();
    let before = (inode(&whole), inode(&damaged));
    drop(images);
    fs::File::options()
        .write(true)
        .open(&damaged)
        .expect("file")
        .set_len(0)
        .expect("damage");
    mount(&["--bind"], &root.path().display().to_string(), elsewhere.path());
    let again = open(elsewhere.path());
    let found = (read_a(&again, "whole"), read_a(&again, "damaged"));
    drop(again);
    unmount(elsewhere.path());
    assert_eq!(found, (b"1".to_vec(), b"2".to_vec()));
    assert_eq!(inode(&whole), before.0);
    assert_ne!(inode(&damaged), before.1);
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_costs_nothing() {
    let root = tempfile::tempdir().expect("dir");
    mount(&["-t", "tmpfs", "-o", "size=8m"], "none", root.path());
    let data = root.path().join("data");
    let content = vec![7; 2 << 20];
    import(&open(&data), archive(&[file("a", &content)]), "one").await;
    another_boot(&data);
    let filler = root.path().join("filler");
    let filled = fs::write(&filler, vec![0; 8 << 20]);
    let refused = Images::open(&data, RegistryConfig::default());
    fs::remove_file(&filler).expect("room");
    let found = read_a(&open(&data), "one");
    unmount(root.path());
    assert!(filled.is_err());
    let refused = refused.expect_err("no room").to_string();
    assert!(refused.contains("No space left on device"), "{refused}");
    assert!(found == content);
}

#[tokio::test]
async fn a_container_whose_image_goes_keeps_them_through_a_cut() {
    let folder = tempfile::tempdir().expect("dir");
    let disk = Disk::new(folder.path());
    let root = disk.mount.join("root");
    let images = open(&root);
    import(&images, archive(&[file("a", b"whole")]), "one").await;
    let image = images.get("one").expect("image");
    images.prepare("c1", &image).await.expect("prepare");
    fs::File::open(root.join("snapshots"))
        .expect("directory")
        .sync_all()
        .expect("sync");
    images.remove("one", true, false, &[]).await.expect("remove");
    assert!(images.get("one").is_err());
    Disk::cut(&disk.mount);
    drop(images);
    disk.power_on();
    let images = open(&root);
    let rootfs = images.rootfs("c1").expect("root file system");
    assert_eq!(fs::read(rootfs.lower[0].join("a")).expect("file"), b"whole");
    // Without the image, and not on the disk yet, there is nothing to make them again from.
    import(&images, archive(&[file("a", b"other")]), "two").await;
    let image = images.get("two").expect("image");
    images.remove("two", true, false, &[]).await.expect("remove");
    assert!(images.prepare("c2", &image).await.is_err());
}
