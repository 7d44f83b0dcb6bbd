//! Verbs that wait for something to happen to the container.

use super::inputs::{Reply, Verdict};
use crate::containers::handle::View;
use crate::error::{Error, system};
use shoal_node_core_host::lifecycle::{Phase, State};
use std::sync::Arc;
use tokio::sync::watch;

#[derive(Default)]
pub(super) struct Waiters {
    /// Until no stop is under way.
    stops: Vec<Reply<Verdict>>,
    /// Until no process is.
    ends: Vec<Reply<Verdict>>,
    /// Until nothing is left, or the removal failed.
    removes: Vec<Reply<Verdict>>,
    /// Why the last launch failed, for the verb that caused it.
    failure: Option<Error>,
    volumes: bool,
}

impl Waiters {
    pub fn stop(&mut self, reply: Reply<Verdict>) {
        self.stops.push(reply);
    }

    pub fn end(&mut self, reply: Reply<Verdict>) {
        self.ends.push(reply);
    }

    pub fn remove(&mut self, reply: Reply<Verdict>, view: &watch::Sender<Arc<View>>) {
        let view = view.borrow();
        match () {
            () if view.gone => drop(reply.send(Ok(Ok(())))),
            () if view.state.phase == Phase::Dead => drop(reply.send(Err(system(view.state.error.clone())))),
            () => self.removes.push(reply),
        }
    }

    pub fn want_volumes_gone(&mut self, volumes: bool) {
        self.volumes |= volumes;
    }

    pub fn volumes_gone(&self) -> bool {
        self.volumes
    }

    pub fn launch_failed(&mut self, error: Error) {
        self.failure = Some(error);
    }

    pub fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Answers everybody whose wait is over.
    pub fn settle(&mut self, state: &State) {
        if !state.is_stopping() && !self.stops.is_empty() {
            let failure = self.failure.take();
            for reply in self.stops.drain(..) {
                let _ = reply.send(failure.clone().map_or(Ok(Ok(())), Err));
            }
        }
        if !state.phase.is_live() {
            for reply in self.ends.drain(..) {
                let _ = reply.send(Ok(Ok(())));
            }
        }
        if state.phase == Phase::Dead {
            self.volumes = false;
            for reply in self.removes.drain(..) {
                let _ = reply.send(Err(system(state.error.clone())));
            }
        }
    }

    /// The container is gone.
    pub fn gone(&mut self) {
        for reply in self
            .removes
            .drain(..)
            .chain(self.ends.drain(..))
            .chain(self.stops.drain(..))
        {
            let _ = reply.send(Ok(Ok(())));
        }
    }
}
