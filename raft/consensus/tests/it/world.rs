//! Managers on loopback TCP, and things for them to write.

use async_trait::async_trait;
use shoal_raft_consensus::{Config, Consensus, Dial, Peer, Stream, service};
use shoal_raft_objects::{NodeId, Object, Proposal, RaftId, Service, ServiceSpec, Time, Write};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;

/// Counts the attempts.
#[derive(Clone, Default)]
pub struct Tcp(Arc<AtomicUsize>);

#[async_trait]
impl Dial for Tcp {
    async fn dial(&self, peer: &Peer) -> io::Result<Box<dyn Stream>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let stream = TcpStream::connect(&peer.addr).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

pub struct Manager {
    pub consensus: Consensus,
    /// Its own, so that a kill takes everything with it.
    runtime: Option<Runtime>,
    pub addr: String,
    dialled: Tcp,
}

impl Manager {
    /// Starts the manager with that id in `dir/<id>`, on `addr` or on a free port.
    pub async fn start(dir: &Path, id: u64, addr: Option<&str>) -> Manager {
        Self::start_with(dir, id, addr, |_| {}).await
    }

    pub async fn start_with(
        dir: &Path,
        id: u64,
        addr: Option<&str>,
        set: impl FnOnce(&mut Config),
    ) -> Manager {
        let listener = bind(addr.unwrap_or("127.0.0.1:0")).await;
        let addr = listener.local_addr().unwrap().to_string();
        let node = NodeId::new(format!("node{id}"));
        let mut config = Config::new(RaftId(id), node, addr.clone(), dir.join(id.to_string()));
        set(&mut config);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let dialled = Tcp::default();
        let dial = Arc::new(dialled.clone());
        let started = runtime.spawn(async move {
            let consensus = Consensus::start(config, dial).await.unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            let serve = tonic::transport::Server::builder()
                .add_service(service::server(consensus.service().unwrap()))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::spawn(async move { serve.await.unwrap() });
            consensus
        });
        Manager {
            consensus: started.await.unwrap(),
            runtime: Some(runtime),
            addr,
            dialled,
        }
    }

    /// Connections that this manager has tried to make so far.
    pub fn dialled(&self) -> usize {
        self.dialled.0.load(Ordering::Relaxed)
    }

    pub fn peer(&self) -> Peer {
        self.consensus.me().clone()
    }

    /// All its tasks and connections end at once, as with SIGKILL.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub async fn close(mut self) {
        self.consensus.clone().close().await;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub async fn leads(&self) -> bool {
        self.consensus.leadership().borrow().is_self
    }
}

async fn bind(addr: &str) -> std::net::TcpListener {
    // The port of a manager that was just stopped may take a moment.
    for _ in 0..100 {
        if let Ok(listener) = TcpListener::bind(addr).await {
            return listener.into_std().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("cannot bind {addr}");
}

/// Three voting managers; the first leads.
pub async fn three(dir: &Path) -> Vec<Manager> {
    let first = Manager::start(dir, 1, None).await;
    first.consensus.bootstrap().await.unwrap();
    let mut managers = vec![first];
    for id in [11, 12] {
        let manager = Manager::start(dir, id, None).await;
        join(&managers[0], &manager).await;
        managers.push(manager);
    }
    managers
}

pub async fn join(leader: &Manager, manager: &Manager) {
    leader.consensus.add_manager(&manager.peer()).await.unwrap();
    leader
        .consensus
        .promote_manager(manager.peer().id, Duration::from_secs(10))
        .await
        .unwrap();
}

pub fn create(id: &str) -> Proposal {
    Proposal {
        at: Time(1),
        writes: vec![Write::Create(Object::from(Service {
            id: id.into(),
            spec: ServiceSpec {
                name: id.into(),
                ..Default::default()
            },
            ..Default::default()
        }))],
    }
}

/// Index of the manager among `managers` that leads, once one does.
pub async fn leader(managers: &[Manager]) -> usize {
    for _ in 0..1000 {
        for (n, manager) in managers.iter().enumerate() {
            if manager.leads().await {
                return n;
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody leads");
}
