//! The power cut at some moment of a pull, a load or a commit, or soon after: what is listed is whole bit for bit, what
//! was acknowledged is there, and the same again heals. `SHOAL_CUTS` says how often; `SHOAL_CUTS_AFTER_MS` how long after
//! the acknowledgement at most; `SHOAL_CUTS_LARGE` how often where blob and files go past the page cache.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use shoal_node_drivers_images::{Child, Digest, Error, Images, Result, Sink};
use tokio::io::AsyncReadExt;

use crate::crashes::Disk;
use crate::registry::{Layer, OCI, Registry};
use crate::{archive, directory, file, import, open, reference};

fn number(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok().and_then(|text| text.parse().ok());
    set.unwrap_or(otherwise)
}

/// Bytes that do not pack, and that say in each place which they are.
fn noise(seed: u32, count: u32) -> Vec<u8> {
    let word = |n: u32| (n ^ seed).wrapping_mul(2_654_435_761).rotate_left(n % 31);
    (0..count / 4).flat_map(|n| word(n).to_le_bytes()).collect()
}

fn layers() -> Vec<Layer> {
    let some = |seed: u32| {
        let names: Vec<String> = (0..40).map(|n| format!("dir/{seed}-{n}")).collect();
        let data: Vec<Vec<u8>> = (0..40).map(|n| noise(seed * 100 + n, 20_000 + n * 100)).collect();
        let mut entries = vec![directory("dir/")];
        entries.extend(names.iter().zip(&data).map(|(name, data)| file(name, data)));
        Layer::gzip(archive(&entries))
    };
    vec![some(1), some(2), some(3)]
}

/// One whose blob goes past the page cache, and so do files of it after so much that they all fit in.
fn large() -> Vec<Layer> {
    let text = vec![b'.'; 128 << 20];
    let data: Vec<Vec<u8>> = (0..34).map(|n| noise(n, 1_000_000 + n)).collect();
    let names: Vec<String> = (0..34).map(|n| format!("dir/{n}")).collect();
    let mut entries = vec![directory("dir/"), file("dir/text", &text)];
    entries.extend(names.iter().zip(&data).map(|(name, data)| file(name, data)));
    let layer = Layer::gzip(archive(&entries));
    assert!(layer.packed.len() > 32 << 20, "{} bytes", layer.packed.len());
    vec![layer]
}

/// What a tree holds: every file's digest by its path.
fn tree(root: &Path) -> BTreeMap<String, Digest> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("directory of a listed image") {
            let path = entry.expect("entry").path();
            match path.is_dir() {
                true => left.push(path),
                false => {
                    let name = path.strip_prefix(root).expect("below").display().to_string();
                    found.insert(name, Digest::of(&fs::read(&path).expect("file")));
                }
            }
        }
    }
    found
}

/// Every listed image with its layers' content.
fn content(images: &Images) -> BTreeMap<String, Vec<BTreeMap<String, Digest>>> {
    let list = images.list().into_iter();
    list.map(|image| (image.id, image.lower.iter().map(|layer| tree(layer)).collect()))
        .collect()
}

async fn save_all(images: &Images) {
    for image in images.list() {
        let mut tar = crate::reading(images.save(std::slice::from_ref(&image.id), &[]).expect("save"));
        let saved = tokio::io::copy(&mut tar, &mut tokio::io::sink()).await;
        saved.expect("every blob of a listed image is there");
    }
}

struct Source {
    pulled: String,
    archive: Vec<u8>,
}

impl Source {
    async fn run(&self, images: &Images, verb: &str) -> Result<()> {
        match verb {
            "pull" => {
                images
                    .pull(&reference(&self.pulled), None, None, &Sink::none())
                    .await
            }
            "load" => {
                let tar = Cursor::new(self.archive.clone());
                images
                    .load(
                        crate::coming(tar),
                        Default::default(),
                        true,
                        Vec::new(),
                        &Sink::none(),
                    )
                    .await
                    .map(drop)
            }
            _ => {
                let child = Child {
                    name: Some(reference("committed:1")),
                    ..Child::default()
                };
                let parent = images.get("kept")?;
                let write = |out: &mut dyn std::io::Write| {
                    let tar = archive(&[file("new", &noise(9, 500_000))]);
                    out.write_all(&tar).map_err(|e| Error::Corrupt(e.to_string()))?;
                    Ok(true)
                };
                images.commit(&parent, child, write).await.map(drop)
            }
        }
    }

    fn name(&self, verb: &str) -> &str {
        match verb {
            "pull" => &self.pulled,
            "load" => "loaded:1",
            _ => "committed:1",
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_any_moment() {
    cut(number("SHOAL_CUTS", 6), &layers(), 64 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_any_moment_of_a_large_image() {
    cut(number("SHOAL_CUTS_LARGE", 3), &large(), 2 << 30).await;
}

async fn cut(cuts: u64, layers: &[Layer], disk: u64) {
    let after_ms = number("SHOAL_CUTS_AFTER_MS", 200);
    let mut registry = Registry::default();
    registry.image("a", "latest", OCI, "amd64", layers);
    let pulled = format!("{}/a:latest", registry.serve().0);
    // What it must be, and how long it takes.
    let whole = tempfile::tempdir().expect("dir");
    let images = open(whole.path());
    let mut source = Source {
        pulled,
        archive: Vec::new(),
    };
    source.run(&images, "pull").await.expect("pull");
    images
        .tag(&source.pulled, &reference("loaded:1"))
        .await
        .expect("tag");
    let mut tar = crate::reading(images.save(&["loaded:1".to_owned()], &[]).expect("save"));
    tar.read_to_end(&mut source.archive).await.expect("read");
    let mut right = content(&images);

    let folder = tempfile::tempdir().expect("dir");
    let disk = Disk::of(folder.path(), disk);
    let root = disk.mount.join("root");
    let images = open(&root);
    import(&images, archive(&[file("kept", b"whole")]), "kept").await;
    let mut took = BTreeMap::new();
    for verb in ["pull", "load", "commit"] {
        let began = Instant::now();
        source.run(&images, verb).await.expect(verb);
        took.insert(verb, began.elapsed());
        images
            .remove(source.name(verb), true, false, &[])
            .await
            .expect("remove");
    }
    right.extend(content(&images));
    drop(images);
    let seed = number("SHOAL_CUTS_SEED", 7);
    let mut random = dice(seed);
    let mut acknowledged = 0;
    for cut in 0..cuts {
        let verb = ["pull", "load", "commit"][cut as usize % 3];
        // Half of them while it works, half of them afterwards.
        let within = took[verb].as_micros() as u64;
        let (delay, late) = match cut % 2 {
            0 => (
                Duration::from_micros(random.random_range(0..within.max(1))),
                false,
            ),
            _ => (
                Duration::from_millis(random.random_range(0..after_ms.max(1))),
                true,
            ),
        };
        let images = open(&root);
        let working = source.run(&images, verb);
        let done = if late {
            let done = working.await;
            tokio::time::sleep(delay).await;
            Disk::cut(&disk.mount);
            done
        } else {
            let cutting = async {
                tokio::time::sleep(delay).await;
                let mount = disk.mount.clone();
                tokio::task::spawn_blocking(move || Disk::cut(&mount))
                    .await
                    .expect("cut");
            };
            tokio::join!(working, cutting).0
        };
        drop(images);
        disk.power_on();
        let images = open(&root);
        let what = format!(
            "cut {cut} of {verb}, {delay:?} {}",
            if late { "after" } else { "within" }
        );
        for (id, found) in content(&images) {
            match right.get(&id) {
                Some(right) => assert_eq!(&found, right, "{what}: image {id}"),
                // A commit has an id of its own each time; its layers are the same.
                None => assert_eq!(
                    found[0]["new"],
                    Digest::of(&noise(9, 500_000)),
                    "{what}: image {id}"
                ),
            }
        }
        assert!(images.get("kept").is_ok(), "{what}");
        save_all(&images).await;
        if done.is_ok() {
            acknowledged += 1;
            assert!(
                images.get(source.name(verb)).is_ok(),
                "{what}: it was acknowledged and is gone"
            );
        }
        let again = source.run(&images, verb).await;
        again.unwrap_or_else(|e| panic!("{what}: the same again fails: {e}"));
        save_all(&images).await;
        for image in images
            .list()
            .iter()
            .filter(|image| !image.repo_tags.contains(&"kept:latest".to_owned()))
        {
            images.remove(&image.id, true, false, &[]).await.expect("remove");
        }
    }
    eprintln!("{cuts} cuts with seed {seed}, {acknowledged} of them after an acknowledgement");
    assert!(acknowledged >= cuts / 2);
}

fn dice(seed: u64) -> impl RngExt {
    rand::rngs::StdRng::seed_from_u64(seed)
}
