//! What the rest of the engine holds of a container: a window on its state, and the inbox of its actor.

use super::actor::Input;
use super::attach::Waiting;
use super::record::{HealthRun, Record};
use super::summary::Shown;
use crate::error::{Result, system};
use crate::networks::Endpoint;
use parking_lot::Mutex;
use shoal_node_core_host::lifecycle::{Phase, State};
use shoal_node_drivers_shim::Shim;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// One moment of a container. Everything in it belongs together.
#[derive(Clone)]
pub struct View {
    pub record: Arc<Record>,
    pub state: State,
    pub endpoints: Arc<Vec<Endpoint>>,
    pub health: Option<Arc<HealthRun>>,
    /// There while a process is.
    pub shim: Option<Shim>,
    /// Nothing of it is left.
    pub gone: bool,
}

impl View {
    pub fn phase(&self) -> Phase {
        self.state.phase
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub id: String,
    pub dir: PathBuf,
    pub run_dir: PathBuf,
    pub inbox: mpsc::Sender<Input>,
    pub view: watch::Receiver<Arc<View>>,
    /// Clients that were attached before there is a process.
    pub waiting: Arc<Waiting>,
    pub shown: Mutex<Option<Shown>>,
}

impl Handle {
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The directory of its configuration.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub fn run_dir(&self) -> &Path {
        &self.inner.run_dir
    }

    pub fn view(&self) -> Arc<View> {
        self.inner.view.borrow().clone()
    }

    /// Follows the container from now on.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.inner.view.clone()
    }

    pub fn name(&self) -> String {
        self.view().record.name.clone()
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.inner.waiting
    }

    /// Puts a question to the actor and waits for its answer.
    pub async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<Result<T>>) -> Input) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || system(format!("container {} is gone", self.inner.id));
        self.inner.inbox.send(input(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Tells the actor something without waiting for an answer.
    pub async fn tell(&self, input: Input) {
        let _ = self.inner.inbox.send(input).await;
    }
}
