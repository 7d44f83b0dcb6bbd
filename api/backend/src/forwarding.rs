//! Where a cluster call is answered.

use crate::error::Error;
use crate::stream::Duplex;
use async_trait::async_trait;

/// Where a call of the cluster's half goes.
pub enum Route {
    /// Answered by this daemon's own backends.
    Local,
    /// Replayed, as it came, over this connection to a manager that answers it.
    Remote(Box<dyn Duplex>),
    /// Refused, for example because this node is in no swarm.
    Refuse(Error),
}

/// Decides it for every cluster call.
#[async_trait]
pub trait Forwarding: Send + Sync + 'static {
    /// `write` is whether the call may change the cluster: reads may be answered by any up-to-date manager. A call that
    /// was already forwarded once is not asked about again; it is answered where it arrived.
    async fn route(&self, write: bool) -> Route;
}

/// A daemon that answers everything itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalOnly;

#[async_trait]
impl Forwarding for LocalOnly {
    async fn route(&self, _write: bool) -> Route {
        Route::Local
    }
}
