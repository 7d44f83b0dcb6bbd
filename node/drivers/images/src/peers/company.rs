//! A pull from a registry that other nodes make at the same time: each blob leaves the registry once.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use shoal_node_core_host::imagesource::{Bringer, bringer};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::digest::{Digest, chain_ids};
use crate::error::{Error, Result};
use crate::images::Images;
use crate::install::Incoming;
use crate::manifest::Descriptor;
use crate::peers::exchange::{Pull, Table};
use crate::peers::take::take;
use crate::peers::{Exchange, Transport};
use crate::store::{BlobWriter, Growing};

/// Another node has so long to say how it stands to the image.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The other nodes, as one pull sees them.
pub(crate) struct Company {
    exchange: Arc<Exchange>,
    transport: Arc<dyn Transport>,
    met: OnceLock<Met>,
}

/// Known once the manifest is.
struct Met {
    manifest: Digest,
    pull: Arc<Pull>,
    /// Who said to have a blob, or to be fetching it.
    held: HashMap<Digest, Vec<String>>,
    fetching: HashMap<Digest, Vec<String>>,
    /// Who does not answer, or lies: not asked for any other blob.
    lost: Mutex<HashSet<String>>,
}

/// The right to fetch a blob from the registry; others know of it.
pub(crate) struct Turn<'a> {
    _permit: Option<SemaphorePermit<'a>>,
    told: Option<(Arc<Pull>, Digest)>,
}

impl<'a> Turn<'a> {
    /// Without other nodes: as soon as few enough downloads are under way.
    pub async fn alone(images: &'a Images) -> Turn<'a> {
        Turn {
            _permit: images.downloads.acquire().await.ok(),
            told: None,
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((pull, digest)) = &self.told {
            pull.table.lock().fetching.remove(digest);
        }
    }
}

impl fmt::Debug for Company {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Company")
            .field("me", &self.transport.me())
            .finish_non_exhaustive()
    }
}

impl Company {
    pub fn new(exchange: Arc<Exchange>, transport: Arc<dyn Transport>) -> Company {
        Company {
            exchange,
            transport,
            met: OnceLock::new(),
        }
    }

    /// Tells the others what is about to be pulled and hears what they have of it. To be called before the first blob.
    pub async fn meet(&self, image: &Incoming) {
        let store = &self.exchange.images.store;
        let manifest = &image.manifest.digest;
        let chains = chain_ids(&image.config.rootfs.diff_ids);
        let wanted = image
            .layers
            .iter()
            .zip(&chains)
            .filter(|(_, chain)| !store.has_layer(chain));
        let blobs: Vec<Digest> = wanted.map(|(layer, _)| layer.digest.clone()).collect();
        let lacking: HashSet<Digest> = blobs.iter().filter(|b| !store.has_blob(b)).cloned().collect();
        if lacking.is_empty() || self.met.get().is_some() {
            return;
        }
        // Before the others are asked: whoever asks later finds this node at it.
        let pull = self.exchange.begin(manifest, lacking);
        let (others, blobs) = (self.transport.others(), &blobs);
        let answers = others.iter().map(|node| async move {
            let asked = self.transport.meet(node, manifest, blobs);
            match timeout(PATIENCE, asked).await {
                Ok(Ok(meeting)) => Some((node.clone(), meeting)),
                Ok(Err(error)) => {
                    tracing::debug!(%node, %error, "a node takes no part in a pull");
                    None
                }
                Err(_) => {
                    self.transport.shun(node);
                    None
                }
            }
        });
        let (mut held, mut fetching) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (node, meeting) in join_all(answers).await.into_iter().flatten() {
            for digest in meeting.held {
                held.entry(digest).or_default().push(node.clone());
            }
            for digest in meeting.fetching {
                fetching.entry(digest).or_default().push(node.clone());
            }
            if meeting.pulling {
                pull.table.lock().company.insert(node);
            }
        }
        let _ = self.met.set(Met {
            manifest: manifest.clone(),
            pull,
            held,
            fetching,
            lost: Mutex::default(),
        });
    }

    /// Bytes have come from the registry.
    pub fn count(&self, bytes: usize) {
        if let Some(met) = self.met.get() {
            met.pull.count(bytes);
        }
    }

    /// Gets the blob from another node; or says that it is this node's turn to get it from the registry, and gives what
    /// others have sent of it. What comes from another is shown while it comes.
    pub async fn bring<'a>(
        &self,
        images: &'a Images,
        layer: &Descriptor,
        growing: &Growing,
    ) -> Result<Option<(Turn<'a>, Option<BlobWriter>)>> {
        let Some(met) = self.met.get() else {
            return Ok(Some((Turn::alone(images).await, None)));
        };
        let mut failed: HashSet<String> = HashSet::new();
        let mut writer: Option<BlobWriter> = None;
        // How many nodes' bytes are in it.
        let mut givers = 0;
        loop {
            let whom = self.whom(met, &met.pull.table.lock(), layer, &failed);
            let Some(node) = whom else {
                let mut turn = Turn::alone(images).await;
                let mut table = met.pull.table.lock();
                // Others may have come while it waited.
                if self.whom(met, &table, layer, &failed).is_some() {
                    continue;
                }
                table.fetching.insert(layer.digest.clone());
                turn.told = Some((met.pull.clone(), layer.digest.clone()));
                return Ok(Some((turn, writer)));
            };
            // Never held while this node fetches from the registry: nobody waits in a circle.
            let _take = self.exchange.takes.acquire().await;
            let begun = match writer.take() {
                Some(writer) => writer,
                None => {
                    let shown = growing.clone();
                    let writer = images.blocking(move |store| BlobWriter::new(store)?.coming(&shown));
                    writer.await?
                }
            };
            let pull = Some((&met.manifest, met.pull.as_ref()));
            let before = begun.size();
            let (back, outcome) = take(images, self.transport.as_ref(), &node, layer, pull, begun).await?;
            let gave = back.size() > before;
            givers += usize::from(gave);
            let outcome = match outcome {
                Ok(()) => {
                    let promised = layer.clone();
                    images
                        .blocking(move |store| back.store(store, Some(&promised)).map(drop))
                        .await
                }
                Err(error) => {
                    writer = Some(back);
                    Err(error)
                }
            };
            match outcome {
                Ok(()) => return Ok(None),
                Err(error @ Error::Storage { .. }) => return Err(error),
                Err(Error::Corrupt(_)) if writer.is_none() && !(gave && givers == 1) => {
                    tracing::debug!(%node, "a blob that several nodes gave is not right: once more from the last one");
                    givers = 0;
                }
                Err(error) => {
                    if matches!(error, Error::Corrupt(_)) {
                        (writer, givers) = (None, 0);
                    }
                    tracing::debug!(%node, %error, "a node does not give a blob");
                    if !matches!(error, Error::NotFound(_)) {
                        met.lost.lock().insert(node.clone());
                    }
                    failed.insert(node);
                }
            }
        }
    }

    /// The node to take it from; nobody if this one is to fetch it.
    fn whom(&self, met: &Met, table: &Table, layer: &Descriptor, failed: &HashSet<String>) -> Option<String> {
        let lost = met.lost.lock();
        let left = |node: &&String| !failed.contains(*node) && !lost.contains(*node);
        let named = |said: &HashMap<Digest, Vec<String>>| -> Vec<String> {
            let nodes = said.get(&layer.digest).into_iter().flatten();
            nodes.filter(left).cloned().collect()
        };
        let (held, fetching) = (named(&met.held), named(&met.fetching));
        fn texts(nodes: &[String]) -> Vec<&str> {
            nodes.iter().map(String::as_str).collect()
        }
        let company = table.company.iter().filter(left);
        let me = self.transport.me();
        match bringer(
            layer.digest.as_str(),
            &me,
            &texts(&held),
            &texts(&fetching),
            &company.map(String::as_str).collect::<Vec<_>>(),
        ) {
            Bringer::Node(node) => Some(node.to_owned()),
            Bringer::Me => None,
        }
    }
}
