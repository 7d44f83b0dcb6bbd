//! Pulling, from registries that behave and from some that do not.

use std::fs;
use std::time::Duration;

use serde_json::json;
use shoal_node_drivers_images::{
    AuthConfig, Error, Images, Platform, Progress, RegistryConfig, Result, Sink,
};

use crate::registry::{DOCKER, INDEX, Layer, OCI, Registry};
use crate::{archive, directory, file, import, open, reference, told};

pub(crate) fn impatient() -> RegistryConfig {
    RegistryConfig {
        retry_delay: Duration::from_millis(1),
        ..RegistryConfig::default()
    }
}

pub(crate) fn three_layers() -> Vec<Layer> {
    let big: Vec<u8> = (0..300_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    vec![
        Layer::gzip(archive(&[
            directory("./"),
            file("base", b"one"),
            file("big", &big),
        ])),
        Layer::zstd(archive(&[file(".wh.base", b""), file("next", b"two")])),
        Layer::plain(archive(&[file("last", b"three")])),
    ]
}

pub(crate) async fn pull(
    images: &Images,
    name: &str,
    auth: Option<AuthConfig>,
) -> (Result<()>, Vec<Progress>) {
    told(async |sink| images.pull(&reference(name), None, auth, &sink).await).await
}

pub(crate) fn login(user: &str, password: &str) -> Option<AuthConfig> {
    Some(AuthConfig {
        username: user.into(),
        password: password.into(),
        ..AuthConfig::default()
    })
}

#[tokio::test]
async fn all_formats_and_compressions() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let mut registry = Registry::default();
    let (id, docker) = registry.image("a/b", "docker", DOCKER, "amd64", &three_layers());
    let (same, oci) = registry.image("a/b", "oci", OCI, "amd64", &three_layers());
    let (_, arm) = registry.image("a/b", "arm", OCI, "arm64", &three_layers()[..1]);
    let entry = |mut descriptor: serde_json::Value, os: &str, arch: &str| {
        descriptor["platform"] = json!({"os": os, "architecture": arch});
        descriptor
    };
    let manifests = [
        entry(arm.clone(), "unknown", "unknown"),
        entry(arm, "linux", "arm64"),
        entry(oci.clone(), "linux", "amd64"),
    ];
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let index = registry.document("a/b", "latest", INDEX, &index);
    let (address, _) = registry.serve();
    assert_eq!(id, same);

    let name = format!("{address}/a/b:docker");
    let (done, said) = pull(&images, &name, None).await;
    done.expect("pull");
    let image = images.get(&name).expect("image");
    assert_eq!(image.id, id.as_str());
    let docker_digest = docker["digest"].as_str().expect("digest");
    assert_eq!(image.repo_digests, [format!("{address}/a/b@{docker_digest}")]);
    assert_eq!(fs::read(image.lower[0].join("last")).expect("file"), b"three");
    assert!(image.lower[1].join("base").symlink_metadata().is_ok() && image.lower.len() == 3);
    let statuses = |said: &[Progress], status: &str| said.iter().filter(|p| p.status == status).count();
    assert_eq!(said[0].status, "Pulling from a/b");
    assert_eq!(said[0].id, "docker");
    for status in [
        "Pulling fs layer",
        "Download complete",
        "Verifying Checksum",
        "Pull complete",
    ] {
        assert_eq!(statuses(&said, status), 3, "{status}");
    }
    assert!(statuses(&said, "Downloading") > 0);
    assert_eq!(statuses(&said, &format!("Digest: {docker_digest}")), 1);
    assert_eq!(
        said.last().map(|p| p.status.clone()),
        Some(format!("Status: Downloaded newer image for {name}"))
    );

    // The index leads to the same image, which is there already.
    let (done, said) = pull(&images, &format!("{address}/a/b"), None).await;
    done.expect("pull");
    let latest = format!("{address}/a/b:latest");
    assert_eq!(
        said.last().map(|p| p.status.clone()),
        Some(format!("Status: Image is up to date for {latest}"))
    );
    let digest = index["digest"].as_str().expect("digest");
    assert_eq!(
        images
            .get(&format!("{address}/a/b@{digest}"))
            .expect("by digest")
            .id,
        id.as_str()
    );

    // By digest of the index, another platform.
    let by_digest = reference(&format!("{address}/a/b@{digest}"));
    let arm = Platform::parse("linux/arm64").expect("platform");
    images
        .pull(&by_digest, Some(arm), None, &Sink::none())
        .await
        .expect("pull");
    // It is shown with the other one of its index, not by itself.
    let list = images.list();
    assert_eq!((list.len(), images.platforms(&list[0]).len()), (1, 2));
    let other = Platform::parse("linux/s390x").expect("platform");
    let error = images
        .pull(&by_digest, Some(other.clone()), None, &Sink::none())
        .await
        .expect_err("none");
    assert!(
        error
            .to_string()
            .contains("no matching manifest for linux/s390x in the manifest list entries")
    );
    let error = images
        .pull(&reference(&name), Some(other), None, &Sink::none())
        .await
        .expect_err("none");
    assert!(
        error
            .to_string()
            .contains("does not match the specified platform (linux/s390x)"),
        "{error}"
    );
}

#[tokio::test]
async fn a_broken_connection_is_resumed() {
    for ignores_ranges in [false, true] {
        let root = tempfile::tempdir().expect("dir");
        let images = Images::open(root.path(), impatient()).expect("open");
        let mut registry = Registry {
            ignores_ranges,
            ..Registry::default()
        };
        let layers = three_layers();
        let (id, _) = registry.image("a", "latest", DOCKER, "amd64", &layers);
        let digest = shoal_node_drivers_images::Digest::of(&layers[0].packed);
        let path = format!("/v2/a/blobs/{digest}");
        registry.cuts.insert(path.clone(), vec![100_000, 0, 200_000, 100]);
        let (address, registry) = registry.serve();
        let (done, said) = pull(&images, &format!("{address}/a"), None).await;
        done.expect("pull");
        assert_eq!(images.list()[0].id, id.as_str());
        assert!(said.iter().any(|p| p.status.starts_with("Retrying in")));
        let log = registry.lock().expect("lock").log.clone();
        let asked: Vec<_> = log.iter().filter(|line| line.starts_with(&path)).collect();
        assert_eq!(asked.len(), 5, "{asked:?}");
        assert!(asked[1].ends_with("bytes=100000-"), "{asked:?}");

        // Too often is too often.
        images
            .remove(id.as_str(), true, false, &[])
            .await
            .expect("remove");
        registry.lock().expect("lock").cuts.insert(path, vec![10; 5]);
        let (done, _) = pull(&images, &format!("{address}/a"), None).await;
        assert!(matches!(done, Err(Error::Unreachable(_))), "{done:?}");
        assert!(images.list().is_empty());
    }
}

#[tokio::test]
async fn tokens_and_passwords() {
    let make = |registry: Registry| {
        let mut registry = registry;
        registry.image("a", "latest", OCI, "amd64", &three_layers()[..1]);
        registry.serve()
    };
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let (address, log) = make(Registry {
        token_for: Some(String::new()),
        ..Registry::default()
    });
    pull(&images, &format!("{address}/a"), None)
        .await
        .0
        .expect("anonymous token");
    assert!(
        log.lock()
            .expect("lock")
            .log
            .iter()
            .any(|l| l.starts_with("/token?service=test&scope=repository%3Aa%3Apull"))
    );

    let (address, _) = make(Registry {
        token_for: Some("me:pw".into()),
        ..Registry::default()
    });
    let name = format!("{address}/a");
    let error = pull(&images, &name, login("me", "wrong"))
        .await
        .0
        .expect_err("refused");
    assert!(
        matches!(&error, Error::Unauthorized(text) if text == "unauthorized: incorrect username or password")
    );
    pull(&images, &name, login("me", "pw"))
        .await
        .0
        .expect("token for a password");
    let encoded = AuthConfig {
        auth: "bWU6cHc=".into(),
        serveraddress: address.clone(),
        ..AuthConfig::default()
    };
    pull(&images, &name, Some(encoded.clone()))
        .await
        .0
        .expect("token for an encoded password");
    // Credentials for another registry are not shown to this one.
    let foreign = AuthConfig {
        serveraddress: "docker.io".into(),
        ..encoded
    };
    assert!(matches!(
        pull(&images, &name, Some(foreign)).await.0,
        Err(Error::Unauthorized(_))
    ));

    let (address, log) = make(Registry {
        basic_for: Some("me:pw".into()),
        ..Registry::default()
    });
    let name = format!("{address}/a");
    let error = pull(&images, &name, None).await.0.expect_err("refused");
    assert!(
        matches!(&error, Error::Refused(text) if text.ends_with("no basic auth credentials")),
        "{error}"
    );
    pull(&images, &name, login("me", "pw")).await.0.expect("password");
    assert!(matches!(
        pull(&images, &name, login("me", "no")).await.0,
        Err(Error::Unauthorized(_))
    ));
    drop(log);
}

#[tokio::test]
async fn a_lasting_token_is_exchanged() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let mut registry = Registry {
        token_for: Some("nobody".into()),
        identity: Some("lasting".into()),
        ..Registry::default()
    };
    registry.image("a", "latest", OCI, "amd64", &three_layers()[..1]);
    let (address, log) = registry.serve();
    let name = format!("{address}/a");
    let with = |token: &str| {
        Some(AuthConfig {
            username: "<token>".into(),
            identitytoken: token.into(),
            serveraddress: address.clone(),
            ..AuthConfig::default()
        })
    };
    let error = pull(&images, &name, with("other")).await.0.expect_err("refused");
    assert!(matches!(error, Error::Unauthorized(_)), "{error}");
    pull(&images, &name, with("lasting")).await.0.expect("exchanged");
    // It is sent to the token server alone, in a body.
    let log = log.lock().expect("lock").log.join("\n");
    assert!(
        !log.contains("lasting") && log.contains("[Bearer secret]"),
        "{log}"
    );
}

#[tokio::test]
async fn a_redirect_gets_no_credentials() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let layers = &three_layers()[..1];
    let mut elsewhere = Registry::default();
    let digest = elsewhere.blob("store", layers[0].packed.clone());
    let (other, log) = elsewhere.serve();
    let mut registry = Registry {
        basic_for: Some("me:pw".into()),
        ..Registry::default()
    };
    registry.image("a", "latest", OCI, "amd64", layers);
    registry.redirects.insert(
        format!("/v2/a/blobs/{digest}"),
        format!("http://{other}/v2/store/blobs/{digest}"),
    );
    let (address, _) = registry.serve();
    pull(&images, &format!("{address}/a"), login("me", "pw"))
        .await
        .0
        .expect("pull");
    let log = log.lock().expect("lock").log.clone();
    assert_eq!(log, [format!("/v2/store/blobs/{digest} [] ")]);
}

#[tokio::test]
async fn refusals_in_dockers_words() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let (address, _) = Registry::default().serve();
    let name = format!("{address}/nope:1");
    let error = pull(&images, &name, None).await.0.expect_err("missing");
    assert!(matches!(error, Error::NotFound(_)));
    assert_eq!(
        error.to_string(),
        format!("manifest for {name} not found: manifest unknown: manifest unknown")
    );
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("port");
    let error = pull(&images, &format!("{closed}/a"), None)
        .await
        .0
        .expect_err("nobody");
    assert!(matches!(error, Error::Unreachable(_)));
    assert_eq!(
        error.to_string(),
        format!("Get \"http://{closed}/v2/\": dial tcp {closed}: connect: connection refused")
    );
}

#[tokio::test]
async fn what_does_not_match_its_digest_is_refused() {
    let layers = three_layers();
    let other = Layer::gzip(archive(&[file("x", b"y")]));
    let blob = |layer: &Layer| {
        format!(
            "/v2/a/blobs/{}",
            shoal_node_drivers_images::Digest::of(&layer.packed)
        )
    };
    let cases: [(&str, Box<dyn Fn(&mut Registry)>); 6] = [
        (
            "filesystem layer verification failed",
            Box::new(|r| {
                let body = &mut r.content.get_mut(&blob(&layers[0])).expect("blob").1;
                *body.last_mut().expect("byte") ^= 1;
            }),
        ),
        (
            "is larger than promised",
            Box::new(|r| r.content.get_mut(&blob(&layers[0])).expect("blob").1.push(0)),
        ),
        (
            "does not match its DiffID",
            Box::new(|r| {
                r.image("a", "latest", OCI, "amd64", std::slice::from_ref(&other));
                let text = &mut r.content.get_mut("/v2/a/manifests/latest").expect("manifest").1;
                let mut manifest: serde_json::Value = serde_json::from_slice(text).expect("manifest");
                let wrong = Layer::gzip(archive(&[file("x", b"z")]));
                let digest = shoal_node_drivers_images::Digest::of(&wrong.packed);
                manifest["layers"][0]["digest"] = json!(digest);
                manifest["layers"][0]["size"] = json!(wrong.packed.len());
                *text = manifest.to_string().into_bytes();
                r.blob("a", wrong.packed);
            }),
        ),
        (
            "does not match its digest or size",
            Box::new(|r| {
                for (path, (_, body)) in &mut r.content {
                    if path.contains("/blobs/") && body.starts_with(b"{") {
                        body.push(b' ');
                    }
                }
            }),
        ),
        (
            "has both",
            Box::new(|r| {
                let both = json!({"schemaVersion": 2, "mediaType": OCI, "layers": [], "manifests": []});
                r.document("a", "latest", OCI, &both);
            }),
        ),
        (
            "unsupported layer media type",
            Box::new(|r| {
                let text = &mut r.content.get_mut("/v2/a/manifests/latest").expect("manifest").1;
                let mut manifest: serde_json::Value = serde_json::from_slice(text).expect("manifest");
                manifest["layers"][0]["mediaType"] = json!("application/x-secret");
                *text = manifest.to_string().into_bytes();
            }),
        ),
    ];
    for (want, spoil) in cases {
        let root = tempfile::tempdir().expect("dir");
        let images = Images::open(root.path(), impatient()).expect("open");
        let mut registry = Registry::default();
        registry.image("a", "latest", OCI, "amd64", &layers);
        spoil(&mut registry);
        let (address, _) = registry.serve();
        let error = pull(&images, &format!("{address}/a"), None)
            .await
            .0
            .expect_err(want)
            .to_string();
        assert!(error.contains(want), "{error:?} does not say {want:?}");
        assert!(images.list().is_empty());
    }
}

#[tokio::test]
async fn pulls_and_removals_at_once_lose_nothing() {
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let mut registry = Registry::default();
    let layers = three_layers();
    registry.image("a", "latest", OCI, "amd64", &layers);
    registry.image("b", "latest", OCI, "amd64", &layers[..2]);
    registry.image("c", "latest", OCI, "amd64", &layers[..1]);
    let (address, _) = registry.serve();
    let mut tasks = Vec::new();
    for n in 0..4 {
        let (images, address) = (images.clone(), address.clone());
        tasks.push(tokio::spawn(async move {
            for round in 0..6 {
                let name = format!("{address}/{}", ["a", "b", "c"][(n + round) % 3]);
                match pull(&images, &name, None).await.0 {
                    // Somebody removed it between its arrival and its naming.
                    Err(Error::NotFound(_)) => continue,
                    other => other.expect("pull"),
                }
                if n % 2 == 0 {
                    let _ = images.remove(&name, true, false, &[]).await;
                }
                import(
                    &images,
                    archive(&[file("x", format!("{n} {round}").as_bytes())]),
                    "x",
                )
                .await;
                for image in images.list() {
                    let entry = images.get(&image.id);
                    assert!(
                        entry.is_err() || entry.is_ok_and(|entry| entry.lower.len() == entry.layers.len())
                    );
                }
            }
        }));
    }
    for task in tasks {
        task.await.expect("task");
    }
    for name in ["a", "b", "c"] {
        pull(&images, &format!("{address}/{name}"), None)
            .await
            .0
            .expect("pull");
    }
    let again = open(root.path());
    for image in again.list() {
        assert!(
            !image.lower.is_empty() && image.lower.iter().all(|layer| layer.is_dir()),
            "{image:?}"
        );
        let names = [image.id.clone()];
        let mut tar = crate::reading(again.save(&names, &[]).expect("save"));
        tokio::io::copy(&mut tar, &mut tokio::io::sink())
            .await
            .expect("every blob is there");
    }
    assert!(again.get(&format!("{address}/a")).is_ok());
}
