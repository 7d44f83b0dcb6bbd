//! One task per container. It owns the container's state, asks `core/host::lifecycle` what each input means, performs
//! the effects in order, and publishes what is now. Nobody else writes the container's directory.

mod delete;
mod effects;
mod inputs;
mod networks;
mod probe;
mod recover;
mod spawn;
mod waiters;

pub use inputs::Input;
pub use spawn::{Seed, spawn};

use super::attach::Waiting;
use super::handle::View;
use super::kit::Kit;
use super::record::{Record, Run};
use crate::clock;
use crate::error::Error;
use shoal_node_core_host::lifecycle::{self, Refusal};
use shoal_node_drivers_shim::{Exit, Shim};
use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use waiters::Waiters;

type ExitFuture = Pin<Box<dyn Future<Output = Exit> + Send>>;

pub(super) struct Actor {
    kit: Arc<Kit>,
    dir: PathBuf,
    run_dir: PathBuf,
    record: Arc<Record>,
    run: Run,
    process: Option<Process>,
    waiters: Waiters,
    view: watch::Sender<Arc<View>>,
    /// Clients that were attached before there is a process.
    waiting: Arc<Waiting>,
}

/// The container's process, while there is one.
struct Process {
    shim: Shim,
    exit: ExitFuture,
    /// Its health probes; ends with the process.
    probe: Option<tokio::task::AbortHandle>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            probe.abort();
        }
    }
}

impl Actor {
    async fn serve(mut self, mut inbox: mpsc::Receiver<Input>) {
        loop {
            let wake = self.run.state.wake_at().map(clock::until);
            let input = tokio::select! {
                // An end that has happened comes before anything asked for later.
                biased;
                exit = ended(&mut self.process) => Input::Exited(exit),
                input = inbox.recv() => match input {
                    Some(input) => input,
                    None => return,
                },
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => Input::Tick,
            };
            Box::pin(self.handle(input)).await;
            if self.view.borrow().gone {
                return;
            }
        }
    }

    /// Feeds the machine, and whatever its effects bring about, until nothing follows.
    async fn step(&mut self, input: lifecycle::Input) -> Result<(), Refusal> {
        let mut todo = VecDeque::from([input]);
        let mut first = true;
        while let Some(input) = todo.pop_front() {
            let rules = self.record.rules();
            let (state, effects) = match lifecycle::step(&self.run.state, &rules, input, clock::now()) {
                Ok(answer) => answer,
                Err(refusal) if first => return Err(refusal),
                Err(refusal) => {
                    tracing::error!(id = %self.record.id, ?refusal, "an effect's result does not fit the state");
                    break;
                }
            };
            first = false;
            self.run.state = state;
            let mut published = false;
            for effect in effects {
                // What the process held is free before anybody can see that it ended.
                if !published && effect != lifecycle::Effect::Release {
                    self.publish();
                    published = true;
                }
                todo.extend(self.perform(effect).await);
            }
            if !published {
                self.publish();
            }
        }
        self.waiters.settle(&self.run.state);
        Ok(())
    }

    fn publish(&self) {
        let view = View {
            record: self.record.clone(),
            state: self.run.state.clone(),
            endpoints: Arc::new(self.run.endpoints.clone()),
            health: self.run.health.clone().map(Arc::new),
            shim: self.process.as_ref().map(|p| p.shim.clone()),
            gone: false,
        };
        self.view.send_replace(Arc::new(view));
    }

    fn persist(&self) -> Result<(), Error> {
        self.run
            .save(&self.dir)
            .map_err(crate::error::io("write the state of container", &self.record.id))
    }
}

async fn ended(process: &mut Option<Process>) -> Exit {
    match process {
        Some(process) => (&mut process.exit).await,
        None => std::future::pending().await,
    }
}
