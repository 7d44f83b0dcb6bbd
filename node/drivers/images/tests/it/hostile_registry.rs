//! Registries that would rather harm than serve: every pull ends soon, with an error that says why, and leaves nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use shoal_node_drivers_images::{Digest, Images, RegistryConfig, Result, Sink};

use crate::registry::{INDEX, Layer, OCI, Registry};
use crate::{archive, file, reference};

fn config() -> RegistryConfig {
    RegistryConfig {
        retry_delay: Duration::from_millis(5),
        idle_timeout: Duration::from_millis(500),
        attempts_max: 4,
        ..RegistryConfig::default()
    }
}

fn layer() -> Layer {
    Layer::gzip(archive(&[file("x", &[7; 5000])]))
}

fn served() -> Registry {
    let mut registry = Registry::default();
    registry.image("a", "latest", OCI, "amd64", &[layer()]);
    registry
}

fn layer_path() -> String {
    format!("/v2/a/blobs/{}", Digest::of(&layer().packed))
}

/// The path of the configuration's blob.
fn config_path(registry: &Registry) -> String {
    let mut paths = registry.content.iter();
    let found = paths.find(|(path, (_, body))| path.contains("/blobs/") && body.starts_with(b"{"));
    found.expect("a configuration").0.clone()
}

async fn pull(root: &Path, address: &str) -> Result<()> {
    let images = Images::open(root, config()).expect("open");
    images
        .pull(&reference(&format!("{address}/a")), None, None, &Sink::none())
        .await
}

/// The pull's error; soon, and with nothing left.
async fn refused(registry: Registry, what: &str) -> String {
    let root = tempfile::tempdir().expect("dir");
    let (address, _) = registry.serve();
    let began = Instant::now();
    let Err(error) = pull(root.path(), &address).await else {
        panic!("{what} was pulled");
    };
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{what} took {:?}",
        began.elapsed()
    );
    let left = |place: &str| {
        std::fs::read_dir(root.path().join(place))
            .expect("directory")
            .count()
    };
    // It is cleared away in the background.
    for _ in 0..200 {
        if left("images/blobs/sha256") + left("images/tmp") == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let all = (
        left("images/blobs/sha256"),
        left("images/tmp"),
        left("images/records"),
        left("layers"),
    );
    assert_eq!(all, (0, 0, 0, 1), "what {what} left");
    error.to_string()
}

#[tokio::test]
async fn answers_without_end() {
    for (what, path, want) in [
        (
            "a manifest",
            "/v2/a/manifests/latest".to_owned(),
            "answer is larger than",
        ),
        ("a configuration", config_path(&served()), "answer is larger than"),
        ("a layer", layer_path(), "is larger than promised"),
    ] {
        let mut registry = served();
        registry.endless.push(path);
        let error = refused(registry, what).await;
        assert!(error.contains(want), "{what}: {error}");
    }
    let mut registry = served();
    registry.token_for = Some(String::new());
    registry.endless.push("/token".into());
    let error = refused(registry, "a token").await;
    assert!(error.contains("answer is larger than"), "{error}");
}

#[tokio::test]
async fn answers_that_stop_half_way() {
    for path in ["/v2/a/manifests/latest".to_owned(), layer_path()] {
        let mut registry = served();
        registry.stalled.push(path.clone());
        let error = refused(registry, &path).await;
        assert!(error.contains("i/o timeout"), "{path}: {error}");
    }
}

#[tokio::test]
async fn indexes_in_indexes_and_redirects_in_circles() {
    let mut registry = served();
    let mut inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []});
    for _ in 0..3 {
        let mut below = registry.document("a", "latest", INDEX, &inner);
        below["platform"] = json!({"os": "linux", "architecture": "amd64"});
        inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [below]});
    }
    let error = refused(registry, "an index in an index").await;
    assert!(error.contains("is an index within an index"), "{error}");
    for path in ["/v2/a/manifests/latest".to_owned(), layer_path()] {
        let mut registry = served();
        registry.redirects.insert(path.clone(), path.clone());
        let error = refused(registry, &path).await;
        assert!(error.contains("stopped after 5 redirects"), "{path}: {error}");
    }
}

#[tokio::test]
async fn busy_registries_are_asked_again_but_not_for_ever() {
    let busy = |count: usize, status: &'static str, extra: &str| vec![(status, extra.to_owned()); count];
    for path in ["/v2/a/manifests/latest".to_owned(), layer_path()] {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let mut registry = served();
            registry.refusals.insert(path.clone(), busy(1000, status, ""));
            let error = refused(registry, status).await;
            assert!(error.contains(&status[..3]), "{path}: {error}");
            // Somebody who wants to be asked in an hour is not waited for.
            let mut registry = served();
            registry
                .refusals
                .insert(path.clone(), busy(1000, status, "Retry-After: 3600\r\n"));
            refused(registry, status).await;
        }
        let root = tempfile::tempdir().expect("dir");
        let mut registry = served();
        registry.refusals.insert(
            path.clone(),
            busy(2, "429 Too Many Requests", "Retry-After: 0\r\n"),
        );
        let (address, _) = registry.serve();
        pull(root.path(), &address)
            .await
            .expect("the third answer is one");
    }
}

#[tokio::test]
async fn what_is_served_as_something_else() {
    for (kind, want) in [
        ("application/vnd.oci.image.index.v1+json", "served as"),
        ("text/html", "unsupported manifest format"),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "unsupported manifest format",
        ),
    ] {
        let mut registry = served();
        registry
            .content
            .get_mut("/v2/a/manifests/latest")
            .expect("manifest")
            .0 = kind.into();
        let error = refused(registry, kind).await;
        assert!(
            error.contains(want) || error.contains("served as"),
            "{kind}: {error}"
        );
    }
    // A size that is not the layer's: less, so that it would be cut; and none at all.
    for size in [json!(17), json!(0), json!(-1), json!(1e30), json!("many")] {
        let mut registry = served();
        let text = &mut registry
            .content
            .get_mut("/v2/a/manifests/latest")
            .expect("manifest")
            .1;
        let mut manifest: serde_json::Value = serde_json::from_slice(text).expect("manifest");
        manifest["layers"][0]["size"] = size.clone();
        *text = manifest.to_string().into_bytes();
        refused(registry, &format!("a layer of size {size}")).await;
    }
}
