//! Images between nodes: stores that talk through memory, nodes that lie, break off and fall silent, and a registry that
//! notes what it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt;
use futures_util::{FutureExt, future::join_all, stream};
use shoal_node_drivers_images::{
    Ask, Brought, Digest, Error, Exchange, Images, Meeting, Offer, Piece, Pieces, RegistryConfig, Result,
    Sink, Transport,
};

use crate::registry::{DOCKER, INDEX, Layer, OCI, Registry};
use crate::{archive, directory, file, import, reference};

/// How a node misbehaves.
#[derive(Clone, Copy, PartialEq)]
pub enum Bad {
    /// Every byte of large blobs is another one.
    Lies,
    /// Breaks off after so many bytes of each answer.
    Breaks(usize),
    /// Never answers.
    Silent,
    /// Says that it pulls what others pull, and gives nothing.
    Idles,
}

#[derive(Default)]
pub struct Net {
    nodes: Mutex<BTreeMap<String, Arc<Exchange>>>,
    bad: Mutex<HashMap<String, Bad>>,
    /// Who was asked for what.
    pub asks: Mutex<Vec<(String, Ask)>>,
    /// Bytes that nodes gave, and signs of life.
    pub given: Mutex<HashMap<String, (usize, usize)>>,
}

pub struct Side {
    me: String,
    net: Arc<Net>,
    shunned: Mutex<HashSet<String>>,
}

pub struct Node {
    pub images: Images,
    exchange: Arc<Exchange>,
    side: Arc<Side>,
    _root: tempfile::TempDir,
}

impl Net {
    pub fn node(self: &Arc<Self>, name: &str) -> Node {
        let root = tempfile::tempdir().expect("dir");
        let config = RegistryConfig {
            retry_delay: Duration::from_millis(1),
            ..RegistryConfig::default()
        };
        let images = Images::open(root.path(), config).expect("open");
        let exchange = Exchange::new(images.clone());
        let mut nodes = self.nodes.lock().expect("lock");
        nodes.insert(name.to_owned(), exchange.clone());
        Node {
            images,
            exchange,
            side: Arc::new(Side {
                me: name.to_owned(),
                net: self.clone(),
                shunned: Mutex::default(),
            }),
            _root: root,
        }
    }

    pub fn spoil(&self, node: &str, bad: Bad) {
        self.bad.lock().expect("lock").insert(node.to_owned(), bad);
    }

    fn bad(&self, node: &str) -> Option<Bad> {
        self.bad.lock().expect("lock").get(node).copied()
    }

    fn exchange(&self, node: &str) -> Arc<Exchange> {
        self.nodes.lock().expect("lock")[node].clone()
    }
}

impl Node {
    pub async fn bring(&self, name: &str) -> Result<Brought> {
        self.exchange
            .bring(name, None, self.side.clone(), &Sink::none())
            .await
    }

    pub fn id(&self, name: &str) -> String {
        self.images.get(name).expect("image").id
    }

    pub fn content(&self, name: &str, path: &str) -> Vec<u8> {
        let lower = self.images.get(name).expect("image").lower;
        let found = lower
            .iter()
            .find_map(|layer| std::fs::read(layer.join(path)).ok());
        found.unwrap_or_else(|| panic!("{path} is in no layer of {name}"))
    }
}

impl Transport for Side {
    fn me(&self) -> String {
        self.me.clone()
    }

    fn others(&self) -> Vec<String> {
        let nodes = self.net.nodes.lock().expect("lock");
        let shunned = self.shunned.lock().expect("lock");
        let others = nodes
            .keys()
            .filter(|node| **node != self.me && !shunned.contains(*node));
        others.cloned().collect()
    }

    fn resolve<'a>(&'a self, node: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<Offer>>> {
        async move {
            match self.net.bad(node) {
                Some(Bad::Silent) => std::future::pending().await,
                _ => self.net.exchange(node).resolve(name).await,
            }
        }
        .boxed()
    }

    fn meet<'a>(
        &'a self,
        node: &'a str,
        manifest: &'a Digest,
        blobs: &'a [Digest],
    ) -> BoxFuture<'a, Result<Meeting>> {
        async move {
            match self.net.bad(node) {
                Some(Bad::Silent) => std::future::pending().await,
                Some(Bad::Idles) => Ok(Meeting {
                    pulling: true,
                    ..Meeting::default()
                }),
                _ => Ok(self.net.exchange(node).meet(&self.me, manifest, blobs)),
            }
        }
        .boxed()
    }

    fn read<'a>(&'a self, node: &'a str, ask: Ask) -> BoxFuture<'a, Result<Pieces>> {
        async move {
            let asked = (node.to_owned(), ask.clone());
            self.net.asks.lock().expect("lock").push(asked);
            let bad = self.net.bad(node);
            if bad == Some(Bad::Silent) {
                std::future::pending::<()>().await;
            }
            let pieces = self.net.exchange(node).read(ask);
            let pieces = stream::unfold(pieces, |mut pieces| async {
                pieces.recv().await.map(|piece| (piece, pieces))
            });
            let mut left = match bad {
                Some(Bad::Breaks(bytes)) => bytes,
                _ => usize::MAX,
            };
            let (net, giver) = (self.net.clone(), node.to_owned());
            let pieces = pieces.inspect(move |piece| {
                let mut given = net.given.lock().expect("lock");
                let given = given.entry(giver.clone()).or_default();
                match piece {
                    Ok(Piece::Data(data)) => given.0 += data.len(),
                    Ok(Piece::Moved(_)) => given.1 += 1,
                    Err(_) => {}
                }
            });
            let spoilt = pieces.map(move |piece| match piece? {
                Piece::Data(data) if bad == Some(Bad::Lies) && data.len() > 2000 => {
                    let wrong: Vec<u8> = data.iter().map(|byte| !byte).collect();
                    Ok(Piece::Data(Bytes::from(wrong)))
                }
                Piece::Data(data) => match left.checked_sub(data.len()) {
                    Some(rest) => {
                        left = rest;
                        Ok(Piece::Data(data))
                    }
                    None if left > 0 => Ok(Piece::Data(data.slice(..std::mem::take(&mut left)))),
                    None => Err(Error::Unreachable("connection reset by peer".into())),
                },
                sign => Ok(sign),
            });
            Ok(spoilt.boxed())
        }
        .boxed()
    }

    fn shun(&self, node: &str) {
        self.shunned.lock().expect("lock").insert(node.to_owned());
    }
}

pub fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let words = (0..bytes.div_ceil(4) as u32).map(|n| n.wrapping_add(seed).wrapping_mul(2_654_435_761));
    words.flat_map(u32::to_le_bytes).take(bytes).collect()
}

pub fn layers(count: u32, bytes: usize) -> Vec<Layer> {
    (0..count)
        .map(|n| {
            let (path, data) = (format!("part{n}"), noise(bytes, n * 1_000_003));
            Layer::gzip(archive(&[directory("./"), file(&path, &data)]))
        })
        .collect()
}

/// How often each blob of a repository was asked for.
pub fn blobs_asked(registry: &Arc<Mutex<Registry>>) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for line in &registry.lock().expect("lock").log {
        if let Some((_, digest)) = line.split(' ').next().and_then(|path| path.split_once("/blobs/")) {
            *asked.entry(digest.to_owned()).or_default() += 1;
        }
    }
    asked
}

/// No registry is there.
const NAME: &str = "127.0.0.1:1/team/app:1";

#[tokio::test]
async fn an_image_by_its_id_comes_from_who_has_it() {
    let net = Arc::new(Net::default());
    let (a, b, c) = (net.node("a"), net.node("b"), net.node("c"));
    let id = import(&a.images, archive(&[file("hello", b"one")]), NAME).await;
    assert_eq!(b.bring(&id).await.expect("brought"), Brought::Copied);
    assert_eq!(
        (b.id(&id), b.content(&id, "hello")),
        (id.clone(), b"one".to_vec())
    );
    // It has no name there: nobody gave it one.
    let image = b.images.get(&id).expect("image");
    assert!(image.repo_tags.is_empty() && image.repo_digests.is_empty());
    let short = &id["sha256:".len()..][..12];
    for name in [id.as_str(), short, &format!("sha256:{short}")] {
        assert_eq!(b.bring(name).await.expect("here"), Brought::WasHere, "{name}");
    }
    assert_eq!(c.bring(short).await.expect("brought"), Brought::Copied);
    let other = format!("sha256:{}", "0".repeat(64));
    for name in [other.as_str(), &other[7..]] {
        let missing = c.bring(name).await.expect_err("nobody has it");
        assert!(matches!(missing, Error::NotFound(_)), "{missing:?}");
    }
}

#[tokio::test]
async fn what_one_node_imported_is_on_the_others() {
    let net = Arc::new(Net::default());
    let (a, b, c) = (net.node("a"), net.node("b"), net.node("c"));
    let id = import(&a.images, archive(&[file("hello", b"one")]), NAME).await;
    assert_eq!(b.bring(NAME).await.expect("brought"), Brought::Copied);
    assert_eq!(b.id(NAME), id);
    assert_eq!(b.content(NAME, "hello"), b"one");
    assert_eq!(b.images.get(NAME).expect("image").repo_tags, [NAME]);
    // Twice is nothing more, and the copy is as good as the first for others.
    assert_eq!(b.bring(NAME).await.expect("brought"), Brought::WasHere);
    net.nodes.lock().expect("lock").remove("a");
    assert_eq!(c.bring(NAME).await.expect("brought"), Brought::Copied);
    assert_eq!(c.id(NAME), id);
    // What nobody has is not made up.
    let missing = c.bring("127.0.0.1:1/no/such:1").await.expect_err("nobody has it");
    assert!(!missing.to_string().is_empty());
    assert_eq!(c.images.list().len(), 1);
}

#[tokio::test]
async fn a_copy_follows_the_tag_and_a_users_own_image_does_not() {
    let net = Arc::new(Net::default());
    let (a, b, c) = (net.node("a"), net.node("b"), net.node("c"));
    let own = import(&c.images, archive(&[file("hello", b"of c")]), NAME).await;
    let first = import(&a.images, archive(&[file("hello", b"one")]), NAME).await;
    b.bring(NAME).await.expect("brought");
    assert_eq!(b.id(NAME), first, "it was named later than that of c");
    let second = import(&a.images, archive(&[file("hello", b"two")]), NAME).await;
    assert_ne!(first, second);
    assert_eq!(b.bring(NAME).await.expect("brought"), Brought::Copied);
    assert_eq!(b.id(NAME), second);
    assert_eq!(b.content(NAME, "hello"), b"two");
    assert_eq!(c.bring(NAME).await.expect("brought"), Brought::WasHere);
    assert_eq!(c.id(NAME), own);
    // A copy that is named by hand is the user's from then on.
    let third = import(&a.images, archive(&[file("hello", b"three")]), NAME).await;
    b.images.tag(&second, &reference(NAME)).await.expect("tagged");
    assert_eq!(b.bring(NAME).await.expect("brought"), Brought::WasHere);
    assert_eq!(b.id(NAME), second);
    assert_ne!(second, third);
}

#[tokio::test]
async fn a_pinned_image_comes_from_the_node_that_pulled_it() {
    let mut registry = Registry::default();
    let (id, manifest) = registry.image("a/b", "one", DOCKER, "amd64", &layers(2, 50_000));
    let (_, arm) = registry.image("a/b", "arm", OCI, "arm64", &layers(1, 1000));
    let entry = |mut descriptor: serde_json::Value, arch: &str| {
        descriptor["platform"] = serde_json::json!({"os": "linux", "architecture": arch});
        descriptor
    };
    let host = if cfg!(target_arch = "aarch64") {
        ("arm64", "amd64")
    } else {
        ("amd64", "arm64")
    };
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(arm, host.1), entry(manifest, host.0)],
    });
    let index = registry.document("a/b", "latest", INDEX, &index);
    let digest = index["digest"].as_str().expect("digest").to_owned();
    let (address, registry) = registry.serve();
    let net = Arc::new(Net::default());
    let (a, b) = (net.node("a"), net.node("b"));
    let name = format!("{address}/a/b:latest");
    a.images
        .pull(&reference(&name), None, None, &Sink::none())
        .await
        .expect("pull");
    registry.lock().expect("lock").log.clear();
    let pinned = format!("{address}/a/b:latest@{digest}");
    assert_eq!(b.bring(&pinned).await.expect("brought"), Brought::Copied);
    assert_eq!(b.id(&pinned), id.as_str());
    let digests = b.images.get(id.as_str()).expect("image").repo_digests;
    assert!(
        digests.contains(&format!("{address}/a/b@{digest}")),
        "{digests:?}"
    );
    assert_eq!(b.content(&pinned, "part1"), noise(50_000, 1_000_003));
    let log = registry.lock().expect("lock").log.clone();
    assert!(log.is_empty(), "the registry was asked: {log:?}");
}

#[tokio::test]
async fn a_liar_is_found_out_and_the_next_node_asked() {
    let net = Arc::new(Net::default());
    let (a, b, c) = (net.node("a"), net.node("b"), net.node("c"));
    let data = noise(400_000, 7);
    let id = import(&a.images, archive(&[file("data", &data)]), NAME).await;
    net.spoil("a", Bad::Lies);
    // The liar alone has it: it is refused, and nothing is left.
    b.bring(NAME).await.expect_err("nobody honest has it");
    assert!(b.images.list().is_empty() && b.images.layers_size() == 0);
    net.bad.lock().expect("lock").clear();
    c.bring(NAME).await.expect("brought");
    net.spoil("a", Bad::Lies);
    assert_eq!(b.bring(NAME).await.expect("brought"), Brought::Copied);
    assert_eq!(b.id(NAME), id);
    assert_eq!(b.content(NAME, "data"), data);
}

#[tokio::test]
async fn a_node_that_breaks_off_is_followed_by_another_from_there_on() {
    let net = Arc::new(Net::default());
    let (a, b, c) = (net.node("a"), net.node("b"), net.node("c"));
    let data = noise(3_000_000, 7);
    import(&a.images, archive(&[file("data", &data)]), NAME).await;
    c.bring(NAME).await.expect("brought");
    // Whoever is asked first breaks off.
    for node in ["a", "c"] {
        net.spoil(node, Bad::Breaks(1_000_000));
        net.asks.lock().expect("lock").clear();
        let fresh = net.node("fresh");
        assert_eq!(fresh.bring(NAME).await.expect("brought"), Brought::Copied);
        assert_eq!(fresh.content(NAME, "data"), data);
        net.bad.lock().expect("lock").clear();
        net.nodes.lock().expect("lock").remove("fresh");
    }
    let resumed = |asks: &[(String, Ask)]| asks.iter().any(|(_, ask)| ask.offset == 1_000_000);
    net.spoil("a", Bad::Breaks(1_000_000));
    net.spoil("c", Bad::Breaks(2_500_000));
    net.asks.lock().expect("lock").clear();
    // Together they have it all, whichever comes first.
    assert_eq!(b.bring(NAME).await.expect("brought"), Brought::Copied);
    assert_eq!(b.content(NAME, "data"), data);
    let asks = net.asks.lock().expect("lock").clone();
    assert!(
        resumed(&asks) || asks.iter().any(|(_, ask)| ask.offset == 2_500_000),
        "{asks:?}"
    );
}

#[tokio::test]
async fn a_silent_node_costs_a_moment() {
    let mut registry = Registry::default();
    let (id, _) = registry.image("a/b", "one", DOCKER, "amd64", &layers(1, 1000));
    let (address, _) = registry.serve();
    let net = Arc::new(Net::default());
    let (_a, b) = (net.node("a"), net.node("b"));
    net.spoil("a", Bad::Silent);
    let name = format!("{address}/a/b:one");
    let begun = Instant::now();
    assert_eq!(b.bring(&name).await.expect("brought"), Brought::Pulled);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(b.id(&name), id.as_str());
    assert!(b.side.others().is_empty(), "it is not asked again at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_blob_leaves_the_registry_once_for_four_nodes() {
    let mut registry = Registry::default();
    let (id, manifest) = registry.image("a/b", "one", DOCKER, "amd64", &layers(9, 300_000));
    let digest = manifest["digest"].as_str().expect("digest").to_owned();
    let (address, registry) = registry.serve();
    let net = Arc::new(Net::default());
    let nodes: Vec<Node> = ["a", "b", "c", "d"].iter().map(|name| net.node(name)).collect();
    let name = format!("{address}/a/b:one@{digest}");
    let brought = join_all(nodes.iter().map(|node| node.bring(&name))).await;
    for (node, brought) in nodes.iter().zip(brought) {
        brought.expect("brought");
        assert_eq!(node.id(&name), id.as_str());
        for n in 0..9 {
            assert_eq!(
                node.content(&name, &format!("part{n}")),
                noise(300_000, n * 1_000_003)
            );
        }
    }
    let asked = blobs_asked(&registry);
    let layers_asked: usize = asked
        .iter()
        .filter(|(digest, _)| digest.as_str() != id.as_str())
        .map(|(_, n)| n)
        .sum();
    assert_eq!(layers_asked, 9, "{asked:?}");
    let from_others = net.asks.lock().expect("lock").len();
    assert!(from_others >= 27, "{from_others}");
}

#[tokio::test]
async fn company_that_gives_nothing_is_left() {
    let mut registry = Registry::default();
    registry.image("a/b", "one", DOCKER, "amd64", &layers(6, 1000));
    let (address, _) = registry.serve();
    let net = Arc::new(Net::default());
    let (_a, b) = (net.node("a"), net.node("b"));
    net.spoil("a", Bad::Idles);
    let name = format!("{address}/a/b:one");
    let begun = Instant::now();
    assert_eq!(b.bring(&name).await.expect("brought"), Brought::Pulled);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(
        !net.asks.lock().expect("lock").is_empty(),
        "it was asked for some blobs"
    );
}

#[tokio::test]
async fn a_blob_that_is_read_is_kept_until_it_is_read() {
    let net = Arc::new(Net::default());
    let a = net.node("a");
    let data = noise(4_000_000, 3);
    let tar = archive(&[file("data", &data)]);
    import(&a.images, tar.clone(), NAME).await;
    let offer = a.exchange.resolve(NAME).await.expect("asked").expect("offer");
    let ask = Ask {
        digest: offer.layers[0].digest.clone(),
        offset: 0,
        manifest: None,
    };
    let mut pieces = a.exchange.read(ask.clone());
    let mut got = Vec::new();
    let Some(Ok(Piece::Data(first))) = pieces.recv().await else {
        panic!("no first piece");
    };
    got.extend_from_slice(&first);
    a.images.remove(NAME, true, false, &[]).await.expect("removed");
    while let Some(piece) = pieces.recv().await {
        if let Piece::Data(data) = piece.expect("piece") {
            got.extend_from_slice(&data);
        }
    }
    assert!(got == tar, "{} of {} bytes", got.len(), tar.len());
    // Gone with the next collection: said at once, not waited for.
    import(&a.images, archive(&[file("other", b"x")]), NAME).await;
    a.images.remove(NAME, true, false, &[]).await.expect("removed");
    let mut pieces = a.exchange.read(Ask {
        manifest: Some(offer.manifest.digest),
        ..ask
    });
    let refused = tokio::time::timeout(Duration::from_secs(2), pieces.recv()).await;
    let refused = matches!(refused, Ok(Some(Err(Error::NotFound(_)))));
    assert!(refused, "it is still there, or waited for");
}
