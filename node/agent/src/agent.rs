//! The agent as its node's daemon sees it.

use crate::attachments::Attachments;
use crate::book::Book;
use crate::executor::Executor;
use crate::ground::Ground;
use crate::managers::{ClusterView, ManagerPeer, Managers};
use crate::orders::Orders;
use crate::peers::Peers;
use crate::renewal::Renewal;
use crate::reporter::Reporter;
use crate::runner::Shop;
use crate::session::Session;
use crate::worker::Worker;
use shoal_node_core_host::overlay::{News, Tracks};
use shoal_node_drivers_certs::{Credentials, Files};
use shoal_raft_objects::NodeId;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A manager that does not answer a good-bye does not keep a node from leaving.
const FAREWELL: Duration = Duration::from_secs(1);
/// Tasks prepared, started, stopped or removed at a time.
const HANDS: usize = 32;

pub struct Config {
    /// Who this node is; replaced in place when its certificate is renewed.
    pub credentials: Credentials,
    /// Where a renewed certificate is kept.
    pub files: Files,
    /// Directory for the agent's own files; created if missing.
    pub state_dir: PathBuf,
    /// Managers to try besides those known from before.
    pub managers: Vec<ManagerPeer>,
    /// Address of this node's own manager while it is one: the first to try.
    pub own_manager: watch::Receiver<Option<String>>,
    /// `host:port` where this node serves its images to the others, while it does.
    pub images_addr: watch::Receiver<Option<String>>,
    /// Where other nodes shall send what travels on cluster networks; empty for where this node's session comes from.
    pub data_path_addr: String,
    pub executor: Arc<dyn Executor>,
}

/// A cheap handle to the running agent. Dropping all handles does not stop it: [`Agent::stop`] does.
#[derive(Clone)]
pub struct Agent {
    worker: Arc<Worker>,
    shop: Arc<Shop>,
    managers: Arc<Managers>,
    attachments: Attachments,
    renew: Arc<Notify>,
    connected: watch::Receiver<bool>,
    removed: watch::Receiver<Option<String>>,
    leaving: CancellationToken,
    session_over: CancellationToken,
    stop: CancellationToken,
    loops: TaskTracker,
}

impl Agent {
    /// Must be called within a runtime. Tasks known from before are watched at once; a session is sought meanwhile.
    pub fn start(config: Config) -> io::Result<Self> {
        std::fs::create_dir_all(&config.state_dir)?;
        let stop = CancellationToken::new();
        let managers = Arc::new(Managers::load(&config.state_dir, config.managers));
        let peers = Peers::new(config.credentials.clone());
        config.executor.meet(peers.clone());
        let shop = Arc::new(Shop {
            executor: config.executor,
            reporter: Reporter::default(),
            orders: Orders::new(),
            ground: Ground::load(&config.state_dir),
            hands: Semaphore::new(HANDS),
            changed: Notify::new(),
        });
        let worker = Worker::start(shop.clone(), Book::new(&config.state_dir), stop.clone());
        let renew = Arc::new(Notify::new());
        let leaving = CancellationToken::new();
        let (connected, is_connected) = watch::channel(false);
        let (removed, is_removed) = watch::channel(None);
        let loops = TaskTracker::new();
        let renewal = Renewal {
            credentials: config.credentials.clone(),
            files: config.files,
            managers: managers.clone(),
            own: config.own_manager.clone(),
            asked: renew.clone(),
            removed: removed.clone(),
            stop: stop.clone(),
        };
        loops.spawn(renewal.keep());
        let ground = shop.clone();
        let (node, over) = (config.credentials.identity().node, stop.clone());
        loops.spawn(async move { ground.ground.run(node, ground.executor.clone(), over).await });
        let attachments = Attachments::new(
            config.credentials.clone(),
            managers.clone(),
            config.own_manager.clone(),
        );
        let session = Session {
            credentials: config.credentials,
            managers: managers.clone(),
            own: config.own_manager,
            worker: worker.clone(),
            shop: shop.clone(),
            peers,
            images_addr: config.images_addr,
            data_path_addr: config.data_path_addr,
            renew: renew.clone(),
            connected,
            removed,
            leaving: leaving.clone(),
            stop: stop.clone(),
        };
        let session_over = CancellationToken::new();
        let over = session_over.clone().drop_guard();
        loops.spawn(async move {
            session.keep().await;
            drop(over);
        });
        Ok(Self {
            worker,
            shop,
            managers,
            attachments,
            renew,
            connected: is_connected,
            removed: is_removed,
            leaving,
            session_over,
            stop,
            loops,
        })
    }

    /// The managers that this node knows, the newest word on them.
    pub fn managers(&self) -> Vec<ManagerPeer> {
        self.managers.get().managers
    }

    /// Whether this cluster's workers may pass their clients' calls on to the managers.
    pub fn worker_forwarding(&self) -> bool {
        self.managers.get().worker_forwarding
    }

    /// Asks managers for places on networks.
    pub fn attachments(&self) -> Attachments {
        self.attachments.clone()
    }

    /// What managers last said of the cluster.
    pub fn cluster(&self) -> ClusterView {
        self.managers.get().cluster
    }

    /// True while a manager holds this node's session.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.connected.clone()
    }

    /// Why this node is not part of its cluster any more, in the managers' words, once they have said so. The agent
    /// seeks no session after that; its tasks are as they were until it [leaves](Self::leave).
    pub fn removed(&self) -> watch::Receiver<Option<String>> {
        self.removed.clone()
    }

    /// Asks for a new certificate now.
    pub fn renew(&self) {
        self.renew.notify_one();
    }

    /// Ends the session and all that the agent does. Containers are left as they are.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.loops.close();
        self.loops.wait().await;
        self.worker.stopped().await;
    }

    /// Says good-bye, stops, and removes every container of a task: the node is leaving its cluster.
    pub async fn leave(&self) {
        self.leaving.cancel();
        let _ = tokio::time::timeout(FAREWELL, self.session_over.cancelled()).await;
        let mut ids = self.worker.ids();
        self.stop().await;
        match self.shop.executor.tasks().await {
            Ok(present) => ids.extend(present),
            Err(error) => tracing::warn!(%error, "cannot list the containers of tasks"),
        }
        ids.sort();
        ids.dedup();
        let removals = ids.iter().map(|id| async move {
            let _hand = self.shop.hands.acquire().await;
            if let Err(error) = self.shop.executor.remove(id).await {
                tracing::warn!(%error, task = %id, "cannot remove a task's container");
            }
        });
        futures_util::future::join_all(removals).await;
        let nothing = News::Whole(NodeId::default(), Tracks::new());
        if let Err(error) = self.shop.executor.lay(nothing).await {
            tracing::warn!(%error, "something of the cluster's networks is left on this host");
        }
    }
}
