//! This node's place in a cluster: taking it up, giving it up, and answering for it.

mod api;
mod info;
mod init;
mod join;
mod leave;
mod member;
mod place;
mod removal;

use crate::SwarmError;
use crate::error;
use crate::forward;
use crate::host::{Agents, Events, Http, Images};
use crate::state_file::Home;
use async_trait::async_trait;
use member::Member;
use parking_lot::{Mutex, RwLock};
use shoal_api_backend::{Error, Forwarding, Route};
use shoal_raft_consensus::Timing;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub struct Config {
    /// The cluster's directory, `DATA_ROOT/swarm`. Made when this node takes up a place in a cluster.
    pub dir: PathBuf,
    pub agents: Arc<dyn Agents>,
    pub events: Arc<dyn Events>,
    /// This node's images for others; without them none are offered.
    pub images: Option<Arc<dyn Images>>,
    pub timing: Timing,
}

pub(crate) struct Inner {
    home: Home,
    agents: Arc<dyn Agents>,
    events: Arc<dyn Events>,
    images: Option<Arc<dyn Images>>,
    timing: Timing,
    http: Arc<OnceLock<Arc<dyn Http>>>,
    place: RwLock<Option<Arc<Member>>>,
    /// One change of place at a time.
    changing: tokio::sync::Mutex<()>,
    /// Why this node's place could not be taken up again at start, or was taken from it.
    trouble: Mutex<Option<SwarmError>>,
}

/// A cheap handle: the cluster's half of the API, and where its calls are answered.
#[derive(Clone)]
pub struct Swarm {
    inner: Arc<Inner>,
}

impl Swarm {
    /// Takes up the place that this node had, if it had one. What is wrong with it is shown by `docker info` and does
    /// not keep the daemon from starting.
    pub async fn open(config: Config) -> Self {
        let inner = Arc::new(Inner {
            home: Home::new(config.dir),
            agents: config.agents,
            events: config.events,
            images: config.images,
            timing: config.timing,
            http: Arc::default(),
            place: RwLock::new(None),
            changing: tokio::sync::Mutex::new(()),
            trouble: Mutex::default(),
        });
        let swarm = Self { inner };
        if let Err(error) = swarm.resume().await {
            tracing::error!(%error, "this node's place in its swarm cannot be taken up");
            *swarm.inner.trouble.lock() = Some(error);
        }
        swarm
    }

    /// Who serves the connections that other nodes pass on. Given once, when the API is ready.
    pub fn serve_with(&self, http: Arc<dyn Http>) {
        // A second one would be a mistake of the assembly; the first stays.
        let _ = self.inner.http.set(http);
    }

    /// Stops everything, in order, and keeps the place for the next start. Containers are left as they are.
    pub async fn shutdown(&self) {
        let _alone = self.inner.changing.lock().await;
        let member = self.inner.place.write().take();
        if let Some(member) = member {
            member.stop().await;
        }
    }

    async fn resume(&self) -> Result<(), SwarmError> {
        let Some(saved) = self.inner.home.load()? else {
            return Ok(());
        };
        if let Some(why) = saved.removed {
            return Err(SwarmError::Removed(why));
        }
        let member = Member::resume(&self.inner, saved).await?;
        *self.inner.place.write() = Some(member);
        Ok(())
    }

    fn member(&self) -> Option<Arc<Member>> {
        self.inner.place.read().clone()
    }

    /// A place is free to be taken up. One that is in trouble must be given up first: its files may still be of worth.
    fn check_free(&self) -> Result<(), Error> {
        match self.member().is_none() && self.inner.trouble.lock().is_none() {
            true => Ok(()),
            false => Err(Error::unavailable(error::ALREADY)),
        }
    }
}

#[async_trait]
impl Forwarding for Swarm {
    async fn route(&self, _write: bool) -> Route {
        let Some(member) = self.member() else {
            return Route::Refuse(Error::unavailable(error::NOT_A_MANAGER));
        };
        if let Some(manager) = member.manager() {
            return forward::from_manager(&manager).await;
        }
        match member.agent() {
            Some(agent) if agent.worker_forwarding() => {
                let managers = agent.managers().into_iter().map(|m| m.addr).collect();
                forward::from_worker(&member.peers, managers).await
            }
            _ => Route::Refuse(Error::unavailable(error::WORKER)),
        }
    }
}
