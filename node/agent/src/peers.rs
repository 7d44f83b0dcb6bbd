//! The other nodes of the cluster that serve their images, and calls to them.

use parking_lot::Mutex;
use shoal_api_wire::channel;
use shoal_api_wire::images::images_client::ImagesClient;
use shoal_node_drivers_certs::Credentials;
use shoal_raft_objects::NodeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

/// One that did not answer is not asked again for so long.
const SHUN: Duration = Duration::from_secs(10);

/// A cheap handle; all clones see the same nodes.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    credentials: Credentials,
    /// By the managers' last word, this node among them.
    known: Mutex<BTreeMap<NodeId, String>>,
    channels: Mutex<Channels>,
    shunned: Mutex<HashMap<NodeId, Instant>>,
}

/// Made with the certificate of this serial.
#[derive(Default)]
struct Channels {
    serial: String,
    open: HashMap<NodeId, (String, Channel)>,
}

impl Peers {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self {
            inner: Arc::new(Inner {
                credentials,
                known: Mutex::default(),
                channels: Mutex::default(),
                shunned: Mutex::default(),
            }),
        }
    }

    pub(crate) fn set(&self, known: BTreeMap<NodeId, String>) {
        let gone = |node: &NodeId| !known.contains_key(node);
        self.inner.channels.lock().open.retain(|node, _| !gone(node));
        self.inner.shunned.lock().retain(|node, _| !gone(node));
        *self.inner.known.lock() = known;
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.inner.credentials.identity().node
    }

    pub fn knows(&self, node: &NodeId) -> bool {
        self.inner.known.lock().contains_key(node)
    }

    /// The others that can be asked now, in order.
    pub fn others(&self) -> Vec<NodeId> {
        let me = self.me();
        let now = Instant::now();
        let mut shunned = self.inner.shunned.lock();
        shunned.retain(|_, until| *until > now);
        let known = self.inner.known.lock();
        let others = known
            .keys()
            .filter(|node| **node != me && !shunned.contains_key(*node));
        others.cloned().collect()
    }

    /// Calls to `node`, and to nobody else at its address.
    pub fn images(&self, node: &NodeId) -> Result<ImagesClient<Channel>, Status> {
        self.channel(node).map(ImagesClient::new)
    }

    /// What those calls go over.
    pub fn channel(&self, node: &NodeId) -> Result<Channel, Status> {
        let gone = || Status::unavailable(format!("node {node} serves no images"));
        let addr = self.inner.known.lock().get(node).cloned().ok_or_else(gone)?;
        let serial = self.inner.credentials.identity().serial;
        let mut channels = self.inner.channels.lock();
        if channels.serial != serial {
            *channels = Channels {
                serial,
                open: HashMap::new(),
            };
        }
        if let Some((at, channel)) = channels.open.get(node)
            && *at == addr
        {
            return Ok(channel.clone());
        }
        let (credentials, meant) = (self.inner.credentials.clone(), node.clone());
        let channel = channel::lazy(&addr, move |addr| {
            let (credentials, meant) = (credentials.clone(), meant.clone());
            async move { credentials.connect_to(&addr, &meant).await }
        })
        .map_err(|e| Status::unavailable(format!("node {node} at {addr}: {e}")))?;
        channels.open.insert(node.clone(), (addr, channel.clone()));
        Ok(channel)
    }

    /// It did not answer: it is left out for a while, and reached anew then.
    pub fn shun(&self, node: &NodeId) {
        self.inner.channels.lock().open.remove(node);
        let until = Instant::now() + SHUN;
        self.inner.shunned.lock().insert(node.clone(), until);
    }
}
