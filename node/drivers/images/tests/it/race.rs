//! Pullers, removers, a committer and a pruner at once: nothing that is listed lacks anything, and nothing stays of what
//! is not. `SHOAL_RACE` says for how many seconds.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use shoal_node_drivers_images::{Child, Error, Image, Images, Platform, Sink};

use crate::registry::{INDEX, Layer, OCI, Registry};
use crate::{archive, file, open, reference};

/// Every file of every layer holds its own name.
fn layer(names: &[&str]) -> Layer {
    let files: Vec<_> = names.iter().map(|name| file(name, name.as_bytes())).collect();
    Layer::gzip(archive(&files))
}

/// Images that share layers, and one for two platforms. Returns the registry's address.
fn registry() -> String {
    let mut registry = Registry::default();
    let base = || layer(&["base"]);
    registry.image(
        "a",
        "latest",
        OCI,
        "amd64",
        &[base(), layer(&["one"]), layer(&["two"])],
    );
    registry.image("b", "latest", OCI, "amd64", &[base(), layer(&["one"])]);
    registry.image("c", "latest", OCI, "amd64", &[base(), layer(&["three", "four"])]);
    let mut listed = Vec::new();
    for arch in ["amd64", "arm64"] {
        let (_, mut manifest) = registry.image("d", arch, OCI, arch, &[base(), layer(&[arch])]);
        manifest["platform"] = json!({"os": "linux", "architecture": arch});
        listed.push(manifest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
    registry.document("d", "latest", INDEX, &index);
    registry.serve().0
}

/// What a container would see: each layer with all its files.
fn check(image: &Image, lower: &[std::path::PathBuf]) {
    assert_eq!(lower.len(), image.layers.len().max(1), "{}", image.id);
    for layer in lower {
        let files: Vec<_> = fs::read_dir(layer).expect("a layer of a listed image").collect();
        assert!(!files.is_empty(), "a layer of {} is empty", image.id);
        for file in files {
            let path = file.expect("file").path();
            let name = path.file_name().expect("name").to_string_lossy().into_owned();
            assert_eq!(
                fs::read(&path).expect("file"),
                name.as_bytes(),
                "{} of {}",
                path.display(),
                image.id
            );
        }
    }
}

/// Whoever is told that it is gone was late; anything else is a defect.
fn late<T>(done: Result<T, Error>, what: &str) -> Option<T> {
    match done {
        Ok(done) => Some(done),
        Err(Error::NotFound(_) | Error::Conflict(_)) => None,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Runs every listed image, as far as it is still there.
async fn run_all(images: &Images, key: &str) {
    for image in images.list() {
        if let Some(rootfs) = late(images.prepare(key, &image).await, "prepare") {
            check(&image, &rootfs.lower);
            images.discard(key).await.expect("discard");
        }
    }
}

async fn save_all(images: &Images) {
    for image in images.list() {
        let mut tar = crate::reading(images.save(std::slice::from_ref(&image.id), &[]).expect("save"));
        let saved = tokio::io::copy(&mut tar, &mut tokio::io::sink()).await;
        saved.expect("every blob of a listed image is there");
    }
}

fn count(root: &Path, place: &str) -> usize {
    fs::read_dir(root.join(place)).expect("directory").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_at_once() {
    let seconds = std::env::var("SHOAL_RACE")
        .ok()
        .and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(4));
    let root = tempfile::tempdir().expect("dir");
    let images = open(root.path());
    let address = registry();
    let turns = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for n in 0..4 {
        let (images, address, turns) = (images.clone(), address.clone(), turns.clone());
        tasks.push(tokio::spawn(async move {
            let mut round: usize = n;
            while Instant::now() < end {
                let name = reference(&format!("{address}/{}", ["a", "b", "c", "d"][round % 4]));
                let arch = ["amd64", "arm64"][round / 4 % 2];
                let platform = (round % 4 == 3).then(|| Platform::parse(arch).expect("platform"));
                let pulled = images.pull(&name, platform, None, &Sink::none()).await;
                pulled.unwrap_or_else(|e| panic!("pull {name}: {e}"));
                turns.fetch_add(1, Ordering::Relaxed);
                round += 1;
            }
        }));
    }
    for n in 0..4 {
        let (images, address) = (images.clone(), address.clone());
        tasks.push(tokio::spawn(async move {
            let mut round: usize = n;
            while Instant::now() < end {
                let name = format!("{address}/{}", ["a", "b", "c", "d"][round % 4]);
                let name = match round % 3 {
                    0 => images.get(&name).map_or(name, |image| image.id),
                    _ => name,
                };
                late(images.remove(&name, true, false, &[]).await, "remove");
                round += 1;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }));
    }
    let committer = images.clone();
    tasks.push(tokio::spawn(async move {
        let mut round = 0;
        while Instant::now() < end {
            for parent in committer.list() {
                round += 1;
                let child = Child {
                    name: Some(reference(&format!("mine:{}", round % 5))),
                    ..Child::default()
                };
                let name = format!("commit-{round}");
                let made = committer.commit(&parent, child, move |out| {
                    let tar = archive(&[file(&name, name.as_bytes())]);
                    out.write_all(&tar).map_err(|e| Error::Corrupt(e.to_string()))?;
                    Ok(true)
                });
                late(made.await, "commit");
            }
            tokio::task::yield_now().await;
        }
    }));
    let pruner = images.clone();
    tasks.push(tokio::spawn(async move {
        while Instant::now() < end {
            for image in pruner.list() {
                late(pruner.remove_dangling(&image.id, &[]).await, "prune");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }));
    let runner = images.clone();
    tasks.push(tokio::spawn(async move {
        while Instant::now() < end {
            run_all(&runner, "runner").await;
            tokio::task::yield_now().await;
        }
    }));
    for task in tasks {
        task.await.expect("task");
    }
    eprintln!("{} pulls", turns.load(Ordering::Relaxed));
    assert!(turns.load(Ordering::Relaxed) > 20);
    run_all(&images, "after").await;
    save_all(&images).await;
    drop(images);
    let images = open(root.path());
    run_all(&images, "again").await;
    save_all(&images).await;
    for image in images.list() {
        late(images.remove(&image.id, true, false, &[]).await, "remove");
    }
    assert!(images.list().is_empty());
    for (place, left) in [
        ("images/blobs/sha256", 0),
        ("images/records", 0),
        ("images/tmp", 0),
        ("layers", 1),
    ] {
        assert_eq!(count(root.path(), place), left, "{place}");
    }
}
