//! Containers' root file systems, and removing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use shoal_node_drivers_images::{Deleted, Error, InUse};

use crate::{Entry, archive, file, import, open, reference};

#[tokio::test]
async fn prepare_is_idempotent_and_survives_a_restart() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let mut top = crate::header(&Entry(tar::EntryType::Directory, "./", "", b""));
    top.set_mode(0o700);
    top.set_uid(7);
    top.set_cksum();
    let mut tar = top.as_bytes().to_vec();
    tar.extend(archive(&[file("a", b"1")]));
    import(&images, tar, "a").await;
    let image = images.get("a").expect("image");
    let first = images.prepare("c1", &image).await.expect("prepare");
    // Docker's containers have this root directory whatever the image says.
    let meta = fs::metadata(&first.upper).expect("upper");
    assert_eq!((meta.permissions().mode() & 0o7777, meta.uid()), (0o755, 0));
    assert_eq!(first.lower, image.lower);
    fs::write(first.upper.join("written"), b"12345").expect("write");
    fs::hard_link(first.upper.join("written"), first.upper.join("again")).expect("link");
    fs::create_dir(first.upper.join("sub")).expect("directory");
    fs::write(first.upper.join("sub/more"), b"67").expect("write");
    symlink("/", first.upper.join("sub/out")).expect("link");
    assert_eq!(images.prepare("c1", &image).await.expect("prepare"), first);
    assert_eq!(images.usage("c1").await.expect("usage"), 7);
    drop(images);

    let images = open(root.path());
    assert_eq!(images.rootfs("c1").expect("rootfs"), first);
    assert_eq!(images.snapshots(), ["c1"]);
    // The image goes, the container's layers stay until it goes too.
    images.remove("a", true, false, &[]).await.expect("remove");
    assert!(first.lower[0].join("a").exists());
    let images = open(root.path());
    assert_eq!(images.rootfs("c1").expect("rootfs"), first);
    images.discard("c1").await.expect("discard");
    images.discard("c1").await.expect("discard twice");
    assert!(!first.upper.exists());
    assert!(matches!(images.rootfs("c1"), Err(Error::NotFound(_))));
    assert!(matches!(
        images.prepare("../x", &image).await,
        Err(Error::InvalidParameter(_))
    ));
    assert!(matches!(
        open(root.path()).prepare("c2", &image).await,
        Err(Error::NotFound(_))
    ));
}

#[tokio::test]
async fn discard_leaves_nothing_behind() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    import(&images, archive(&[file("a", b"1")]), "a").await;
    let image = images.get("a").expect("image");
    for n in 0..20 {
        images.prepare(&format!("c{n}"), &image).await.expect("prepare");
        images.discard(&format!("c{n}")).await.expect("discard");
    }
    for _ in 0..500 {
        if fs::read_dir(root.path().join("images/trash"))
            .expect("trash")
            .next()
            .is_none()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the trash was not emptied in five seconds");
}

#[tokio::test]
async fn names_and_lookups() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let id = import(&images, archive(&[file("a", b"1")]), "tiny:1").await;
    images.tag("tiny:1", &reference("other")).await.expect("tag");
    for name in [
        "tiny:1",
        "docker.io/library/tiny:1",
        "other",
        "other:latest",
        &id,
        &id[7..],
        &id[7..11],
        &id[..15],
    ] {
        assert_eq!(images.get(name).expect(name).id, id);
    }
    for (name, want) in [
        ("tiny", "No such image: tiny:latest"),
        ("tiny:2", "No such image: tiny:2"),
        (
            "A",
            "invalid reference format: repository name (library/A) must be lowercase",
        ),
        (&"0".repeat(64), &format!("No such image: {}", "0".repeat(64))),
    ] {
        assert_eq!(images.get(name).expect_err(name).to_string(), want);
    }
    // A tag moves.
    let other = import(&images, archive(&[file("a", b"2")]), "tiny:1").await;
    assert_eq!(images.get("tiny:1").expect("image").id, other);
    assert_eq!(images.get(&id).expect("image").repo_tags, ["other:latest"]);
}

#[tokio::test]
async fn removing_follows_dockers_rules() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let id = import(&images, archive(&[file("a", b"1")]), "a:1").await;
    images.tag("a:1", &reference("b")).await.expect("tag");
    let short = &id[7..19];
    let user = |running| {
        vec![InUse {
            container: "c0ffee".repeat(8),
            image: id.clone(),
            running,
        }]
    };
    let refused =
        async |name: &str, force, users: &[InUse]| match images.remove(name, force, false, users).await {
            Err(Error::Conflict(text)) => text,
            other => panic!("{other:?}"),
        };
    assert_eq!(
        refused(&id, false, &[]).await,
        format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    );
    assert_eq!(
        images
            .remove("a:1", false, false, &user(true))
            .await
            .expect("untag"),
        [Deleted::Untagged("a:1".into())]
    );
    assert_eq!(
        refused("b", false, &user(false)).await,
        format!(
            "conflict: unable to remove repository reference \"b\" (must force) - container c0ffeec0ffee is using its \
             referenced image {short}"
        )
    );
    assert_eq!(
        refused(short, false, &user(false)).await,
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container c0ffeec0ffee"
        )
    );
    assert_eq!(
        refused(short, true, &user(true)).await,
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container \
             c0ffeec0ffee"
        )
    );
    // By name and by force, a running container only loses its image's name.
    assert_eq!(
        images.remove("b", true, false, &user(true)).await.expect("untag"),
        [Deleted::Untagged("b:latest".into())]
    );
    let gone = images.remove(short, false, false, &[]).await.expect("remove");
    assert_eq!(gone[0], Deleted::Deleted(id.clone()));
    assert_eq!(gone.len(), 2);
    assert!(images.list().is_empty());
    assert_eq!(images.layers_size(), 0);
    assert!(matches!(
        images.remove(&id, true, false, &[]).await,
        Err(Error::NotFound(_))
    ));
}
