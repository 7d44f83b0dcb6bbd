//! Import, save and load.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use shoal_node_drivers_images::{Digest, Error, Images, Sink};
use tokio::io::AsyncReadExt;

use crate::{archive, directory, file, import, open, reference, symlink, told};

fn root_fs() -> Vec<u8> {
    archive(&[
        directory("./"),
        directory("bin/"),
        file("bin/sh", b"#!shell"),
        symlink("bin/ash", "sh"),
        directory("etc/"),
        file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n"),
    ])
}

async fn save(images: &Images, names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
    let mut bytes = Vec::new();
    crate::reading(images.save(&names, &[]).expect("save"))
        .read_to_end(&mut bytes)
        .await
        .expect("read");
    bytes
}

fn entries(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().expect("tar").map(|entry| {
        let mut entry = entry.expect("entry");
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("data");
        (entry.path().expect("path").display().to_string(), data)
    });
    entries.collect()
}

#[tokio::test]
async fn import_gives_an_image() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&root_fs()).expect("gzip");
    let source = Cursor::new(zipped.finish().expect("gzip"));
    let name = reference("tiny:1");
    let (id, said) = told(async |sink| {
        let change = |config: &mut shoal_node_drivers_images::ImageConfig| {
            config.env = vec!["A=b".to_owned()].into();
            config.cmd = vec!["/bin/sh".to_owned()].into();
            Ok(())
        };
        images
            .import(crate::coming(source), Some(&name), change, "hello", None, &sink)
            .await
            .expect("import")
    })
    .await;
    assert_eq!(said.last().map(|p| p.status.clone()), Some(id.clone()));
    let image = images.get("tiny:1").expect("image");
    assert_eq!(image.id, id);
    assert_eq!(image.repo_tags, ["tiny:1"]);
    assert_eq!(
        (image.os.as_str(), image.layers.len(), image.size),
        ("linux", 1, 33)
    );
    assert_eq!(image.config.config.env[..], ["A=b"]);
    assert_eq!(image.config.history[0].comment, "hello");
    assert_eq!(fs::read(image.lower[0].join("bin/sh")).expect("file"), b"#!shell");
    assert_eq!(images.history("tiny:1", None).expect("history")[0].size, 33);

    // The same again from disk.
    drop(images);
    let again = open(root.path()).get(&id[7..19]).expect("image");
    assert_eq!(
        (again.id, again.repo_tags, again.raw_config),
        (image.id, image.repo_tags, image.raw_config)
    );
}

#[tokio::test]
async fn a_change_that_cannot_be_made_leaves_nothing() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let refuse = |_: &mut _| Err(Error::InvalidParameter("dockerfile parse error".into()));
    let done = images
        .import(
            crate::coming(Cursor::new(root_fs())),
            None,
            refuse,
            "",
            None,
            &Sink::none(),
        )
        .await;
    assert_eq!(done.expect_err("refused").to_string(), "dockerfile parse error");
    assert!(images.list().is_empty());
}

#[tokio::test]
async fn what_is_saved_can_be_loaded() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let one = import(&images, root_fs(), "tiny:1").await;
    images
        .tag("tiny:1", &reference("localhost:5000/other"))
        .await
        .expect("tag");
    let two = import(&images, archive(&[file("only", b"this")]), "tiny:2").await;
    let tar = save(&images, &["tiny", "localhost:5000/other:latest"]).await;
    let files = entries(&tar);
    let table: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).expect("manifest.json");
    assert_eq!(
        table[0]["RepoTags"],
        serde_json::json!(["tiny:1", "localhost:5000/other:latest"])
    );
    assert_eq!(table[1]["RepoTags"], serde_json::json!(["tiny:2"]));
    // As the reference says it of layers that lie as plain archives.
    let layer = table[1]["Layers"][0].as_str().expect("layer");
    let digest = format!("sha256:{}", layer.rsplit('/').next().expect("digest"));
    let source = serde_json::json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": files[layer].len(), "digest": digest,
    });
    assert_eq!(table[1]["LayerSources"], serde_json::json!({ digest: source }));
    for name in ["oci-layout", "index.json", "repositories"] {
        assert!(files.contains_key(name), "{name} is missing");
    }

    let manifest = images.get("tiny:1").expect("image").manifest;
    // Once as it is, once compressed, once without Docker's tables: an OCI layout alone.
    let zipped = zstd::encode_all(&tar[..], 1).expect("zstd");
    let mut oci = tar::Builder::new(Vec::new());
    for (path, data) in files
        .iter()
        .filter(|(path, _)| !matches!(path.as_str(), "manifest.json" | "repositories"))
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        if !path.ends_with('/') {
            oci.append_data(&mut header, path, &data[..]).expect("append");
        }
    }
    for tar in [tar, zipped, oci.into_inner().expect("tar")] {
        let root = tempfile::tempdir().expect("dir");
        let images = open(root.path());
        let (done, said) = told(async |sink| {
            images
                .load(
                    crate::coming(Cursor::new(tar)),
                    Default::default(),
                    false,
                    Vec::new(),
                    &sink,
                )
                .await
        })
        .await;
        done.expect("load");
        let mut lines: Vec<_> = said
            .iter()
            .map(|p| p.stream.as_str())
            .filter(|text| !text.is_empty())
            .collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "Loaded image: localhost:5000/other:latest\n",
                "Loaded image: tiny:1\n",
                "Loaded image: tiny:2\n"
            ]
        );
        assert_eq!(images.get("tiny:1").expect("image").id, one);
        assert_eq!(
            images.get("tiny:1").expect("image").manifest.digest,
            manifest.digest
        );
        assert_eq!(images.get("tiny:2").expect("image").id, two);
        assert_eq!(images.get("localhost:5000/other").expect("image").id, one);
    }
}

#[tokio::test]
async fn an_old_archive_with_links_between_layers_loads() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let layer = archive(&[file("a", b"1")]);
    let diff = shoal_node_drivers_images::Digest::of(&layer);
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Labels": null, "User": null, "Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": [diff, diff]},
    })
    .to_string();
    let table = r#"[{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar"]}]"#;
    let tar = archive(&[
        directory("1"),
        file("1/layer.tar", &layer),
        symlink("2/layer.tar", "../1/layer.tar"),
        file("c.json", config.as_bytes()),
        file("manifest.json", table.as_bytes()),
    ]);
    let (done, said) = told(async |sink| {
        images
            .load(
                crate::coming(Cursor::new(tar)),
                Default::default(),
                true,
                Vec::new(),
                &sink,
            )
            .await
    })
    .await;
    done.expect("load");
    let image = &images.list()[0];
    assert_eq!(
        said.last().map(|p| p.stream.clone()),
        Some(format!("Loaded image ID: {}\n", image.id))
    );
    assert_eq!(
        (image.layers.len(), image.lower.len(), image.repo_tags.len()),
        (2, 2, 0)
    );
}

#[tokio::test]
async fn what_is_here_is_passed_over_and_what_is_not_is_checked() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let data = vec![7; 100_000];
    let id = import(&images, archive(&[file("data", &data)]), "tiny:1").await;
    let mut tar = save(&images, &["tiny:1"]).await;
    // The layer's bytes are wrong, under their old name.
    let at = tar.iter().rposition(|&byte| byte == 7).expect("data");
    tar[at] = 8;
    let load = |images: &Images, tar: Vec<u8>| {
        let images = images.clone();
        async move {
            let source = crate::coming(Cursor::new(tar));
            images
                .load(source, Default::default(), true, Vec::new(), &Sink::none())
                .await
        }
    };
    // Whatever is written takes the place of another file.
    let written = || {
        let entries = fs::read_dir(root.path().join("images/records")).expect("dir");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
        files.push(root.path().join("images/references.json"));
        let files = files.iter().map(|file| fs::metadata(file).expect("file").ino());
        files.collect::<Vec<_>>()
    };
    let before = written();
    assert_eq!(
        load(&images, tar.clone()).await.expect("load"),
        std::slice::from_ref(&id)
    );
    assert_eq!(written(), before, "what is the same is not written again");
    let layer = images.get(&id).expect("image").lower[0].join("data");
    assert!(fs::read(layer).expect("data") == data);
    // Where the layer is not, the archive is damaged.
    images.remove("tiny:1", false, false, &[]).await.expect("remove");
    let refused = load(&images, tar).await.expect_err("damaged").to_string();
    assert!(
        refused.contains("does not match") || refused.contains("is missing"),
        "{refused}"
    );
    assert!(images.list().is_empty());
    let count = |path: &str| fs::read_dir(root.path().join(path)).expect("dir").count();
    for _ in 0..200 {
        if (count("images/blobs/sha256"), count("images/tmp")) == (0, 0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("something of a damaged archive is left");
}

/// Of an archive whose beginning is here only the rest need come; of a packed one all must.
#[tokio::test]
async fn what_is_passed_over_need_not_come() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let base = vec![7; 8_000_000];
    let below = archive(&[file("base", &base)]);
    let above = archive(&[file("own", b"other")]);
    let digests = [&below, &above].map(|layer| Digest::of(layer));
    let name = |at: usize| format!("blobs/sha256/{}", digests[at].hex());
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let config = config.to_string();
    let table = serde_json::json!([{
        "Config": "c", "RepoTags": ["two:1"], "Layers": [name(0), name(1)],
    }]);
    let tar = archive(&[
        file(&name(0), &below),
        file(&name(1), &above),
        file("c", config.as_bytes()),
        file("manifest.json", table.to_string().as_bytes()),
    ]);
    import(&images, below.clone(), "one:1").await;
    let load = async |tar: Vec<u8>| {
        let wanted_from = Arc::new(AtomicU64::new(0));
        let (said, mut offset) = (wanted_from.clone(), 0);
        let zeros = Arc::new(AtomicU64::new(0));
        let counted = zeros.clone();
        let source = crate::coming(Cursor::new(tar)).map(move |piece| {
            let piece = piece?;
            offset += piece.len() as u64;
            if offset > said.load(Ordering::Relaxed) {
                return Ok(piece);
            }
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
            Ok(vec![0; piece.len()].into())
        });
        images
            .load(source, wanted_from.clone(), true, Vec::new(), &Sink::none())
            .await
            .expect("load");
        let image = images.get("two:1").expect("image");
        assert!(fs::read(image.lower[1].join("base")).expect("file") == base);
        assert_eq!(fs::read(image.lower[0].join("own")).expect("file"), b"other");
        images.remove("two:1", false, false, &[]).await.expect("remove");
        (zeros.load(Ordering::Relaxed), wanted_from.load(Ordering::Relaxed))
    };
    let zipped = zstd::encode_all(&tar[..], 1).expect("zstd");
    assert_eq!(load(zipped).await, (0, 0));
    let (zeros, wanted_from) = load(tar).await;
    // Two batches and more are under way when it is known.
    assert!(zeros > 0, "all of it came");
    assert_eq!(wanted_from, u64::MAX, "what follows the end is of no use");
}

#[tokio::test]
async fn damaged_archives_are_refused_and_leave_nothing() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let config = r#"{"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;
    let windows = r#"{"os":"windows","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let layer = archive(&[file("a", b"1")]);
    let with = |table: &'static str, config: &'static str| {
        archive(&[
            file("l", &layer),
            file("c", config.as_bytes()),
            file("manifest.json", table.as_bytes()),
        ])
    };
    let whole = with(r#"[{"Config":"c","Layers":["l"]}]"#, config);
    let huge = archive(&[file("manifest.json", &vec![b' '; 17 << 20])]);
    for (tar, want) in [
        (huge, "manifest.json in the archive is too large"),
        (Vec::new(), "unrecognized image format"),
        (b"no tar at all".repeat(50), "cannot read the archive"),
        (whole[..1500].to_vec(), "cannot read the archive"),
        (with("{", config), "invalid manifest.json"),
        (
            with(r#"[{"Config":"nope","Layers":["l"]}]"#, config),
            "nope is missing",
        ),
        (
            with(r#"[{"Config":"c","Layers":["nope"]}]"#, config),
            "nope is missing",
        ),
        (
            with(r#"[{"Config":"l","Layers":["l"]}]"#, config),
            "invalid image configuration",
        ),
        (
            with(r#"[{"Config":"c","Layers":[]}]"#, config),
            "has 1 layers, its manifest 0",
        ),
        (
            with(r#"[{"Config":"c","Layers":[]}]"#, windows),
            "cannot be used on this platform",
        ),
        (
            with(r#"[{"Config":"c","Layers":["c"]}]"#, config),
            "failed to register layer",
        ),
        (whole, "does not match its DiffID"),
    ] {
        let error = images
            .load(
                crate::coming(Cursor::new(tar)),
                Default::default(),
                true,
                Vec::new(),
                &Sink::none(),
            )
            .await
            .expect_err(want)
            .to_string();
        assert!(error.contains(want), "{error:?} does not say {want:?}");
        assert!(images.list().is_empty());
    }
    drop(images);
    let _again = open(root.path());
    for place in ["layers", "images/blobs/sha256", "images/tmp", "images/records"] {
        let left: Vec<_> = fs::read_dir(root.path().join(place))
            .expect("dir")
            .map(|entry| entry.expect("entry").file_name())
            .filter(|name| name != "empty")
            .collect();
        assert!(left.is_empty(), "{place} has {left:?}");
    }
}

/// Made by `docker save` of Docker 28.5 from a classic build with two layers.
#[tokio::test]
async fn what_docker_saved_loads_with_all_its_configuration() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let tar = Cursor::new(&include_bytes!("fixtures/docker-28.5-save.tar.gz")[..]);
    images
        .load(
            crate::coming(tar),
            Default::default(),
            true,
            Vec::new(),
            &Sink::none(),
        )
        .await
        .expect("load");
    let image = images.get("images-fixture:1").expect("image");
    assert_eq!(
        image.id,
        "sha256:1b0db6965fdefbf400aee164b0a9528581011a00715f7100ede774d64cd9d373"
    );
    let config = &image.config.config;
    assert_eq!(config.cmd[..], ["/two"]);
    assert_eq!(config.on_build[..], ["RUN x"]);
    assert_eq!(
        config.healthcheck.as_ref().map(|h| h.test[..].to_vec()),
        Some(vec!["CMD-SHELL".into(), "true".into()])
    );
    assert_eq!(fs::read(image.lower[1].join("d/one")).expect("file"), b"one\n");
    assert_eq!(
        fs::metadata(image.lower[0].join("two"))
            .expect("file")
            .permissions()
            .mode()
            & 0o7777,
        0o711
    );
    let steps = images.history("images-fixture:1", None).expect("history");
    assert_eq!(
        steps.iter().map(|step| step.size).collect::<Vec<_>>(),
        [0, 0, 0, 0, 0, 0, 4, 4]
    );
    // The manifest of the archive's OCI side is kept.
    let again = entries(&save(&images, &["images-fixture"]).await);
    assert!(again.contains_key(&format!("blobs/sha256/{}", image.manifest.digest.hex())));
}
