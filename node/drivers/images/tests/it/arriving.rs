//! Blobs that nodes pass on while they come from the registry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shoal_node_drivers_images::{Brought, Error, Result};
use tokio::task::JoinHandle;

use crate::peers::{Bad, Net, Node, blobs_asked, noise};
use crate::registry::{DOCKER, Layer, Registry};
use crate::{archive, directory, file};

/// What comes before the gate.
const FIRST: usize = 1_500_000;
const DATA: usize = 3_000_000;

/// An image of one layer in a registry that gives the beginning of it and then waits.
struct Held {
    name: String,
    id: String,
    blob: String,
    registry: Arc<Mutex<Registry>>,
    gate: Arc<AtomicBool>,
    net: Arc<Net>,
}

impl Held {
    fn new(bytes: usize, spoil: impl FnOnce(&mut Registry, &str)) -> Held {
        let mut registry = Registry::default();
        let data = noise(bytes, 5);
        let layer = Layer::gzip(archive(&[directory("./"), file("data", &data)]));
        let blob = shoal_node_drivers_images::Digest::of(&layer.packed).to_string();
        let (id, manifest) = registry.image("a/b", "one", DOCKER, "amd64", &[layer]);
        let gate = Arc::new(AtomicBool::new(false));
        let path = format!("/v2/a/b/blobs/{blob}");
        registry.gates.insert(path.clone(), (FIRST, gate.clone()));
        spoil(&mut registry, &path);
        let (address, registry) = registry.serve();
        let digest = manifest["digest"].as_str().expect("digest");
        Held {
            name: format!("{address}/a/b:one@{digest}"),
            id: id.to_string(),
            blob,
            registry,
            gate,
            net: Arc::default(),
        }
    }

    fn bring(&self, node: &Arc<Node>) -> JoinHandle<Result<Brought>> {
        let (node, name) = (node.clone(), self.name.clone());
        tokio::spawn(async move { node.bring(&name).await })
    }

    /// Two nodes that begin at the same time: the one that fetches the blob, and the one that takes it from there.
    async fn two(&self) -> Two {
        let nodes = ["a", "b"].map(|name| Arc::new(self.net.node(name)));
        let works = nodes.each_ref().map(|node| self.bring(node));
        let given = self.given(1, FIRST / 2).await;
        let source = usize::from(given == "b");
        let ([a, b], [of_a, of_b]) = (nodes, works);
        match source {
            0 => Two((a, of_a), (b, of_b)),
            _ => Two((b, of_b), (a, of_a)),
        }
    }

    /// Waits until a node has given so many bytes to each of so many others; says which one.
    async fn given(&self, others: usize, bytes: usize) -> String {
        for _ in 0..1000 {
            let given = self.net.given.lock().expect("lock").clone();
            if let Some((node, _)) = given.iter().find(|(_, given)| given.0 >= others * bytes) {
                return node.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody gave {bytes} bytes: {:?}", self.net.given);
    }

    fn open(&self) {
        self.gate.store(true, Ordering::Relaxed);
    }

    fn check(&self, node: &Node, bytes: usize) {
        assert_eq!(node.id(&self.name), self.id);
        assert!(node.content(&self.name, "data") == noise(bytes, 5));
    }

    fn asked(&self) -> usize {
        let asked: BTreeMap<String, usize> = blobs_asked(&self.registry);
        asked.get(&self.blob).copied().unwrap_or_default()
    }

    /// The beginnings of the ranges of the blob that were asked for.
    fn ranges(&self) -> Vec<usize> {
        let log = self.registry.lock().expect("lock").log.clone();
        let of_blob = log.iter().filter(|line| line.contains(&self.blob));
        let ranges = of_blob.filter_map(|line| line.split_once("bytes=")?.1.strip_suffix('-')?.parse().ok());
        ranges.collect()
    }
}

type Working = (Arc<Node>, JoinHandle<Result<Brought>>);

struct Two(Working, Working);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_is_passed_on_while_it_comes_and_to_who_joins_in_the_middle() {
    let held = Held::new(DATA, |_, _| {});
    let Two((source, of_source), (taker, of_taker)) = held.two().await;
    let late = Arc::new(held.net.node("late"));
    let of_late = held.bring(&late);
    held.given(2, FIRST / 2).await;
    // Half of it is where nobody has all of it, and nobody says to have the image.
    assert!(source.images.list().is_empty() && taker.images.list().is_empty());
    // While nothing comes, those who wait hear that it goes on.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let signs: usize = held
        .net
        .given
        .lock()
        .expect("lock")
        .values()
        .map(|given| given.1)
        .sum();
    assert!(signs > 0, "no sign of life");
    held.open();
    for (node, work) in [(source, of_source), (taker, of_taker), (late, of_late)] {
        assert_eq!(work.await.expect("task").expect("brought"), Brought::Pulled);
        held.check(&node, DATA);
    }
    assert_eq!(held.asked(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_took_from_a_node_that_is_gone_goes_on_at_the_registry() {
    let held = Held::new(DATA, |_, _| {});
    let Two((source, of_source), (taker, of_taker)) = held.two().await;
    of_source.abort();
    held.open();
    assert_eq!(of_taker.await.expect("task").expect("brought"), Brought::Pulled);
    held.check(&taker, DATA);
    assert!(source.images.list().is_empty());
    let ranges = held.ranges();
    assert!(
        ranges.iter().any(|from| (FIRST / 2..=FIRST).contains(from)),
        "{ranges:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_beginning_from_a_node_that_is_gone_is_fetched_anew() {
    let held = Held::new(DATA, |_, _| {});
    for node in ["a", "b"] {
        held.net.spoil(node, Bad::Lies);
    }
    let Two((_, of_source), (taker, of_taker)) = held.two().await;
    of_source.abort();
    held.open();
    assert_eq!(of_taker.await.expect("task").expect("brought"), Brought::Pulled);
    held.check(&taker, DATA);
    assert_eq!(
        held.asked(),
        3,
        "by the source, from the middle, and from the beginning"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_passes_on_what_turns_out_to_be_wrong_is_left() {
    let held = Held::new(DATA, |registry, path| {
        registry.wrong.insert(path.to_owned(), 1);
    });
    let Two((source, of_source), (taker, of_taker)) = held.two().await;
    held.open();
    let refused = of_source
        .await
        .expect("task")
        .expect_err("it is not what was promised");
    assert!(matches!(refused, Error::Corrupt(_)), "{refused:?}");
    assert!(source.images.list().is_empty() && source.images.layers_size() == 0);
    assert_eq!(of_taker.await.expect("task").expect("brought"), Brought::Pulled);
    held.check(&taker, DATA);
    // Once more where the source ended before the last wrong byte had gone over.
    assert!((2..=3).contains(&held.asked()), "{}", held.asked());
}

/// Large enough to go past the page cache, in blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_blob_reaches_three_nodes_at_once() {
    const LARGE: usize = 34_000_000;
    let held = Held::new(LARGE, |_, _| {});
    let nodes = ["a", "b", "c"].map(|name| Arc::new(held.net.node(name)));
    let works = nodes.each_ref().map(|node| held.bring(node));
    held.given(2, FIRST / 2).await;
    held.open();
    for (node, work) in nodes.iter().zip(works) {
        assert_eq!(work.await.expect("task").expect("brought"), Brought::Pulled);
        held.check(node, LARGE);
    }
    assert_eq!(held.asked(), 1);
    // It can be had from its place as well: a fourth one copies it.
    let fourth = Arc::new(held.net.node("d"));
    held.bring(&fourth).await.expect("task").expect("brought");
    held.check(&fourth, LARGE);
    assert_eq!(held.asked(), 1);
}
