//! A node that has a place in a cluster: its identity, its agent, and its manager while it is one.

use super::Inner;
use super::place::{self, Door, Running, blocking};
use crate::SwarmError;
use crate::host::{AgentHandle, AgentSetup, ManagerAddr};
use crate::manager::Manager;
use crate::peers::Peers;
use crate::state_file::Saved;
use parking_lot::Mutex;
use shoal_node_drivers_certs::{Credentials, Files};
use shoal_raft_objects::Role;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A manager without a leader that counts it in for so long asks the others who it is: it may have been demoted, or
/// removed, while it was away.
const LEADERLESS: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Member {
    pub credentials: Credentials,
    pub files: Files,
    pub peers: Peers,
    saved: Mutex<Saved>,
    parts: Weak<Inner>,
    own: watch::Sender<Option<String>>,
    images_addr: watch::Sender<Option<String>>,
    /// A worker's listener; a manager's is its [`Running`]'s.
    door: Mutex<Option<Door>>,
    agent: OnceLock<Arc<dyn AgentHandle>>,
    manager: Mutex<Option<Running>>,
    /// One change of role at a time.
    changing: tokio::sync::Mutex<()>,
    stop: CancellationToken,
}

impl Member {
    pub fn new(parts: &Arc<Inner>, credentials: Credentials, files: Files, saved: Saved) -> Arc<Self> {
        Arc::new(Self {
            peers: Peers::new(credentials.clone()),
            credentials,
            files,
            saved: Mutex::new(saved),
            parts: Arc::downgrade(parts),
            own: watch::Sender::new(None),
            images_addr: watch::Sender::new(None),
            door: Mutex::new(None),
            agent: OnceLock::new(),
            manager: Mutex::new(None),
            changing: tokio::sync::Mutex::new(()),
            stop: CancellationToken::new(),
        })
    }

    /// The place that this node had before its daemon was started.
    pub async fn resume(parts: &Arc<Inner>, saved: Saved) -> Result<Arc<Self>, SwarmError> {
        let files = Files::new(parts.home.certificates());
        let credentials = Credentials::load(&files)?.ok_or_else(|| SwarmError::State {
            path: parts.home.certificates(),
            why: "this node has no certificate".into(),
        })?;
        let managers = saved.known_managers();
        let raft_id = saved.raft_id;
        let member = Self::new(parts, credentials, files, saved);
        if member.credentials.identity().role == Role::Manager
            && let Some(id) = raft_id
        {
            let listener = Door::listen(&member.saved().listen_addr).await?;
            let door = Door::open(listener, &member, parts, Role::Manager);
            let consensus = match place::consensus(&member, parts, id).await {
                Ok(consensus) => consensus,
                Err(error) => {
                    door.close().await;
                    return Err(error);
                }
            };
            member.manages(Running::start(&member, door, consensus, parts));
        } else {
            member.offer_images(parts).await;
        }
        member.start_agent(parts, managers).await?;
        member.follow();
        Ok(member)
    }

    pub fn manager(&self) -> Option<Arc<Manager>> {
        self.manager
            .lock()
            .as_ref()
            .map(|running| running.manager.clone())
    }

    pub fn agent(&self) -> Option<Arc<dyn AgentHandle>> {
        self.agent.get().cloned()
    }

    pub fn saved(&self) -> Saved {
        self.saved.lock().clone()
    }

    /// Durable when it returns.
    pub async fn save(&self, change: impl FnOnce(&mut Saved)) -> Result<(), SwarmError> {
        let saved = {
            let mut saved = self.saved.lock();
            change(&mut saved);
            saved.clone()
        };
        match self.parts.upgrade() {
            Some(parts) => blocking(move || parts.home.save(&saved)).await,
            None => Ok(()),
        }
    }

    pub fn manages(&self, running: Running) {
        *self.manager.lock() = Some(running);
        let addr = self.saved().advertise_addr;
        self.own.send_replace(Some(addr.clone()));
        self.images_addr.send_replace(Some(addr));
    }

    /// Opens a worker's listener. One that cannot be opened is tried again by [`Member::follow`]; without it the node
    /// works, but others cannot take images from it.
    pub async fn offer_images(self: &Arc<Self>, parts: &Inner) {
        if parts.images.is_none() || self.door.lock().is_some() {
            return;
        }
        let saved = self.saved();
        match Door::listen(&saved.listen_addr).await {
            Ok(listener) => {
                let door = Door::open(listener, self, parts, Role::Worker);
                *self.door.lock() = Some(door);
                self.images_addr.send_replace(Some(saved.advertise_addr));
            }
            Err(error) => tracing::debug!(%error, "this node's images cannot be offered to others"),
        }
    }

    async fn withhold_images(&self) {
        self.images_addr.send_replace(None);
        let door = self.door.lock().take();
        if let Some(door) = door {
            door.close().await;
        }
    }

    pub async fn start_agent(&self, parts: &Inner, managers: Vec<ManagerAddr>) -> Result<(), SwarmError> {
        let setup = AgentSetup {
            credentials: self.credentials.clone(),
            files: self.files.clone(),
            state_dir: parts.home.agent(),
            managers,
            own_manager: self.own.subscribe(),
            images_addr: self.images_addr.subscribe(),
            data_path_addr: self.saved().data_path_addr,
        };
        let agent = parts.agents.start(setup).await.map_err(SwarmError::Agent)?;
        // Called once for each member.
        let _ = self.agent.set(agent);
        Ok(())
    }

    /// Keeps role and certificate in step: a certificate of the other role makes or ends a manager here.
    pub fn follow(self: &Arc<Self>) {
        let member = self.clone();
        tokio::spawn(async move {
            let mut renewed = member.credentials.renewed();
            let removed = member.agent().map(|agent| agent.removed());
            let mut led = Instant::now();
            let mut lost = false;
            loop {
                tokio::select! {
                    () = member.stop.cancelled() => return,
                    changed = renewed.changed() => if changed.is_err() { return },
                    why = said(removed.clone()) => {
                        if let Some(parts) = member.parts.upgrade() {
                            parts.lose(&member, why).await;
                        }
                        return;
                    }
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                let Some(parts) = member.parts.upgrade() else {
                    return;
                };
                match member.manager() {
                    Some(manager) if member.credentials.identity().role == Role::Manager => {
                        if manager.pulse.is_led() {
                            led = Instant::now();
                            if std::mem::take(&mut lost) {
                                tracing::info!("a leader of the swarm counts this manager in again");
                            }
                        } else if led.elapsed() > LEADERLESS {
                            led = Instant::now();
                            if !std::mem::replace(&mut lost, true) {
                                tracing::warn!("no leader of the swarm counts this manager in");
                            }
                            if let Some(agent) = member.agent() {
                                agent.renew();
                            }
                        }
                    }
                    Some(_) => {
                        if let Err(error) = member.step_down(&parts).await {
                            tracing::error!(%error, "cannot stop being a manager");
                        }
                    }
                    None if member.credentials.identity().role == Role::Manager => {
                        if let Err(error) = member.step_up(&parts).await {
                            tracing::warn!(%error, "cannot become a manager yet");
                        }
                        led = Instant::now();
                    }
                    None => {
                        let _alone = member.changing.lock().await;
                        if !member.stop.is_cancelled() {
                            member.offer_images(&parts).await;
                        }
                    }
                }
            }
        });
    }

    /// From worker to manager.
    async fn step_up(self: &Arc<Self>, parts: &Arc<Inner>) -> Result<(), SwarmError> {
        let _alone = self.changing.lock().await;
        if self.stop.is_cancelled() || self.manager().is_some() {
            return Ok(());
        }
        let agent = self.agent().map(|a| a.managers()).unwrap_or_default();
        let remotes: Vec<String> = agent.into_iter().map(|m| m.addr).collect();
        // The port is the manager's from here on.
        self.withhold_images().await;
        let listener = Door::listen(&self.saved().listen_addr).await?;
        let door = Door::open(listener, self, parts, Role::Manager);
        match place::enter(self, parts, &door, &remotes).await {
            Ok(consensus) => {
                self.manages(Running::start(self, door, consensus, parts));
                Ok(())
            }
            Err(error) => {
                door.close().await;
                Err(error)
            }
        }
    }

    /// From manager to worker.
    async fn step_down(&self, parts: &Inner) -> Result<(), SwarmError> {
        let _alone = self.changing.lock().await;
        self.own.send_replace(None);
        self.images_addr.send_replace(None);
        let running = self.manager.lock().take();
        if let Some(running) = running {
            running.stop().await;
        }
        self.save(|saved| saved.raft_id = None).await?;
        let home = parts.home.clone();
        blocking(move || home.remove_raft()).await
    }

    /// Everything ends, in an order in which nobody misses another; files stay.
    pub async fn stop(&self) {
        self.stop.cancel();
        let _alone = self.changing.lock().await;
        if let Some(agent) = self.agent() {
            agent.stop().await;
        }
        self.withhold_images().await;
        self.stop_manager().await;
    }

    /// The agent leaves and takes its containers with it; then the manager ends.
    pub async fn leave(&self) {
        self.stop.cancel();
        let _alone = self.changing.lock().await;
        if let Some(agent) = self.agent() {
            agent.leave().await;
        }
        self.withhold_images().await;
        self.stop_manager().await;
    }

    async fn stop_manager(&self) {
        let running = self.manager.lock().take();
        if let Some(running) = running {
            running.stop().await;
        }
    }
}

/// Returns once the agent has been told that the node was removed.
async fn said(removed: Option<watch::Receiver<Option<String>>>) -> String {
    if let Some(mut removed) = removed
        && let Ok(why) = removed.wait_for(Option::is_some).await
        && let Some(why) = why.clone()
    {
        return why;
    }
    std::future::pending().await
}
