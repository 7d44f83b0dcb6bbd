//! Users' own containers on the cluster's networks: asked for of the managers by way of the agent, and compared with what the
//! engine's containers hold, so that no place outlives its container and no container its place.

use crate::executor::ground;
use async_trait::async_trait;
use parking_lot::Mutex;
use shoal_api_backend::{Class, Containers, Error, Networks, Result};
use shoal_api_types::network::{EndpointIpamConfig, NetworkConnectRequest, NetworkDisconnectRequest};
use shoal_node_agent::{Attachments as Managers, CallError};
use shoal_node_engine::{Attached, Cluster, ClusterNetworks, Engine, Found, OverlayNetworks, Placed, Wish};
use shoal_raft_objects::track::EndpointTrack;
use shoal_raft_objects::{Attached as Asked, Attachment};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// A container that a starting daemon starts waits so long for the daemon's place in its cluster.
const START: Duration = Duration::from_secs(20);
/// The managers' word of a new place is here within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// A place that was given and is not held after this long belongs to a start that came to nothing.
const PENDING: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A leaving node does not wait longer for managers to take its places back.
const FAREWELL: Duration = Duration::from_secs(2);

/// The network's and the container's id.
type Key = (String, String);

/// Cheap to clone.
#[derive(Clone)]
pub struct Attachments {
    inner: Arc<Inner>,
}

struct Inner {
    born: Instant,
    /// This node has, or had when its daemon ended, a place in a cluster: its managers will be known.
    member: AtomicBool,
    managers: watch::Sender<Option<Managers>>,
    engine: OnceLock<Parts>,
    /// What managers say that this node's containers have, as far as this host has laid it.
    laid: watch::Sender<Option<Arc<BTreeMap<Key, EndpointTrack>>>>,
    /// Given, and perhaps not held yet.
    pending: Mutex<HashMap<Key, Instant>>,
    /// Held while a place is given up, so that nobody is given the same one meanwhile.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

struct Parts {
    overlays: OverlayNetworks,
    networks: Arc<dyn Networks>,
    containers: Arc<dyn Containers>,
}

impl Attachments {
    /// `member`: this node was in a cluster when its daemon ended.
    pub fn new(member: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                born: Instant::now(),
                member: AtomicBool::new(member),
                managers: watch::Sender::new(None),
                engine: OnceLock::new(),
                laid: watch::Sender::new(None),
                pending: Mutex::default(),
                turn: tokio::sync::Mutex::default(),
                changed: Notify::new(),
            }),
        }
    }

    pub fn as_cluster(&self) -> Cluster {
        Cluster(Arc::new(self.clone()))
    }

    /// From now on what the engine's containers hold is compared.
    pub fn serve(&self, engine: &Engine) {
        let parts = Parts {
            overlays: engine.overlays.clone(),
            networks: Arc::new(engine.networks.clone()),
            containers: Arc::new(engine.containers.clone()),
        };
        if self.inner.engine.set(parts).is_ok() {
            tokio::spawn(self.clone().tend());
        }
    }

    /// This node is in a cluster.
    pub fn joined(&self, managers: Managers) {
        self.inner.member.store(true, Ordering::Relaxed);
        self.inner.managers.send_replace(Some(managers));
    }

    /// The host has these places of plain containers.
    pub fn laid(&self, own: Vec<EndpointTrack>) {
        let places: BTreeMap<Key, EndpointTrack> = own
            .into_iter()
            .filter_map(|e| Some(((e.places.first()?.network.to_string(), e.container.clone()), e)))
            .collect();
        self.inner.laid.send_replace(Some(Arc::new(places)));
        self.inner.changed.notify_one();
    }

    /// This node leaves its cluster: its containers leave the networks that they had there.
    pub async fn leave(&self) {
        self.inner.member.store(false, Ordering::Relaxed);
        let managers = self.inner.managers.send_replace(None);
        self.inner.laid.send_replace(None);
        let Some(parts) = self.inner.engine.get() else {
            return;
        };
        for held in parts.overlays.attached() {
            self.part(parts, &held).await;
            if let Some(managers) = &managers {
                let gone = managers.detach(&held.network, &held.wish.container);
                let _ = tokio::time::timeout(FAREWELL, gone).await;
            }
        }
    }

    /// The managers of this node's cluster; a daemon that has just started may not know them yet.
    async fn managers(&self) -> Option<Managers> {
        let mut managers = self.inner.managers.subscribe();
        let left = match self.inner.member.load(Ordering::Relaxed) {
            true => START.saturating_sub(self.inner.born.elapsed()),
            false => Duration::ZERO,
        };
        let known = managers.wait_for(Option::is_some);
        tokio::time::timeout(left, known).await.ok()?.ok()?.clone()
    }

    async fn tend(self) {
        loop {
            let _ = tokio::time::timeout(LOOK_EVERY, self.inner.changed.notified()).await;
            let managers = self.inner.managers.borrow().clone();
            let laid = self.inner.laid.borrow().clone();
            if let (Some(managers), Some(laid), Some(parts)) = (managers, laid, self.inner.engine.get()) {
                self.give_up(&managers, &laid, parts).await;
                self.keep(&managers, &laid, parts).await;
            }
        }
    }

    /// Places that no container holds.
    async fn give_up(&self, managers: &Managers, laid: &BTreeMap<Key, EndpointTrack>, parts: &Parts) {
        let all = self.held(parts);
        // Held by none of many is hardly one: for that one it is looked again, when nobody is given a place.
        for key in laid.keys().filter(|key| !all.contains(*key)) {
            let _turn = self.inner.turn.lock().await;
            let held = self.held(parts);
            let pending = self.inner.pending.lock().contains_key(key);
            if held.contains(key) || pending {
                continue;
            }
            if let Err(error) = managers.detach(&key.0, &key.1).await {
                tracing::debug!(network = key.0, container = key.1, %error, "a place waits to be given up");
            }
        }
    }

    /// What containers hold, which is pending no more.
    fn held(&self, parts: &Parts) -> HashSet<Key> {
        let held = parts.overlays.attached().into_iter();
        let held: HashSet<Key> = held.map(|held| (held.network, held.wish.container)).collect();
        let mut pending = self.inner.pending.lock();
        pending.retain(|key, since| since.elapsed() < PENDING && !held.contains(key));
        held
    }

    /// Containers that managers do not know, or know otherwise: this node was given up while it was away, or a container has
    /// another name.
    async fn keep(&self, managers: &Managers, laid: &BTreeMap<Key, EndpointTrack>, parts: &Parts) {
        for held in parts.overlays.attached() {
            let key = (held.network.clone(), held.wish.container.clone());
            if laid.get(&key).is_some_and(|track| is_same(track, &held)) {
                continue;
            }
            match managers.attach(&asked(&held.wish)).await {
                Ok(place) if is_place(&place, &held) => {}
                Err(CallError::Unreachable(why)) => {
                    tracing::debug!(container = key.1, why, "a container's place is asked for later");
                }
                other => {
                    let why = other.err().map(|e| e.to_string()).unwrap_or_default();
                    tracing::warn!(
                        container = key.1,
                        network = key.0,
                        why,
                        "a container lost its place"
                    );
                    self.replug(parts, &held).await;
                }
            }
        }
    }

    /// Takes the container off the network and, where that can be, puts it on again with a place of now.
    async fn replug(&self, parts: &Parts, held: &Attached) {
        let shown = parts.containers.inspect(&held.wish.container, false).await;
        let asked = shown.ok().and_then(|container| {
            let networks = container.network_settings.networks;
            let mut on = networks.iter().map(|(_, settings)| settings);
            on.find(|n| n.network_id == held.network).cloned()
        });
        if !self.part(parts, held).await {
            return;
        }
        let mut asked = asked.unwrap_or_default();
        asked.mac_address.clear();
        asked.ipam_config = asked
            .ipam_config
            .filter(|config| *config != EndpointIpamConfig::default());
        let request = NetworkConnectRequest {
            container: held.wish.container.clone(),
            endpoint_config: Some(asked),
        };
        if let Err(error) = parts.networks.connect(&held.network, request).await {
            tracing::warn!(container = held.wish.container, %error, "a container is off its network");
        }
    }

    async fn part(&self, parts: &Parts, held: &Attached) -> bool {
        let request = NetworkDisconnectRequest {
            container: held.wish.container.clone(),
            force: true,
        };
        match parts.networks.disconnect(&held.network, request).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(container = held.wish.container, %error, "a container cannot leave its network");
                false
            }
        }
    }

    /// What was given is there on this host, names included.
    async fn await_laid(&self, key: &Key, place: &Attachment) -> Result<()> {
        let mut laid = self.inner.laid.subscribe();
        let there = laid.wait_for(|laid| {
            let track = laid.as_ref().and_then(|laid| laid.get(key));
            track.is_some_and(|track| track.places.iter().any(|p| p.address == place.address))
        });
        match tokio::time::timeout(PATIENCE, there).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::unavailable(format!(
                "network {} is not there on this node yet: no manager has said what belongs to it",
                key.0
            ))),
        }
    }
}

fn is_same(track: &EndpointTrack, held: &Attached) -> bool {
    track.name == held.wish.name
        && track
            .places
            .iter()
            .any(|p| is_place(p, held) && p.aliases == held.wish.aliases)
}

/// An IPv6 address that goes with the other one is not written into the place.
fn is_place(place: &Attachment, held: &Attached) -> bool {
    place.address == held.address
        && place.mac == held.mac
        && place.address6.is_none_or(|six| held.wish.address6 == Some(six))
}

fn asked(wish: &Wish) -> Asked {
    Asked {
        network: wish.network.as_str().into(),
        container: wish.container.clone(),
        name: wish.name.clone(),
        aliases: wish.aliases.clone(),
        address: wish.address,
        address6: wish.address6,
    }
}

/// Docker's words for what the managers say.
fn said(network: &str, error: CallError) -> Error {
    let class = match &error {
        CallError::NotFound(_) => return Error::not_found(format!("network {network} not found")),
        CallError::Refused { code, .. } if code == "PermissionDenied" => Class::Forbidden,
        CallError::Refused { code, .. } if code == "InvalidArgument" => Class::InvalidParameter,
        CallError::Unreachable(_) => Class::Unavailable,
        _ => Class::System,
    };
    Error::new(class, format!("Could not attach to network {network}: {error}"))
}

#[async_trait]
impl ClusterNetworks for Attachments {
    async fn find(&self, reference: &str) -> Result<Option<Found>> {
        let managers = self.inner.managers.borrow().clone();
        let Some(managers) = managers else { return Ok(None) };
        match managers.find(reference).await {
            Ok(network) => Ok(Some(Found {
                id: network.id.to_string(),
                name: network.spec.annotations.name,
                subnets: network
                    .subnets
                    .iter()
                    .filter_map(|s| s.subnet.parse().ok())
                    .collect(),
            })),
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(said(reference, error)),
        }
    }

    async fn attach(&self, wish: Wish) -> Result<Placed> {
        let not_found = || Error::not_found(format!("network {} not found", wish.network));
        let managers = self.managers().await.ok_or_else(not_found)?;
        let parts = self.inner.engine.get().ok_or_else(not_found)?;
        let found = managers
            .find(&wish.network)
            .await
            .map_err(|e| said(&wish.network, e))?;
        let key = (found.id.to_string(), wish.container.clone());
        {
            let _turn = self.inner.turn.lock().await;
            self.inner.pending.lock().insert(key.clone(), Instant::now());
        }
        let wish = Wish {
            network: key.0.clone(),
            ..wish
        };
        let name = &found.spec.annotations.name;
        let place = match managers.attach(&asked(&wish)).await {
            Ok(place) => place,
            Err(error) => {
                self.inner.pending.lock().remove(&key);
                return Err(said(name, error));
            }
        };
        self.await_laid(&key, &place).await?;
        let laid = ground::wait(&parts.overlays, &key.0)
            .await
            .map_err(|e| Error::system(format!("Could not attach to network {name}: {e}")))?;
        if !laid.internal {
            let made = ground::ensure_gateway(parts.networks.as_ref()).await;
            made.map_err(|e| Error::system(e.to_string()))?;
        }
        Ok(Placed {
            network: key.0,
            address: place.address,
            address6: laid.six(&place),
            mac: place.mac,
            internal: laid.internal,
        })
    }

    fn left(&self, network: &str, container: &str) {
        let key = (network.to_owned(), container.to_owned());
        self.inner.pending.lock().remove(&key);
        self.inner.changed.notify_one();
    }

    fn changed(&self) {
        self.inner.changed.notify_one();
    }
}
