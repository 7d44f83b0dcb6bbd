//! The resolver at 127.0.0.11 inside of each container's namespace.
//!
//! ```text
//!   container ── 127.0.0.11:53 ─(rule in its namespace)─ 127.0.0.11:30053
//!                                    │ datagrams of all containers: a thread for each processor, answers at once
//!                                    ├ connections: a task each
//!                                    └ what nobody here knows: a task each, asks outside
//! ```
//! The sockets are the namespace's, the threads are the daemon's: nothing runs inside of a container. After a restart the
//! daemon opens the same ports again; a question that was asked meanwhile is asked once more by whoever asked it.

mod datagrams;
mod forward;
mod lanes;
mod open;
mod streams;

use std::sync::Arc;

use shoal_node_core_host::dns::Answer;
use shoal_node_core_host::resolvconf::Server;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::error::Result;
use crate::netns::Netns;
use datagrams::Datagrams;

/// Questions that are being asked outside at a time, of all containers together.
const FORWARDS_MAX: usize = 1024;

/// What one container is told. Called on threads that all of them share: it must not wait.
pub trait Names: Send + Sync + 'static {
    fn answer(&self, message: &[u8], over_tcp: bool) -> Answer;
    /// Whom to ask outside, in this order.
    fn servers(&self) -> Vec<Server>;
}

/// All resolvers of this daemon. A cheap handle.
#[derive(Clone)]
pub struct Resolvers {
    datagrams: Arc<Datagrams>,
    runtime: Handle,
    forwards: Arc<Semaphore>,
}

/// One container's resolver; it ends when this is dropped.
pub struct Resolver {
    datagrams: Arc<Datagrams>,
    slot: u64,
    streams: tokio::task::AbortHandle,
}

/// What both kinds of sockets know.
pub(crate) struct Client {
    names: Arc<dyn Names>,
    netns: Arc<Netns>,
    forwards: Arc<Semaphore>,
}

impl Resolvers {
    /// Waiting is done on `runtime`.
    pub fn start(runtime: Handle) -> Result<Resolvers> {
        Ok(Resolvers {
            datagrams: Datagrams::start(runtime.clone())?,
            runtime,
            forwards: Arc::new(Semaphore::new(FORWARDS_MAX)),
        })
    }

    /// Opens the sockets inside of the namespace and leads port 53 to them.
    pub fn serve(&self, netns: Arc<Netns>, names: Arc<dyn Names>) -> Result<Resolver> {
        let sockets = open::open(&netns, self.datagrams.lanes())?;
        let client = Arc::new(Client {
            names,
            netns,
            forwards: self.forwards.clone(),
        });
        let slot = self.datagrams.add(sockets.udp, client.clone())?;
        let streams = self
            .runtime
            .spawn(streams::serve(sockets.tcp, client))
            .abort_handle();
        Ok(Resolver {
            datagrams: self.datagrams.clone(),
            slot,
            streams,
        })
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.datagrams.remove(self.slot);
        self.streams.abort();
    }
}
