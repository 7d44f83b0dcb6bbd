//! Volumes on a real file system, as root.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use shoal_node_drivers_volumes::{Error, Volumes};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

#[test]
fn are_remembered_with_labels_and_options() {
    let root = tempfile::tempdir().expect("dir");
    let volumes = Volumes::open(&root.path().join("volumes")).expect("open");
    let options = map(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]);
    let made = volumes
        .create("data", map(&[("a", "b")]), options.clone())
        .expect("create");
    assert_eq!(made.mountpoint, root.path().join("volumes/data/_data"));
    assert_eq!(volumes.create("data", map(&[]), map(&[])).expect("again"), made);
    let again = Volumes::open(&root.path().join("volumes")).expect("open");
    assert_eq!(again.list(), std::slice::from_ref(&made));
    assert_eq!((made.labels, made.options), (map(&[("a", "b")]), options));
    assert_eq!(
        again.get("nope").expect_err("none").to_string(),
        "get nope: no such volume"
    );
    again.remove("data").expect("remove");
    assert!(matches!(again.remove("data"), Err(Error::NotFound(_))));
    assert!(
        Volumes::open(&root.path().join("volumes"))
            .expect("open")
            .list()
            .is_empty()
    );
}

#[test]
fn bad_names_and_options_are_refused() {
    let root = tempfile::tempdir().expect("dir");
    let volumes = Volumes::open(&root.path().join("volumes")).expect("open");
    for (name, options, want) in [
        ("a", map(&[]), "create a: volume name is too short"),
        (
            "../x",
            map(&[]),
            "includes invalid characters for a local volume name",
        ),
        (
            "ok",
            map(&[("colour", "red")]),
            "create ok: invalid option: \"colour\"",
        ),
        (
            "ok",
            map(&[("type", "nfs")]),
            "create ok: missing required option: \"device\"",
        ),
    ] {
        let error = volumes.create(name, map(&[]), options).expect_err(want);
        assert!(
            matches!(error, Error::InvalidParameter(_)) && error.to_string().contains(want),
            "{error}"
        );
    }
    assert!(volumes.list().is_empty());
}

#[test]
fn what_a_crash_left_half_done_goes() {
    let root = tempfile::tempdir().expect("dir");
    drop(Volumes::open(&root.path().join("volumes")).expect("open"));
    let at = |path: &str| root.path().join("volumes").join(path);
    fs::create_dir_all(at(".half-new-x/_data")).expect("half made");
    fs::create_dir_all(at(".half-gone-0-y/_data/deep")).expect("half removed");
    fs::create_dir_all(at("by-hand/_data")).expect("made by hand");
    let volumes = Volumes::open(&root.path().join("volumes")).expect("open");
    assert_eq!(
        volumes.list().iter().map(|v| v.name.as_str()).collect::<Vec<_>>(),
        ["by-hand"]
    );
    for _ in 0..500 {
        if !at(".half-new-x").exists() && !at(".half-gone-0-y").exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("half-done directories were not removed in five seconds");
}

#[test]
fn an_empty_volume_is_filled_from_an_image() {
    let root = tempfile::tempdir().expect("dir");
    let image = root.path().join("image");
    fs::create_dir_all(image.join("sub/deep")).expect("dir");
    fs::write(image.join("sub/file"), b"text").expect("file");
    fs::set_permissions(image.join("sub/file"), fs::Permissions::from_mode(0o4755)).expect("mode");
    fs::hard_link(image.join("sub/file"), image.join("same")).expect("link");
    symlink("/etc/passwd", image.join("out")).expect("link");
    chown(image.join("sub"), Some(12), Some(34)).expect("owner");
    chown(&image, Some(5), Some(6)).expect("owner");
    fs::set_permissions(&image, fs::Permissions::from_mode(0o1777)).expect("mode");
    xattr::set(image.join("sub"), "user.colour", b"red").expect("xattr");
    xattr::set(image.join("sub"), "trusted.overlay.opaque", b"y").expect("xattr");

    let volumes = Volumes::open(&root.path().join("volumes")).expect("open");
    let data = volumes
        .create("data", map(&[]), map(&[]))
        .expect("create")
        .mountpoint;
    let source = File::open(&image).expect("image");
    assert!(volumes.copy_up(source.as_fd(), "data").expect("copy"));
    let meta = |path: &Path| fs::symlink_metadata(path).expect("meta");
    assert_eq!(fs::read(data.join("same")).expect("file"), b"text");
    assert_eq!(meta(&data.join("same")).ino(), meta(&data.join("sub/file")).ino());
    assert_eq!(meta(&data.join("sub/file")).mode() & 0o7777, 0o4755);
    assert_eq!(
        fs::read_link(data.join("out")).expect("link"),
        Path::new("/etc/passwd")
    );
    assert_eq!(
        (meta(&data.join("sub")).uid(), meta(&data.join("sub")).gid()),
        (12, 34)
    );
    assert_eq!((meta(&data).uid(), meta(&data).mode() & 0o7777), (5, 0o1777));
    assert_eq!(
        meta(&data.join("sub/deep")).mtime(),
        meta(&image.join("sub/deep")).mtime()
    );
    assert_eq!(
        xattr::get(data.join("sub"), "user.colour").expect("xattr"),
        Some(b"red".to_vec())
    );
    assert_eq!(
        xattr::get(data.join("sub"), "trusted.overlay.opaque").expect("xattr"),
        None
    );
    assert_eq!(volumes.usage("data").expect("usage"), 4);

    fs::write(image.join("new"), b"later").expect("file");
    assert!(!volumes.copy_up(source.as_fd(), "data").expect("not empty"));
    assert!(!data.join("new").exists());
}
