//! Images for several platforms under one name.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use serde_json::{Value, json};
use shoal_node_drivers_images::{Deleted, Images, InUse, Platform, Sink, What};
use tokio::io::AsyncReadExt;

use crate::registry::{INDEX, Layer, OCI, Registry};
use crate::{archive, file, open, reference};

/// An image for amd64, arm64 and s390x, and what is stated about the first; two indexes lead to it.
struct Several {
    address: String,
    /// Image ids by architecture.
    ids: BTreeMap<&'static str, String>,
    /// Manifests' digests by architecture, and the statement's.
    manifests: BTreeMap<&'static str, String>,
    index: String,
    other_index: String,
}

const STATEMENT: &[u8] = br#"{"_type":"https://in-toto.io/Statement/v0.1","predicate":{"builder":"x"}}"#;

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn several() -> Several {
    let mut registry = Registry::default();
    let (mut ids, mut manifests, mut listed) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let base = || Layer::gzip(archive(&[file("base", b"same for all")]));
    for arch in ["arm64", "amd64", "s390x"] {
        let own = Layer::gzip(archive(&[file("arch", arch.as_bytes())]));
        let (id, mut manifest) = registry.image("a/b", arch, OCI, arch, &[base(), own]);
        ids.insert(arch, id.to_string());
        manifests.insert(arch, text(&manifest["digest"]));
        manifest["platform"] = json!({"os": "linux", "architecture": arch});
        listed.push(manifest);
    }
    let layer = registry.blob("a/b", STATEMENT.to_vec());
    let config = b"{\"architecture\":\"unknown\",\"os\":\"unknown\"}".to_vec();
    let size = config.len();
    let config = registry.blob("a/b", config);
    let statement = json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": size},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": layer, "size": STATEMENT.len(),
            "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}],
    });
    let mut statement = registry.document("a/b", "statement", OCI, &statement);
    manifests.insert("statement", text(&statement["digest"]));
    statement["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    statement["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": manifests["amd64"],
    });
    listed.push(statement);
    let whole = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
    let index = registry.document("a/b", "latest", INDEX, &whole);
    // The same image through another index.
    let less = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [whole["manifests"][1]]});
    let other = registry.document("a/b", "less", INDEX, &less);
    let (address, _) = registry.serve();
    Several {
        address,
        ids,
        manifests,
        index: text(&index["digest"]),
        other_index: text(&other["digest"]),
    }
}

impl Several {
    fn name(&self, tag: &str) -> String {
        format!("{}/a/b:{tag}", self.address)
    }

    fn pinned(&self, digest: &str) -> String {
        format!("{}/a/b@{digest}", self.address)
    }

    async fn pull(&self, images: &Images, tag: &str, arch: Option<&str>) {
        let platform = arch.map(platform);
        let name = reference(&self.name(tag));
        images
            .pull(&name, platform, None, &Sink::none())
            .await
            .expect("pull");
    }
}

fn platform(arch: &str) -> Platform {
    Platform::parse(&format!("linux/{arch}")).expect("platform")
}

fn id(images: &Images, name: &str, arch: Option<&str>) -> String {
    let platform = arch.map(platform);
    images.get_for(name, platform.as_ref()).expect("image").id
}

async fn save(images: &Images, name: &str, platforms: &[Platform]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut tar = crate::reading(images.save(&[name.to_owned()], platforms).expect("save"));
    tar.read_to_end(&mut bytes).await.expect("read");
    bytes
}

async fn load(images: &Images, tar: &[u8], platforms: Vec<Platform>) {
    let source = Cursor::new(tar.to_vec());
    images
        .load(
            crate::coming(source),
            Default::default(),
            true,
            platforms,
            &Sink::none(),
        )
        .await
        .expect("load");
}

fn member(tar: &[u8], name: &str) -> Option<Value> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().expect("tar").map(|entry| entry.expect("entry"));
    let mut found = entries.find(|entry| entry.path().is_ok_and(|path| path.ends_with(name)))?;
    let mut text = String::new();
    found.read_to_string(&mut text).expect("text");
    serde_json::from_str(&text).ok()
}

fn blobs(root: &Path) -> usize {
    std::fs::read_dir(root.join("images/blobs/sha256"))
        .expect("blobs")
        .count()
}

/// What is there of a name: architecture or `statement`, and whether it is.
fn shown(images: &Images, name: &str) -> BTreeMap<String, bool> {
    let image = images.get(name).expect("image");
    let listed = images.manifests(&image);
    let one = |what: &What| match what {
        What::Image { platform, .. } => platform.architecture.clone(),
        What::Attestation { .. } => "statement".to_owned(),
        What::Unknown => "unknown".to_owned(),
    };
    listed.iter().map(|m| (one(&m.what), m.available)).collect()
}

fn map(of: &[(&str, bool)]) -> BTreeMap<String, bool> {
    of.iter().map(|(key, value)| (key.to_string(), *value)).collect()
}

#[tokio::test]
async fn platforms_gather_under_one_name() {
    let root = tempfile::tempdir().expect("dir");
    let s = several();
    let name = s.name("latest");
    let images = open(root.path());
    s.pull(&images, "latest", Some("arm64")).await;
    // Alone it is what is meant; with this machine's beside it, that is.
    assert_eq!(id(&images, &name, None), s.ids["arm64"]);
    let error = images
        .get_for(&name, Some(&platform("amd64")))
        .expect_err("not there");
    assert_eq!(
        error.to_string(),
        format!(
            "image with reference {name} was found but its platform (linux/arm64) does not match the specified platform \
             (linux/amd64)"
        )
    );
    s.pull(&images, "latest", None).await;
    for images in [images, open(root.path())] {
        assert_eq!(id(&images, &name, None), s.ids["amd64"]);
        assert_eq!(id(&images, &name, Some("arm64")), s.ids["arm64"]);
        assert_eq!(id(&images, &s.pinned(&s.index), Some("arm64")), s.ids["arm64"]);
        let error = images
            .get_for(&name, Some(&platform("s390x")))
            .expect_err("not there");
        assert_eq!(
            error.to_string(),
            format!(
                "image with reference {name} was found but does not provide the specified platform (linux/s390x)"
            )
        );
        let list = images.list();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!(list[0].id, s.ids["amd64"]);
        assert_eq!(list[0].repo_digests, [s.pinned(&s.index)]);
        assert_eq!(images.platforms(&list[0]).len(), 2);
        let arm = images.get(&s.ids["arm64"]).expect("by id");
        assert_eq!(
            (arm.repo_tags, arm.repo_digests),
            (vec![name.clone()], vec![s.pinned(&s.index)])
        );
        let there = map(&[
            ("amd64", true),
            ("arm64", true),
            ("s390x", false),
            ("statement", true),
        ]);
        assert_eq!(shown(&images, &name), there);
        let steps = images.history(&name, Some(&platform("arm64"))).expect("history");
        assert!(steps.is_empty(), "this image tells no history");
    }
}

#[tokio::test]
async fn sizes_count_each_layer_once() {
    let root = tempfile::tempdir().expect("dir");
    let s = several();
    let images = open(root.path());
    for arch in ["arm64", "amd64"] {
        s.pull(&images, "latest", Some(arch)).await;
    }
    let image = images.get(&s.name("latest")).expect("image");
    let platforms = images.platforms(&image);
    assert_eq!(images.unpacked_size(&platforms), images.layers_size());
    assert_eq!(images.shared_size(&platforms), 0);
    assert_eq!(images.shared_size(&platforms[..1]), "same for all".len() as u64);
    let listed = images.manifests(&image);
    let amd = listed
        .iter()
        .find(|m| matches!(&m.what, What::Image { platform, .. } if platform.architecture == "amd64"));
    let amd = amd.expect("listed");
    assert!(
        matches!(
            &amd.what,
            What::Image {
                unpacked_size: 17,
                id: Some(_),
                ..
            }
        ),
        "{amd:?}"
    );
    assert!(amd.content_size > 200);
}

#[tokio::test]
async fn statements_come_with_their_image() {
    let root = tempfile::tempdir().expect("dir");
    let s = several();
    let images = open(root.path());
    s.pull(&images, "latest", Some("arm64")).await;
    let name = s.name("latest");
    assert!(
        images
            .attestations(&name, None, Vec::new(), true)
            .await
            .expect("asked")
            .is_empty()
    );
    s.pull(&images, "latest", Some("amd64")).await;
    let stated = images
        .attestations(&name, None, Vec::new(), true)
        .await
        .expect("asked");
    assert_eq!(stated.len(), 1);
    assert_eq!(stated[0].predicate_type, "https://slsa.dev/provenance/v0.2");
    assert_eq!(stated[0].text.as_ref().expect("text").get().as_bytes(), STATEMENT);
    let other = images.attestations(&name, None, vec!["https://spdx.dev/Document".into()], false);
    assert!(other.await.expect("asked").is_empty());
    let arm = images.attestations(&name, Some(platform("arm64")), Vec::new(), false);
    assert!(arm.await.expect("asked").is_empty());
}

#[tokio::test]
async fn tags_keep_the_index_that_they_came_from() {
    let root = tempfile::tempdir().expect("dir");
    let s = several();
    let images = open(root.path());
    s.pull(&images, "latest", None).await;
    s.pull(&images, "less", None).await;
    let index = |name: &str| images.manifests(&images.get(name).expect("image")).len();
    assert_eq!(
        id(&images, &s.name("less"), None),
        id(&images, &s.name("latest"), None)
    );
    let pinned = [s.pinned(&s.index), s.pinned(&s.other_index)];
    let image = images.get(&s.name("less")).expect("image");
    assert!(
        pinned.iter().all(|name| image.repo_digests.contains(name)),
        "{image:?}"
    );
    let saved = save(&images, &s.name("less"), &[]).await;
    let listed = member(&saved, "index.json").expect("index");
    assert_eq!(listed["manifests"][0]["digest"], s.other_index);
    images
        .tag(&s.name("less"), &reference("mine:1"))
        .await
        .expect("tag");
    let saved = save(&images, "mine:1", &[]).await;
    assert_eq!(
        member(&saved, "index.json").expect("index")["manifests"][0]["digest"],
        s.other_index
    );
    // With its names gone an index goes too.
    for name in ["less", "latest"] {
        images
            .remove(&s.name(name), false, false, &[])
            .await
            .expect("remove");
    }
    assert_eq!(index("mine:1"), 1);
    images.remove("mine:1", false, false, &[]).await.expect("remove");
    assert!(images.list().is_empty());
    assert_eq!(blobs(root.path()), 0);
}

#[tokio::test]
async fn what_is_saved_is_loaded_with_all_platforms() {
    let (from, to) = (
        tempfile::tempdir().expect("dir"),
        tempfile::tempdir().expect("dir"),
    );
    let s = several();
    let name = s.name("latest");
    let images = open(from.path());
    for arch in ["arm64", "amd64"] {
        s.pull(&images, "latest", Some(arch)).await;
    }
    let whole = save(&images, &name, &[]).await;
    let there = map(&[
        ("amd64", true),
        ("arm64", true),
        ("s390x", false),
        ("statement", true),
    ]);
    {
        let images = open(to.path());
        load(&images, &whole, Vec::new()).await;
        assert_eq!(shown(&images, &name), there);
        assert_eq!(id(&images, &name, Some("arm64")), s.ids["arm64"]);
        assert_eq!(
            images
                .attestations(&name, None, Vec::new(), true)
                .await
                .expect("asked")
                .len(),
            1
        );
    }
    // After a start too; and again saved it is the same.
    let images_there = open(to.path());
    assert_eq!(shown(&images_there, &name), there);
    assert_eq!(save(&images_there, &name, &[]).await, whole);

    let one = tempfile::tempdir().expect("dir");
    let images_one = open(one.path());
    load(&images_one, &whole, vec![platform("arm64")]).await;
    assert_eq!(
        shown(&images_one, &name),
        map(&[
            ("amd64", false),
            ("arm64", true),
            ("s390x", false),
            ("statement", false)
        ])
    );
    let source = Cursor::new(whole.clone());
    let error = images_one
        .load(
            crate::coming(source),
            Default::default(),
            true,
            vec![platform("s390x")],
            &Sink::none(),
        )
        .await;
    let error = error.expect_err("not there").to_string();
    assert!(
        error.contains("does not provide the specified platform (linux/s390x)"),
        "{error}"
    );

    // One platform goes without its index.
    let arm = save(&images, &name, &[platform("arm64")]).await;
    let listed = member(&arm, "index.json").expect("index");
    assert_eq!(listed["manifests"][0]["digest"], s.manifests["arm64"]);
    let alone = tempfile::tempdir().expect("dir");
    let images_alone = open(alone.path());
    load(&images_alone, &arm, Vec::new()).await;
    assert_eq!(id(&images_alone, &name, None), s.ids["arm64"]);
    assert_eq!(shown(&images_alone, &name), map(&[("arm64", true)]));
    let Err(error) = images.save(std::slice::from_ref(&name), &[platform("s390x")]) else {
        panic!("saved what is not there");
    };
    assert!(
        error
            .to_string()
            .contains("does not provide the specified platform (linux/s390x)"),
        "{error}"
    );
}

#[tokio::test]
async fn platforms_are_removed_one_by_one_or_with_the_name() {
    let root = tempfile::tempdir().expect("dir");
    let s = several();
    let name = s.name("latest");
    let images = open(root.path());
    let all = async || {
        for arch in ["s390x", "arm64", "amd64"] {
            s.pull(&images, "latest", Some(arch)).await;
        }
    };
    all().await;
    let gone = images
        .remove_platforms(&name, vec![platform("arm64")], false, &[])
        .await
        .expect("remove");
    assert_eq!(gone[0], Deleted::Deleted(s.ids["arm64"].clone()));
    assert_eq!(gone.len(), 2, "its own layer goes with it: {gone:?}");
    assert_eq!(
        shown(&images, &name),
        map(&[
            ("amd64", true),
            ("arm64", false),
            ("s390x", true),
            ("statement", true)
        ])
    );
    // What was meant goes: another one is.
    images
        .remove_platforms(&name, vec![platform("amd64")], false, &[])
        .await
        .expect("remove");
    assert_eq!(id(&images, &name, None), s.ids["s390x"]);
    assert!(
        !shown(&images, &name)["statement"],
        "what was stated about it went with it"
    );
    let error = images
        .remove_platforms(&name, vec![platform("amd64")], false, &[])
        .await;
    assert!(
        error
            .expect_err("gone")
            .to_string()
            .contains("does not match the specified platform")
    );
    let gone = images
        .remove_platforms(&name, vec![platform("s390x")], false, &[])
        .await
        .expect("remove");
    assert!(gone.contains(&Deleted::Untagged(name.clone())), "{gone:?}");
    assert!(images.list().is_empty());
    assert_eq!(blobs(root.path()), 0);

    all().await;
    let user = InUse {
        container: "c".repeat(64),
        image: s.ids["arm64"].clone(),
        running: true,
    };
    let in_use = [user];
    let refused = images
        .remove(&name, false, false, &in_use)
        .await
        .expect_err("in use")
        .to_string();
    assert!(
        refused.starts_with("conflict: unable to remove repository reference"),
        "{refused}"
    );
    // By the id of one that came beside: that one.
    images
        .remove(&s.ids["s390x"], false, false, &in_use)
        .await
        .expect("remove");
    assert!(!shown(&images, &name)["s390x"] && shown(&images, &name)["arm64"]);
    // By the id of what is meant: all of them, but what runs stays.
    images.remove(&name, true, false, &in_use).await.expect("remove");
    assert_eq!(
        images.list().iter().map(|i| i.id.clone()).collect::<Vec<_>>(),
        [s.ids["arm64"].clone()]
    );
    images
        .remove(&s.ids["arm64"], false, false, &[])
        .await
        .expect("remove");
    assert_eq!(blobs(root.path()), 0);
    all().await;
    let gone = images
        .remove(&s.ids["amd64"], false, false, &[])
        .await
        .expect("remove");
    let deleted = |arch: &str| gone.contains(&Deleted::Deleted(s.ids[arch].clone()));
    assert!(
        deleted("amd64") && deleted("arm64") && deleted("s390x"),
        "{gone:?}"
    );
    assert_eq!(blobs(root.path()), 0);
}
